"""Walk the detectors: search before the race, again after the verdict, and the impact by the test.

Whatever needs a label reads those of train and valid rows; what --fix removes is inferred from these alone. Test rows
are compared with others by content, and predicted by the probe as by a contender; what their labels say is added after
the verdict. How many rows are searched depends on the budget and on a clock whose readings are written down
(`time_budget.py`): a run that is repeated finds the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from leadline.dataset.heldout import HeldOut
from leadline.flaws import FLAWS
from leadline.flaws.detector import FEWEST, Finding, ScanData, TestAnswers
from leadline.flaws.flaw import Flaw
from leadline.flaws.time_budget import Pace

SHORTEST = 4.0  # seconds; in less, the libraries of the probe alone would take what there is

Findings = dict[str, Finding[Any]]


@contextmanager
def one_thread() -> Iterator[None]:
    """Products of matrices run on one thread meanwhile.

    They are small, and on a machine that others use too two threads wait for each other ten times as long as they work.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def search(data: ScanData, pace: Pace, *, before_split: bool) -> Findings:
    """What each detector of this phase found; those without an entry did not search."""
    found: Findings = {}
    with one_thread():
        able = before_split or _probe_is_ready(data, pace)
        for name, each in FLAWS.items():
            if each.before_split != before_split or (each.share and not able):
                continue
            seconds = pace.part(each.share, None if before_split else each.description) if each.share else 0.0
            if seconds or before_split or not each.share:
                finding = each.search(data, seconds)
                if finding is not None:
                    found[name] = finding
    return found


def _probe_is_ready(data: ScanData, pace: Pace) -> bool:
    """Whether there are time and rows enough for a probe; its libraries are loaded then."""
    enough = len(data.known_rows) >= FEWEST and pace.seconds >= SHORTEST
    if data.table.task.multilabel or not enough or not data.probe.able:
        return False
    data.probe.load()
    return True


def search_fold(data: ScanData, first: Findings) -> list[Flaw]:
    """What --fix removes from another fold, by its own train and valid rows, as far as the first search went.

    What the first search found is inferred from rows that this fold tests on.
    """
    names = [name for name in first if name in data.settings.fixes and not FLAWS[name].before_split]
    with one_thread():
        return [flaw for name in names for flaw in FLAWS[name].search_fold(data, first[name])]


def revisit(findings: Findings, held: HeldOut) -> list[Flaw]:
    """All flaws again, after the verdict, with what the labels of test rows add."""
    return ordered(
        {
            name: FLAWS[name].revisit(one, replace(one.data, table=held.opened(one.data.table)))
            for name, one in findings.items()
        }
    )


def ordered(found: Mapping[str, Sequence[Flaw]]) -> list[Flaw]:
    """The flaws of {detector: flaws} by their names; of two for the same column, that of the flaw's own detector."""
    flaws: dict[tuple[str, object], Flaw] = {}
    for name in FLAWS:
        own = [flaw for flaw in found.get(name, ()) if flaw.name == name]
        others = [flaw for by, each in found.items() if by != name for flaw in each if flaw.name == name]
        for flaw in (*own, *others):
            flaws.setdefault((name, flaw.columns or len(flaws)), flaw)
    return list(flaws.values())


def with_impact(flaws: Sequence[Flaw], test: TestAnswers) -> list[Flaw]:
    """The flaws with their impact on the contender that ships."""
    return [replace(flaw, impact=FLAWS[flaw.name].impact(flaw, test)) for flaw in flaws]
