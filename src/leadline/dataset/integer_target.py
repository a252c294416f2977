"""Whole numbers as a target: class names or a quantity? Decided by what a person would check, with a message.

Enters: the target's numbers in train, its name, and whether rows are images or audio. Leaves: whether they are
classes, and a message that offers the other reading where neither is certain.

Up to 20 different whole numbers are classes; of fewer than three rows each, where the name or the media say so too.
More are classes where each comes often and something else says so: the name (ClassId, code, species), images or audio
numbered from 0 or 1 without a gap, or each number exactly as often as the others, which no quantity does.

    >>> numbers = pl.Series([float(i % 43) for i in range(860)])
    >>> classes_or_quantity(numbers, "ClassId", media=False).classes
    True
    >>> classes_or_quantity(numbers + 0.5, "price", media=False).classes
    False
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

MOST_CLASSES = 20  # different whole numbers that are always classes
MOST_NAMED = 1_000  # that can be, where something else says so
OFTEN, SELDOM, TWICE = 10, 3, 2  # rows of each, on average: of many numbers; of few; of few that are called classes
EVENLY = 5  # rows of each where all come as often
NAMING = re.compile(r"class|classes|labels?|category|code|type|species|kind|id|group")


@dataclass(frozen=True)
class Guess:
    """Whether whole numbers are classes or a quantity."""

    classes: bool
    note: str | None = None  # a message, where the other reading is plausible


def classes_or_quantity(numbers: pl.Series, target: str, *, named: bool = True, media: bool = False) -> Guess:
    """
    Args:
        numbers: float64, without nulls.
        named: a person named the column, or class folders; arrays have no name.
        media: rows are images or audio.
    """
    count = numbers.n_unique()
    if not bool((numbers == numbers.round()).all()):
        return Guess(count <= min(2, max(2, len(numbers) // SELDOM)))
    each = len(numbers) / count
    by_name = named and any(map(NAMING.fullmatch, _words(target)))
    in_order = media and float(numbers.to_numpy().min()) in (0.0, 1.0) and _without_gap(numbers, count)
    if count <= MOST_CLASSES:
        if count <= max(2, len(numbers) // SELDOM):
            return Guess(True)
        few = (by_name and media) or ((by_name or in_order) and each >= TWICE)
        start = f"{count:,} different whole numbers in {len(numbers):,} rows of {target!r} are read as"
        return Guess(few, f"{start} classes; --task regression takes them for a quantity." if few else None)
    if count > MOST_NAMED or each < EVENLY:
        return Guess(False)
    start = f"{count:,} different whole numbers in {target!r} are read as"
    counts = numbers.alias("value").value_counts()["count"]
    if (each >= OFTEN and (by_name or in_order)) or counts.n_unique() == 1:
        return Guess(True, f"{start} classes; --task regression takes them for a quantity.")
    return Guess(False, f"{start} a quantity; --task multiclass takes each for a class." if each >= OFTEN else None)


def _without_gap(numbers: pl.Series, count: int) -> bool:
    values = numbers.to_numpy()
    return bool(values.max() - values.min() + 1 == count)


def _words(name: str) -> list[str]:
    """The words of a column's name: ClassId, class_id and CLASS ID are the same two."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
