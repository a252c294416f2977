"""Delimited text, JSON Lines and Parquet: what a user's file becomes."""

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from leadline.readers.csv_dialect import sniff
from leadline.readers.source import Source, read
from leadline.readers.tabular import read_table
from leadline.system.errors import SourceError

REAL = Path(__file__).parents[2].parent / "shared" / "data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real data sets is absent")
LATIN = "data.csv is not all UTF-8; the bytes that are not were read as Latin-1 (Windows-1252)"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _read(tmp_path: Path, content: str | bytes, name: str = "data.csv") -> Source:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(file, cache=tmp_path / "cache")


def _rows(source: Source) -> list[tuple[object, ...]]:
    return source.train.collect().rows()


def _columns(source: Source) -> list[str]:
    return source.train.collect_schema().names()


def test_cells_stay_text_and_empty_ones_are_missing(tmp_path: Path) -> None:
    source = _read(tmp_path, 'a, b ,c\n1,"",x\n,"two\nlines, ""quoted""",3\n')
    assert _columns(source) == ["a", "b", "c"]
    assert _rows(source) == [("1", None, "x"), (None, 'two\nlines, "quoted"', "3")]
    assert set(source.train.collect_schema().dtypes()) == {pl.String}
    assert source.name == "data" and source.root == tmp_path and not source.notes and not source.bad


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_found(separator: str) -> None:
    rows = [["age", "job", "y"], ["31", "cook, part time" if separator != "," else "cook", "no"], ["4", "-", "yes"]]
    dialect = sniff("\n".join(separator.join(row) for row in rows) + "\n")
    assert (dialect.separator, dialect.header, dialect.names) == (separator, True, ("age", "job", "y"))


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("text,label\nso good,pos\nso bad,neg\n", True),
        ("ham\tGo until jurong\nham\tOk lar\nspam\tFree entry\n", False),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", False),
        ("sex,rings\nM,15\nF,7\n", True),
        ("M,15\nF,7\n", False),
        ("?,15\n3,7\n", False),
        ("0,1,2,label\n0.1,0.5,0.7,a\n0.3,0.4,0.1,b\n", True),
        ("id,2019,2020\n1,5.5,6.5\n2,5.1,6.1\n", True),
        ("2,-0.64,-0.64\n1,0.5,0.25\n", False),
        ("2016-07-01,a\n2016-07-02,b\n", False),
        (",x,y\n0,1,2\n1,3,4\n", True),
        ("First Citizen:\nBefore we proceed any further, hear me speak.\nAll:\nSpeak, speak.\n", False),
        ("text\nhello there\nbye, you\n", True),
    ],
)
def test_header_is_recognised(text: str, header: bool) -> None:
    assert sniff(text).header is header


def test_file_without_header_gets_numbered_names(tmp_path: Path) -> None:
    source = _read(tmp_path, "ham\thello\nspam\tbuy\nham\tbye\n", "Messages")
    assert _columns(source) == ["column_1", "column_2"] and len(_rows(source)) == 3
    assert source.notes == ("Messages has no header line; its columns are called column_1 to column_2",)


def test_empty_names_are_filled_and_names_that_come_twice_are_told_apart(tmp_path: Path) -> None:
    assert _columns(_read(tmp_path, ",x,y\n0,1,2\n1,3,4\n")) == ["column_1", "x", "y"]
    source = _read(tmp_path, "x,y,x ,y\n1,2,3,2\n4,5,6,5\n")
    assert _columns(source) == ["x", "y", "x_2"] and _rows(source)[0] == ("1", "2", "3")
    assert source.notes == (
        "data.csv has 'y' more than once with the same values; one of each is kept",
        "data.csv has more than one column named 'x'; the later ones are called x_2",
    )


