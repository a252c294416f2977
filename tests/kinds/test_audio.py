"""Sounds of any length, rate and container: decoded, cut alike alone and in any batch, or set aside with a sentence."""

from __future__ import annotations

import io
import os
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
from PIL import Image as Pillow

from leadline.core.kind import Decoded, Fit, Limits
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.audio.files import MOST_SECONDS
from leadline.kinds.audio.frames import EPS, MELS, PADDING, Frames
from leadline.kinds.audio.kind import CEPSTRA, GRID, Audio
from leadline.system.errors import SourceError

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


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU"])
def test_of_a_file_that_is_cut_short_the_beginning_is_kept(kind: str) -> None:
    content = _bytes(_tone(20), kind=kind)
    (full,), (half,) = _decode(content).values, _decode(content[: len(content) // 2]).values
    assert 0.2 * len(full) < len(half) < 0.6 * len(full)
    np.testing.assert_array_equal(half, full[: len(half)])


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
    assert decoded.bad[1] == "prose.wav cannot be read as audio (Format not recognised)"
    assert _decode(b"prose").bad[0] == "an encoded sound cannot be read as audio (Format not recognised)"
    assert "the file is empty" in decoded.bad[0] and "it holds no samples" in decoded.bad[3]
    assert "most of its samples are not numbers" in decoded.bad[4] and "no such file" in decoded.bad[5]


def test_infinities_of_either_sign_are_silence() -> None:
    wave = np.stack([_tone(0.5), _tone(0.5)], axis=1).astype(np.float32)
    wave[:100], wave[200] = np.nan, (np.inf, -np.inf)
    (sound,) = _decode(_bytes(wave, subtype="FLOAT")).values
    assert not sound[:100].any() and sound[200] == 0
    np.testing.assert_allclose(sound[201:], wave[201:, 0] * 32_767, atol=1)
    (huge,) = _decode(_bytes(1e37 * _tone(0.5, 44_100), 44_100, subtype="FLOAT")).values
    assert huge.max() > 30_000 and huge.min() > PADDING


def test_a_source_of_broken_files_is_refused_in_one_sentence(prepare: Any) -> None:
    frame = pl.DataFrame({"sound": [b"ID3 but nothing after it"] * 60, "y": ["a", "b"] * 30})
    with pytest.raises(
        SourceError,
        match="None of 39 values of column 'sound' can be read as audio, such as row 3: an encoded sound cannot be",
    ):
        prepare(frame, target="y")


@pytest.mark.parametrize("second", [-1.0, -0.9, 0.0, 1.0])
@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_cancel_out_are_no_silence(second: float, channels: int) -> None:
    """A channel upside down, as a badly wired cable leaves it, is heard well by two ears."""
    wave = _tone(1.0)
    (sound,) = _decode(_bytes(np.stack([wave, second * wave] * (channels // 2), axis=1))).values
    loudness = np.abs(sound).max() / 32_767
    assert loudness == pytest.approx(0.5 if second < 0 else 0.5 * (1 + second) / 2, abs=0.01)
    assert Audio().blank(sound[None]).tolist() == [False]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("chunk", [b"", b"LIST\x04\0\0\0INFO"])
@pytest.mark.parametrize("form", ["bytes", "path"])
def test_a_wav_that_was_written_into_a_pipe_is_read(size: int, chunk: bytes, form: str, tmp_path: Path) -> None:
    content = _bytes(_tone(0.5))
    place = content.find(b"data")
    streamed = content[:place] + chunk + b"data" + size.to_bytes(4, "little") + content[place + 8 :]
    (tmp_path / "a.wav").write_bytes(streamed)
    decoded = _decode(streamed) if form == "bytes" else _decode("a.wav", root=tmp_path)
    assert not decoded.bad
    np.testing.assert_array_equal(decoded.values[0], _decode(content).values[0])


def test_a_wav_without_samples_is_bad() -> None:
    assert "holds no samples" in _decode(_bytes(np.zeros(0))).bad[0]


def test_silent_sounds_are_blank() -> None:
    rows = np.full((3, 100), PADDING, np.int16)
    rows[0, :50], rows[1, :50] = 3, -3
    rows[2, 10] = -2_000
    assert Audio().blank(rows).tolist() == [True, True, False]


def test_of_many_channels_less_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.kinds.audio.files.MOST_VALUES", 4 * RATE)
    (sound,) = _decode(_bytes(np.zeros((2 * RATE, 8), np.int16))).values
    assert len(sound) == RATE // 2


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


def test_a_picture_in_a_riff_is_a_picture_and_every_mpeg_is_a_sound() -> None:
    file = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(file, "WEBP")
    for content, name in ((file.getvalue(), "image"), (_bytes(_tone(0.2), kind="MP3"), "audio")):
        assert next(kind for kind in KINDS if KINDS[kind].sniff(pl.Series([content]), None)) == name


@pytest.mark.parametrize(("given", "taken"), [((8, 16, 16), 16), ((96, 96, 44), 22.05), ((1,), 4)])
def test_the_commonest_rate_is_taken_within_bounds(given: tuple[int, ...], taken: float) -> None:
    cells = pl.Series([_bytes(_tone(0.1), 1_000 * rate) for rate in given])
    assert Audio().sniff(cells, None) == {"rate": 1_000 * taken}


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


@pytest.mark.parametrize(("rows", "seconds", "heard"), [(100, 30.0, 6.0), (100, 300.0, 20.0), (9_000, 30.0, 5.0)])
def test_what_is_heard_of_long_sounds_follows_the_budget(rows: int, seconds: float, heard: float) -> None:
    """Minutes of each of many sounds would leave a network of a short run no time for a single pass."""
    sounds = [np.zeros(20 * RATE, np.int16)] * 3
    fit = Audio().fit([sounds], {"rate": RATE}, Limits(rows=rows, seconds=seconds, columns=("sound",)))
    assert abs(fit.encode.shape[0] / RATE - heard) <= 0.05 * heard
    assert fit.settings["cut"] == (heard < 20.0)


def test_features_are_the_same_to_the_last_bit_alone_and_in_any_batch() -> None:
    """A tree's threshold flips on it: in single precision, several of these rows differ."""
    rng = np.random.default_rng(0)
    sounds = [
        (rng.normal(0, 3_000, n) * np.abs(np.sin(np.arange(n) / 900))).astype(np.int16)
        for n in rng.integers(2_200, 9_000, 250)
    ]
    dense = Session(_fit(sounds).forms["dense"].graph)
    alone = np.concatenate([dense.only({"encoded": sound[None]}) for sound in sounds])
    for extra in (0, 1, 4_321):
        np.testing.assert_array_equal(dense.only({"encoded": _batch(sounds, extra)}), alone)


def test_features_agree_with_numpy() -> None:
    sounds = [(_tone(n, hertz=h) * 32_767).astype(np.int16) for n, h in ((0.1, 500), (0.7, 900), (2.0, 2_500))]
    sounds.append(np.zeros(5_000, np.int16))
    fit = _fit(sounds)
    encode, dense = Session(fit.encode.graph), Session(fit.forms["dense"].graph)
    frames = Frames(rate=RATE, size=fit.settings["size"], hop=fit.settings["hop"])
    for sound in sounds:
        found = dense.only({"encoded": encode.only({"sound": sound[None]})})[0]
        np.testing.assert_allclose(found, _described(sound, frames), rtol=0, atol=0.51 / GRID)


def _described(sound: np.ndarray, frames: Frames) -> np.ndarray:
    """Moments over time of bands, cepstra and level, the size of their changes, and the length."""
    seconds = len(sound) / frames.rate
    wave = np.pad(sound / 32_768, (0, max(0, frames.least - len(sound))))
    window = np.hanning(frames.size + 1)[:-1]
    cut = np.lib.stride_tricks.sliding_window_view(wave, frames.size)[:: frames.hop]
    power = np.abs(np.fft.rfft(cut * window) * 2 / window.sum()) ** 2
    mel = np.log(power @ frames.mels() + EPS)
    n, k = np.meshgrid(np.arange(MELS) + 0.5, np.arange(CEPSTRA), indexing="ij")
    cosines = np.cos(np.pi / MELS * n * k) * np.sqrt(2 / MELS)
    cosines[:, 0] /= np.sqrt(2)
    rows = np.concatenate([mel, mel @ cosines, np.log(power.sum(1, keepdims=True) + EPS)], axis=1)
    change = np.abs(np.diff(rows, axis=0))
    parts = [rows.mean(0), rows.std(0), rows.min(0), rows.max(0)]
    # The mean change is over one step fewer, its deviation likewise.
    parts += [change.mean(0), change.std(0), [np.log(seconds)]]
    return np.concatenate(parts)


def test_what_another_thread_writes_to_standard_error_stays(tmp_path: Path, capfd: Any) -> None:
    whole = _bytes(_tone(2.0), kind="MP3")
    (tmp_path / "cut.mp3").write_bytes(whole[: len(whole) // 2])  # its header promises twice as much: the decoder warns
    (tmp_path / "shreds.mp3").write_bytes(whole[:200])
    lines, done = 0, threading.Event()

    def write() -> None:
        nonlocal lines
        while not done.is_set():
            os.write(2, b"\nanother thread\n")
            lines += 1
            time.sleep(1e-4)

    thread = threading.Thread(target=write)
    thread.start()
    while lines < 20:  # however fast the decoder is, the other thread writes while it decodes
        decoded = Audio().decode(pl.Series(["cut.mp3", "shreds.mp3"] * 20), tmp_path, {"rate": 8_000})
    done.set()
    thread.join()
    assert len(decoded.values[0]) > 0
    assert decoded.bad[1] == "shreds.mp3 cannot be read as audio (no sound is found in it; it may be cut short)"
    assert capfd.readouterr().err.count("another thread") == lines
