"""One spelling a value: 3, 3.0 and "3" are one word, and so are True, TRUE and true.

Enters: scalars of any type. Leaves: words (text, stripped; null where empty), the same for every reader. `spelled`
needs nothing but the value; what depends on the whole column is decided once, on the train part (`infer`), and is the
contract by which every later value is read (`read`):

    boolean   the column holds true and false (also as 1 and 0)
    numbers   all of its words are numbers, each spelled in one way: 3.50 and 3.5 are one word
    width     digits filled up with zeros on the left: 02139, which other readers take for 2139

    >>> [infer(spelled(pl.Series(words))) for words in (["02139", "10001"], ["TRUE", "0"], ["a1"])]
    [{'width': 5}, {'boolean': True}, {}]
    >>> read(pl.Series([2139.0, None]), {"width": 5}).to_list(), read(pl.Series([True, False]), {}).to_list()
    (['02139', None], ['True', 'False'])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

__all__ = ["FALSE", "TRUE", "read", "spelled", "infer"]

TRUE, FALSE = "True", "False"
TRUTH = {"true": TRUE, "1": TRUE, "false": FALSE, "0": FALSE}
WHOLE = r"^[+-]?\d+\.0*$"  # a whole number with a fraction of nothing
DIGITS = r"^\d+$"
EXACT = 2.0**63  # floats below fit into an int64


def spelled(cells: pl.Series) -> pl.Series:
    """Values as words: whole numbers without a fraction, truth as True and False, days and moments as ISO text."""
    if cells.dtype == pl.String:
        words = cells.str.strip_chars()
        whole = words.str.contains(WHOLE)
        if whole.any():
            words = words.zip_with(~whole.fill_null(False), words.str.replace(r"\.0*$", "").str.replace(r"^-0+$", "0"))
        return words.set(words == "", None)
    if cells.dtype == pl.Boolean:
        return cells.replace_strict({True: TRUE, False: FALSE}, return_dtype=pl.String)
    if cells.dtype.is_float() or isinstance(cells.dtype, pl.Decimal):
        return _numbers(cells)
    if isinstance(cells.dtype, pl.Datetime):
        return cells.dt.to_string("%Y-%m-%d %H:%M:%S%.f").str.replace(r" 00:00:00$", "")
    return cells.dt.to_string() if cells.dtype == pl.Duration else cells.cast(pl.String)


def _numbers(cells: pl.Series) -> pl.Series:
    """Floats as words; null for NaN."""
    known = cells.cast(pl.Float64) if isinstance(cells.dtype, pl.Decimal) else cells
    known = known.fill_nan(None)
    whole = ((known == known.floor()) & (known.abs() < EXACT)).fill_null(False)
    words = known.cast(pl.String)
    return words.zip_with(~whole, known.cast(pl.Int64, strict=False).cast(pl.String)) if whole.any() else words


def infer(words: pl.Series) -> dict[str, Any]:
    """The spelling of a whole column, from its different words."""
    known = words.drop_nulls().unique()
    few = known.head(50)
    lower = few.str.to_lowercase()
    if lower.is_in(list(TRUTH)).all():
        lower = known.str.to_lowercase()
        if lower.is_in(list(TRUTH)).all() and lower.is_in(["true", "false"]).any():
            return {"boolean": True}
    if not len(few) or few.cast(pl.Float64, strict=False).null_count():
        return {}
    numbers = known.cast(pl.Float64, strict=False)
    if numbers.null_count():
        return {}
    if known.str.contains(r"^0\d").any():
        widths = known.str.len_chars()
        alike = known.str.contains(DIGITS).all() and widths.n_unique() == 1
        return {"width": int(widths[0])} if alike else {}
    return {"numbers": True} if numbers.n_unique() == len(known) else {}


def read(cells: pl.Series, how: Mapping[str, Any]) -> pl.Series:
    """Values as the words that the column's contract makes of them; what it does not know stays as it is."""
    words = spelled(cells)
    if how.get("boolean"):
        known = words.str.to_lowercase().replace_strict(TRUTH, default=None, return_dtype=pl.String)
        return known.zip_with(known.is_not_null(), words)
    if how.get("numbers") and cells.dtype == pl.Boolean:
        return words.replace({TRUE: "1", FALSE: "0"})
    if how.get("numbers") and cells.dtype == pl.String:
        other = ~words.str.contains(r"^-?[1-9]\d*$").fill_null(True)
        if other.any():
            values = words.set(~other, None).cast(pl.Float64, strict=False)
            found = _numbers(values)
            words = found.zip_with(found.is_not_null(), words)
    if width := how.get("width"):
        filled = words.str.zfill(width)
        words = filled.zip_with(words.str.contains(DIGITS).fill_null(False), words)
    return words
