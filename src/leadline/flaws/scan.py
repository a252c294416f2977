"""The stage between encoding and the race: search for flaws, and remove what --fix names.

Enters: a table with hidden labels of test rows, and its store. Leaves: a `Scan`, with the table and store to race on.
Near duplicates are removed first, by content alone, and the rest is split anew. Whatever needs a label reads those of
train and valid rows; what is removed for its labels is inferred from these alone, and another fold is fixed by its own.
Test rows are predicted by the probe as by a contender; what their labels say is added after the verdict. How many rows
are searched depends on the budget and on a clock whose readings are written down (`time_budget.py`): a run that is
repeated finds the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from leadline.config import Settings
from leadline.core.contender import Clock
from leadline.dataset.heldout import HeldOut
from leadline.dataset.store import Store, again
from leadline.dataset.table import Table
from leadline.flaws import FLAWS
from leadline.flaws.detector import FEWEST, Finding, ScanData, TestAnswers
from leadline.flaws.fix import fix
from leadline.flaws.flaw import Flaw
from leadline.flaws.time_budget import Pace
from leadline.system.process_state import one_blas_thread

__all__ = ["READINGS", "Encode", "Scan", "scan", "with_impact"]

READINGS = "flaws.f64"  # in the run folder: of the clock by which flaws were searched for
SHORTEST = 4.0  # seconds; in less, the libraries of the probe alone would take what there is
Encode = Callable[[Table, Store | None], tuple[Table, Store]]  # table -> split, labels of the test hidden, and encoded
Findings = dict[str, Finding[Any]]  # by detector


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What was found, what was removed, and what is left."""

    table: Table
    store: Store
    base: Table  # without near duplicates, but before anything was removed for its labels
    messages: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=dict)  # empty for a text corpus, which is not searched
    flaws: list[Flaw] = field(default_factory=list)  # as far as they are known

    @property
    def looked_for(self) -> list[str]:
        """Each in a few words."""
        return [FLAWS[name].description for name in self.findings]

    def opened(self, held: HeldOut) -> Scan:
        """The same after the verdict: flaws with what the labels of test rows add."""
        labels, found = held.opened(self.table).labels, dict[str, Sequence[Flaw]]()
        for name, one in self.findings.items():
            data = replace(one.data, table=replace(one.data.table, labels=labels))
            found[name] = FLAWS[name].revisit(one, data)
        return replace(self, flaws=_ordered(found))

    def beyond(self, known: Scan) -> list[str]:
        """What this scan says of flaws, and `known` did not."""
        before = {flaw.says for flaw in known.flaws}
        return [flaw.says for flaw in self.flaws if flaw.says not in before]

    @contextmanager
    def fold(self, held: HeldOut, settings: Settings, threads: int, fold: int, seed: int) -> Iterator[Store]:
        """A temporary store of another fold, in the order of a seed: fixed by its own train and valid rows.

        What the first search found is inferred from rows that this fold tests on.
        """
        lost = [row for row, _ in self.store.bad]
        split = held.split(self.base, settings, fold, seed).without(lost)
        table = held.without(self.base, split)
        names = [name for name in self.findings if name in settings.fixes and not FLAWS[name].before_split]
        with again(self.store, table, split) as plain:
            data = ScanData(table=table, store=plain, settings=settings, threads=threads)
            with one_blas_thread():
                flaws = [flaw for name in names for flaw in FLAWS[name].search_fold(data, self.findings[name])]
            if not flaws:
                yield plain
                return
            table, _ = fix(table, flaws)
            split = held.split(table, settings, fold, seed).without(lost)
            with again(self.store, table, split) as store:
                yield store


def scan(table: Table, store: Store, encode: Encode, settings: Settings, threads: int, clock: Clock) -> Scan:
    """Search, fix, encode again. `clock` is the run's: the result depends on it, the data and the settings alone.

    Args:
        encode: splits a table anew and encodes it, by what a store already has.
    """
    if table.task.generative:
        return Scan(table=table, store=store, base=table)
    pace = Pace(clock, settings.seconds)
    data = ScanData(table=table, store=store, settings=settings, threads=threads, pace=pace)
    first = _search(data, pace, before_split=True)
    messages = [message for finding in first.values() for message in finding.messages]
    removed, more = list[str](), list[str]()
    if flaws := _to_fix(first, settings):
        with pace.paused():
            table, removed = fix(table, flaws)
            table, store = encode(table, store)
    base = table
    second = _search(replace(data, table=table, store=store), pace, before_split=False)
    if pace.left_out:
        messages.append(f"Time was short, so the run did not search for: {', '.join(pace.left_out)}.")
    if flaws := _to_fix(second, settings):
        table, more = fix(table, flaws)
        table, store = encode(table, store)
    return Scan(
        table=table, store=store, base=base, messages=[*messages, *removed, *more], findings=first | second,
        flaws=_ordered({name: finding.flaws for name, finding in (first | second).items()}),
    )  # fmt: skip


def with_impact(flaws: Sequence[Flaw], test: TestAnswers) -> list[Flaw]:
    """The flaws with their impact on the contender that ships."""
    return [replace(flaw, impact=FLAWS[flaw.name].impact(flaw, test)) for flaw in flaws]


def _search(data: ScanData, pace: Pace, *, before_split: bool) -> Findings:
    """What each detector of this phase found; those without an entry did not search."""
    found: Findings = {}
    with one_blas_thread():
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


def _to_fix(findings: Findings, settings: Settings) -> list[Flaw]:
    return [flaw for finding in findings.values() for flaw in finding.flaws if flaw.name in settings.fixes]


def _ordered(found: Mapping[str, Sequence[Flaw]]) -> list[Flaw]:
    """The flaws of {detector: flaws} by their names; of two for the same column, that of the flaw's own detector."""
    flaws: dict[tuple[str, object], Flaw] = {}
    for name in FLAWS:
        own = [flaw for flaw in found.get(name, ()) if flaw.name == name]
        others = [flaw for by, each in found.items() if by != name for flaw in each if flaw.name == name]
        for flaw in (*own, *others):
            flaws.setdefault((name, flaw.columns or len(flaws)), flaw)
    return list(flaws.values())
