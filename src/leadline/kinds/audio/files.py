"""Files of sound: which they are, their samples, and what they say besides their content."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.kind import Rows

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")

MPEG = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")  # versions 1, 2 and 2.5

MAGIC = (b"fLaC", b"OggS", b"ID3", b".snd", *MPEG)

CONTAINERS = {b"RIFF": (b"WAVE",), b"RF64": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}  # pictures come in RIFF too

HEAD_BYTES = 4_096  # of a WAV, in which the chunk of its samples begins

MOST_SECONDS = 600.0  # decoded of one file

MOST_VALUES = 2**26  # decoded of one file, all channels together: 256 MB

CANCELLED = 0.05  # of the loudest channel's power that the sum of all must have, or they cancel each other out
BEGINNING = re.compile(b"|".join(map(re.escape, MAGIC)) + rb"|RIFF.{4}WAVE", re.DOTALL)  # of files that may be tables
A_FILE = 3e-4  # seconds to cut one
SHORT = 0.02  # quantile of the lengths that sounds are cut to
WORDS = {"seconds": "the duration", "rate": "the sampling rate", "channels": "the number of channels"}


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


def place(cell: Any) -> str:
    """The name of a value in messages: its path, where it has one."""
    if isinstance(cell, dict):
        cell = cell.get("path") or "an encoded sound"
    return str(cell) if isinstance(cell, str) else "an encoded sound"


def _file(cell: Any, root: Path | None) -> Any:
    """What soundfile opens: a path, or bytes as a file."""
    if isinstance(cell, dict):
        cell = cell["bytes"] if cell.get("bytes") is not None else cell["path"]
    if cell is None:
        raise ValueError("the value is empty")
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


def rate_of(cell: Any, root: Path | None) -> int | None:
    """Samples a second of a file of sound; None where it cannot be read."""
    import soundfile

    try:
        return int(soundfile.info(_file(cell, root)).samplerate)
    except Exception:  # it is decoded later, and then reported
        return None


def opened(cell: Any, root: Path | None, rate: int) -> np.ndarray:
    """int16 [samples], one channel; the first `MOST_SECONDS` of it.

    One call reads it all: between two, soundfile seeks, which in an MP3 is not exact. What the decoder of MP3 writes to
    standard error stays: to redirect it would lose what other threads write there.
    """
    import soundfile

    with soundfile.SoundFile(_file(cell, root)) as file:
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

    A channel that is another one with inverted sign sounds well to two ears, and is silence as a mean.
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


def properties(source: Any) -> Mapping[str, Any]:
    """What a file, given as a path or opened, says besides its content."""
    import soundfile

    info = soundfile.info(source if isinstance(source, io.BytesIO) else str(source))
    return {"seconds": info.frames / info.samplerate, "rate": info.samplerate, "channels": info.channels}


def cut_alike(rows: Rows, root: Path | None, encode: bytes) -> np.ndarray:
    """The tensor of some rows, cut to about the shortest length."""
    sounds, padding = np.array(rows.tensor[rows.places]), rows.block.padding or 0
    lengths = (sounds != padding).sum(axis=1)
    sounds[:, max(1, int(np.quantile(lengths, SHORT))) :] = padding
    return sounds
