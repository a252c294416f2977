"""Tables of awkward values, and every way in which one may come: as text, as a workbook, typed, from another library.

`tables()` draws a table; `forms()` writes it in every form. What a form cannot hold is left out of the tables or made
the same, and is listed here:

    XLSX            has no NaN or infinity (written as empty cells, and read as missing everywhere), no zones (such
                    moments are ISO text), no times below a second; carriage returns in XML are line ends
    CSV, TSV, XLSX  tell no empty text from a missing one
    JSON            has no NaN or infinity (null) and no dates (ISO text); numbers beyond 64 bits are text there
    float64         holds whole numbers up to 2^53: larger ones are the same as numbers, and never categories here
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import json
import math
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
from hypothesis import strategies as st

__all__ = ["ROWS", "Drawn", "forms", "tables"]

ROWS = 24
WORDS = (
    "a", "b", "A", " a", "b ", "NA", "None", "", "007", "7", "1.0", "1", "é", "e\u0301", 'say "no"', "two\nlines",
    "x,y", "tab\there", "null", "?", "-", "Ångström", "A\u030angstro\u0308m", "#1", "'", "=1+1", "1e5", "true",
)  # fmt: skip
TEXTS = (
    "the cat sat on a mat", "  no, it did not!", 'she said "go" and went', "line one\nline two is here",
    "NA is not a word",
    "naïve café visit today", "nai\u0308ve cafe\u0301 visit today", "", "3 is a number, and 4.0 too",
)  # fmt: skip
ZONE = dt.timezone(dt.timedelta(hours=2))
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


@dataclass(frozen=True)
class Drawn:
    """A table: {column: (sort, cells)}; the last column, `y`, is the target."""

    columns: dict[str, tuple[str, list[Any]]]

    @property
    def inputs(self) -> list[str]:
        return [name for name in self.columns if name != "y"]


# --- what is drawn ---------------------------------------------------------------------------------------------------


def _cells() -> dict[str, st.SearchStrategy[Any]]:
    floats = st.one_of(
        st.floats(-1e6, 1e6, allow_nan=False),
        st.sampled_from([-0.0, 0.0, math.inf, -math.inf, math.nan, 1e-300, 1e300, 0.1]),
    )
    seconds = st.integers(0, 2_000_000_000)
    moments = seconds.map(lambda s: dt.datetime(1970, 1, 1) + dt.timedelta(seconds=s))
    return {
        "int": st.integers(-1000, 1000),
        "big": st.one_of(st.integers(2**53, 2**62), st.integers(-(10**20), 10**20)),
        "float": floats,
        "decimal": st.integers(-(10**7), 10**7).map(lambda cents: decimal.Decimal(cents).scaleb(-2)),
        "bool": st.booleans(),
        "date": st.integers(0, 20_000).map(lambda days: dt.date(1970, 1, 1) + dt.timedelta(days=days)),
        "moment": moments,
        "zoned": moments.map(lambda m: m.replace(tzinfo=dt.UTC).astimezone(ZONE)),
        "word": st.sampled_from(WORDS),
        "code": st.sampled_from(["007", "010", "123"]),
        "text": st.sampled_from(TEXTS),
        "tags": st.lists(st.sampled_from(["red", "blue", "gréen"]), max_size=3, unique=True),
        "series": st.lists(st.floats(-100, 100, allow_nan=False), min_size=6, max_size=6),
    }


TARGETS: dict[str, list[Any]] = {
    "word": ["yes", "no"], "bool": [True, False], "int": [0, 1], "accent": ["café", "cafe\u0301", "bar"],
    "float": [0.0, 1.0, None],
}  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, rows: int = ROWS) -> Drawn:
    """A table of some columns, some cells of which are missing, and a target that is a class."""
    cells = _cells()
    sorts = draw(st.lists(st.sampled_from(sorted(cells)), min_size=2, max_size=5))
    columns: dict[str, tuple[str, list[Any]]] = {}
    for place, sort in enumerate(sorts):
        values = draw(st.lists(cells[sort], min_size=rows, max_size=rows))
        if sort != "series" and draw(st.booleans()):
            gaps = draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows))
            values = [None if gap == 0 else value for gap, value in zip(gaps, values, strict=True)]
        name = draw(st.sampled_from(["x", "größe", "gro\u0308ße n", "a b", "N"])) + str(place)
        columns[unicodedata.normalize("NFC", name)] = (sort, values)
    kind = draw(st.sampled_from(sorted(TARGETS)))
    names = TARGETS[kind]
    start = draw(st.integers(0, 3))
    columns["y"] = ("bool" if kind == "bool" else kind, [names[(i + start + i // 5) % len(names)] for i in range(rows)])
    return Drawn(columns)


# --- how it comes ----------------------------------------------------------------------------------------------------


def forms(drawn: Drawn, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(name, what makes the source) of each form; files are written when they are asked for."""
    yield "csv", lambda: _delimited(drawn, folder / "t.csv", ",", str)
    yield "tsv", lambda: _delimited(drawn, folder / "t.tsv", "\t", lambda value: str(value).upper())
    yield "xlsx", lambda: _workbook(drawn, folder / "t.xlsx")
    yield "json lines", lambda: _json_lines(drawn, folder / "t.jsonl")
    yield "parquet", lambda: _saved(_polars(drawn), folder / "t.parquet")
    yield (
        "parquet, decimal, dictionary",
        lambda: _saved(_polars(drawn, text="category", whole="decimal"), folder / "d.parquet"),
    )
    yield "feather", lambda: _saved(_polars(drawn), folder / "t.feather")
    yield "polars", lambda: _polars(drawn)
    yield "polars enum, int128", lambda: _polars(drawn, text="enum", whole="int128")
    yield "polars lazy", lambda: _polars(drawn, text="category").lazy()
    yield "pandas object", lambda: _pandas(drawn, "object")
    yield "pandas", lambda: _pandas(drawn, "plain")
    yield "pandas category", lambda: _pandas(drawn, "category")
    yield "pandas nullable", lambda: _pandas(drawn, "nullable")
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return
    yield "pandas arrow", lambda: _pandas(drawn, "arrow")


