"""Numbers as people write them: 1,234.5 and 1.234,5 and 1 234,5, $5, 12 %, (300) for a loss.

Enters: cells of text, and which sign parts the decimals. Leaves: float64, null where a cell is no number. The sign is
told once a column, from all of its cells: `1.234` alone could mean either.

    >>> told(pl.Series(["€ 1.234,50", "12,5"])), read(pl.Series(["€ 1.234,50", "(12,5)", "x"]), ",").to_list()
    (',', [1234.5, -12.5, None])
"""

import re

import polars as pl

__all__ = ["read", "told"]

PARSES = 0.98  # share of the cells that must read as numbers
# Marks between thousands in any country; a comma or a point is one more where it does not part decimals.
GROUPS = " \u00a0\u202f'\u2019"
MONEY = r"(?:[$€£¥₹₽₩₺]|US\$|R\$|C\$|A\$|USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|zł|kr\.?|Kč|Fr\.|Rs\.?)"
SIGN = "[+\\-\u2212\u2013]"  # also the minus and the dash that word processors put in its place


def told(words: pl.Series) -> str | None:
    """The sign that parts the decimals, where nearly all cells are numbers by it; None where they are by neither."""
    counted = words.alias("word").value_counts(name="count")  # a target of five million cells may have two values
    shares = {decimal: _share(read(counted["word"], decimal), counted["count"]) for decimal in ".,"}
    best = max(shares, key=lambda decimal: shares[decimal])  # a point, where both do
    return best if shares[best] >= PARSES else None


def read(words: pl.Series, decimal: str) -> pl.Series:
    """Stripped cells -> float64."""
    plain = words.str.strip_chars()
    losses = plain.str.contains(r"^\(.*\)$")
    parts = plain.str.strip_chars("()").str.extract_groups(_pattern(decimal))
    digits, exponent = parts.struct.field("digits"), parts.struct.field("exponent").fill_null("")
    for mark in (*GROUPS, "," if decimal == "." else "."):
        digits = digits.str.replace_all(mark, "", literal=True)
    number = (digits.str.replace(",", ".", literal=True) + exponent).cast(pl.Float64, strict=False)
    signs = parts.struct.field("before").fill_null("") + parts.struct.field("after").fill_null("")
    minus = (losses | signs.str.contains("[\\-\u2212\u2013]")).fill_null(False)
    return pl.Series(words.name, pl.select(pl.when(minus).then(-number).otherwise(number)).to_series())


def _pattern(decimal: str) -> str:
    group = f"[{GROUPS}{',' if decimal == '.' else '.'}]"
    grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+"
    digits = rf"(?:{grouped}|\d+)(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+"
    signed = rf"(?:(?P<before>{SIGN})?\s*{MONEY}?|{MONEY}\s*(?P<after>{SIGN}))"
    return rf"^{signed}\s*(?P<digits>{digits})(?P<exponent>[eE][+-]?\d+)?\s*(?:{MONEY}|%|‰)?$"


def _share(numbers: pl.Series, count: pl.Series) -> float:
    return int(count.filter(numbers.is_not_null()).sum()) / int(count.sum()) if len(count) else 0.0
