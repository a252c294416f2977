"""Class folders of audio: read as class folders of images are."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from leadline.readers.media import MEDIA
from leadline.readers.source import Source, read
from leadline.system.errors import SourceError


def _put(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"content of " + name.encode())
    return folder


def _read(folder: Path) -> Source:
    return read(folder, cache=folder.parent / "cache")


@pytest.mark.parametrize("suffix", MEDIA["audio"])
def test_every_suffix_of_audio(suffix: str, tmp_path: Path) -> None:
    source = _read(_put(tmp_path / "sounds", f"dog/1{suffix}", f"cat/2{suffix.upper()}", "cat/._2.wav"))
    assert source.train.collect().rows() == [(f"cat/2{suffix.upper()}", "cat"), (f"dog/1{suffix}", "dog")]
    assert source.train.collect_schema().names() == ["audio", "label"]
    assert (source.kinds, source.target, source.name) == ({"audio": "audio"}, "label", "sounds")


def test_parts_of_audio(tmp_path: Path) -> None:
    folder = _put(tmp_path / "s", "train/a/1.wav", "train/b/2.wav", "dev/a/3.wav", "test/b/4.wav", "more/a/5.wav")
    source = _read(_put(folder, "test/notes.txt", "9.wav", "train/a/list.txt"))
    assert source.valid is not None and source.valid.collect().rows() == [("dev/a/3.wav", "a")]
    assert source.test is not None and source.test.collect().rows() == [("test/b/4.wav", "b")]
    assert source.notes == (
        "1 audio file directly in s/ without a class, left out",
        "train/ is the training set, dev/ is the validation set, test/ is the test set",
        "more/ is no part (train, valid, test); it is left out",
        "1 file in class folders not audio, such as train/a/list.txt, left out",
    )


def test_the_commoner_medium_is_read_and_the_other_said(tmp_path: Path) -> None:
    folder = _put(tmp_path / "mixed", "a/1.wav", "a/2.wav", "b/3.flac", "b/5.wav", "a/1.png", "b/3.png", "c/4.jpg")
    source = _read(folder)
    assert source.train.collect()["audio"].to_list() == ["a/1.wav", "a/2.wav", "b/3.flac", "b/5.wav"]
    assert source.notes == (
        "3 images in mixed/ left out, because most of it is audio",
        "class folder c/ holds no audio file; it is left out",
    )


def test_flat_audio_and_one_clip_are_explained(tmp_path: Path) -> None:
    folder = _put(tmp_path / "clips", "1.wav", "2.mp3")
    with pytest.raises(SourceError, match=r"clips/ holds 2 audio files but no subfolder a class; put each"):
        _read(folder)
    with pytest.raises(SourceError, match=r"1\.wav is one audio file; give the folder that holds one"):
        _read(folder / "1.wav")


def test_audio_in_parquet_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    wav = b"RIFF\x24\0\0\0WAVEfmt "
    frame = pl.DataFrame({"clip": [{"bytes": wav, "path": "1.wav"}] * 2, "raw": [None, b"fLaC\0"], "label": [0, 1]})
    frame.write_parquet(tmp_path / "sounds.parquet")
    assert read(tmp_path / "sounds.parquet", cache=tmp_path / "cache").kinds == {"clip": "audio", "raw": "audio"}
