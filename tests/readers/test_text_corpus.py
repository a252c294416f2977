"""A text corpus: which files it is, how it is cut, and what is said of the ones that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leadline.readers.source import Source, read
from leadline.readers.text_corpus import FEWEST_BYTES, rows_of
from leadline.system.errors import SourceError

LINES = (
    "It was a dark night, and the wind (it blew from the north; coldly) would not rest.", "", "Nobody spoke.",
    "'Who is there,' she asked, 'and why, at this hour, in this weather, do you knock?'", "No answer came; she waited.",
)  # fmt: skip
PROSE = "\n".join(LINES * 20)


def _text(source: Source) -> str:
    return "".join(source.train.collect()["text"])


@pytest.mark.parametrize(
    "text", ["one two three " * 50, "ü" * 999, "日本語テキスト" * 99, "\n\n \n" * 400, "🐟 " * 300, "x"]
)
@pytest.mark.parametrize("most", [16, 100, 1_024])
def test_rows_are_the_text_in_order_and_never_too_long(text: str, most: int) -> None:
    rows = list(rows_of(text, most))
    assert "".join(rows) == text
    assert max(len(row.encode()) for row in rows) <= most


def test_no_word_is_cut_where_there_is_a_space() -> None:
    assert all(row[0] == " " and row[-1] != " " for row in list(rows_of("some words " * 200, 64))[1:-1])


def test_prose_is_running_text_and_a_table_is_not(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text(PROSE)
    (tmp_path / "table.txt").write_text("a\tb\n" + "1\t2\n" * 50)
    novel = read(tmp_path / "novel.txt", cache=tmp_path / "cache")
    assert novel.kinds == {"text": "tokens"} and novel.name == "novel" and _text(novel) == PROSE
    assert read(tmp_path / "table.txt", cache=tmp_path / "cache").train.collect_schema().names() == ["a", "b"]
    asked = read(tmp_path / "novel.txt", cache=tmp_path / "cache", running=False)  # the caller knows better
    assert asked.kinds == {}


def test_a_table_can_be_read_as_text_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n" + "1,2\n" * 500)
    assert _text(read(path, cache=tmp_path / "cache", running=True)) == path.read_text()


def test_a_folder_of_texts_is_one_text_in_order_of_name(tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    for name in ("b", "a", "c"):
        (folder / f"{name}.txt").write_text(name * 700 + "\n")
    (folder / "empty.txt").write_text("")
    (folder / "README.md").write_text("about these books\n" * 100)
    source = read(folder, cache=tmp_path / "cache")
    assert _text(source) == "a" * 700 + "\n" + "b" * 700 + "\n" + "c" * 700 + "\n"
    assert source.notes == (
        "4 files of text are read as one, in order of name", "empty.txt is empty; it is left out",
    )  # fmt: skip


def test_parts_are_taken_as_the_names_state_them(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text(f"{name} " * 400)
    source = read(folder, cache=tmp_path / "cache")
    assert source.valid is not None and source.test is not None
    assert "valid" in source.valid.collect()["text"][0] and "test" in source.test.collect()["text"][0]
    assert "test" not in _text(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"odd\.txt holds 0 bytes of text, where 1,000 or more were expected; give more$"),
        (b"x", r"odd\.txt holds 1 byte of text, where 1,000 or more"),
        (bytes(range(256)) * 40, r"odd\.txt holds binary data, where a text file was expected; save it as plain text$"),
    ],
)
def test_what_cannot_be_learned_from_is_said_in_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(path, cache=tmp_path / "cache", running=True)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "is UTF-16"), ("cp1252", "is not all UTF-8.*Latin-1")],
)
def test_text_in_any_encoding_is_read(tmp_path: Path, encoding: str, said: str) -> None:
    text = "Größe, Öl und Übermut: ein kurzer Satz.\r\n" * 50
    path = tmp_path / "german.txt"
    path.write_bytes(text.encode(encoding))
    source = read(path, cache=tmp_path / "cache", running=True)
    assert _text(source) == text.replace("\r\n", "\n")
    assert re.search(said, " ".join(source.notes)) is not None and bool(source.notes) == bool(said)


def test_mojibake_is_text_like_any_other(tmp_path: Path) -> None:
    text = ("ein schöner Tag\n" * 100).encode().decode("latin-1")
    (tmp_path / "moji.txt").write_text(text)
    assert _text(read(tmp_path / "moji.txt", cache=tmp_path / "cache")) == text


def test_the_same_text_is_cut_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PROSE)
    assert len(PROSE) > FEWEST_BYTES
    first = read(tmp_path / "a.txt", cache=tmp_path / "cache")
    stored = sorted((tmp_path / "cache" / "tables").rglob("*.parquet"))
    times = [path.stat().st_mtime_ns for path in stored]
    again = read(tmp_path / "a.txt", cache=tmp_path / "cache")
    assert first.digest == again.digest and [path.stat().st_mtime_ns for path in stored] == times
