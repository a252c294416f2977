"""The stage between encoding and the race: look for flaws, and take out what --fix names.

Enters: a table in which the labels of test rows are sealed, and its store. Leaves: a `Scan`, with the table and store
to race on. Repeated rows go first, by content alone; the split is drawn of what is left. What is taken out for its
labels rests on train and valid rows. A round on another fold is fixed again, by its own train and valid rows.
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
from leadline.flaws.fix import mended
from leadline.flaws.flaw import Flaw
from leadline.flaws.scan import Look, Repeats, chosen, joined, look, repeats, told
from leadline.flaws.time_budget import Pace

__all__ = ["READINGS", "Encode", "Scan", "scan"]

READINGS = "flaws.f64"  # in the run folder: of the clock by which flaws were looked for
Encode = Callable[[Table, Store | None], tuple[Table, Store]]  # table -> split, its test labels sealed, and encoded


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What was found, what was taken out for it, and what is left."""

    table: Table
    store: Store
    base: Table  # without repeated rows, but before anything was taken out for its labels
    said: list[str] = field(default_factory=list)
    first: Look | None = None  # None of a text corpus, which is not looked over
    twins: Repeats | None = None
    flaws: list[Flaw] = field(default_factory=list)  # as far as they are known

    @property
    def looked_for(self) -> list[str]:
        """Each in a few words."""
        return [] if self.first is None else self.first.looked_for

    def opened(self, held: HeldOut) -> Scan:
        """The same after the verdict: flaws with what the labels of test rows add."""
        if self.first is None or self.twins is None:
            return self
        return replace(self, flaws=told(self.first, self.twins, held))

    def beyond(self, known: Scan) -> list[str]:
        """What is said of flaws and was not yet."""
        before = {flaw.says for flaw in known.flaws}
        return [flaw.says for flaw in self.flaws if flaw.says not in before]

    @contextmanager
    def fold(self, held: HeldOut, asked: Settings, threads: int, fold: int, seed: int) -> Iterator[Store]:
        """The store of another fold, of the order that a seed draws, for a while: fixed by its own rows."""
        lost = [row for row, _ in self.store.bad]
        split = held.split(self.base, asked, fold, seed).without(lost)
        table = held.without(self.base, split)
        with again(self.store, table, split) as plain:
            names = [name for name in asked.fixes if name != "near_duplicates"]
            flaws = [] if self.first is None or not names else chosen(table, plain, names, self.first, threads)
            if not flaws:
                yield plain
                return
            table, _ = mended(table, flaws, names)
            split = held.split(table, asked, fold, seed).without(lost)
            with again(self.store, table, split) as store:
                yield store


def scan(table: Table, store: Store, encode: Encode, asked: Settings, threads: int, clock: Clock) -> Scan:
    """Look, fix, encode again. `clock` is the run's: the result depends on it, the data and the settings alone.

    Args:
        encode: draws the split of a table anew and encodes it, by what a store already holds.
    """
    if table.task.generative:
        return Scan(table=table, store=store, base=table)
    pace = Pace(clock, asked.seconds)
    found = repeats(table, store, pace)
    twins, said = found.flaw(), list[str]()
    if twins is not None and "near_duplicates" in asked.fixes:
        with pace.paused():
            table, said = mended(table, [twins], ["near_duplicates"])
            table, store = encode(table, store)
    base, first = table, joined(look(table, store, asked, threads, pace), found, table, asked)
    names = [flaw.name for flaw in first.flaws if flaw.name in asked.fixes]
    if names:
        table, more = mended(table, first.flaws, names)
        table, store = encode(table, store)
        said += more
    flaws = [*([] if twins is None else [twins]), *first.flaws]
    return Scan(
        table=table, store=store, base=base, said=[*found.said, *first.left_out, *said], first=first, twins=found,
        flaws=flaws,
    )  # fmt: skip
