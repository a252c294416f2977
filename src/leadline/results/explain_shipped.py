"""Why the shipped file answers so, computed at the end of a run within what its budget leaves.

Enters: the opened table and the file. Leaves: an explanation of a dozen test rows, of fewer where there is less time,
or none, and a sentence that says so.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.results.explain_run import rows_of
from leadline.ship.ship_winner import MODEL, Shipment
from leadline.system.resources import most_threads
from leadline.use.explain.cost import expected_answers
from leadline.use.explain.explain import FULL, Effort, explain
from leadline.use.explain.records import Explanation
from leadline.use.explain.sample import CONTEXT, CONTEXT_JOINT, alone, is_joint, spread
from leadline.use.explain.scorer import OutOfTimeError, Scorer
from leadline.use.model import Model

__all__ = ["Why", "explain_shipped"]

TIMED, TIMED_JOINT = 16, 2_048  # answers by which the seconds of one are measured: in one batch, on one core
SAFE = 0.7  # share of the seconds that the expected answers may take: the arithmetic between them takes some too
# Rows that are explained, share of the rows that they are compared with, and effort; the first that there is time for.
PLANS = (
    (12, 1.0, FULL),
    (12, 1.0, Effort(sets=False)),
    (12, 0.4, Effort(checked=32, agreed=4, masks=64, sets=False)),
    (6, 0.2, Effort(checked=16, agreed=0, sets=False)),
)


@dataclass(frozen=True, kw_only=True)
class Why:
    """What came of it; `note` is empty where all of it was computed."""

    found: Explanation | None
    note: str


def explain_shipped(folder: Path, table: Table, store: Store, shipment: Shipment, seconds: float) -> Why | None:
    """Explain some test rows in so many seconds; None where there is no model of columns."""
    if shipment.contender is None or store.task.generative:
        return None
    if seconds <= 0:
        return Why(found=None, note=_left_out("The budget leaves no time for it", folder))
    until = time.monotonic() + seconds
    model = Model(folder / MODEL)
    joint = is_joint(model)
    sample = rows_of(
        table, store.split.test, model, None, CONTEXT_JOINT if joint else CONTEXT, "the test rows"
    )  # fmt: skip
    if (lonely := alone(model, sample)) is not None:
        return Why(found=None, note=lonely)
    scorer = Scorer(model, until)
    count = TIMED_JOINT if joint else TIMED
    timed = [sample.rows[i % len(sample.rows)] for i in range(count)]
    try:
        scorer.scores(timed[:1])  # the first answer of a file takes longer
        began = time.monotonic()
        scorer.scores(timed)
        an_answer = (time.monotonic() - began) / len(timed) / most_threads()
        for rows, share, effort in PLANS:
            some = sample.subset(_compared(sample.shown, len(sample.rows), share))
            some = dataclasses.replace(some, shown=some.shown[spread(len(some.shown), rows)])
            if an_answer * expected_answers(model, some, effort) <= SAFE * (until - time.monotonic()):
                found = explain(model, some, effort=effort, until=until)
                whole = dataclasses.replace(effort, sets=True) == FULL
                less = "" if whole else f"{seconds:.0f} s were left for it: some of the checks were left out."
                return Why(found=found, note=less)
    except OutOfTimeError:
        return Why(found=None, note=_left_out(f"It took longer than the {seconds:.0f} s that were left", folder))
    return Why(
        found=None, note=_left_out(f"It would take longer than the {seconds:.0f} s that it may take here", folder)
    )


def _compared(shown: np.ndarray, total: int, share: float) -> np.ndarray:
    """Places of the rows to explain and of a share of the others."""
    return np.union1d(shown, spread(total, max(2, int(share * total))))


def _left_out(why: str, folder: Path) -> str:
    name = folder.name.removeprefix(".").split(".partial-")[0]
    return f"{why}, so no row is explained here: leadline explain {name} does it."
