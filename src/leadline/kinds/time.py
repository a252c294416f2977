"""Times: int64 milliseconds UTC in; calendar parts out, as float32 [elapsed, year, month, day, weekday, hour, yearday].

The calendar is integer arithmetic in the graph (days from civil: Howard Hinnant, 'chrono-compatible low-level date
algorithms'), so deep and classical contenders read the same parts. Missing is the smallest int64, and NaN after.

Numbers since 1970 are times where their column is called after one, or where all of them are whole minutes (or
milliseconds that are whole seconds), which numbers of anything else hardly are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.json_types import wholes
from leadline.core.kind import Decoded, Fit, Kind, Limits, Scale, Tensor, present, share
from leadline.core.printed import Feature, Form
from leadline.kinds.dense import NUMBER_BODIES
from leadline.kinds.spelling import spelled

if TYPE_CHECKING:
    from leadline.core.tensors import Block
    from leadline.graph.builder import Graph

PARTS = ("elapsed", "year", "month", "day", "weekday", "hour", "yearday")
SINCE_1970 = "days since 1970"
# The same as a person reads them.
READ = (SINCE_1970, YEAR := "year", "month", "day", "weekday (Monday is 0)", "hour", "days since 1 March")
FORMS: dict[str, Form] = {YEAR: "year"}
NEVER = int(np.iinfo(np.int64).min)
DAY_MS = 86_400_000
YEAR_1000 = -30_610_224_000_000
PARSES = 0.98
WRITTEN_DAY = "2024-05-17"
TRIED = 200  # different words by which forms that none of them has are passed over
FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y.%m.%d", "%Y-%m", "%d.%m.%Y",
    "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p", "%m/%d/%Y %I:%M %p", "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%Y %H:%M",
    "%d-%m-%Y %H:%M:%S", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y",
    "%b-%Y", "%b %Y", "%B %Y", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT",
 "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z",
    COMPACT := "%Y%m%d",
)  # fmt: skip
# Forms that begin with the year: a value of one of them is never one of another, whatever its column says.
ISO = tuple(pattern for pattern in FORMATS if pattern.startswith("%Y") and pattern != COMPACT)
EIGHT = (
    r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"  # of a hundred numbers of eight digits four, by chance
)
SINCE = {  # numbers since 1970, by how they are called: milliseconds in one, and what divides them where no name tells
    "seconds since 1970": (1e3, 60), "milliseconds since 1970": (1.0, 1_000), "microseconds since 1970": (1e-3, 10**6),
    "nanoseconds since 1970": (1e-6, 10**9),
}  # fmt: skip
EARLIEST, LATEST = 631_152_000_000, 2_208_988_800_000  # 1990 and 2040; ten digits of seconds begin in 2001
CALLED = {
    "ts", "at", "when", "epoch", "unix", "utc", "created", "updated", "modified", "begin", "start", "end", "datum",
    "zeit", "fecha", "hora", "heure", "tijd",
}  # fmt: skip
UNNAMED = 10  # different values that must be whole minutes


def since_1970(cells: pl.Series) -> str | None:
    """What these numbers count since 1970, where they are times.

    >>> since_1970(pl.Series("created_at", [1_700_000_001, 1_700_003_600]))
    'seconds since 1970'
    >>> since_1970(pl.Series("id", [1_700_000_001, 1_700_003_600]))
    """
    numbers = cells if cells.dtype.is_numeric() else present(cells).cast(pl.Float64, strict=False)
    known = numbers.drop_nulls()
    known = known.drop_nans() if known.dtype.is_float() else known
    if not len(known):
        return None
    for unit, (ms, whole) in SINCE.items():
        if not EARLIEST <= known[0] * ms <= LATEST:
            continue  # the usual column of numbers costs one look
        if share((known * ms).is_between(EARLIEST, LATEST)) < PARSES or known.n_unique() < 2:
            return None
        if _is_called_a_time(cells.name):
            return unit
        return unit if known.n_unique() >= UNNAMED and known[0] >= 1e9 and bool((known % whole == 0).all()) else None
    return None


def _is_called_a_time(name: str) -> bool:
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return any(word in CALLED or word.endswith(("time", "date", "stamp")) for word in words)


def compact(words: pl.Series) -> bool:
    """Whether nearly all of these are dates such as 20241231, as text or as whole numbers."""
    if words.dtype.is_numeric():
        first = words.drop_nulls().head(1)
        if not len(first) or not 19_000_101 <= first[0] <= 20_991_231:
            return False  # the usual column of numbers costs one look
    elif words.dtype != pl.String:
        return False
    return share(spelled(words).drop_nulls().str.contains(EIGHT)) >= PARSES


class Time(Kind):
    name = "time"
    sample = 200_000
    onnx_input = "int64"
    plural = "times"
    joint = True
    native = "dense"
    scale = Scale.TEMPORAL
    settled_by_all = True
    by_word = False
    bodies = NUMBER_BODIES

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        if cells.dtype in (pl.Date, pl.Datetime):
            return {"format": None}
        if cells.dtype.is_numeric() and (unit := since_1970(cells)):
            return {"format": unit}
        if cells.dtype.is_numeric() and compact(cells):
            return {"format": COMPACT}
        if cells.dtype != pl.String:
            return None
        words = present(cells).drop_nulls()
        if not len(words):
            return None
        if unit := since_1970(cells):
            return {"format": unit}
        best, found = told(words)
        return {"format": best[0]} if best and found >= PARSES else None

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        words = present(spelled(cells) if cells.dtype.is_numeric() else cells)
        moments = parsed(words, settings)
        wrong = (words.is_not_null() & moments.is_null()).arg_true().to_list()
        return Decoded(
            values=moments.fill_null(NEVER).to_numpy(),
            bad={row: f"{cells[row]!r} is not a date of the form {settings['format'] or FORMATS[0]}" for row in wrong},
        )

    def accepts(self, dtype: pl.DataType, settings: Mapping[str, Any]) -> bool:
        return dtype != pl.Time and super().accepts(dtype, settings)

    def parsed(self, words: pl.Series, settings: Mapping[str, Any]) -> pl.Series:
        return parsed(words, settings)

    def notation_of(self, words: pl.Series) -> tuple[dict[str, Any], float, str] | None:
        forms, share = told(words)
        if not forms:
            return None
        others = "".join(f", though {other} fits them too; write days as {WRITTEN_DAY}" for other in forms[1:])
        return {"format": forms[0]}, share, f"values such as {words[0]!r} are read as {forms[0]}{others}."

    def rewritten(
        self, cells: pl.Series, settings: Mapping[str, Any], dtype: pl.DataType, contract: Mapping[str, Any]
    ) -> pl.Series:
        words = present(cells) if cells.dtype == pl.String else cells
        moments = parsed(spelled(words) if words.dtype.is_numeric() else words, settings)
        return _written(moments.cast(pl.Datetime("ms")), dtype, contract)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        from leadline.graph.builder import Graph

        g = Graph("time")
        blocks, starts, spans = [], list[int](), list[int]()
        for name, sample in zip(limits.columns, samples, strict=True):
            known = sample[sample != NEVER]
            start, span = (int(known.min()), int(known.max() - known.min())) if len(known) else (0, 1)
            starts.append(start)
            spans.append(max(span, 1))
            blocks.append(_calendar(g, g.input(name, np.int64, ["N"]), start, spans[-1]))
        width = len(PARTS) * len(blocks)
        g.output("encoded", g.op("Concat", *blocks, axis=1), np.float32, ["N", width])
        encode = Tensor(graph=g.model(), shape=(width,), dtype="float32")
        return Fit(settings={"start": starts, "span": spans}, encode=encode)

    def features(self, block: Block) -> tuple[Feature, ...]:
        found = []
        ends = zip(block.columns, wholes(block.settings, "start"), wholes(block.settings, "span"), strict=True)
        for name, start, span in ends:
            begin, days = start / DAY_MS, span / DAY_MS
            found.append(Feature(column=name, part=SINCE_1970, form="date", centre=begin, spread=days))
            found += [Feature(column=name, part=part, form=FORMS.get(part, "plain")) for part in READ[1:]]
        return tuple(found)


def _written(moments: pl.Series, dtype: pl.DataType, contract: Mapping[str, Any]) -> pl.Series:
    """Datetimes in milliseconds as days, text or numbers."""
    form = contract.get("format")
    if dtype == pl.String and form not in SINCE:
        return moments.dt.to_string("%Y-%m-%dT%H:%M:%S%.3f")
    if dtype == pl.String or dtype.is_numeric():
        if form in SINCE:
            numbers = (moments.cast(pl.Int64) / SINCE[form][0]).round().cast(pl.Int64)
        else:
            numbers = moments.dt.to_string("%Y%m%d").cast(pl.Int64)
        return numbers.cast(pl.String) if dtype == pl.String else numbers
    return moments


def told(words: pl.Series) -> tuple[list[str], float]:
    """The forms by which most of these words are dates or times, the likelier first, and the share of them that are.

    All words have one say: of 04/03 and 04/25 the second tells how the first is meant. Several forms are left where no
    word tells.

    >>> told(pl.Series(["04/03/2023", "04/25/2023"])), told(pl.Series(["04/03/2023"]))[0]
    ((['%m/%d/%Y'], 1.0), ['%d/%m/%Y', '%m/%d/%Y'])
    """
    counted = words.alias("word").value_counts(name="count")
    cells, count = counted["word"], counted["count"]
    few = cells.head(TRIED)
    likely = [pattern for pattern in FORMATS if _parse(few, pattern).is_not_null().any()]
    shares = {pattern: _share(_parse_any(cells, pattern), count) for pattern in likely}
    best = max(shares.values(), default=0.0)
    forms = [pattern for pattern in likely if shares[pattern] == best]
    whole = [pattern for pattern in forms if _parse(cells, pattern).null_count() == cells.null_count()] or forms
    return [pattern for pattern in whole if pattern in (whole[0], _swapped(whole[0]))], best


def _swapped(pattern: str) -> str:
    """The same form with day and month in the other order."""
    return pattern.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")


def _share(moments: pl.Series, count: pl.Series) -> float:
    return int(count.filter(moments.is_not_null()).sum()) / int(count.sum()) if len(count) else 0.0


def parsed(words: pl.Series, settings: Mapping[str, Any]) -> pl.Series:
    """Values without their words for 'missing' as milliseconds UTC, int64 [rows], null where one is no time."""
    if words.dtype != pl.String:
        return words.cast(pl.Datetime("ms")).cast(pl.Int64)
    if settings.get("format") in SINCE:
        numbers = words.cast(pl.Float64, strict=False) * SINCE[settings["format"]][0]
        moments = numbers.set(~numbers.is_finite().fill_null(False), None).round().cast(pl.Int64, strict=False)
        return _by_year(words, moments)
    return _parse_any(words, settings["format"])


def _parse_any(words: pl.Series, pattern: str | None) -> pl.Series:
    """By `pattern`, or as any form that begins with the year."""
    if pattern is None:
        return _by_year(words, pl.Series(words.name, [None] * len(words), dtype=pl.Int64))
    return _by_year(words, _parse(words, pattern))


def _by_year(words: pl.Series, moments: pl.Series) -> pl.Series:
    """Moments, with those that are still unknown read by the forms of ISO."""
    for pattern in ISO:
        if moments.null_count() == words.null_count():
            break
        moments = moments.zip_with(moments.is_not_null(), _parse(words, pattern))
    return moments


def _parse(words: pl.Series, pattern: str) -> pl.Series:
    """Milliseconds UTC, null where `pattern` does not fit."""
    if "%d" not in pattern:  # a month is its first day
        words, pattern = words + " 1", f"{pattern} %d"
    if "%H" not in pattern and "%I" not in pattern:
        moments = words.str.to_date(pattern, strict=False).cast(pl.Datetime("ms"))
    elif "z" in pattern:
        moments = words.str.to_datetime(pattern, strict=False, time_unit="ms", time_zone="UTC")
    else:
        moments = words.str.to_datetime(pattern, strict=False, time_unit="ms")
    known = moments.cast(pl.Int64)
    return known.set(known < YEAR_1000, None) if "%Y" in pattern else known  # 17/05/24 is not a day of the year 17


def _calendar(g: Graph, ms: str, start: int, span: int) -> str:
    """int64 milliseconds [N] -> float32 [N, len(PARTS)]."""

    def number(value: int) -> str:
        return str(g.const(np.int64(value)))

    def floor_div(a: str, b: int) -> str:  # ONNX integer division rounds to zero; dates before 1970 need the floor
        rest = g.op("Mod", a, number(b))  # takes the sign of the divisor
        return str(g.op("Div", g.op("Sub", a, rest), number(b)))

    missing = g.op("Equal", ms, number(NEVER))
    ms = g.op("Where", missing, number(0), ms)
    days, in_day = floor_div(ms, DAY_MS), g.op("Mod", ms, number(DAY_MS))
    shifted = g.op("Add", days, number(719_468))  # days since 0000-03-01
    era = floor_div(shifted, 146_097)
    doe = g.op("Sub", shifted, g.op("Mul", era, number(146_097)))
    leap = g.op("Sub", g.op("Div", doe, number(36_524)), g.op("Div", doe, number(146_096)))
    yoe = g.op("Div", g.op("Add", g.op("Sub", doe, g.op("Div", doe, number(1_460))), leap), number(365))
    century = g.op("Sub", g.op("Div", yoe, number(4)), g.op("Div", yoe, number(100)))
    doy = g.op("Sub", doe, g.op("Add", g.op("Mul", yoe, number(365)), century))  # from 1 March
    mp = g.op("Div", g.op("Add", g.op("Mul", doy, number(5)), number(2)), number(153))
    before = g.op("Div", g.op("Add", g.op("Mul", mp, number(153)), number(2)), number(5))
    day = g.op("Add", g.op("Sub", doy, before), number(1))
    late = g.op("Less", mp, number(10))
    month = g.op("Where", late, g.op("Add", mp, number(3)), g.op("Sub", mp, number(9)))
    year = g.op("Add", yoe, g.op("Mul", era, number(400)))
    year = g.op("Where", late, year, g.op("Add", year, number(1)))
    weekday = g.op("Mod", g.op("Add", days, number(3)), number(7))  # 1 January 1970 was a Thursday: Monday is 0

    def real(value: str) -> str:
        return str(g.op("Cast", value, to=11))

    elapsed = g.op("Div", real(g.op("Sub", ms, number(start))), g.const(np.float64(span)))
    hour = g.op("Div", real(in_day), g.const(np.float64(DAY_MS / 24)))
    axis = g.const(np.array([1], np.int64))
    parts = [elapsed, real(year), real(month), real(day), real(weekday), hour, real(doy)]
    table = g.op("Concat", *[g.op("Unsqueeze", part, axis) for part in parts], axis=1)
    table = g.op("Where", g.op("Unsqueeze", missing, axis), g.const(np.float64(np.nan)), table)
    return str(g.op("Cast", table, to=1))
