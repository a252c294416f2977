"""Sounds: int16 samples of any number at one stated rate in, int16 out, cut to the loudest stretch that is affordable.

Decoding (container, mixing to one channel, resampling) is outside the graph, by libsndfile and soxr. Rows differ in
length: the store fills them up with -32768, a value that no sample has, and so may a caller who puts several sounds
into one batch. Whoever reads them leaves those samples out.

Contenders read 'dense': statistics over time of mel-frequency cepstral coefficients (Davis and Mermelstein 1980), their
changes, loudness and spectral shape, rounded so that a last bit cannot flip a tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.json_types import whole
from leadline.core.kind import (
    CONVOLUTION,
    RECURRENT,
    Augmentation,
    Body,
    Decoded,
    FileProperties,
    Fit,
    Kind,
    Limits,
    Similarity,
    Tensor,
)
from leadline.core.parts import Parts, Value
from leadline.core.textbook import DEEP, EITHER, OFTEN, OPEN, USUALLY, Finding, Textbook
from leadline.kinds.audio import files
from leadline.kinds.audio.frames import EPS, MELS, PADDING, Frames, spectrogram
from leadline.kinds.audio.parts import bands, time_windows
from leadline.kinds.audio.pretrained import BODIES
from leadline.kinds.audio.similarity import pairs
from leadline.kinds.audio.transformers_body import reads_sounds, transformers_in
from leadline.kinds.body_folder import CONFIG, configuration

if TYPE_CHECKING:
    import torch

    from leadline.core.contender import Data
    from leadline.core.pretrained import PretrainedBody
    from leadline.core.tensors import Block

CEPSTRA = 20
WIDTHS = (8, 12, 16, 24, 32)  # channels of a convolution

HIGHEST, LOWEST = 22_050, 4_000  # samples a second
LONGEST, SHORTEST = 60.0, 5.0  # seconds kept of one sound, at most; and, where there are many, at least at most
HEARD = 20.0  # seconds of sound, of all train rows, for a second of the budget: a network can hear them some ten times
MOST_SAMPLES = 2e9  # of all rows together: 4 GB on disk
SILENT = 33  # of 32,767: 60 dB under the loudest that a file can hold
GRID = 64.0  # parts of a unit to which features are rounded


def _convolution(block: Block, width: int) -> Any:
    from leadline.kinds.audio.net import ConvSound

    return ConvSound(Frames.stated(block.settings), width)


def _recurrent(block: Block, width: int) -> Any:
    from leadline.kinds.audio.net import RecurrentSound

    return RecurrentSound(Frames.stated(block.settings), width)


def _augmentation(data: Data, tensor: str, seed: int) -> tuple[Augmentation, str]:
    from leadline.kinds.audio.augment import augmentation

    vary, said = augmentation(data, tensor, seed)
    return vary, f"{said}; spectra hidden in part"  # by the network itself


NO_FRAME = 7  # of libsndfile, which calls an MP3 without a whole frame no regular file


def _mixed(batch: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    from leadline.kinds.audio.augment import drawn, mix

    share, order = drawn(len(batch), generator)
    return mix(batch, share, order), share, order


_CONVOLUTION = Body(
    build=_convolution, widths=WIDTHS, batch=64, passes=60, prepared=2_000, augmentation=_augmentation, mix=_mixed,
)  # fmt: skip


class Audio(Kind):
    name = "audio"
    sample = 64
    onnx_input = "int16"
    variable_shape = is_file = costly = True
    fit_depends_on_rows = by_word = False
    suffixes, magic = files.SUFFIXES, files.BEGINNING
    noun, wanted, written_as = "audio file", "audio", "paths of audio files"
    seconds_per_row = 4e-3
    blank_is = "silent"
    bodies = {CONVOLUTION: _CONVOLUTION, RECURRENT: replace(_CONVOLUTION, build=_recurrent)}
    pretrained = BODIES
    similarity = Similarity(rate=400.0, pairs=pairs)
    file_properties = FileProperties(
        facts=files.properties, words=files.WORDS, removable=("seconds",), removed=files.cut_alike,
        seconds=lambda cells, root: files.A_FILE,
    )  # fmt: skip
    textbook = Textbook(
        data="sounds", seconds=4e-3, rank=2, by_class=True, pretrained=True,
        findings=(
            Finding(100, DEEP, USUALLY,
             "a spectrogram is read by convolutions as a picture is, given a hundred a class", "Hershey et al. 2017"),
            Finding(20, DEEP, OFTEN, "convolutions on spectrograms beat statistics of cepstra from dozens a class on",
             "Piczak 2015"),
            Finding(0, EITHER, OPEN, "with so few sounds a class, statistics of cepstra hold their own", "Piczak 2015"),
        ),
    )  # fmt: skip

    def has_body(self, folder: Path) -> bool:
        return reads_sounds(configuration(folder / CONFIG))

    def body_in(self, folder: Path) -> PretrainedBody | None:
        return transformers_in(folder)

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        cells = cells.drop_nulls()
        if not len(cells) or not files.looks_like_audio(cells):
            return None
        rates = [
            rate
            for cell in cells.gather_every(max(1, len(cells) // 24)).to_list()
            if (rate := files.rate_of(cell, root))
        ]
        common = max(set(rates), key=rates.count) if rates else HIGHEST
        return {"rate": max(LOWEST, min(HIGHEST, common))}

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        values: list[Any] = []
        bad: dict[int, str] = {}
        for position, cell in enumerate(cells.to_list()):
            try:
                values.append(files.opened(cell, root, int(settings["rate"])))
            except Exception as error:  # libsndfile raises what it likes for a broken file; each sets one row aside
                values.append(None)
                # libsndfile's own words, without the path or the address that it puts before them
                why = getattr(error, "error_string", str(error)).removeprefix("Error : ").rstrip(".")
                if getattr(error, "code", None) == NO_FRAME:
                    why = "no sound is found in it; it may be cut short"
                bad[position] = f"{files.place(cell)} cannot be read as audio ({why})"
        return Decoded(values=values, bad=bad)

    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Encoded rows int16 [n, samples], filled up with marks -> bool [n]: those in which nothing sounds."""
        heard = np.where(rows == PADDING, 0, np.abs(np.where(rows == PADDING, 0, rows)))
        return np.asarray(heard.max(axis=1) < SILENT)

    def remarks(self, block: Block) -> list[str]:
        if not block.settings.get("cut"):
            return []
        seconds = whole(block.settings, "longest") / whole(block.settings, "rate")
        more = "; a larger --budget keeps more" if seconds < LONGEST - 1 else ""
        clips = f"Clips in {block.columns[0]!r} longer than {seconds:.3g} s"
        return [f"{clips} are cut to their loudest {seconds:.3g} s{more}."]

    def input_shape(self, name: str, block: Block) -> list[str | int]:
        return ["N", f"{name}.samples"]

    def picture(self, row: np.ndarray, settings: Mapping[str, Any], side: int) -> np.ndarray:
        if "size" not in settings:  # as decoded, without what a fit adds
            frames = Frames.of(int(settings["rate"]), len(row))
            settings = {**settings, "size": frames.size, "hop": frames.hop}
        return spectrogram(row, settings, side)

    def sound(self, row: np.ndarray, settings: Mapping[str, Any]) -> tuple[np.ndarray, int]:
        return row, int(settings["rate"])

    def emptied(self, encoded: np.ndarray) -> np.ndarray:
        return np.where(encoded == PADDING, encoded, 0).astype(encoded.dtype)

    def parts(self, value: Value, settings: Mapping[str, Any]) -> tuple[Parts, ...]:
        rate = int(settings["rate"])
        sound = np.asarray(value)
        return time_windows(sound, rate), bands(sound, rate)

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


