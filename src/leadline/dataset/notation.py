"""How the cells of a part are written, where they are not written as those of the train part are.

The contract of a column (its kind, and how that decodes cells) is decided on the train part as a whole. Other rows, a
test part or a file to predict, are read by it. Where it does not read them, and another notation reads nearly all of
the part's cells, they are read by that one: all of them by one, and it is said.

    >>> days = pl.LazyFrame({"day": ["04/03/2023", "04/25/2023"]})
    >>> reading(days, "day", "time", {"format": None}).settings
    {'format': '%m/%d/%Y'}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from leadline.core.kind import present
from leadline.dataset.plain_numbers import all_numbers
from leadline.kinds import KINDS, number, tags, time
from leadline.kinds.number import PARSES
from leadline.kinds.series import kind as series
from leadline.kinds.spelling import spelled
from leadline.readers.media import MEDIA

__all__ = ["Reading", "readable", "reading", "readings", "rewritten"]

MOST_CELLS = 2**21  # that are held together
SLICE = 2**17  # rows looked at together
WRITTEN_DAY = "2024-05-17"
PARSED = {"number": number.parsed, "time": time.parsed}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a part's cells of a column are decoded."""

    settings: Mapping[str, Any]
    known: int  # cells that are not missing
    read: int  # those of them that are understood
    example: str | None = None  # a cell that the contract does not read
    says: str | None = None  # what is to be said, where the part is read otherwise than by the contract


def readable(dtype: pl.DataType, kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether cells of this type can be read as a kind at all, whatever they hold; of media their kind says it."""
    if kind in MEDIA:
        return True
    if kind == "list":
        inner: Any = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
        several = isinstance(dtype, pl.Array) and len(dtype.shape) > 1
        return not several and not inner.is_nested() and inner not in (pl.Binary, pl.Object, pl.Duration)
    several = (
        dtype.is_nested() or dtype in (pl.Binary, pl.Object) or bool(settings.get("written") and dtype == pl.String)
    )
    if several != (kind == "series"):
        return False
    if isinstance(dtype, pl.List | pl.Array):
        inner = dtype.inner
        return inner.is_numeric() or inner in (pl.Boolean, pl.Null)
    return not (dtype == pl.Duration and kind != "number") and not (dtype == pl.Time and kind == "time")


def readings(
    frame: pl.LazyFrame, columns: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> dict[str, Reading]:  # fmt: skip
    """How the columns of text among {column: (kind, settings)} are read that should be numbers or times."""
    schema = frame.collect_schema()
    asked = {n: how for n, how in columns.items() if how[0] in PARSED and schema[n] == pl.String}
    frame = frame.select(list(asked))
    if not asked or len(asked) * int(frame.select(pl.len()).collect().item()) > MOST_CELLS:
        return {name: reading(frame, name, kind, settings) for name, (kind, settings) in asked.items()}
    # To open a file of thousands of columns, or to look at it, for each of them takes seconds.
    held = frame.collect()
    plain = all_numbers(held, [name for name, (kind, settings) in asked.items() if kind == "number" and not settings])
    return {
        name: Reading(settings=settings, known=plain[name], read=plain[name])
        if name in plain
        else reading(held.select(name).lazy(), name, kind, settings)
        for name, (kind, settings) in asked.items()
    }


def reading(frame: pl.LazyFrame, name: str, kind: str, settings: Mapping[str, Any]) -> Reading:
    """How a column of text is read as numbers or times."""
    known = read = start = 0
    example = None
    while len(cells := frame.select(name).slice(start, SLICE).collect()[name]):
        words = present(cells)
        found = PARSED[kind](words, settings)
        known += len(words) - words.null_count()
        read += len(found) - found.null_count()
        if example is None and found.null_count() > words.null_count():
            example = words.filter(found.is_null() & words.is_not_null())[0]
        start += len(cells)
    by_contract = Reading(settings=settings, known=known, read=read, example=example)
    if read == known:
        return by_contract
    words = present(frame.select(name).collect()[name]).drop_nulls()
    own = _own_number(words, settings) if kind == "number" else _own_time(words, settings)
    if own is None or own[1] < PARSES or own[1] <= read / known:
        return by_contract
    how, share, says = own
    return Reading(settings=how, known=known, read=round(share * known), example=example, says=f"{name!r}: {says}")


def _own_number(words: pl.Series, settings: Mapping[str, Any]) -> tuple[dict[str, Any], float, str] | None:
    """(settings, share of the cells that they read, what is to be said) by which these cells are numbers."""
    how = KINDS["number"].sniff(words.alias(""), None)
    if how is None:
        return None
    found = number.parsed(words, how)
    share = 1 - found.null_count() / len(words)
    return how, share, f"cells such as {words[0]!r} are read as {found.drop_nulls()[0]:g}, {_notation(how)}."


def _notation(how: Mapping[str, Any]) -> str:
    if how.get("clock"):
        return "in seconds"
    sign = {",": "a decimal comma", ".": "a decimal point"}[how.get("decimal", ".")]
    return f"with {sign}" + (f" and the unit {how['unit']!r}" if "unit" in how else "")


def _own_time(words: pl.Series, settings: Mapping[str, Any]) -> tuple[dict[str, Any], float, str] | None:
    forms, share = time.told(words)
    if not forms:
        return None
    others = "".join(f", though {other} fits them too; write days as {WRITTEN_DAY}" for other in forms[1:])
    return {"format": forms[0]}, share, f"cells such as {words[0]!r} are read as {forms[0]}{others}."


def rewritten(
    cells: pl.Series, kind: str, settings: Mapping[str, Any], dtype: pl.DataType, contract: Mapping[str, Any]
) -> pl.Series:
    """Cells of one part as the train part has them: its type, and its notation.

    Args:
        settings: how these cells are read.
        dtype: the type of the train part's cells.
        contract: how that part's cells are read.
    """
    if kind == "number":
        numbers = number.parsed(present(cells), settings)
        if dtype != pl.String:
            return numbers
        decimal = contract.get("decimal", ".")
        return numbers.cast(pl.String).str.replace(".", decimal, literal=True)
    if kind == "time":
        words = present(cells) if cells.dtype == pl.String else cells
        moments = time.parsed(spelled(words) if words.dtype.is_numeric() else words, settings)
        return _moments(moments.cast(pl.Datetime("ms")), dtype, contract)
    if cells.dtype.is_nested() and dtype == pl.String:
        held = [None if cell is None else json.dumps(list(cell)) for cell in cells.to_list()]
        return pl.Series(cells.name, held, dtype=pl.String)
    if cells.dtype == pl.String and dtype.is_nested():
        found = series.lists_of(cells) if kind == "series" else tags.read(cells, {"written": True})
        return found.cast(dtype if isinstance(dtype, pl.List) else found.dtype)
    return cells


def _moments(moments: pl.Series, dtype: pl.DataType, contract: Mapping[str, Any]) -> pl.Series:
    """Datetimes in milliseconds as days, text or numbers."""
    form = contract.get("format")
    if dtype == pl.String and form not in time.SINCE:
        return moments.dt.to_string("%Y-%m-%dT%H:%M:%S%.3f")
    if dtype == pl.String or dtype.is_numeric():
        if form in time.SINCE:
            numbers = (moments.cast(pl.Int64) / time.SINCE[form][0]).round().cast(pl.Int64)
        else:
            numbers = moments.dt.to_string("%Y%m%d").cast(pl.Int64)
        return numbers.cast(pl.String) if dtype == pl.String else numbers
    return moments
