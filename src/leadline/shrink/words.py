"""What a shrink says: why a file ships or none does, and what the user of it has to know.

Enters: files with their measurements, and what the judging rows found. Leaves: sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from leadline.shrink.limits import Units, at_most, percent, rounded_up
from leadline.stats.noninferiority import Comparison
from leadline.system.processor import processor_class
from leadline.system.text import told_apart

if TYPE_CHECKING:
    from leadline.shrink.frontier import Bench, Entry

__all__ = ["drop_of", "microseconds", "notes_on", "refused", "why_it_ships", "why_none_ships"]

NAMED = 3  # files that a sentence names of one sort
SLOWER, FASTER = 1.05, 0.9  # times the full file's time, above which a sentence says so, and under which one is fast
ABLE = ("", "certified", "not tested")  # what the files are that may ship
WHERE = (("one_us", "for one row"), ("batch_us", "in a batch"))


def drop_of(found: Comparison) -> str:
    """The drop of a file on the judging rows, in a line of a table."""
    return f"a drop of {found.drop:z.2%}, at most {at_most(found)}"


def microseconds(value: float) -> str:
    """A time in a column, with digits where it has few.

    >>> microseconds(0.682), microseconds(31.4), microseconds(12_345.6)
    ('0.68', '31', '12,346')
    """
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def notes_on(chosen: Entry | None, base: Entry, entries: Sequence[Entry]) -> list[str]:
    """What the user of a chosen file has to know.

    Args:
        entries: all files; where one may ship that answers faster than the model, a slower one names the way to it.
    """
    if chosen is None:
        return []
    notes, able = [], [each for each in entries if each.status in ABLE]
    advice = any(each.measured("one_us") < FASTER * base.measured("one_us") for each in able)
    if chosen.integer:
        notes.append(
            f"int8 sums differ between classes of processors: this file is certified on {processor_class()}; run "
            "`leadline verify` with the data on another one."
        )
    what = "int8" if chosen.integer else chosen.name
    for key, where in WHERE:
        if slow := _slower(chosen, base, key):
            small, full = told_apart(chosen.measured(key), base.measured(key))
            notes.append(
                f"{what} is {slow} on this processor {where}: {small} µs a row, against {full} µs"
                f"{'; --prefer speed ships the fastest file that is not worse' if advice else ''}."
            )
    return notes


def why_it_ships(chosen: Entry, bench: Bench, proof: Comparison, units: Units, allowed: float) -> str:
    """One paragraph: the file, its size, its time where that is longer, and the proof."""
    base = bench.base
    slow = [f"{how} {where}" for key, where in WHERE if (how := _slower(chosen, base, key))]
    rows = f"{len(bench.judges):,} test rows"
    share = chosen.measured("bytes") / base.measured("bytes")
    return (
        f"{chosen.name} ships: {chosen.describe}. {share:.{0 if share >= 0.1 else 1}%} of the bytes"
        f"{', but ' + ' and '.join(slow) if slow else ''}; the drop of {bench.store.task.metric} is {proof.drop:z.2%} "
        f"on {rows}{f' in {units.count:,} groups' if units.groups else ''} that chose nothing, and at most "
        f"{at_most(proof)} with 95% confidence, where {percent(allowed)} is allowed."
    )


def why_none_ships(entries: Sequence[Entry], proofs: Mapping[str, Comparison], allowed: float) -> str:
    """Which files were refused for what, and which limit the one that was tested would have kept."""
    why = f"No smaller file ships, and the model of the run stays: {refused(entries) or 'there is no candidate'}."
    for name, found in proofs.items():
        why += (
            f" The drop of {name} is {found.drop:z.2%} on the rows that judge, and at most {at_most(found)} with 95% "
            f"confidence, where {percent(allowed)} is allowed"
        )
        enough = rounded_up(found.upper)
        why += f"; --max-drop {percent(enough)} would have certified it." if enough < 1 else "."
    return why


def refused(entries: Sequence[Entry]) -> str:
    """Why no file ships: a few names for each sort of reason, what was not tested last."""
    sorts: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.status == "not tested"):
        sorts.setdefault(entry.status.partition(":")[0], []).append(entry)
    return "; ".join(
        ", ".join(entry.name for entry in same[:NAMED])
        + (f" and {len(same) - NAMED} more" if len(same) > NAMED else "")
        + f": {same[0].status}"
        for same in sorts.values()
    )


def _slower(chosen: Entry, base: Entry, key: str) -> str | None:
    """How much slower a file is; None where it is not."""
    times = chosen.measured(key) / base.measured(key)
    if times <= SLOWER:
        return None
    return f"{times:,.0f} times slower" if times >= 10 else f"{times:,.{1 if times >= 1.1 else 2}f} times slower"