def _cutter(column: str, longest: int, frames: Frames) -> Any:
    """int16 [N, samples] -> [N, at most `longest`]: the loudest stretch of each row, and marks to make up the
    shortest.
    """
    from onnx import numpy_helper

    from leadline.graph.builder import Graph

    g = Graph("audio")
    x = g.input(column, np.int16, ["N", "samples"])
    size = g.op("Shape", x, start=1, end=2)
    # Where no row is longer there is nothing to search for.
    longer = g.op("Squeeze", g.op("Greater", size, g.const(np.array([longest], np.int64))))
    cut = g.op("If", longer, then_branch=_loudest(x, longest, frames), else_branch=_as_it_is(x))
    least, none = g.const(np.array([frames.least], np.int64)), g.const(np.array([0], np.int64))
    lacking = g.op("Max", g.op("Sub", least, g.op("Shape", cut, start=1)), none)
    shape = g.op("Concat", g.op("Shape", cut, end=1), lacking, axis=0)
    marks = g.op("ConstantOfShape", shape, value=numpy_helper.from_array(np.array([PADDING], np.int16)))
    g.output("encoded", g.op("Concat", cut, marks, axis=1), np.int16, ["N", "kept"])
    return g.model()


def _as_it_is(x: str) -> Any:
    """A branch: the rows of a graph around it."""
    from leadline.graph.builder import Graph

    g = Graph("whole")
    g.output("whole", g.op("Identity", x), np.int16, ["N", "whole"])
    return g.body()


def _loudest(x: str, longest: int, frames: Frames) -> Any:
    """A branch: of the rows of a graph around it, int16 [N, samples], the loudest stretch of each."""
    from leadline.graph.builder import Graph

    g = Graph("loudest")
    axis, zero = g.const(np.array([1], np.int64)), g.const(np.array([0], np.int64))
    size, keep = g.op("Shape", x, start=1, end=2), g.const(np.array([longest], np.int64))
    # As numbers: products and sums of these are several times as fast as choices and sums of truths.
    there = g.op("Cast", g.op("Not", g.op("Equal", x, g.const(np.int16(PADDING)))), to=11)
    wave = g.op("Mul", there, g.op("Cast", x, to=11))
    summed = g.op("CumSum", g.op("Mul", wave, wave), g.const(np.int64(1)))
    summed = g.op("Pad", summed, g.const(np.array([0, 1, 0, 0], np.int64)))  # [N, samples + 1]
    hop = g.const(np.array([frames.hop], np.int64))
    last = g.op("Add", g.op("Sub", size, keep), g.const(np.array([1], np.int64)))
    energy = g.op(
        "Sub", g.op("Slice", summed, keep, g.op("Add", keep, last), axis, hop),
        g.op("Slice", summed, zero, last, axis, hop),
    )  # fmt: skip
    # A stretch that would end in marks is none: a row is cut alike alone and in any batch.
    own = g.op("Cast", g.op("ReduceSum", there, axis, keepdims=1), to=7)
    starts = g.op("Range", g.const(np.int64(0)), g.op("Squeeze", last), g.const(np.int64(frames.hop)))
    late = g.op("Greater", starts, g.op("Max", g.op("Sub", own, keep), g.const(np.int64(0))))
    energy = g.op("Where", late, g.const(np.float64(-1)), energy)
    start = g.op("Mul", g.op("ArgMax", energy, axis=1, keepdims=1), g.const(np.int64(frames.hop)))
    places = g.op("Add", start, g.op("Range", g.const(np.int64(0)), g.op("Squeeze", keep), g.const(np.int64(1))))
    g.output("loudest", g.op("GatherElements", x, places, axis=1), np.int16, ["N", "loudest"])
    return g.body()


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