def _gone(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _text(value: Any, truth: Callable[[Any], str]) -> str:
    """A cell as programs write it into delimited text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return truth(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)


def _delimited(drawn: Drawn, path: Path, separator: str, truth: Callable[[Any], str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(drawn.columns)
        writer.writerows(
            [_text(value, truth) for value in row] for row in zip(*(c for _, c in drawn.columns.values()), strict=True)
        )
    return path


def _json_lines(drawn: Drawn, path: Path) -> Path:
    def plain(value: Any) -> Any:
        if _gone(value):
            return None
        if isinstance(value, bool | str | list | float):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**63 else str(value)
        return float(value) if isinstance(value, decimal.Decimal) else str(value)

    columns = {}
    for name, (_, values) in drawn.columns.items():
        cells = [plain(value) for value in values]
        columns[name] = (
            [None if c is None else str(c) for c in cells] if any(isinstance(c, str) for c in cells) else cells
        )
    lines = (
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
        for row in zip(*columns.values(), strict=True)
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _saved(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_ipc(path)
    return path


def _polars(drawn: Drawn, text: str = "string", whole: str = "int64") -> pl.DataFrame:
    return pl.DataFrame([_column(name, sort, values, text, whole) for name, (sort, values) in drawn.columns.items()])


def _column(name: str, sort: str, values: list[Any], text: str, whole: str) -> pl.Series:
    if sort in ("int", "big"):
        wide = sort == "big" and any(value is not None and abs(value) >= 2**63 for value in values)
        if whole == "decimal":
            cells = [None if value is None else decimal.Decimal(value) for value in values]
            return pl.Series(name, cells, dtype=pl.Decimal(38, 0))
        return pl.Series(name, values, dtype=pl.Int128 if wide or whole == "int128" else pl.Int64)
    if sort == "float":
        return pl.Series(name, values, dtype=pl.Float64)
    if sort == "decimal":
        return pl.Series(name, values, dtype=pl.Decimal(20, 2))
    types: dict[str, Any] = {
        "bool": pl.Boolean, "date": pl.Date, "moment": pl.Datetime("us"), "zoned": pl.Datetime("ms", "UTC"),
        "tags": pl.List(pl.String), "series": pl.List(pl.Float64),
    }  # fmt: skip
    if sort in types:
        return pl.Series(name, values, dtype=types[sort])
    if text == "enum":
        return pl.Series(name, values, dtype=pl.Enum(list(dict.fromkeys(v for v in values if v is not None))))
    return pl.Series(name, values, dtype=pl.Categorical if text == "category" else pl.String)


def _pandas(drawn: Drawn, how: str) -> Any:
    import pandas as pd

    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, (_, values) in drawn.columns.items()})
    for name, (sort, values) in drawn.columns.items():
        flat = sort not in ("tags", "series")
        if how == "category" and flat and sort in ("word", "code", "text", "int", "accent"):
            frame[name] = frame[name].astype("category")
        if how == "nullable" and sort in ("int", "bool", "word", "text", "code"):
            frame[name] = pd.array(values, dtype={"int": "Int64", "bool": "boolean"}.get(sort, "string"))
        if how == "arrow" and flat and sort not in ("big", "float"):
            import pyarrow as pa

            frame[name] = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values)))
        if how == "plain" and sort in ("int", "float", "word", "bool", "zoned", "moment"):
            frame[name] = pd.Series(values)
    return frame


def _workbook(drawn: Drawn, path: Path) -> Path:
    """The least that a workbook holds (ECMA-376): style 1 is a day, style 2 a moment."""
    rows = [list(drawn.columns), *zip(*(values for _, values in drawn.columns.values()), strict=True)]
    lines = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    files = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets><sheet name="S" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/>'
        '<xf numFmtId="22"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def _cell(value: Any) -> str:
    if _gone(value):
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float | decimal.Decimal):
        return f"<c><v>{value!r}</v></c>" if isinstance(value, float) else f"<c><v>{value}</v></c>"
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        since = value - dt.datetime(1899, 12, 30)
        return f'<c s="2"><v>{since / dt.timedelta(days=1)!r}</v></c>'
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return f'<c s="1"><v>{(value - dt.date(1899, 12, 30)).days}</v></c>'
    said = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(said)}</t></is></c>'