@pytest.mark.parametrize("end", ["", ","])
def test_a_header_that_is_one_name_short(tmp_path: Path, end: str) -> None:
    """Rows that end with a separator, or that begin with a name, as R writes them."""
    rows = [f"{'' if end else f'r{i},'}{i},{i * i},u{end}" for i in range(9)]
    source = _read(tmp_path, "a,b,c\n" + "\n".join(rows) + "\n")
    assert _columns(source) == (["a", "b", "c", "column_4"] if end else ["column_1", "a", "b", "c"])
    assert len(_rows(source)) == 9 and source.train.collect()["b"].to_list() == [str(i * i) for i in range(9)]


def test_header_lines_that_come_again_are_no_rows(tmp_path: Path) -> None:
    source = _read(tmp_path, "a,b\n1,2\na,b\n3,4\na, b\n")
    assert _rows(source) == [("1", "2"), ("3", "4")]
    assert source.notes == ("data.csv has its header 2 times more among its rows, left out",)


def test_ragged_lines_are_set_aside(tmp_path: Path) -> None:
    source = _read(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,\n", "train.csv")
    assert _rows(source) == [("1", "2"), ("7", None)]
    assert [(bad.place, bad.reason) for bad in source.bad] == [
        ("train.csv line 3", "1 field where 2 were expected"),
        ("train.csv line 4", "3 fields where 2 were expected"),
    ]
    assert source.notes == ("train.csv has 2 lines that could not be read, left out",)


def test_short_lines_alone_are_noticed(tmp_path: Path) -> None:
    # polars fills them with nulls and says nothing.
    source = _read(tmp_path, 'a,b,c\n1,"x, y",3\n4,5\n6,7,\n8,,\n')
    assert [bad.place for bad in source.bad] == ["data.csv line 3"]
    assert _rows(source) == [("1", "x, y", "3"), ("6", "7", None), ("8", None, None)]


def test_mostly_ragged_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"3 bad lines of 4 \(first: line 2, 1 field .*\), where 2 fields a line"):
        _read(tmp_path, "a,b\n1\n2\n3\n4,5\n")


def test_blank_lines_are_left_out_but_empty_cells_are_rows(tmp_path: Path) -> None:
    source = _read(tmp_path, "a,b\n\n1,2\n\n3,4\n")
    assert _rows(source) == [("1", "2"), ("3", "4")]
    assert source.notes == ("data.csv has 2 blank lines, left out",)
    assert _rows(_read(tmp_path, "a,b\n1,2\n,\n")) == [("1", "2"), (None, None)]
    assert _rows(_read(tmp_path, "a,b\n1,2\n,\n\n3,4\n")) == [("1", "2"), (None, None), ("3", "4")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    assert _rows(_read(tmp_path, end.join(["a,b", "1,2", "3,4"]))) == [("1", "2"), ("3", "4")]


def test_stray_quotes_in_tab_files_are_text(tmp_path: Path) -> None:
    lines = ['ham\t"hello there', "ham\tok", 'spam\tbuy" now', 'ham\tsay "hi"', "spam\twin"]
    source = _read(tmp_path, "\n".join(lines) + "\n", "messages.tsv")
    assert _rows(source) == [tuple(line.split("\t")) for line in lines]
    assert source.notes[-1] == "messages.tsv has stray quote characters; they are read as part of the text"


def test_quotes_that_close_rows_later_swallow_nothing_in_tab_files(tmp_path: Path) -> None:
    lines = ["label\ttext", 'ham\t"hello', "ham\tok", 'ham\tbye"', "spam\tfree"]
    assert len(_rows(_read(tmp_path, "\n".join(lines) + "\n"))) == 4


def test_stray_quote_in_a_comma_file(tmp_path: Path) -> None:
    source = _read(tmp_path, 'size,what\n3,5" disk\n4,"a, b"\n5,7" disk\n')
    assert _rows(source) == [("3", '5" disk'), ("4", "a, b"), ("5", '7" disk')]


def test_space_after_the_separator(tmp_path: Path) -> None:
    assert _rows(_read(tmp_path, 'a, b\n1, "x, y"\n2, "z, w"\n')) == [("1", "x, y"), ("2", "z, w")]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("\ufeffname,n\ncafé,1\n".encode(), ()),
        ("name,n\ncafé,1\n".encode("utf-16"), ("data.csv is UTF-16 and was read as such",)),
        ("name,n\ncafé,1\n".encode("utf-16-le"), ("data.csv is UTF-16 and was read as such",)),
        ("name,n\ncafé,1\n".encode("utf-16-be"), ("data.csv is UTF-16 and was read as such",)),
        ("name,n\ncafé,1\n".encode("utf-32"), ("data.csv is UTF-32 and was read as such",)),
        ("name,n\ncafé,1\n".encode("latin-1"), (LATIN,)),
    ],
)
def test_encodings(tmp_path: Path, content: bytes, note: tuple[str, ...]) -> None:
    source = _read(tmp_path, content)
    assert _columns(source) == ["name", "n"] and _rows(source) == [("café", "1")] and source.notes == note


