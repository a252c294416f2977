"""Sounds: int16 samples of any number at one stated rate in, int16 out, cut to the loudest stretch that is affordable.

Decoding (container, mixing to one channel, resampling) is outside the graph, by libsndfile and soxr. Rows differ in
length: the store fills them up with -32768, a value that no sample has, and so may a caller who puts several sounds
into one batch. Whoever reads them leaves those samples out.

Contenders read 'dense': statistics over time of mel-frequency cepstral coefficients (Davis and Mermelstein 1980), their
changes, loudness and spectral shape, rounded so that a last bit cannot flip a tree.
"""

from __future__ import annotations

import io
import math
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.kind import Decoded, Fit, Limits, Tensor

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")
MPEG = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")  # versions 1, 2 and 2.5
MAGIC = (b"fLaC", b"OggS", b"ID3", b".snd", *MPEG)
CONTAINERS = {b"RIFF": (b"WAVE",), b"RF64": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}  # pictures come in RIFF too
HEAD_BYTES = 4_096  # of a WAV, in which the chunk of its samples begins
PADDING = -32_768  # marks what is no sample; samples are -32767 to 32767
HIGHEST, LOWEST = 22_050, 4_000  # samples a second
MOST_SECONDS = 600.0  # decoded of one file
MOST_VALUES = 2**26  # decoded of one file, all channels together: 256 MB
LONGEST, SHORTEST = 60.0, 5.0  # seconds kept of one sound, at most; and, where there are many, at least at most
HEARD = 20.0  # seconds of sound, of all train rows, for a second of the budget: a network can hear them some ten times
MOST_SAMPLES = 2e9  # of all rows together: 4 GB on disk
STEPS = 16  # spectra in a sound, at least: a shorter one counts as if silence followed
MELS, CEPSTRA = 64, 20
EPS = 1e-6  # added to the power of a band before its logarithm: the loudest is about 1
SILENT = 33  # of 32,767: 60 dB under the loudest that a file can hold
CANCELLED = 0.05  # of the loudest channel's power that the sum of all must have, or they cancel each other out
GRID = 64.0  # parts of a unit to which features are rounded


