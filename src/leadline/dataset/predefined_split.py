"""A column that states the split: the part of each row, or a fold.

Enters: the frame of a source and `--split`. Leaves: a `Stated`: the part of each row, and what is said of the column.

    --split set          cells are train, valid or test (and the other words of PART_TOKENS)
    --split fold=1       rows of fold 1 are the test; another fold is valid
    a column `split`     is taken as stated by itself where it holds nothing but such words
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.kinds import KINDS
from leadline.readers.media import listed
from leadline.readers.part import PART_TOKENS, BadRow
from leadline.readers.source import Source
from leadline.system.errors import SourceError

__all__ = ["PARTS", "Stated", "stated_split"]

PARTS = ("train", "valid", "test")
NONE = 3  # the part of a row that is in none
USUAL = ("split", "usage")
WORDS = {**PART_TOKENS, "publictest": "valid", "privatetest": "test"}  # the last two as competitions call them
GLANCED = 200  # rows by which a column of any name may seem to state parts
# In a table of any columns these may mean anything; beside media they are how data sets state their parts.
USUAL_WITH_MEDIA = ("split", "set", "part", "partition", "subset", "fold")
MOST_FOLDS = 20


@dataclass(frozen=True, kw_only=True)
class Stated:
    """The part of each row, the column whose values stay whole in the rest, and columns that are no input, with why."""

    part: np.ndarray  # uint8 [rows], position in PARTS, or NONE
    group_column: str | None = None
    dropped: Mapping[str, str] = field(default_factory=dict)
    bad: tuple[BadRow, ...] = ()


def stated_split(source: Source, frame: pl.LazyFrame, part: np.ndarray, settings: Settings, target: str) -> Stated:
    """What columns say of the split; `part` is what the source's own files and folders say.

    Raises SourceError where `--split` cannot be followed.
    """
    names = frame.collect_schema().names()
    usual = _usual(source, frame, part, settings, [name for name in names if name != target])
    if settings.split is None:
        return usual
    column, equals, value = _asked(settings.split, names)
    if column == target:
        raise SourceError(f"--split {column} is the target; name a column that states the part of each row.")
    if part.any():
        raise SourceError(
            f"--split {settings.split} and {source.name} itself both state the parts; leave out --split, or the test."
        )
    cells = _words(frame, column)
    found = _fold(cells, column, value, settings) if equals else _words_of_parts(cells, column, source)
    return replace(found, dropped={**usual.dropped, **found.dropped})


def _asked(text: str, names: Sequence[str]) -> tuple[str, bool, str]:
    """(column, whether a value is given, value) of COLUMN or COLUMN=VALUE."""
    if text in names:
        return text, False, ""
    for place in (i for i, letter in enumerate(text) if letter == "="):
        if text[:place] in names:
            return text[:place], True, text[place + 1 :].strip()
    raise SourceError(f"--split {text} is not a column; columns are {listed(names)}.")


def _words_of_parts(cells: pl.Series, column: str, source: Source) -> Stated:
    part, counts = _parts(cells)
    if counts[0] == 0:
        values = _values(cells)
        if not any(counts):
            raise SourceError(
                f"Column {column!r} names no part (train, valid, test) but {listed(values)}; to test on one of these, "
                f"write --split {column}={values[0] if values else 'VALUE'}."
            )
        raise SourceError(f"Column {column!r} leaves no train rows; it holds {listed(values)}.")
    bad = [
        BadRow(f"{source.name} row {row + 1}", f"{column!r} is {cells[int(row)]!r}, which names no part")
        for row in np.flatnonzero(part == NONE)
    ]
    return Stated(part=part, dropped={column: _says(counts)}, bad=tuple(bad))


def _fold(cells: pl.Series, column: str, value: str, settings: Settings) -> Stated:
    part = np.where((cells == value).fill_null(False).to_numpy(), 2, 0).astype(np.uint8)
    values = _values(cells)
    if not part.any():
        raise SourceError(f"--split {column}={value}: no row has this value; column {column!r} holds {listed(values)}.")
    if part.all():
        raise SourceError(f"--split {column}={value}: every row has this value; nothing is left to learn from.")
    # Of two values one is the test, and all that is left to learn from is the other.
    group_column = column if len(values) > 2 and settings.group is None else None
    note = f"it states the split ({int((part == 2).sum()):,} rows of {column}={value} are tested on)"
    return Stated(part=part, group_column=group_column, dropped={column: note})


def _usual(source: Source, frame: pl.LazyFrame, part: np.ndarray, settings: Settings, names: Sequence[str]) -> Stated:
    """Columns whose names and cells show that they state a split."""
    usual = USUAL_WITH_MEDIA if any(KINDS[kind].is_file for kind in source.kinds.values()) else USUAL
    free = not part.any() and settings.time_column is None and settings.split is None
    dropped: dict[str, str] = {}
    found = part
    seem = _seem_parts(frame, names)
    for name in names:
        if name in settings.kinds or name in (*settings.drop, settings.group):
            continue
        if name.lower() not in (*usual, *seem):
            continue
        cells = _words(frame, name)
        told, counts = _parts(cells)
        if name.lower() not in usual:
            if counts[0] and any(counts[1:]) and not (told == NONE).any():
                dropped[name] = f"it names parts, and --split {name} tests on its test rows"
        elif counts[0] and not (told == NONE).any():
            dropped[name] = "it names parts"
            if free and counts[0] < len(cells):
                free, found = False, told
                dropped[name] = f"{_says(counts)}, which --drop {name} draws instead"
        elif name.lower() == "fold" and (values := _folds(cells)):
            dropped[name] = f"it looks like folds, and --split {name}={values[0]} tests on fold {values[0]}"
    return Stated(part=found, dropped=dropped)


def _seem_parts(frame: pl.LazyFrame, names: Sequence[str]) -> set[str]:
    """Columns of any name whose first cells all name parts, in small letters: what they say must not be learned."""
    head = frame.select(names).head(GLANCED).collect()
    first = head.row(0, named=True) if len(head) else {}
    seem = [name for name, cell in first.items() if isinstance(cell, str) and cell.strip().lower() in WORDS]
    words = head.select(pl.col(seem).str.strip_chars().str.to_lowercase().is_in(list(WORDS)).all())
    return {name.lower() for name, yes in words.row(0, named=True).items() if yes} if seem else set()


def _words(frame: pl.LazyFrame, column: str) -> pl.Series:
    """Cells as stripped text, null where empty; whole numbers without a fraction."""
    cells = frame.select(column).collect().to_series()
    if cells.dtype.is_float():
        whole = cells.drop_nans().drop_nulls()
        cells = cells.fill_nan(None).cast(pl.Int64) if bool((whole == whole.round()).all()) else cells
    if cells.dtype.is_nested() or cells.dtype in (pl.Binary, pl.Duration):
        raise SourceError(f"Column {column!r} holds {cells.dtype}, which cannot state a split; name another column.")
    words = cells.cast(pl.String).str.strip_chars()
    return words.set(words == "", None)


def _parts(cells: pl.Series) -> tuple[np.ndarray, list[int]]:
    """The part of each row, and the number of rows in each."""
    known = {word: PARTS.index(part) for word, part in WORDS.items()}
    numbers = cells.str.to_lowercase().replace_strict(known, default=NONE, return_dtype=pl.UInt8)
    part = numbers.fill_null(NONE).to_numpy()
    return part, np.bincount(part, minlength=4)[:3].tolist()


def _folds(cells: pl.Series) -> list[str]:
    """The values, where they are a few whole numbers; else none."""
    values = _values(cells)
    numbered = all(value.isascii() and value.isdigit() for value in values)
    return values if 1 < len(values) <= MOST_FOLDS and numbered else []


def _values(cells: pl.Series) -> list[str]:
    values = cells.drop_nulls().unique().to_list()
    return sorted(values, key=lambda value: (not value.isdigit(), int(value) if value.isdecimal() else 0, value))


def _says(counts: Sequence[int]) -> str:
    rows = ", ".join(f"{count:,} {name}" for name, count in zip(PARTS, counts, strict=True) if count)
    return f"it states the split ({rows})"
