"""Tables with something around them: comments, titles, a stated separator, columns lined up by spaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.readers.source import Source, read

ROWS = "".join(f"{i};{20 + i};{'Ulm' if i % 2 else 'Bonn'}\n" for i in range(1, 8))
HEAD = "id;age;city\n"


def _read(tmp_path: Path, content: str, name: str = "data.csv") -> Source:
    (tmp_path / name).write_text(content, encoding="utf-8")
    return read(tmp_path / name, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ("", ()),
        ("# made by hand\n# on a Friday\n", ("data.csv has 2 lines above its table, left out",)),
        (
            "// made by hand\n\n",
            ("data.csv has 1 line above its table, left out", "data.csv has 1 blank line, left out"),
        ),
        ("Sales report 2024\n", ("data.csv has 1 line above its table, left out",)),
        ("Sales report;;\nof May;;\n", ("data.csv has 2 lines above its table, left out",)),
        ("sep=;\n", ()),
    ],
)
def test_what_stands_above_a_table_is_no_row(tmp_path: Path, above: str, said: tuple[str, ...]) -> None:
    source = _read(tmp_path, above + HEAD + ROWS)
    frame = source.train.collect()
    assert frame.columns == ["id", "age", "city"] and frame.height == 7 and source.notes == said


def test_the_last_comment_may_name_the_columns(tmp_path: Path) -> None:
    source = _read(tmp_path, f"# made by hand\n#{HEAD}{ROWS}")
    assert source.train.collect_schema().names() == ["id", "age", "city"] and source.train.collect().height == 7
    assert source.notes[-1] == "data.csv names its columns in a comment, which is read as its header"
    named = _read(tmp_path, "#,name,age\n1,a,31\n2,b,40\n3,c,50\n4,d,60\n", "named.csv")
    assert named.train.collect_schema().names() == ["#", "name", "age"] and not named.notes


def test_bad_lines_are_numbered_as_in_the_file(tmp_path: Path) -> None:
    source = _read(tmp_path, f"# a comment\n{HEAD}{ROWS}8;28\n")
    assert [bad.place for bad in source.bad] == ["data.csv line 10"]


@pytest.mark.parametrize("name", ["auto.csv", "auto.txt", "auto.data"])
def test_columns_that_spaces_line_up(tmp_path: Path, name: str) -> None:
    lines = [f'{18.5 + i:5.1f}   {i % 3 + 4}   {300 + 7 * i:.1f}\t"chevy {i} malibu"' for i in range(12)]
    source = _read(tmp_path, "\n".join(lines) + "\n", name)
    assert source.train.collect().row(1) == ("19.5", "5", "307.0", "chevy 1 malibu")
    headed = _read(tmp_path, " mpg  cyl  disp\n" + "".join(f" {i}.5  {i}  {i + 9}\n" for i in range(9)), "headed.txt")
    assert headed.train.collect_schema().names() == ["mpg", "cyl", "disp"] and headed.train.collect().height == 9


def test_rows_that_begin_as_comments_do(tmp_path: Path) -> None:
    source = _read(tmp_path, "#ff0000,1\n#00ff00,2\n#0000ff,3\nnone,4\nother,5\n")
    assert source.train.collect().height == 5


def test_headings_of_prose_are_no_comments(tmp_path: Path) -> None:
    text = "# The sea\n\n" + "The sea was grey and the ship went on with no wind in her sails.\n\n" * 40
    assert _read(tmp_path, text, "sea.md").kinds == {"text": "tokens"}


def test_prose_is_not_lined_up(tmp_path: Path) -> None:
    text = "so much depends upon\na red wheel barrow\nglazed with rain water\nbeside the white chickens\n" * 30
    assert _read(tmp_path, text, "poem.txt").kinds == {"text": "tokens"}


def test_a_header_that_names_its_last_column_alone_is_no_title(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i / 3:.2f},yes\n" for i in range(9))
    assert _read(tmp_path, f",,y\n{rows}").train.collect().columns == ["column_1", "column_2", "y"]
    source = _read(tmp_path, f",,Report\nid,share,y\n{rows}", "titled.csv")
    assert source.train.collect().columns == ["id", "share", "y"] and source.train.collect().height == 9


def test_names_with_line_ends_are_one_line(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i / 3:.2f}\n" for i in range(9))
    source = _read(tmp_path, f'"price\nin EUR"," size  cm"\n{rows}')
    assert source.train.collect().columns == ["price in EUR", "size cm"]
