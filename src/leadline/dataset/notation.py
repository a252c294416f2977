"""How the values of a part are written, where their notation differs from that of the train part.

The contract of a column (its kind, and how that decodes values) is inferred from the train part as a whole. Other rows,
a test part or a file to predict, are read by it. Where it does not read them, and another notation reads nearly all of
the part's values, all of them are read by that one, and a message says so.

    >>> days = pl.LazyFrame({"day": ["04/03/2023", "04/25/2023"]})
    >>> reading(days, "day", "time", {"format": None}).settings
    {'format': '%m/%d/%Y'}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from leadline.core.kind import Parsed, present
from leadline.dataset.plain_numbers import all_numbers
from leadline.kinds import KINDS
from leadline.kinds.number import PARSES

__all__ = ["Reading", "readable", "reading", "readings"]

MOST_VALUES = 2**21  # values in memory together
SLICE = 2**17  # rows read together


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a part's values of a column are decoded."""

    settings: Mapping[str, Any]
    known: int  # values that are not missing
    read: int  # those of them that could be parsed
    example: str | None = None  # a value that the contract does not read
    says: str | None = None  # the message, where the part is not read by the contract


def readable(dtype: pl.DataType, kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether values of this type can be read as a kind at all, whatever they hold; files are checked by decoding."""
    return KINDS[kind].accepts(dtype, settings)


def readings(
    frame: pl.LazyFrame, columns: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> dict[str, Reading]:  # fmt: skip
    """How the columns of text among {column: (kind, settings)} are read that should be numbers or times."""
    schema = frame.collect_schema()
    parsed_columns = {
        n: how for n, how in columns.items() if isinstance(KINDS[how[0]], Parsed) and schema[n] == pl.String
    }
    frame = frame.select(list(parsed_columns))
    if not parsed_columns or len(parsed_columns) * int(frame.select(pl.len()).collect().item()) > MOST_VALUES:
        return {name: reading(frame, name, kind, settings) for name, (kind, settings) in parsed_columns.items()}
    # To open a file of thousands of columns, or to look at it, for each of them takes seconds.
    collected = frame.collect()
    plain = all_numbers(
        collected, [name for name, (kind, settings) in parsed_columns.items() if KINDS[kind].plain(settings)]
    )
    return {
        name: Reading(settings=settings, known=plain[name], read=plain[name])
        if name in plain
        else reading(collected.select(name).lazy(), name, kind, settings)
        for name, (kind, settings) in parsed_columns.items()
    }


def reading(frame: pl.LazyFrame, name: str, kind: str, settings: Mapping[str, Any]) -> Reading:
    """How a column of text is read as numbers or times."""
    parser = KINDS[kind]
    assert isinstance(parser, Parsed)
    known = read = start = 0
    example = None
    while len(values := frame.select(name).slice(start, SLICE).collect()[name]):
        words = present(values)
        parsed = parser.parsed(words, settings)
        known += len(words) - words.null_count()
        read += len(parsed) - parsed.null_count()
        if example is None and parsed.null_count() > words.null_count():
            example = words.filter(parsed.is_null() & words.is_not_null())[0]
        start += len(values)
    by_contract = Reading(settings=settings, known=known, read=read, example=example)
    if read == known:
        return by_contract
    words = present(frame.select(name).collect()[name]).drop_nulls()
    own = parser.notation_of(words)
    if own is None or own[1] < PARSES or own[1] <= read / known:
        return by_contract
    how, share, says = own
    return Reading(settings=how, known=known, read=round(share * known), example=example, says=f"{name!r}: {says}")
