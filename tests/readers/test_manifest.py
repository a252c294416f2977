"""Tables that name media, which lie beside them or in an archive beside them."""

from __future__ import annotations

import tarfile
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from leadline.config import from_mapping
from leadline.dataset.table import read as understand
from leadline.readers.media import files_below
from leadline.readers.source import Source, read
from leadline.system.errors import SourceError

REAL = Path(__file__).parents[2].parent / "shared" / "data"
needs_real = pytest.mark.skipif(not (REAL / "fsdd").is_dir(), reason="the folder of real data sets is absent")
NAMES = ["rec/0.wav", "rec/1.wav", "rec/2.wav", "rec/3.wav"]


def _clip(path: Path, note: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes((8_000 * np.sin(np.arange(800) * (note + 1) / 9)).astype("<i2").tobytes())


def _clips(folder: Path, names: list[str]) -> Path:
    for note, name in enumerate(names):
        _clip(folder / name, note)
    return folder


def _table(path: Path, names: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"path": names, "label": ["a", "b"] * (len(names) // 2), "fold": range(1, len(names) + 1)})
    writers = {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}
    writers[path.suffix](path)
    return path


def _pack(folder: Path, archive: Path) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for file in files:
                zipped.write(file, file.relative_to(folder))
    else:
        with tarfile.open(archive, "w:gz") as packed:
            for file in files:
                packed.add(file, file.relative_to(folder).as_posix())


def _read(path: Path) -> Source:
    return read(path, cache=path.parent / ".cache")


def _paths(source: Source) -> list[str]:
    cells = source.train.collect()["path"].to_list()
    assert source.root is not None and source.kinds == {"path": "audio"} and source.target is None
    return [cell for cell in cells if (source.root / cell).is_file()]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_beside_its_clips(suffix: str, tmp_path: Path) -> None:
    table = _table(_clips(tmp_path / "sounds", NAMES) / f"manifest{suffix}", NAMES)
    by_folder, by_file = _read(table.parent), _read(table)
    for source in (by_folder, by_file):
        assert _paths(source) == NAMES and source.name == "sounds"
        assert source.notes == ("'path' names 4 audio files in sounds/",)
    assert by_folder.digest == by_file.digest
    _clip(table.parent / NAMES[0], 7)
    assert _read(table).digest != by_file.digest, "the digest covers the files that are named"


@pytest.mark.parametrize("name", ["clips.zip", "clips.tar.gz"])
def test_a_table_beside_an_archive(name: str, tmp_path: Path) -> None:
    loose = _clips(tmp_path / "loose", [*NAMES, "rec/9.wav"])
    (loose / "README.md").write_text("what these are")
    (loose / "clip-licences.txt").write_text("whose these are")
    table = _table(tmp_path / "sounds" / "manifest.csv", NAMES)
    _pack(loose, table.parent / name)
    (table.parent / "other.zip").write_bytes(b"not an archive at all")
    for given in (table, table.parent):
        source = _read(given)
        assert _paths(source) == NAMES and source.name == "sounds"
        assert source.notes == (
            f"'path' names 4 audio files in {name}",
            f"1 file in {name} named by no row, such as rec/9.wav, left out",
        )
    _table(loose / "manifest.csv", NAMES)
    assert read(loose, cache=tmp_path / "cache").digest == source.digest, "packed or not, it is the same data"


@pytest.mark.parametrize("inside", ["", "clips-1.0/"])
def test_an_archive_that_holds_its_table(inside: str, tmp_path: Path) -> None:
    _table(_clips(tmp_path / "loose" / inside, NAMES) / "manifest.csv", NAMES)
    _pack(tmp_path / "loose", tmp_path / "sounds.zip")
    source = _read(tmp_path / "sounds.zip")
    assert _paths(source) == NAMES and source.name == "sounds"


@pytest.mark.parametrize(
    ("below", "written", "kept"),
    [
        ("wav", "rec/{}.wav", True),
        ("audio/all", "{}.wav", True),
        ("rec", "/home/someone/data/rec/{}.wav", False),
        ("rec", "rec\\{}.wav", False),
        ("rec", "./rec/{}.wav", True),
        ("", "sounds/{}.wav", False),
    ],
)
def test_paths_as_others_write_them(below: str, written: str, kept: bool, tmp_path: Path) -> None:
    end = written.removeprefix("./") if below == "wav" else "{}.wav"
    folder = _clips(tmp_path / "sounds", [f"{below}/{end.format(i)}" if below else end.format(i) for i in range(4)])
    cells = [written.format(i) for i in range(4)]
    source = _read(_table(folder / "manifest.csv", cells))
    assert len(_paths(source)) == 4
    assert (source.train.collect()["path"].to_list() == cells) == kept


def test_names_that_lie_in_several_folders(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(4)]
    folder = _clips(tmp_path / "sounds", [f"audio/fold{i % 2}/{name}" for i, name in enumerate(names)])
    _table(folder / "meta" / "sounds.csv", names)
    source = _read(folder)
    assert _paths(source) == ["audio/fold0/0.wav", "audio/fold1/1.wav", "audio/fold0/2.wav", "audio/fold1/3.wav"]


def test_a_name_of_two_files_is_not_guessed(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(4)]
    folder = _clips(tmp_path / "sounds", [f"{place}/{name}" for place in ("cat", "dog") for name in names])
    _table(folder / "manifest.csv", names)
    with pytest.raises(SourceError, match=r"'0\.wav' could mean cat/0\.wav, dog/0\.wav in sounds/; write paths"):
        _read(folder)


def test_parts_whose_files_have_the_same_names(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(4)]
    folder = _clips(tmp_path / "sounds", [f"{part}/{name}" for part in ("train", "test") for name in names])
    for part in ("train", "test"):
        _table(folder / f"{part}.csv", names)
    source = _read(folder)
    assert _paths(source) == [f"train/{name}" for name in names]
    assert source.test is not None and source.test.collect()["path"].to_list() == [f"test/{name}" for name in names]
    apart = read(folder / "train.csv", folder / "test.csv", cache=tmp_path / "cache")
    assert apart.root is not None and apart.test is not None
    for frame in (apart.train, apart.test):
        paths = frame.collect()["path"]
        assert len(paths) == 4 and all((apart.root / cell).is_file() for cell in paths)


def test_missing_files_are_said_and_their_rows_kept_for_quarantine(tmp_path: Path) -> None:
    folder = _clips(tmp_path / "sounds", NAMES[:3])
    source = _read(_table(folder / "manifest.csv", NAMES))
    assert source.train.collect().height == 4 and len(_paths(source)) == 3
    assert source.notes[1] == "1 of them is missing, such as rec/3.wav"


def test_media_win_over_class_folders_only_with_a_label(tmp_path: Path) -> None:
    names = ["cat/1.wav", "cat/2.wav", "dog/3.wav", "dog/4.wav"]
    folder = _clips(tmp_path / "sounds", names)
    pl.DataFrame({"path": names, "length": [1, 2, 3, 4]}).write_csv(folder / "lengths.csv")
    source = _read(folder)
    assert source.target == "label" and source.notes == ("lengths.csv beside the class folders is not used",)
    _table(folder / "manifest.csv", names)
    source = _read(folder)
    assert _paths(source) == names
    assert source.notes[1] == "lengths.csv in sounds/ names no such files; it is left out"


def test_a_table_of_pictures_and_of_addresses(tmp_path: Path) -> None:
    for i in range(4):
        Image.new("L", (4, 4), i * 9).save(tmp_path / f"{i}.png")
    names = [f"{i}.png" for i in range(4)]
    frame = pl.DataFrame({"photo": names, "url": [f"http://x/{n}" for n in names], "n": [1.5, 2, 3, 4.25]})
    frame.write_csv(tmp_path / "houses.csv")
    source = _read(tmp_path / "houses.csv")
    assert source.kinds == {"photo": "image"} and source.name == "houses" and source.root == tmp_path


def test_no_file_at_all_is_one_sentence_unless_dropped(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(8)]
    pl.DataFrame({"photo": names, "n": range(8), "y": [0, 1] * 4}).write_csv(tmp_path / "houses.csv")
    source = _read(tmp_path / "houses.csv")
    message = r"None of the files that column 'photo' names, such as 0\.png, is in .*; put .* or --drop photo"
    with pytest.raises(SourceError, match=message):
        understand(source, from_mapping({}))
    assert [column.name for column in understand(source, from_mapping({"drop": "photo"})).inputs] == ["n"]


def test_a_damaged_archive_is_named_where_the_files_could_be_in_it(tmp_path: Path) -> None:
    table = _table(tmp_path / "sounds" / "manifest.csv", NAMES)
    (table.parent / "clips.zip").write_bytes(b"half of an archive")
    with pytest.raises(SourceError, match=r"clips\.zip is not a whole archive .* copy or download it again"):
        _read(table)


@needs_real
def test_real_manifests(tmp_path: Path) -> None:
    digits = read(REAL / "fsdd", cache=tmp_path)
    assert digits.name == "fsdd" and digits.kinds == {"path": "audio"} and digits.train.collect().height == 3_000
    assert digits.digest == read(REAL / "fsdd" / "manifest.csv", cache=tmp_path).digest
    assert digits.notes == ("'path' names 3,000 audio files in fsdd-wav.zip",)
    places = read(REAL / "esc10", cache=tmp_path)
    assert places.notes == ("'path' names 400 audio files in esc10-ogg.zip",)
    table = pl.read_csv(REAL / "esc10" / "manifest.csv")
    assert places.train.collect()["path"].to_list() == table["path"].to_list()


def test_names_in_other_letters_and_without_suffix_are_found(tmp_path: Path) -> None:
    names = [f"Rec/Clip_{k}.WAV" for k in range(10)]
    _clips(tmp_path, names)
    for number, cells in enumerate(([name.lower() for name in names], [f"clip_{k}" for k in range(10)], names)):
        source = _read(_table(tmp_path / f"clips{number}.csv", cells))
        assert source.kinds == {"path": "audio"}
        assert source.root is not None
        paths = source.train.collect()["path"]
        assert len(paths) == 10 and all((source.root / cell).is_file() for cell in paths)
        assert not any("missing" in note for note in source.notes)


def test_ids_that_few_files_are_called_by_are_no_files(tmp_path: Path) -> None:
    _clips(tmp_path, [f"rec/{k}.wav" for k in range(5)])
    assert _read(_table(tmp_path / "ids.csv", [str(k) for k in range(20)])).kinds == {}


def test_a_table_in_a_home_does_not_make_it_be_gone_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of ever more kinds end the search, not files of one; names that few rows could bear begin none."""
    for place in range(40):
        (tmp_path / f"a{place}.{'abcdefghij'[place % 10]}{'xyzw'[place // 10]}").write_text("")
    _clips(tmp_path, [f"z/{k}.wav" for k in range(20)])
    seen: list[str] = []

    def walked(root: Path) -> Iterator[str]:
        for name in sorted(files_below(root)):
            seen.append(name)
            yield name

    monkeypatch.setattr("leadline.readers.manifest.files_below", walked)
    monkeypatch.setattr("leadline.readers.manifest.MOST_SUFFIXES", 10)
    assert _read(_table(tmp_path / "ids.csv", [str(k) for k in range(20)])).kinds == {}
    assert 0 < len(seen) < 15
    seen.clear()
    pl.DataFrame({"town": ["Oslo", "Rome", "Lima"] * 40, "label": ["a", "b"] * 60}).write_csv(tmp_path / "towns.csv")
    assert _read(tmp_path / "towns.csv").kinds == {}
    assert not seen


def test_notes_beside_every_clip_are_no_home(tmp_path: Path) -> None:
    _clips(tmp_path, [f"rec/clip_{k}.wav" for k in range(20)])
    for place in range(5_000):
        (tmp_path / f"note{place}.{place:04}").write_text("")
        (tmp_path / f"note{place}.xml").write_text("")
    assert _read(_table(tmp_path / "ids.csv", [f"clip_{k}" for k in range(20)])).kinds == {"path": "audio"}


def test_files_whose_names_are_composed_otherwise_are_found(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for number in range(3):
        (tmp_path / "clips" / f"cafe\u0301 {number}.wav").write_bytes(b"sound")  # as a Mac writes it
    rows = "".join(f"café {number}.wav,{number % 2}\n" for number in range(3))
    (tmp_path / "clips.csv").write_text(f"path,label\n{rows}", encoding="utf-8")
    source = read(tmp_path / "clips.csv", cache=tmp_path / "cache")
    assert source.kinds == {"path": "audio"} and source.root is not None
    assert all((source.root / path).is_file() for path in source.train.collect()["path"])