@dataclass(frozen=True, kw_only=True)
class Frames:
    """How a sound is cut into spectra: Hann windows of `size` samples, one every `hop`."""

    rate: int
    size: int
    hop: int

    @classmethod
    def of(cls, rate: int, longest: int) -> Frames:
        """About 30 ms a window, half of it a hop; twice that for sounds over three seconds."""
        size = 2 ** round(math.log2(0.03 * rate))
        size = size if longest <= 3 * rate else 2 * size
        return cls(rate=rate, size=size, hop=size // 2)

    @property
    def least(self) -> int:
        """Samples in the shortest sound."""
        return self.size + (STEPS - 1) * self.hop

    def basis(self) -> np.ndarray:
        """Windowed cosines, then sines, over a sound scaled to [-1, 1]: float32 [2 * (size / 2 + 1), size]."""
        angles = 2 * np.pi * np.outer(np.arange(self.size // 2 + 1), np.arange(self.size)) / self.size
        return np.concatenate([np.cos(angles) * self.window(), -np.sin(angles) * self.window()]).astype(np.float32)

    def window(self) -> np.ndarray:
        """A Hann window under which a sine of full scale has a power of about 1: float64 [size]."""
        window = np.hanning(self.size + 1)[:-1]
        return np.asarray(window / window.sum() * 2 / 32_768)

    def mels(self) -> np.ndarray:
        """Triangular bands, equally wide on the mel scale (O'Shaughnessy 1987): float32 [size / 2 + 1, MELS]."""
        edges = 700 * (10 ** (np.linspace(_mel(30.0), _mel(self.rate / 2), MELS + 2) / 2595) - 1)
        bins = np.linspace(0, self.rate / 2, self.size // 2 + 1)[:, None]
        rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        bands = np.maximum(0.0, np.minimum(rising, falling))
        # A band narrower than a bin would hold none: it takes the nearest.
        for band in np.flatnonzero(bands.sum(axis=0) == 0):
            bands[np.abs(bins[:, 0] - edges[band + 1]).argmin(), band] = 1.0
        return bands.astype(np.float32)


def spectrogram(sound: np.ndarray, settings: Mapping[str, Any], most: int) -> np.ndarray:
    """uint8 [MELS, steps, 1] of int16 samples: time to the right, pitch upwards, loud is dark; about `most` steps."""
    frames = Frames(rate=settings["rate"], size=settings["size"], hop=settings["hop"])
    wave = np.pad(sound.astype(np.float32), (0, max(0, frames.least - len(sound))))
    hop = max(frames.hop, len(wave) // most)
    steps = np.lib.stride_tricks.sliding_window_view(wave, frames.size)[::hop] * frames.window().astype(np.float32)
    level = np.log(np.abs(np.fft.rfft(steps)) ** 2 @ frames.mels() + EPS)
    spread = (level - level.min()) / (np.ptp(level) or 1.0)
    return np.asarray(255 * (1 - spread.T[::-1, :, None]), np.uint8)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


NO_FRAME = 7  # of libsndfile, which calls an MP3 without a whole frame no regular file


class Audio:
    name = "audio"
    joint = False
    ragged = True
    blank_is = "silent"
    sample = 64
    onnx_input = "int16"
    native: str | None = None

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        cells = cells.drop_nulls()
        if not len(cells) or not looks_like_audio(cells):
            return None
        rates = [rate for cell in cells.gather_every(max(1, len(cells) // 24)).to_list() if (rate := _rate(cell, root))]
        common = max(set(rates), key=rates.count) if rates else HIGHEST
        return {"rate": max(LOWEST, min(HIGHEST, common))}

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        values: list[Any] = []
        bad: dict[int, str] = {}
        for position, cell in enumerate(cells.to_list()):
            try:
                values.append(_open(cell, root, int(settings["rate"])))
            except Exception as error:  # libsndfile raises what it likes for a broken file; each sets one row aside
                values.append(None)
                # libsndfile's own words, without the path or the address that it puts before them
                why = getattr(error, "error_string", str(error)).removeprefix("Error : ").rstrip(".")
                if getattr(error, "code", None) == NO_FRAME:
                    why = "no sound is found in it; it may be cut short"
                bad[position] = f"{_place(cell)} cannot be read as audio ({why})"
        return Decoded(values=values, bad=bad)

    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Encoded rows int16 [n, samples], filled up with marks -> bool [n]: those in which nothing sounds."""
        heard = np.where(rows == PADDING, 0, np.abs(np.where(rows == PADDING, 0, rows)))
        return np.asarray(heard.max(axis=1) < SILENT)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        rate = int(settings["rate"])
        lengths = [len(sound) for sound in samples[0] if sound is not None]
        lengths = lengths or [rate]  # none of the sample can be read: the store says so
        rows = max(limits.rows, 1)
        heard = min(LONGEST, max(SHORTEST, HEARD * limits.seconds / rows))
        longest = int(min(1.05 * max(lengths), heard * rate, MOST_SAMPLES / rows))
        usual = min(longest, int(np.quantile(lengths, 0.9)))
        frames = Frames.of(rate, usual)
        longest, usual = max(longest, frames.least), max(usual, frames.least)
        facts = {
            "rate": rate, "size": frames.size, "hop": frames.hop, "least": frames.least, "usual": usual,
            "longest": longest, "cut": max(lengths) > longest,
        }  # fmt: skip
        return Fit(
            settings=facts,
            encode=Tensor(
                graph=_cutter(limits.columns[0], longest, frames), shape=(longest,), dtype="int16", padding=PADDING
            ),
            forms={"dense": _statistics(frames)},
        )


def looks_like_audio(cells: pl.Series) -> bool:
    """Paths with a suffix of sound, or bytes that begin like sound."""
    if isinstance(cells.dtype, pl.Struct):
        if "bytes" not in {field.name for field in cells.dtype.fields}:
            return False
        cells = cells.struct.field("bytes").drop_nulls()
    if cells.dtype == pl.Binary:
        return len(cells) > 0 and all(_begins(cell) for cell in cells.head(20).to_list())
    if cells.dtype != pl.String:
        return False
    return all(str(cell).lower().endswith(SUFFIXES) for cell in cells.head(50))


def _begins(content: bytes) -> bool:
    """Whether this is the beginning of a file of sound."""
    return content.startswith(MAGIC) or content[8:12] in CONTAINERS.get(content[:4], ())


def _place(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = cell.get("path") or "an encoded sound"
    return str(cell) if isinstance(cell, str) else "an encoded sound"


def _file(cell: Any, root: Path | None) -> Any:
    """What soundfile opens: a path, or bytes as a file."""
    if isinstance(cell, dict):
        cell = cell["bytes"] if cell.get("bytes") is not None else cell["path"]
    if cell is None:
        raise ValueError("the cell is empty")
    if not isinstance(cell, str):
        return io.BytesIO(_with_size(cell) if _is_streamed(cell[:HEAD_BYTES]) else cell)
    path = Path(cell) if root is None else root / cell
    if not path.is_file():
        raise ValueError("no such file")
    if not path.stat().st_size:
        raise ValueError("the file is empty")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return io.BytesIO(_with_size(path.read_bytes())) if _is_streamed(head) else str(path)


def _is_streamed(head: bytes) -> bool:
    """Whether a WAV states no size of its samples, as programs leave it that write into a pipe."""
    place = head.find(b"data") if head[:4] == b"RIFF" else -1
    return place >= 0 and head[place + 4 : place + 8] == bytes(4) and len(head) > place + 8


def _with_size(content: bytes) -> bytes:
    """The same file with the size of its samples stated: all that follows."""
    place = content.find(b"data") + 4
    return content[:place] + (len(content) - place - 4).to_bytes(4, "little") + content[place + 4 :]


class _Hush:
    """While a file is open: what its decoder writes to standard error, past Python, is let fall.

    mpg123 warns there of headers that are off by a little, of no file that a user would know. Threads may decode side
    by side: the first one in turns it off, the last one out turns it on.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._kept = threading.Lock(), 0, -1

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                if sys.stderr is not None:
                    sys.stderr.flush()
                try:
                    self._kept = os.dup(2)
                except OSError:  # there is no standard error to write to
                    self._kept = -1
                    return
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, 2)
                os.close(nothing)

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._kept >= 0:
                os.dup2(self._kept, 2)
                os.close(self._kept)


_HUSH = _Hush()


def _rate(cell: Any, root: Path | None) -> int | None:
    import soundfile

    try:
        with _HUSH:
            return int(soundfile.info(_file(cell, root)).samplerate)
    except Exception:  # it is decoded later, and then said
        return None


def _open(cell: Any, root: Path | None, rate: int) -> np.ndarray:
    """int16 [samples], one channel; the first `MOST_SECONDS` of it.

    One call reads it all: between two, soundfile seeks, which in an MP3 is not exact.
    """
    import soundfile

    with _HUSH, soundfile.SoundFile(_file(cell, root)) as file:
        given = file.samplerate
        most = min(file.frames, int(MOST_SECONDS * given), MOST_VALUES // file.channels)
        sound = np.full((most, file.channels), np.nan, np.float32)
        try:
            sound = file.read(out=sound)
        except soundfile.LibsndfileError:
            known = np.flatnonzero(~np.isnan(sound[:, 0]))  # cut short: what came before is kept, the rest unwritten
            if not len(known):
                raise
            sound = sound[: known[-1] + 1]
    if not len(sound):
        raise ValueError("it holds no samples")
    broken = ~np.isfinite(sound)
    if broken.mean() > 0.5:
        raise ValueError("most of its samples are not numbers")
    sound[broken] = 0.0
    return _resampled(_mixed(np.clip(sound, -1.0, 1.0, out=sound)), given, rate)


def _mixed(sound: np.ndarray) -> np.ndarray:
    """float32 [samples, channels] -> [samples]: their mean, or the loudest where they cancel each other out.

    A channel that is another one upside down is heard well by two ears, and is silence as a mean.
    """
    mean = sound.mean(axis=1)
    if sound.shape[1] == 1:
        return np.asarray(mean)
    power = np.square(sound).mean(axis=0)
    loudest = int(power.argmax())
    kept = np.square(mean).mean() * sound.shape[1] ** 2 > CANCELLED * power[loudest]
    return np.asarray(mean if kept else sound[:, loudest])


def _resampled(sound: np.ndarray, given: int, rate: int) -> np.ndarray:
    if given != rate:
        import soxr

        sound = soxr.resample(sound, given, rate)
    if not len(sound):
        raise ValueError("it is shorter than a sample")
    return np.asarray(np.clip(np.round(sound * 32_767.0), -32_767, 32_767), np.int16)


def _cutter(column: str, longest: int, frames: Frames) -> Any:
    """int16 [N, samples] -> [N, at most `longest`]: the loudest stretch of each row, and marks to make up the
    shortest.
    """
    from leadline.graph.builder import Graph

    g = Graph("audio")
    x = g.input(column, np.int16, ["N", "samples"])
    axis, zero = g.const(np.array([1], np.int64)), g.const(np.array([0], np.int64))
    size = g.op("Shape", x, start=1, end=2)
    keep = g.op("Min", size, g.const(np.array([longest], np.int64)))
    there = g.op("Not", g.op("Equal", x, g.const(np.int16(PADDING))))
    wave = g.op("Where", there, g.op("Cast", x, to=11), g.const(np.float64(0)))
    summed = g.op("CumSum", g.op("Mul", wave, wave), g.const(np.int64(1)))
    summed = g.op("Pad", summed, g.const(np.array([0, 1, 0, 0], np.int64)))  # [N, samples + 1]
    hop = g.const(np.array([frames.hop], np.int64))
    last = g.op("Add", g.op("Sub", size, keep), g.const(np.array([1], np.int64)))
    energy = g.op(
        "Sub", g.op("Slice", summed, keep, g.op("Add", keep, last), axis, hop),
        g.op("Slice", summed, zero, last, axis, hop),
    )  # fmt: skip
    # A stretch that would end in marks is none: a row is cut alike alone and in any batch.
    own = g.op("ReduceSum", g.op("Cast", there, to=7), axis, keepdims=1)
    starts = g.op("Range", g.const(np.int64(0)), g.op("Squeeze", last), g.const(np.int64(frames.hop)))
    late = g.op("Greater", starts, g.op("Max", g.op("Sub", own, keep), g.const(np.int64(0))))
    energy = g.op("Where", late, g.const(np.float64(-1)), energy)
    start = g.op("Mul", g.op("ArgMax", energy, axis=1, keepdims=1), g.const(np.int64(frames.hop)))
    places = g.op("Add", start, g.op("Range", g.const(np.int64(0)), g.op("Squeeze", keep), g.const(np.int64(1))))
    cut = g.op("GatherElements", x, places, axis=1)
    lacking = g.op("Max", g.op("Sub", g.const(np.array([frames.least], np.int64)), keep), zero)
    ends = g.op("Concat", g.const(np.array([0, 0, 0], np.int64)), lacking, axis=0)
    # Pad and GatherElements know no int16 in every release: int32 in between.
    filled = g.op("Pad", g.op("Cast", cut, to=6), ends, g.const(np.int32(PADDING)))
    g.output("encoded", g.op("Cast", filled, to=5), np.int16, ["N", "kept"])
    return g.model()


def _statistics(frames: Frames) -> Tensor:
    """int16 [N, samples] with marks -> float32 [N, features].

    In double precision, and spectra by STFT, a frame at a time: a convolution's last bits depend on how many frames
    stand beside one, and in single precision one feature in 25,000 then rounds the other way.
    """
    from leadline.graph.builder import Graph

    g = Graph("statistics")
    x = g.input("encoded", np.int16, ["N", "samples"])
    one, two = g.const(np.array([1], np.int64)), g.const(np.array([2], np.int64))
    there = g.op("Not", g.op("Equal", x, g.const(np.int16(PADDING))))
    wave = g.op("Where", there, g.op("Cast", x, to=11), g.const(np.float64(0)))
    own = g.op("ReduceSum", g.op("Cast", there, to=7), one, keepdims=1)  # int64 [N, 1]
    counted = g.op("Max", own, g.const(np.int64(frames.least)))
    steps = g.op("Div", g.op("Sub", counted, g.const(np.int64(frames.size))), g.const(np.int64(frames.hop)))
    steps = g.op("Add", steps, g.const(np.int64(1)))
    spectra = g.op(
        "STFT", g.op("Unsqueeze", wave, two), g.const(np.int64(frames.hop)), g.const(frames.window()),
        g.const(np.int64(frames.size)), onesided=1,
    )  # fmt: skip
    parts_of = g.const(np.array([3], np.int64))
    power = g.op("ReduceSum", g.op("Mul", spectra, spectra), parts_of, keepdims=0)  # [N, steps, bins]
    mel = g.op(
        "Log", g.op("Add", g.op("MatMul", power, g.const(frames.mels().astype(np.float64))), g.const(np.float64(EPS)))
    )
    cepstra = g.op("MatMul", mel, g.const(_cosines().astype(np.float64)))
    level = g.op("Log", g.op("Add", g.op("ReduceSum", power, two, keepdims=1), g.const(np.float64(EPS))))
    rows = g.op("Concat", mel, cepstra, level, axis=2)
    place = g.op(
        "Range", g.const(np.int64(0)), g.op("Squeeze", g.op("Shape", rows, start=1, end=2)), g.const(np.int64(1))
    )
    valid = g.op("Unsqueeze", g.op("Less", place, steps), two)  # [N, steps, 1]
    parts = _moments(g, rows, valid, steps)
    later = g.op("Slice", rows, one, g.const(np.array([2**31], np.int64)), one)
    earlier = g.op("Slice", rows, g.const(np.array([0], np.int64)), g.const(np.array([-1], np.int64)), one)
    within = g.op("Slice", valid, one, g.const(np.array([2**31], np.int64)), one)
    change = g.op("Abs", g.op("Sub", later, earlier))
    parts += _moments(g, change, within, g.op("Sub", steps, g.const(np.int64(1))))[:2]
    duration = g.op("Log", g.op("Div", g.op("Cast", own, to=11), g.const(np.float64(frames.rate))))
    parts.append(g.op("Max", duration, g.const(np.float64(-10))))
    flat = g.op("Concat", *parts, axis=1)
    rounded = g.op("Div", g.op("Round", g.op("Mul", flat, g.const(np.float64(GRID)))), g.const(np.float64(GRID)))
    width = 6 * (MELS + CEPSTRA + 1) + 1
    g.output("dense", g.op("Cast", rounded, to=1), np.float32, ["N", width])
    return Tensor(graph=g.model(), shape=(width,), dtype="float32")


def _moments(g: Any, rows: str, valid: str, steps: str) -> list[str]:
    """Mean, deviation, smallest and largest over the valid steps of [N, steps, F]: four times [N, F]."""
    axis, zero = g.const(np.array([1], np.int64)), g.const(np.float64(0))
    count = g.op("Cast", steps, to=11)
    mean = g.op("Div", g.op("ReduceSum", g.op("Where", valid, rows, zero), axis, keepdims=0), count)
    off = g.op("Where", valid, g.op("Sub", rows, g.op("Unsqueeze", mean, axis)), zero)
    spread = g.op("Sqrt", g.op("Div", g.op("ReduceSum", g.op("Mul", off, off), axis, keepdims=0), count))
    least = g.op("ReduceMin", g.op("Where", valid, rows, g.const(np.float64(1e4))), axis, keepdims=0)
    most = g.op("ReduceMax", g.op("Where", valid, rows, g.const(np.float64(-1e4))), axis, keepdims=0)
    return [mean, spread, least, most]


def _cosines() -> np.ndarray:
    """The orthonormal discrete cosine transform, type II: float32 [MELS, CEPSTRA]."""
    angles = np.pi / MELS * np.outer(np.arange(MELS) + 0.5, np.arange(CEPSTRA))
    scale = np.where(np.arange(CEPSTRA) == 0, np.sqrt(1 / MELS), np.sqrt(2 / MELS))
    return np.asarray(np.cos(angles) * scale, np.float32)
