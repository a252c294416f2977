"""Columns that are plainly numbers, found for all columns of a frame at once: wide tables have thousands of them.

Enters: a sample of the rows. Leaves: the names of columns of which every value is a number as programs write it, or
missing, and none is so large that it could be a day (20241231) or a moment (seconds since 1970). Kinds need not look at
these one by one, which takes milliseconds a column.

    >>> frame = pl.DataFrame({"a": ["1.5", "NA", " 2 "], "b": ["20240101"] * 3, "c": ["x", "1", "2"], "d": [1, 2, 3]})
    >>> sorted(plain_numbers(frame))
    ['a', 'd']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from leadline.core.kind import MISSING

LARGEST = 1e6  # a number of more digits may be a date or a moment: a kind looks at it
AT_ONCE = 2_000  # columns in one query


def plain_numbers(frame: pl.DataFrame) -> set[str]:
    """Names of the columns that are plainly numbers."""
    plain: set[str] = set()
    for some in _groups([name for name, dtype in frame.schema.items() if dtype == pl.String]):
        plain |= _plain(*_read(frame, some))
    for some in _groups([name for name, dtype in frame.schema.items() if dtype.is_numeric()]):
        numbers = frame.select(pl.col(some).cast(pl.Float64, strict=False).fill_nan(None))
        plain |= _plain(numbers, numbers)
    return plain


def all_numbers(frame: pl.DataFrame, names: Sequence[str]) -> dict[str, int]:
    """{column: number of values that are not missing} of the text columns whose values are all numbers."""
    counts: dict[str, int] = {}
    for some in _groups(names):
        words, numbers = _read(frame, some)
        facts = zip(some, words.count().row(0), numbers.count().row(0), strict=True)
        counts |= {name: known for name, known, read in facts if known == read}
    return counts


def _read(frame: pl.DataFrame, some: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Columns of text without their words for 'missing', and what of that is a number."""
    words = frame.select(pl.col(some).str.strip_chars())
    words = words.select(pl.when(pl.all().is_in(MISSING)).then(None).otherwise(pl.all()).name.keep())
    return words, words.select(pl.all().cast(pl.Float64, strict=False))


def _plain(words: pl.DataFrame, numbers: pl.DataFrame) -> set[str]:
    filled, read = words.count().row(0), numbers.count().row(0)
    largest = numbers.select(pl.all().abs().max()).row(0)
    facts = zip(words.columns, filled, read, largest, strict=True)
    return {name for name, count, known, most in facts if count == known > 0 and most is not None and most < LARGEST}


def _groups(names: Sequence[str]) -> Iterator[list[str]]:
    return (list(names[start : start + AT_ONCE]) for start in range(0, len(names), AT_ONCE))
