"""Sounds of any length, rate and container: decoded, cut alike alone and in any batch, or set aside with a sentence."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from leadline.kinds import KINDS
from leadline.kinds.audio import MOST_SECONDS, PADDING, Audio, Frames
from leadline.kinds.kind import Decoded, Fit, Limits
from leadline.ship.runtime import Session

RATE = 8_000


def _tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def _bytes(wave: np.ndarray, rate: int = RATE, kind: str = "WAV", **how: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=kind, **how)
    return file.getvalue()


def _decode(*cells: Any, root: Path | None = None, rate: int = RATE) -> Decoded:
    return Audio().decode(pl.Series(list(cells)), root, {"rate": rate})


def _fit(sounds: list[np.ndarray], rows: int = 100) -> Fit:
    return Audio().fit([sounds], {"rate": RATE}, Limits(rows=rows, seconds=60, columns=("sound",)))


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU"])
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_every_container_gives_the_sound(kind: str, rate: int) -> None:
    (sound,) = _decode(_bytes(_tone(0.5, rate), rate, kind)).values
    assert sound.dtype == np.int16 and abs(len(sound) - RATE / 2) < 0.2 * RATE
    spectrum = np.abs(np.fft.rfft(sound[:2_000] * np.hanning(2_000)))
    assert abs(spectrum.argmax() * RATE / 2_000 - 440) < 8 and sound.max() == pytest.approx(0.5 * 32_767, rel=0.1)


def test_odd_sounds_are_decoded() -> None:
    wave = _tone(1.0)
    holes = np.where(np.arange(RATE) % 50 == 0, np.nan, wave)
    cells = {
        "tenth": _bytes(_tone(0.1)), "minute": _bytes(_tone(60)), "silent": _bytes(np.zeros(RATE)),
        "clipped": _bytes(np.clip(wave * 9, -1, 1)), "eight": _bytes(wave, subtype="PCM_U8"),
        "stereo": _bytes(np.stack([wave, wave], axis=1)), "fast": _bytes(_tone(1, 96_000), 96_000),
        "holes": _bytes(holes, subtype="FLOAT"), "one": _bytes(wave[:1]), "loud": _bytes(wave * 50, subtype="FLOAT"),
        "infinite": _bytes(np.where(np.arange(RATE) == 7, np.inf, wave), subtype="FLOAT"),
    }  # fmt: skip
    decoded = _decode(*cells.values())
    assert not decoded.bad
    sounds = dict(zip(cells, decoded.values, strict=True))
    assert {name: len(sound) for name, sound in sounds.items() if len(sound) != RATE} == {
        "tenth": RATE // 10, "minute": 60 * RATE, "one": 1,
    }  # fmt: skip
    assert all(sound.min() > PADDING for sound in sounds.values())
    assert not sounds["silent"].any() and np.abs(sounds["stereo"].astype(int) - sounds["loud"] // 50).max() < 33_000
    np.testing.assert_allclose(sounds["eight"], sounds["stereo"], atol=300)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_what_there_is_of_a_truncated_file_is_kept_or_said(kind: str) -> None:
    whole = _bytes(_tone(20), kind=kind)
    decoded = _decode(whole[: len(whole) // 2])
    if decoded.bad:
        assert "cannot be read as audio" in decoded.bad[0]
    else:
        assert RATE < len(decoded.values[0]) < 20 * RATE


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "prose.wav").write_text("no sound at all")
    (tmp_path / "header.wav").write_bytes(_bytes(_tone(1))[:20])
    (tmp_path / "none.wav").write_bytes(_bytes(np.zeros(0)))
    (tmp_path / "nan.wav").write_bytes(_bytes(np.full(99, np.nan), subtype="FLOAT"))
    names = ["empty.wav", "prose.wav", "header.wav", "none.wav", "nan.wav", "missing.wav", None]
    decoded = _decode(*names, root=tmp_path)
    assert set(decoded.bad) == set(range(len(names))) and all(value is None for value in decoded.values)
    assert all("cannot be read as audio (" in why and "\n" not in why for why in decoded.bad.values())
    assert "the file is empty" in decoded.bad[0] and "it holds no samples" in decoded.bad[3]
    assert "most of its samples are not numbers" in decoded.bad[4] and "no such file" in decoded.bad[5]


def test_a_file_of_hours_is_read_in_bounded_memory(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "hours.flac", "w", RATE, 1) as file:
        for _ in range(30):
            file.write(np.zeros(2 * 60 * RATE))
    tracemalloc.start()
    (sound,) = _decode("hours.flac", root=tmp_path).values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sound) == MOST_SECONDS * RATE and peak < 30 * len(sound)


def test_sniffing_tells_sounds_from_pictures_and_words(tmp_path: Path) -> None:
    (tmp_path / "a.WAV").write_bytes(_bytes(_tone(0.2, 44_100), 44_100))
    assert Audio().sniff(pl.Series(["a.WAV", "a.WAV"]), tmp_path) == {"rate": 22_050}
    assert Audio().sniff(pl.Series([_bytes(_tone(0.2))] * 3), None) == {"rate": 8_000}
    packed = pl.Series([{"bytes": _bytes(_tone(0.2)), "path": "a.wav"}])
    assert Audio().sniff(packed, None) == {"rate": 8_000}
    for cells in (["a.jpg"], ["some words"], [b"\x89PNG\r\n"], [1.5]):
        assert Audio().sniff(pl.Series(cells), None) is None
    assert next(name for name, kind in KINDS.items() if kind.sniff(packed, None)) == "audio"


def _batch(sounds: list[np.ndarray], extra: int = 0) -> np.ndarray:
    batch = np.full((len(sounds), max(map(len, sounds)) + extra), PADDING, np.int16)
    for row, sound in zip(batch, sounds, strict=True):
        row[: len(sound)] = sound
    return batch


def test_a_sound_is_the_same_alone_and_in_any_batch() -> None:
    rng = np.random.default_rng(0)
    sounds = [(rng.normal(0, 2_000, n)).astype(np.int16) for n in (1, 50, 800, 4_000, 7_777, 16_000)]
    fit = _fit(sounds)
    encode, dense = Session(fit.encode.graph), Session(fit.forms["dense"].graph)
    together = encode.only({"sound": _batch(sounds, extra=999)})
    features = dense.only({"encoded": together})
    assert np.isfinite(features).all() and features.shape[1:] == fit.forms["dense"].shape
    for i, sound in enumerate(sounds):
        alone = encode.only({"sound": sound[None]})
        np.testing.assert_array_equal(together[i, : alone.shape[1]], alone[0])
        assert (together[i, alone.shape[1] :] == PADDING).all()
        np.testing.assert_array_equal(dense.only({"encoded": alone})[0], features[i])


def test_of_a_long_sound_the_loudest_stretch_is_kept() -> None:
    frames = Frames.of(RATE, RATE)
    usual = [np.ones(2 * RATE, np.int16)] * 5
    fit = _fit(usual)
    longest = fit.encode.shape[0]
    sound = np.zeros(10 * RATE, np.int16)
    sound[5 * RATE : 6 * RATE] = 9_000
    (kept,) = Session(fit.encode.graph).only({"sound": sound[None]})
    assert len(kept) == longest >= 2 * RATE and (kept == 9_000).sum() == RATE
    several = np.stack([sound, np.roll(sound, 3 * RATE)])
    for row, alone in zip(several, Session(fit.encode.graph).only({"sound": several}), strict=True):
        np.testing.assert_array_equal(Session(fit.encode.graph).only({"sound": row[None]})[0], alone)
    assert frames.hop == fit.settings["hop"]
