"""The order of contenders: side by side if the time is short, else those that use one core before those that use all.

Where the time is short for as busy a machine, one of each family comes first, so that there is something to compare,
and then the others, as time allows: the cheapest, or the one that reads a pretrained body, which needs the fewest rows.
What one of them reads may have to be made first, while the other learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leadline.dataset.store import Store

if TYPE_CHECKING:
    from leadline.race.entry import ContenderRun

SHORT = 10.0  # seconds of a race on a quiet machine, with less of which all run side by side
LEAST = 4.0  # seconds of any contender: it has libraries to import
IMPORTS = 2.5  # seconds that these and a first model take on a quiet machine


def ordered(waiting: list[ContenderRun], store: Store, short: bool) -> tuple[list[ContenderRun], list[ContenderRun]]:
    """Those that run side by side, and those that follow one at a time: first a contender that claims what it needs.

    It may measure that it needs more, while there is more.
    """
    if short:
        likeliest = sorted(waiting, key=lambda entry: not entry.contender.pretrained)  # else as they come, by cost
        leading = {entry.family: entry for entry in reversed(likeliest)}
        return sorted(waiting, key=lambda entry: (entry is not leading[entry.family], not ready(entry, store))), []
    one = [entry for entry in waiting if entry.contender.resources.cpus == 1]
    others = [entry for entry in waiting if entry not in one]
    return one, sorted(others, key=lambda entry: not entry.contender.claims)  # those after it have what it leaves


def need(entry: ContenderRun, entries: Sequence[ContenderRun], slow: float) -> float:
    """Seconds without which it is not begun: fewer where its family has nobody else, or others ended in fewer."""
    if leads(entry, entries):
        return LEAST
    ran = [other.ended - other.began for other in entries if other.done and other.began]
    return max(LEAST, min([IMPORTS * slow, *ran]))


def leads(entry: ContenderRun, entries: Sequence[ContenderRun]) -> bool:
    """Whether its family has nobody else who has finished or runs."""
    others = [other for other in entries if other is not entry and other.family == entry.family]
    return not any(other.done or other.status == "running" for other in others)


def ready(entry: ContenderRun, store: Store) -> bool:
    """Whether all that it reads is there."""
    return all((store.path / f"{name}.npy").exists() for name in entry.contender.inputs(store))


def make_inputs(entry: ContenderRun, store: Store) -> None:
    """Make the tensors that it reads, before it starts: two that need the same would both make it."""
    for name in entry.contender.inputs(store):
        store.tensor(name)
