"""Numbers as people write them: 1,234.5 and 1.234,5 and 1 234,5, $5, 12 %, (300) for a loss, 12 kg, <5, 1:30:00.

Enters: texts, and their format. Leaves: float64, null where a text is no number. The format is inferred once a column,
from all of its values: `1.234` alone could mean either, and values of two units are no numbers.

    >>> how = infer(pl.Series(["€ 1.234,50", "12,5"]))
    >>> how, read(pl.Series(["€ 1.234,50", "(12,5)", "x"]), how).to_list()
    ({'decimal': ','}, [1234.5, -12.5, None])
    >>> infer(pl.Series(["12.5 kg", "9 kg", "<5 kg"]))
    {'decimal': '.', 'unit': 'kg', 'bounds': True}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

__all__ = ["read", "infer"]

PARSES = 0.98  # share of the values that must read as numbers
# Marks between thousands in any country; a comma or a point is one more where it does not part decimals.
GROUPS = " \u00a0\u202f'\u2019"
MONEY = r"(?:[$€£¥₹₽₩₺]|US\$|R\$|C\$|A\$|USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|zł|kr\.?|Kč|Fr\.|Rs\.?)"
UNIT = r"(?:\d|\d[.,])\s*(°?[^\W\d_][^\W\d_/²³^%°·*]*(?:[/·*][^\W\d_]+)?[²³]?|°)\.?$"
BOUND = r"^[<>≤≥≈~]=?\s*([+-]?[\d.,].*)$"  # 'under 5' is read as 5
CLOCK = r"^(-)?(\d+):([0-5]\d)(?::([0-5]\d(?:[.,]\d+)?))?$"
ZEROS = "٠۰०０"  # Arabic, Persian, Devanagari, full width
OTHER_DIGITS = [chr(ord(zero) + digit) for zero in ZEROS for digit in range(10)]
SIGN = "[+\\-\u2212\u2013]"  # also the minus and the dash that word processors put in its place


def infer(words: pl.Series) -> dict[str, Any] | None:
    """How to `read` these values, where nearly all are numbers written so; None where they are not."""
    counted = words.alias("word").value_counts(name="count")  # a target of five million values may have two values
    cells, count = counted["word"], counted["count"]
    bounds = {"bounds": True} if cells.str.contains(BOUND).any() else {}
    for unit in ("", _unit(cells, count)):
        if unit is None:
            continue
        more = ({"unit": unit} if unit else {}) | bounds
        shares = {decimal: _share(read(cells, {"decimal": decimal, **more}), count) for decimal in ".,"}
        best = max(shares, key=lambda decimal: shares[decimal])  # a point, where both do
        if shares[best] >= PARSES:
            return {"decimal": best, **more}
    return {"clock": True} if _share(_seconds(cells), count) >= PARSES else None


def read(words: pl.Series, how: Mapping[str, Any]) -> pl.Series:
    """Stripped values -> float64, in the format that `infer` returned; times of day and durations in seconds."""
    if how.get("clock"):  # seconds as such are of no other meaning
        return _seconds(words).fill_null(words.cast(pl.Float64, strict=False))
    decimal, plain = how["decimal"], _western(words.str.strip_chars())
    if unit := how.get("unit"):
        plain = plain.str.replace(rf"\s*{re.escape(unit)}\.?$", "")
    if how.get("bounds"):
        plain = plain.str.replace(BOUND, "$1")
    losses = plain.str.contains(r"^\(.*\)$")
    parts = plain.str.strip_chars("()").str.extract_groups(_pattern(decimal))
    digits, exponent = parts.struct.field("digits"), parts.struct.field("exponent").fill_null("")
    for mark in (*GROUPS, "," if decimal == "." else "."):
        digits = digits.str.replace_all(mark, "", literal=True)
    number = (digits.str.replace(",", ".", literal=True) + exponent).cast(pl.Float64, strict=False)
    signs = parts.struct.field("before").fill_null("") + parts.struct.field("after").fill_null("")
    minus = (losses | signs.str.contains("[\\-\u2212\u2013]")).fill_null(False)
    return pl.Series(words.name, pl.select(pl.when(minus).then(-number).otherwise(number)).to_series())


def _western(words: pl.Series) -> pl.Series:
    """Digits and marks of other scripts as 0 to 9, point and comma: ١٢٫٥ is 12.5."""
    if not words.str.contains(r"[^\x00-\x7F]").any():
        return words
    return words.str.replace_many([*OTHER_DIGITS, "٫", "٬"], [*"0123456789" * len(ZEROS), ".", ","])


def _unit(cells: pl.Series, count: pl.Series) -> str | None:
    """The one that most values end in, after a digit."""
    units = pl.DataFrame({"unit": cells.str.strip_chars().str.extract(UNIT), "count": count}).drop_nulls()
    if not len(units):
        return None
    return str(units.group_by("unit").sum().sort("count", "unit", descending=[True, False])["unit"][0])


def _seconds(words: pl.Series) -> pl.Series:
    """`12:30` and `1:02:03.5` as seconds."""
    parts = words.str.strip_chars().str.extract_groups(CLOCK)
    minus, hours, minutes, seconds = (parts.struct.field(str(k)) for k in (1, 2, 3, 4))
    whole = 3_600 * hours.cast(pl.Float64) + 60 * minutes.cast(pl.Float64)
    whole = whole + seconds.str.replace(",", ".", literal=True).cast(pl.Float64).fill_null(0.0)
    found = pl.select(pl.when(minus.is_not_null()).then(-whole).otherwise(whole)).to_series()
    return found.rename(words.name)


def _pattern(decimal: str) -> str:
    group = f"[{GROUPS}{',' if decimal == '.' else '.'}]"
    grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+"
    digits = rf"(?:{grouped}|\d+)(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+"
    signed = rf"(?:(?P<before>{SIGN})?\s*{MONEY}?|{MONEY}\s*(?P<after>{SIGN}))"
    return rf"^{signed}\s*(?P<digits>{digits})(?P<exponent>[eE][+-]?\d+)?\s*(?:{MONEY}|%|‰)?$"


def _share(numbers: pl.Series, count: pl.Series) -> float:
    return int(count.filter(numbers.is_not_null()).sum()) / int(count.sum()) if len(count) else 0.0