def test_lines_of_several_encodings_are_each_read_as_they_are(tmp_path: Path) -> None:
    lines = [
        b"name,n\n",
        "Zoë,1\n".encode(),
        "Zoë,2\n".encode("latin-1"),
        "5 €,3\n".encode("cp1252"),
        "日本,4\n".encode(),
    ]
    assert [row[0] for row in _rows(_read(tmp_path, b"".join(lines)))] == ["Zoë", "Zoë", "5 €", "日本"]


def test_gzip_is_unpacked_and_damage_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n1,2\n")
    assert _rows(_read(tmp_path, packed, "x.csv.gz")) == [("1", "2")]
    with pytest.raises(SourceError, match=r"y\.csv\.gz is not a whole gzip file .*copy or download it again"):
        _read(tmp_path, packed[:-6], "y.csv.gz")
    with pytest.raises(SourceError, match=r"z\.csv\.gz is not a whole gzip file"):
        _read(tmp_path, b"a,b\n1,2\n", "z.csv.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"data\.csv is empty, where a table was expected"),
        (b"a,b\n", r"data\.csv has a header line and no row; add at least one row"),
        (bytes(range(256)) * 4, r"data\.csv holds binary data.*save it as CSV"),
        (b"PK\x03\x04" + b"\0" * 30, r"data\.csv is a zip file; name it \.zip"),
        (PNG, r"data\.csv is an image; give the folder"),
        (b"\n<!DOCTYPE html><html><body>404", r"data\.csv is a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", r"data\.csv is a pointer of Git LFS; fetch"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        _read(tmp_path, content)


def test_text_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _read(tmp_path, "a,b\n1,2\n3\n5,6\n", "one.csv")
    monkeypatch.setattr("leadline.readers.tabular.convert", None)
    second = _read(tmp_path, "a,b\n1,2\n3\n5,6\n", "two.csv")
    assert second.digest == first.digest and _rows(second) == _rows(first)
    assert [bad.place for bad in second.bad] == ["two.csv line 3"]
    assert sorted(file.suffix for file in (tmp_path / "cache" / "tables").iterdir()) == [".json", ".parquet"]


def test_reading_agrees_with_the_csv_module_where_quoting_is_sound(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = ["", "a", "b c", "x,y", "two\nlines", 'say "hi"', ",", '"']
    for _ in range(25):
        rows = [tuple(str(cell) for cell in rng.choice(cells, 3)) for _ in range(8)]
        quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
        source = _read(tmp_path, "\n".join(["id,first,second,third", *(f"{i},{q}" for i, q in enumerate(quoted))]))
        assert [row[1:] for row in _rows(source)] == [tuple(cell or None for cell in row) for row in rows]


def test_json_lines_keep_their_types(tmp_path: Path) -> None:
    rows = [{"text": "hi", "tokens": ["h", "i"], "n": 1}, {"text": "bye", "tokens": [], "n": 2}]
    source = _read(tmp_path, "\n".join(map(json.dumps, rows)), "data.jsonl")
    assert source.train.collect().to_dicts() == rows


def test_json_lines_in_pieces_are_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.readers.json.PIECE_BYTES", 10)
    source = _read(tmp_path, '{"a": 1, "b": [1]}\n{"a": 2.5}\n{"c": {"x": 1}}\n{"a": 3, "b": []}', "data.jsonl")
    assert source.train.collect().to_dict(as_series=False) == {
        "a": [1.0, 2.5, None, 3.0],
        "b": [[1], None, None, []],
        "c.x": [None, None, 1, None],
    }


def test_bad_json_lines_are_set_aside(tmp_path: Path) -> None:
    source = _read(tmp_path, '{"a": 1}\n{"a":\n[2]\n{"a": 3}\n{"a": 4}\n', "data.jsonl")
    assert _rows(source) == [(1,), (3,), (4,)]
    assert [bad.place for bad in source.bad] == ["data.jsonl line 2", "data.jsonl line 3"]
    with pytest.raises(SourceError, match=r"2 lines of 3 that are no JSON object \(first: line 1"):
        _read(tmp_path, '{"a"\nx\n{"a": 1}\n', "bad.jsonl")
    assert _rows(_read(tmp_path, '{"a": 1}\n{"a": true}\n{"a": "u"}\n', "words.jsonl")) == [("1",), ("true",), ("u",)]
    mixed = _read(tmp_path, '{"a": "u"}\n{"a": [1]}\n{"a": {"b": NaN}}\n{"a": null}\n', "mixed.jsonl")
    assert _rows(mixed) == [("u",), ("[1]",), ('{"b": null}',), (None,)]
    assert mixed.notes == ("mixed.jsonl holds values of several types under 'a'; all are read as text",)


def test_parquet_keeps_types_and_names_classes(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    frame = pl.DataFrame({"image": [{"bytes": PNG, "path": "a"}] * 3, "label": [1, 0, -1], "x": [1.5, None, 2.0]})
    frame.write_parquet(tmp_path / "data.parquet", metadata={"huggingface": json.dumps(features)})
    source = read(tmp_path / "data.parquet", cache=tmp_path / "cache")
    assert source.train.collect()["label"].to_list() == ["dog", "cat", None]
    assert source.train.collect_schema()["x"] == pl.Float64 and source.kinds == {"image": "image"}
    assert source.notes == ("data.parquet names the 2 classes of 'label'; they are used in place of its numbers",)


def test_damaged_and_empty_parquet(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.parquet is not a whole Parquet file .*copy or download it again"):
        _read(tmp_path, b"PAR1" + b"\0" * 20, "data.parquet")
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "none.parquet")
    with pytest.raises(SourceError, match=r"none\.parquet has 1 column and no row"):
        read(tmp_path / "none.parquet", cache=tmp_path / "cache")


@needs_real
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("sms-spam/SMSSpamCollection", 5574, 2),
        ("bank-marketing/bank-full.csv", 45211, 17),
        ("diamonds/diamonds.csv", 53940, 10),
        ("covertype/covertype-93k.parquet", 92962, 55),
        ("basicmotions/BasicMotions_TRAIN.csv.gz", 4000, 9),
        ("titanic/titanic.csv", 891, 12),
    ],
)
def test_real_files(name: str, rows: int, columns: int, cache: Path) -> None:
    frame = read(REAL / name, cache=cache).train.collect()
    assert frame.shape == (rows, columns)


@pytest.mark.parametrize(
    ("name", "what"),
    [("a.arff", "an ARFF file"), ("a.npz", "a NumPy archive"), ("a.pkl", "a pickle"), ("a.xml", "an XML file"),
     ("a.sav", "an SPSS file"), ("a.geojson", "a GeoJSON file"), ("a.H5", "an HDF5 file")],
)  # fmt: skip
def test_files_of_other_programs_are_named_and_refused(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("@relation r\n@data\n1,2\n3,4\n")
    with pytest.raises(SourceError, match=rf"{name} is {what}.*; save its table as CSV"):
        read_table(tmp_path / name, tmp_path / "cache")
