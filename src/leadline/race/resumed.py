"""What a resumed run has left of its budget, and what of it contenders need that an earlier go had begun.

Enters: their records, and their folders. A network resumes from its last checkpoint; one that reads a frozen body has
kept its states once it has a score; the others start again. One that had ended is trained once more if it is shipped,
from its last checkpoint or from the start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from leadline.race.entry import ContenderRun
from leadline.race.history import ContenderRecord
from leadline.race.order import IMPORTS
from leadline.race.worker import CHECKPOINTS

STATE = "state.json"  # of a checkpoint


def kept_s(entry: ContenderRun, record: ContenderRecord) -> float:
    """Seconds of its training that a checkpoint keeps; 0 where there is none."""
    return min(record.ran_s, _at_checkpoint(entry))


def spared_s(entry: ContenderRun, record: ContenderRecord) -> float:
    """Seconds of what it needs that it does not need again."""
    return record.ran_s if record.curve and entry.contender.pretrained else kept_s(entry, record)


def again_s(entries: Sequence[ContenderRun], past: Mapping[str, ContenderRecord], test: int, slow: float) -> float:
    """Seconds in which the longest of those that had ended is trained once more, and answers so many test rows."""
    spent = [0.0]
    for entry in entries:
        if entry.done and not entry.baseline and entry.name in past:
            kept = _at_checkpoint(entry)
            training = entry.facts["fit_s"] - kept + (IMPORTS * slow if kept else 0.0)
            spent.append(training + 1e-6 * entry.facts["predict_us"] * test)
    return max(spent)


def _at_checkpoint(entry: ContenderRun) -> float:
    """Seconds of training at the newest checkpoint; 0 where there is none."""
    newest = max((entry.folder / CHECKPOINTS).glob(f"[0-9]*/{STATE}"), default=None)
    if newest is None:
        return 0.0
    try:
        spent: float = json.loads(newest.read_bytes())["state"]["spent_s"]
    except (OSError, ValueError, KeyError):  # a disk that lost power may hold half of it
        return 0.0
    return spent
