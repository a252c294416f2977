"""Workbooks: the sheet that holds the table, with its cells as a CSV of it would have them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from leadline.data.source import read
from leadline.errors import SourceError

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TABLE = [["id", "name", "price", "when"], *([i, f"n{i}, jr", i + 0.5, date(2024, 5, 1 + i)] for i in range(5))]


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """The least that a workbook holds (ECMA-376): style 1 is a date."""
    numbers = range(1, len(sheets) + 1)
    names = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1))
    relations = "".join(
        f'<Relationship Id="r{i}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{i}.xml"/>' for i in numbers
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/>'
        "</cellXfs></styleSheet>",
    }
    for i, rows in zip(numbers, sheets.values(), strict=True):
        lines = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
        files[f"xl/worksheets/sheet{i}.xml"] = f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)


def _cell(value: Any) -> str:
    if isinstance(value, date):
        return f'<c s="1"><v>{(value - date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def test_a_workbook_is_read_like_its_csv(tmp_path: Path) -> None:
    write_workbook(tmp_path / "sales.xlsx", {"Cover": [["Sales"]], "Table": TABLE, "Notes": [["a", "b"], ["c", "d"]]})
    source = read(tmp_path / "sales.xlsx", cache=tmp_path / "cache")
    assert source.train.collect().columns == TABLE[0]
    assert source.train.collect().row(1) == ("1", "n1, jr", "1.5", "2024-05-02")
    assert source.notes == ("sales.xlsx has 3 sheets; 'Table' is read, and 'Cover', 'Notes' is not",)


def test_a_title_above_the_table_is_no_row(tmp_path: Path) -> None:
    write_workbook(tmp_path / "sales.xlsx", {"S": [["Sales report of May", "", "", ""], *TABLE]})
    source = read(tmp_path / "sales.xlsx", cache=tmp_path / "cache")
    assert source.train.collect().columns == TABLE[0] and source.train.collect().height == 5
    assert source.notes == ("sales.xlsx has 1 row above its table, left out",)


def test_a_folder_with_a_workbook_and_what_office_left(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_workbook(folder / "sales.xlsx", {"S": TABLE})
    (folder / "~$sales.xlsx").write_bytes(b"\0" * 165)
    assert read(folder, cache=tmp_path / "cache").train.collect().height == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, where a table was expected"),
        (b"PK\x03\x04 no more", r"is not a workbook that can be read \(.*\); save it again"),
        (b"a,b\n1,2\n", r"is not a workbook that can be read \(.*\); save it again"),
    ],
)
def test_what_is_no_workbook(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.xlsx").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(tmp_path / "x.xlsx", cache=tmp_path / "cache")


def test_a_workbook_without_a_table(tmp_path: Path) -> None:
    write_workbook(tmp_path / "x.xlsx", {"Only": [["title"]]})
    with pytest.raises(SourceError, match=r"x\.xlsx has no sheet of more than one row \(Only\), where a table was"):
        read(tmp_path / "x.xlsx", cache=tmp_path / "cache")
