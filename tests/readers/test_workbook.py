"""Workbooks: the sheet that holds the table, with its cells as a CSV of it would have them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from leadline.readers.source import read
from leadline.system.errors import SourceError

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TABLE = [["id", "name", "price", "when"], *([i, f"n{i}, jr", i + 0.5, date(2024, 5, 1 + i)] for i in range(5))]


def write_workbook(
    path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]], *, hidden: str = "", merged: Sequence[str] = ()
) -> None:
    """The least that a workbook holds (ECMA-376): style 1 is a date. `merged`: ranges of every sheet, as B2:C2."""
    numbers = range(1, len(sheets) + 1)
    state = {name: "hidden" if name == hidden else "visible" for name in sheets}
    names = "".join(
        f'<sheet name="{n}" sheetId="{i}" state="{state[n]}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1)
    )
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
        ranges = "".join(f'<mergeCell ref="{each}"/>' for each in merged)
        ranges = f"<mergeCells>{ranges}</mergeCells>" if merged else ""
        content = f"<sheetData>{lines}</sheetData>{ranges}"
        files[f"xl/worksheets/sheet{i}.xml"] = f'<worksheet xmlns="{MAIN}">{content}</worksheet>'
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if str(value).startswith("="):
        return f"<c><f>{value[1:]}</f><v/></c>"
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
    assert source.notes == (
        "sales.xlsx has 3 sheets; 'Table' is read, and 'Cover', 'Notes' are not (name one as in 'sales.xlsx#Cover')",
    )


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


def test_the_sheet_with_most_cells_is_read_unless_one_is_named(tmp_path: Path) -> None:
    about = [["key", "value"], ["author", "me"], ["year", 2024]]
    write_workbook(tmp_path / "x.xlsx", {"About": about, "May": TABLE})
    assert read(tmp_path / "x.xlsx", cache=tmp_path / "cache").train.collect().columns == TABLE[0]
    named = read(f"{tmp_path}/x.xlsx#About", cache=tmp_path / "cache")
    assert named.train.collect().rows() == [("author", "me"), ("year", "2024")]
    assert named.name == "x" and named.notes == ()
    with pytest.raises(SourceError, match=r"x\.xlsx has no sheet 'June'; it has 'About', 'May'"):
        read(f"{tmp_path}/x.xlsx#June", cache=tmp_path / "cache")


def test_two_sheets_are_train_and_test_where_they_are_named(tmp_path: Path) -> None:
    write_workbook(tmp_path / "x.xlsx", {"train": TABLE, "test": TABLE[:3]})
    source = read(f"{tmp_path}/x.xlsx#train", f"{tmp_path}/x.xlsx#test", cache=tmp_path / "cache")
    assert source.test is not None
    assert (source.train.collect().height, source.test.collect().height) == (5, 2)


def test_a_file_with_a_number_sign_in_its_name_is_that_file(tmp_path: Path) -> None:
    write_workbook(tmp_path / "x.xlsx", {"S": TABLE})
    (tmp_path / "x.xlsx#S").write_text("a,b\n1,2\n3,4\n")
    assert read(f"{tmp_path}/x.xlsx#S", cache=tmp_path / "cache").train.collect().columns == ["a", "b"]


def test_a_hidden_sheet_is_read_only_where_nothing_else_is(tmp_path: Path) -> None:
    long = [["word"], *([f"w{i}"] for i in range(99))]
    write_workbook(tmp_path / "x.xlsx", {"lists": long, "Data": TABLE}, hidden="lists")
    assert read(tmp_path / "x.xlsx", cache=tmp_path / "cache").train.collect().columns == TABLE[0]
    write_workbook(tmp_path / "y.xlsx", {"lists": long}, hidden="lists")
    assert read(tmp_path / "y.xlsx", cache=tmp_path / "cache").train.collect().height == 99


def test_merged_cells_mean_the_same_for_every_row_they_cover(tmp_path: Path) -> None:
    rows = [["where", "n", "m"], ["north", 1, 2], [None, 3, 4], ["south", 5, 6], [None, 7, 8]]
    write_workbook(tmp_path / "x.xlsx", {"S": rows}, merged=["A2:A3", "A4:A5"])
    table = read(tmp_path / "x.xlsx", cache=tmp_path / "cache").train.collect()
    assert table["where"].to_list() == ["north", "north", "south", "south"]


def test_names_of_groups_above_the_header(tmp_path: Path) -> None:
    below = [["n", "m", "n", "m"], [1, 2, 3, 4], [5, 6, 7, 8]]
    rows = [["2024", None, None, None], [None] * 4, ["May", None, "June", None], *below]
    write_workbook(tmp_path / "x.xlsx", {"S": rows}, merged=["A1:D1", "A3:B3", "C3:D3"])
    source = read(tmp_path / "x.xlsx", cache=tmp_path / "cache")
    assert source.train.collect().columns == ["May n", "May m", "June n", "June m"]
    assert source.notes == ("x.xlsx has 2 rows above its table, left out",)


def test_what_stands_beside_and_below_a_table_is_left_out(tmp_path: Path) -> None:
    legend = [["code", "meaning"], ["n1", "first"]]
    rows = [[*row, None, *(legend[i] if i < 2 else [None, None])] for i, row in enumerate(TABLE)]
    rows += [[None] * 7, ["Source: our shop", *[None] * 6], [None] * 7]
    write_workbook(tmp_path / "x.xlsx", {"S": rows})
    source = read(tmp_path / "x.xlsx", cache=tmp_path / "cache")
    assert source.train.collect().columns == TABLE[0] and source.train.collect().height == 5
    assert source.notes == (
        "x.xlsx has 'code', 'meaning' beside its table, parted by an empty column, left out",
        "x.xlsx has 1 row below its table, left out",
    )


def test_a_blank_column_inside_a_table_is_no_column(tmp_path: Path) -> None:
    write_workbook(tmp_path / "x.xlsx", {"S": [[*row[:2], None, *row[2:]] for row in TABLE]})
    assert read(tmp_path / "x.xlsx", cache=tmp_path / "cache").train.collect().columns == TABLE[0]


def test_formulas_without_results_are_said(tmp_path: Path) -> None:
    write_workbook(tmp_path / "x.xlsx", {"S": [["n", "twice"], *([i, f"=A{i}*2"] for i in range(2, 9))]})
    (note,) = read(tmp_path / "x.xlsx", cache=tmp_path / "cache").notes
    assert note.startswith("x.xlsx holds formulas whose results were never saved, in 'twice'; open it in a spreadsheet")


def test_a_name_over_the_last_column_alone_is_a_header(tmp_path: Path) -> None:
    write_workbook(tmp_path / "x.xlsx", {"S": [["", "", "y"], *([i, i / 3, "yes"] for i in range(9))]})
    assert read(tmp_path / "x.xlsx", cache=tmp_path / "cache").train.collect().columns == ["column_1", "column_2", "y"]
