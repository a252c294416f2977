"""A body of sounds of any architecture of the package `transformers` that reads waves, as Wav2Vec2 and HuBERT do.

Enters: a folder with config.json, weights as safetensors, and mostly preprocessor_config.json; stored sounds int16 [N,
samples] at the rate of their block, filled up with marks. Leaves: means over time of the hidden states at four depths.
A row is read by itself, as long as it is: some of these networks normalise over time, and say something else of a sound
with silence behind it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.json_types import whole
from leadline.core.pretrained import Layer, Precision, PretrainedBody, Trial
from leadline.kinds.audio.frames import PADDING
from leadline.kinds.audio.pretrained import augmentation
from leadline.kinds.audio.resampling import resampled, samples_at
from leadline.kinds.body_folder import (
    CONFIG,
    FolderError,
    configuration,
    digest,
    header,
    licence,
    positive,
    read_by,
    weight_bytes,
)
from leadline.kinds.exported import Exported, loaded
from leadline.kinds.hub_cache import called
from leadline.kinds.transformers_folder import PACKAGE, SOUNDS, is_model, model_type, network, quiet, reads
from leadline.kinds.trial import tried

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from leadline.core.pretrained import TrainableBody
    from leadline.core.tensors import Block
    from leadline.graph.builder import Graph
    from leadline.graph.runtime import Session
    from leadline.kinds.audio.waves import Waves
    from leadline.kinds.trainable import Source

PREPARED = "preprocessor_config.json"
STRIDES, KERNELS = "conv_stride", "conv_kernel"  # of the convolutions that read the wave
RATE = 16_000  # where the folder does not say it
SHORTEST = 0.1  # seconds: a shorter sound counts as if silence followed
TRIED = 0.5  # seconds of a sound by which a network is tried
WAVES = "waves"  # what the graph of the module reads
READ = 2  # last states that are trained: those of the upper half of its layers
A_STEP = 4e-11  # seconds to train with one operation of the network, on a usual core
LOUDEST = 32_768
LEAST = 1e-7  # added to the variance of a wave, as the networks were trained


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A network of sounds: what is known of it, and how it is made."""

    exported: Exported
    states: Callable[[], Waves]
    layers: tuple[Layer, ...]
    rate: int  # samples a second that it reads
    shortest: int  # samples that it needs
    scaled: bool  # waves have mean 0 and deviation 1
    windows: tuple[tuple[int, int], ...]  # of the convolutions that read the wave: samples, and from one to the next
    work: float  # operations on a second of sound

    def graph(self, path: Path, block: Block, precision: Precision, calibration: object) -> onnx.ModelProto:
        """int16 [N, samples] -> 'states' float32 [N, width]."""
        return self._body(self._network(), block, precision)

    def training_s(self, path: Path, block: Block) -> float:
        """Of a usual sound, on a usual core."""
        return A_STEP * self.work * whole(block.settings, "usual") / whole(block.settings, "rate")

    def trainable(self, path: Path, block: Block) -> TrainableBody:
        from leadline.kinds.trainable import trainable  # imports PyTorch

        rate = whole(block.settings, "rate")
        return trainable(f"{digest(path)} {rate}", partial(self._source, rate))

    def _source(self, rate: int) -> Source:
        """What is trained: the states of its upper half."""
        from leadline.kinds.trainable import RATES, Source

        rows = np.full((2, rate), PADDING, np.int16)
        for row, length in zip(rows, (rate // 2, rate // 3), strict=True):
            row[:length] = np.random.default_rng(length).normal(0, 3_000, length)
        return Source(
            name=str(self.exported.folder), module=lambda: copy.deepcopy(self.states()),
            width=sum(layer.width for layer in self.layers[-READ:]), reading=SoundsRead.of(self, rate), rates=RATES,
            rows=rows, graph=self._network, samples=self._sample(), unequal={WAVES},
            body=lambda network, block, precision, calibration: self._body(network, block, precision),
        )  # fmt: skip

    def _sample(self) -> dict[str, np.ndarray]:
        return {WAVES: noise(round(TRIED * self.rate))}

    def _network(self) -> onnx.ModelProto:
        """The graph of the module: 'waves' -> 'raw'."""
        return self.exported.graph("rows", self.states, self._sample(), {WAVES})

    def _body(self, network: onnx.ModelProto, block: Block, precision: Precision) -> onnx.ModelProto:
        """The graph that reads the sounds of a block."""
        from leadline.graph.builder import Graph, scan

        assert precision is Precision.FLOAT32, "no other is offered"
        g = Graph("sounds")
        sounds = g.input(block.name, np.int16, ["N", "samples"])
        there = g.op("Cast", g.op("Not", g.op("Equal", sounds, g.const(np.int16(PADDING)))), to=7)
        own = g.op("ReduceSum", there, g.const(np.array([1], np.int64)), keepdims=1)
        return scan(g, [sounds, own], self._row(network, whole(block.settings, "rate")), "states", self.width)

    @property
    def width(self) -> int:
        return sum(layer.width for layer in self.layers)

    def _row(self, network: onnx.ModelProto, rate: int) -> onnx.GraphProto:
        """A sound int16 [samples], and how many of them are its own int64 [1] -> float32 [width]."""
        from leadline.graph.builder import Graph

        g = Graph("sound")
        sound, own = g.input("sound", np.int16, ["samples"]), g.input("own", np.int64, [1])
        zero = g.const(np.array([0], np.int64))
        wave = self.preprocessed(g, g.op("Cast", g.op("Slice", sound, zero, own, zero), to=1), own, rate)
        states = g.add(network, {WAVES: g.op("Unsqueeze", wave, zero)}, "network")["raw"]
        g.output("states", g.op("Squeeze", states, zero), np.float32, [self.width])
        return g.body()

    def least(self, rate: int) -> int:
        """Samples at a rate that the network needs."""
        return math.ceil(self.shortest * rate / self.rate)

    def preprocessed(self, g: Graph, wave: str, own: str, rate: int) -> str:
        """A sound float32 [samples] of a rate, and how many they are int64 [1] -> the same as the network reads it."""
        zero = g.const(np.array([0], np.int64))
        lacking = g.op("Max", g.op("Sub", g.const(np.array([self.least(rate)], np.int64)), own), zero)
        wave = g.op("Pad", wave, g.op("Concat", zero, lacking, axis=0))
        wave = resampled(g, g.op("Mul", wave, g.const(np.float32(1 / LOUDEST))), rate, self.rate)
        if self.scaled:
            wave = g.op("Sub", wave, g.op("ReduceMean", wave, keepdims=1))
            power = g.op("ReduceMean", g.op("Mul", wave, wave), keepdims=1)
            wave = g.op("Div", wave, g.op("Sqrt", g.op("Add", power, g.const(np.float32(LEAST)))))
        return wave

    def size(self, block: Block, filled: float | None) -> float:
        """Seconds of a sound as the network reads it; of a usual one, if nothing says how much is filled."""
        usual = whole(block.settings, "usual", block.shape[0]) if filled is None else block.shape[0] * filled
        return max(usual / whole(block.settings, "rate"), SHORTEST)

    def trial(self) -> Trial:
        """Of sounds of noise."""
        from leadline.core.tensors import Block

        samples = round(TRIED * self.rate)
        block = Block(
            name="x", kind="audio", columns=("x",), decode={}, shape=(samples,), dtype="int16", forms={},
            settings={"rate": self.rate}, padding=PADDING,
        )  # fmt: skip
        sounds = np.random.default_rng(0).normal(0, 3_000, (2, samples)).astype(np.int16)
        self._network()  # which is written now, and does not count
        graph = partial(self.graph, self.exported.folder, block, Precision.FLOAT32, None)
        return tried(graph, sounds, sounds[:1], TRIED)


@dataclass(frozen=True, kw_only=True)
class SoundsRead:
    """Stored sounds as a network reads them: each by itself, without the marks behind it."""

    encoder: Encoder
    rate: int  # of the stored sounds
    session: Session

    @classmethod
    def of(cls, encoder: Encoder, rate: int) -> SoundsRead:
        from leadline.graph.builder import Graph
        from leadline.graph.runtime import Session

        g = Graph("preprocessing")
        sound = g.input("sound", np.float32, ["samples"])
        g.output("wave", encoder.preprocessed(g, sound, g.op("Shape", sound), rate), np.float32, ["resampled"])
        return cls(encoder=encoder, rate=rate, session=Session(g.model()))

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray((rows != PADDING).sum(axis=1))

    def steps(self, lengths: np.ndarray) -> np.ndarray:
        steps = samples_at(np.maximum(lengths, self.encoder.least(self.rate)), self.rate, self.encoder.rate)
        for size, stride in self.encoder.windows:
            steps = (steps - size) // stride + 1
        return steps

    def parts(self, rows: Tensor, alone: bool) -> list[tuple[Tensor, ...]]:
        import torch

        waves = (self.session.only({"sound": row[row != PADDING].float().numpy()}) for row in rows)
        return [(torch.from_numpy(wave)[None],) for wave in waves]


def reads_sounds(facts: Mapping[str, Any]) -> bool:
    """Whether a configuration is of a model of sounds."""
    return is_model(facts) and reads(facts) == SOUNDS


def transformers_in(path: Path) -> PretrainedBody | None:
    """The body in a folder; None where its configuration is of no model of sounds.

    Raises FolderError where it is, and cannot be read.
    """
    facts = configuration(path / CONFIG)
    if not reads_sounds(facts) or (kind := model_type(path)) is None:
        return None
    if STRIDES not in facts:
        raise FolderError(
            f"holds a model of type {kind!r}, which reads spectra; of sounds a model that reads waves can be used, as "
            "Wav2Vec2, HuBERT and WavLM do."
        )
    encoder = _encoder(path, facts)
    return PretrainedBody(
        name=called(kind, path), package="", licence=licence(path), paper="", bytes=weight_bytes(header(path)),
        source=f"not stated; weights of the folder {path}", precisions=(Precision.FLOAT32,), view=None,
        layers=encoder.layers, find=lambda: path, graph=encoder.graph, calibrated=False, trial=encoder.trial,
        packages=encoder.exported.packages, size=encoder.size,
        trainable=encoder.trainable, training_s=encoder.training_s, augmentation=augmentation,
    )  # fmt: skip


def _encoder(path: Path, facts: Mapping[str, Any]) -> Encoder:
    said = configuration(path / PREPARED)
    rate, windows = positive(said, "sampling_rate", RATE, file=PREPARED), _windows(facts)
    exported = Exported(folder=path, package=PACKAGE, what="sounds")
    states = partial(_states, path, digest(path), round(TRIED * rate))
    known = exported.facts(lambda: states().facts)
    return Encoder(
        exported=exported, states=states, rate=rate, shortest=max(round(SHORTEST * rate), _receptive_field(windows)),
        layers=tuple(Layer(name=name, width=width) for name, width in known["layers"].items()),
        windows=windows, work=known["work"] * rate,
        scaled=said.get("do_normalize", True) is True,
    )  # fmt: skip


@loaded
def _states(path: Path, content: str, samples: int) -> Waves:
    """Of a folder with this content, once a process."""
    from leadline.kinds.audio.waves import Waves

    found = network(path)
    with read_by(f"{PACKAGE} {version(PACKAGE)}"), quiet():
        states = Waves(found.module, noise(samples))
        found.tried(lambda: states.made)
    return states


def noise(samples: int) -> np.ndarray:
    """Two sounds: float32 [2, samples]."""
    return np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)


def _windows(facts: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Of the convolutions, in order."""
    kernels, strides = facts.get(KERNELS), facts[STRIDES]
    lists = isinstance(kernels, list) and isinstance(strides, list) and len(kernels) == len(strides)
    if not lists or not all(type(each) is int and each > 0 for each in [*(kernels or ()), *strides]):
        raise FolderError(
            f"has a {CONFIG} with {KERNELS} {kernels!r} and {STRIDES} {strides!r}, where as many whole numbers were "
            "expected."
        )
    return tuple(zip(kernels or (), strides, strict=True))


def _receptive_field(windows: tuple[tuple[int, int], ...]) -> int:
    """Samples that the convolutions need for one step of time."""
    samples = 1
    for kernel, stride in reversed(windows):
        samples = (samples - 1) * stride + kernel
    return samples
