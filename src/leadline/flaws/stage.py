"""The stage between encoding and the race: search for flaws, and remove what --fix names.

Enters: a table with hidden labels of test rows, and its store. Leaves: a `Scan`, with the table and store to race on.
Near duplicates are removed first, by content alone, and the rest is split anew. What is removed for its labels is
inferred from train and valid rows. Another fold is fixed again, by its own train and valid rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from leadline.config import Settings
from leadline.core.contender import Clock
from leadline.dataset.heldout import HeldOut
from leadline.dataset.store import Store, again
from leadline.dataset.table import Table
from leadline.flaws import FLAWS
from leadline.flaws.detector import ScanData
from leadline.flaws.fix import fix
from leadline.flaws.flaw import Flaw
from leadline.flaws.scan import Findings, ordered, revisit, search, search_fold
from leadline.flaws.time_budget import Pace

__all__ = ["READINGS", "Encode", "Scan", "scan"]

READINGS = "flaws.f64"  # in the run folder: of the clock by which flaws were searched for
Encode = Callable[[Table, Store | None], tuple[Table, Store]]  # table -> split, labels of the test hidden, and encoded


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
        return replace(self, flaws=revisit(self.findings, held))

    def beyond(self, known: Scan) -> list[str]:
        """What this scan says of flaws, and `known` did not."""
        before = {flaw.says for flaw in known.flaws}
        return [flaw.says for flaw in self.flaws if flaw.says not in before]

    @contextmanager
    def fold(self, held: HeldOut, settings: Settings, threads: int, fold: int, seed: int) -> Iterator[Store]:
        """A temporary store of another fold, in the order of a seed: fixed by its own rows."""
        lost = [row for row, _ in self.store.bad]
        split = held.split(self.base, settings, fold, seed).without(lost)
        table = held.without(self.base, split)
        with again(self.store, table, split) as plain:
            data = ScanData(table=table, store=plain, settings=settings, threads=threads)
            flaws = search_fold(data, self.findings)
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
    first = search(data, pace, before_split=True)
    messages = [message for finding in first.values() for message in finding.messages]
    removed, more = list[str](), list[str]()
    if flaws := _to_fix(first, settings):
        with pace.paused():
            table, removed = fix(table, flaws)
            table, store = encode(table, store)
    base = table
    second = search(replace(data, table=table, store=store), pace, before_split=False)
    if pace.left_out:
        messages.append(f"Time was short, so the run did not search for: {', '.join(pace.left_out)}.")
    if flaws := _to_fix(second, settings):
        table, more = fix(table, flaws)
        table, store = encode(table, store)
    return Scan(
        table=table, store=store, base=base, messages=[*messages, *removed, *more], findings=first | second,
        flaws=ordered({name: finding.flaws for name, finding in (first | second).items()}),
    )  # fmt: skip


def _to_fix(findings: Findings, settings: Settings) -> list[Flaw]:
    return [flaw for finding in findings.values() for flaw in finding.flaws if flaw.name in settings.fixes]
