"""A pattern of files as one source."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.readers.source import read
from leadline.system.errors import SourceError


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    folder = tmp_path / "sales"
    folder.mkdir()
    for month, columns in (("may", "a,b"), ("june", "b,a"), ("july", "a,b")):
        (folder / f"{month}.csv").write_text(f"{columns}\n1,{month}\n2,{month}\n")
    (folder / "~$may.csv").write_text("litter")
    return folder


def test_files_of_a_pattern_are_one_table_by_name(sales: Path) -> None:
    source = read(str(sales / "*.csv"), cache=sales / ".cache")
    frame = source.train.collect()
    assert source.name == "sales" and frame.columns == ["a", "b"] and frame.height == 6
    assert frame["b"].to_list() == ["july", "july", "1", "2", "may", "may"]  # columns go by name, whatever their order
    assert source.notes == ("3 files are read as one table, in order of name: july.csv, june.csv, may.csv",)
    one = read(str(sales / "m*.csv"), cache=sales / ".cache")
    assert one.name == "may" and one.train.collect().height == 2


def test_files_that_state_parts_are_parts(sales: Path) -> None:
    for name in ("train_1", "train_2", "test_1"):
        (sales / f"{name}.csv").write_text("a,b\n1,2\n3,4\n")
    source = read(str(sales / "t*.csv"), cache=sales / ".cache")
    assert source.test is not None and source.train.collect().height == 4 and source.test.collect().height == 2
    assert source.notes[0] == "train_1.csv, train_2.csv is the training set, test_1.csv is the test set"


def test_bad_lines_keep_the_name_of_their_file(sales: Path) -> None:
    (sales / "june.csv").write_text("a,b\n1,2\n3\n4,5\n")
    assert [bad.place for bad in read(str(sales / "*.csv"), cache=sales / ".cache").bad] == ["june.csv line 3"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.tsv", r"names no file in .*; check the pattern"),
        ("inn*", r"names nothing but 1 folder in .*; give one folder"),
        ("*.png", r"names 1 image without a label; give the folder that holds one subfolder a class"),
        ("*.csv", r"other\.csv and july\.csv differ in 2 columns \(b, c\), where files with the same columns"),
    ],
)
def test_patterns_that_name_no_table(sales: Path, pattern: str, message: str) -> None:
    (sales / "inner").mkdir()
    (sales / "1.png").write_bytes(b"")
    (sales / "other.csv").write_text("a,c\n1,2\n")
    with pytest.raises(SourceError, match=message):
        read(str(sales / pattern), cache=sales / ".cache")


def test_a_folder_of_several_tables_tells_of_patterns(sales: Path) -> None:
    with pytest.raises(
        SourceError, match=r"holds the tables .*; name the file to read, or read several .* 'sales/\*\.csv'"
    ):
        read(sales, cache=sales / ".cache")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "sales [may].csv").write_text("a,b\n1,2\n")
    assert read(tmp_path / "sales [may].csv", cache=tmp_path / "cache").train.collect().height == 1


def test_signs_in_the_names_of_folders_are_taken_as_they_are(sales: Path, own_cache: Path) -> None:
    folder = sales.parent / "[set 1] a?b"
    folder.mkdir()
    for file in sales.glob("*.csv"):
        (folder / file.name).write_bytes(file.read_bytes())
    plain, signs = (read(f"{where}/*.csv", cache=own_cache).train.collect() for where in (sales, folder))
    assert plain.equals(signs) and len(plain)
