"""A body of pictures from a PyTorch module: of architectures for which there is no graph of our own.

Enters: a module that gives states of some depths, and how it wants pictures. Leaves: a body whose graph is the
module's, by PyTorch's exporter, behind the resizing: a shipped file needs neither PyTorch nor the package.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.pretrained import Layer, Precision, PretrainedBody, Trial
from leadline.kinds.body_folder import FolderError, digest, header, weight_bytes
from leadline.kinds.exported import Exported
from leadline.kinds.image.pixels import Pixels, Sides
from leadline.kinds.image.pretrained import SIDE, augmentation, in_int8, made_up, mirrored, size_of
from leadline.kinds.trial import tried

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from leadline.core.pretrained import TrainableBody
    from leadline.core.tensors import Block
    from leadline.graph.runtime import Session
    from leadline.kinds.image.towers import States
    from leadline.kinds.trainable import Source

PICTURES = "pictures"
SHORTEST = 32  # pixels of a side, of what is read at another size than that of its training
OBLONG = (SIDE, 2 * SIDE // 3)  # by which it is tried whether it reads other sizes
MADE_UP = (48, 48, 3)  # height, width and channels of pictures by which a body is tried: small squares are common
ALIKE = 1e-3  # of the largest state, by which a row's states may differ alone and in a batch: sums run in another order
READ = 3  # last states that are trained: what it says of the whole picture, and means of the upper half of its layers
A_STEP = 4e-11  # seconds to train with one operation of the network, on a usual core
TINY = 1e-6  # which nothing reads in a state: they are kept in float16
# Of what a network in int8 consists: other activations and normalisations lose too much, or are no faster.
INT8 = {"Conv2d", "BatchNorm2d", "ReLU", "ReLU6", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "Identity", "Linear",
        "Dropout", "Flatten"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A network of pictures: what is known of it, and how it is made."""

    exported: Exported
    states: Callable[[], States]
    pixels: Pixels
    layers: tuple[Layer, ...]
    free: bool  # it reads pictures of other sizes than it was trained with
    int8: bool  # the static quantiser makes it faster
    work: float  # operations on a picture at the size of its training

    @classmethod
    def of(cls, exported: Exported, pixels: Pixels, states: Callable[[], States]) -> Encoder:
        """Raises FolderError where the states of one picture depend on another, or on chance."""
        facts = exported.facts(lambda: _facts(states(), pixels.sides))
        layers = tuple(Layer(name=name, width=width) for name, width in facts["layers"].items())
        return cls(
            exported=exported, states=states, pixels=pixels, layers=layers, free=facts["free"], int8=facts["int8"],
            work=facts["work"],
        )  # fmt: skip

    def body(self, name: str, licence: str) -> PretrainedBody:
        path = self.exported.folder
        precisions = (Precision.INT8, Precision.FLOAT32) if self.int8 else (Precision.FLOAT32,)
        return PretrainedBody(
            name=name, package="", licence=licence, source=f"not stated; weights of the folder {path}", paper="",
            bytes=weight_bytes(header(path)), layers=self.layers, precisions=precisions, view=None, find=lambda: path,
            graph=self.graph, calibrated=self.int8, mirrored=mirrored, trial=self.trial, size=self.size,
            packages=self.exported.packages, write=self.write, trainable=self.trainable, training_s=self.training_s,
            augmentation=augmentation,
        )  # fmt: skip

    def sides(self, shape: tuple[int, int, int]) -> Sides:
        """Height and width at which it reads pictures of this shape: no larger than they are worth, where it may."""
        if not self.free:
            return self.pixels.sides
        longer = max(shape[:2])
        factor = min(max(self.pixels.sides), max(SIDE, longer)) / longer
        return max(SHORTEST, round(shape[0] * factor)), max(SHORTEST, round(shape[1] * factor))

    def graph(self, path: Path, block: Block, precision: Precision, calibration: object) -> onnx.ModelProto:
        """uint8 [N, height, width, channels] -> 'states' float32 [N, width]."""
        return self._body(self._network(self.sides(size_of(block))), block, precision, np.asarray(calibration))

    def training_s(self, path: Path, block: Block) -> float:
        """Of a picture, on a usual core."""
        height, width = self.sides(size_of(block))
        return A_STEP * self.work * height * width / (self.pixels.sides[0] * self.pixels.sides[1])

    def trainable(self, path: Path, block: Block) -> TrainableBody:
        from leadline.kinds.trainable import trainable  # imports PyTorch

        return trainable(f"{digest(path)} {size_of(block)}", partial(self._source, size_of(block)))

    def _source(self, shape: tuple[int, int, int]) -> Source:
        """What is trained: the states of its upper half."""
        from leadline.kinds.trainable import RATES, Source

        sides = self.sides(shape)
        return Source(
            name=str(self.exported.folder), module=lambda: copy.deepcopy(_joined(self.states)),
            width=sum(layer.width for layer in self.layers[-READ:]), reading=PicturesRead.of(self.pixels, shape, sides),
            rates=RATES, rows=np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.uint8),
            graph=partial(self._network, sides), samples={"pixels": noise(sides)}, unequal=(), body=self._body,
        )  # fmt: skip

    def _network(self, sides: Sides) -> onnx.ModelProto:
        """The graph of the module: 'pixels' -> 'raw'."""
        return self.exported.graph("{}x{}".format(*sides), partial(_joined, self.states), {"pixels": noise(sides)})

    def _body(
        self, network: onnx.ModelProto, block: Block, precision: Precision, calibration: np.ndarray
    ) -> onnx.ModelProto:  # fmt: skip
        """The graph that reads the pictures of a block."""
        from leadline.graph.builder import Graph

        g, shape = Graph("encoder"), size_of(block)
        x = self.pixels.of(g, g.input(block.name, np.uint8, ["N", *shape]), shape, self.sides(shape))
        states = g.add(network, {"pixels": x}, "network")["raw"]
        g.output("states", states, np.float32, ["N", sum(layer.width for layer in self.layers)])
        model = g.model()
        return model if precision is Precision.FLOAT32 else in_int8(model, block.name, calibration)

    def write(self, block: Block) -> None:
        """The network at the size of these pictures, into the cache."""
        self._network(self.sides(size_of(block)))

    def size(self, block: Block, filled: float | None) -> float:
        """Pixels of a picture as the network reads it."""
        return float(math.prod(self.sides(size_of(block))))

    def trial(self) -> Trial:
        """Of pictures of noise, in float32."""
        block, pictures = made_up(MADE_UP)
        self.write(block)  # which does not count
        graph = partial(self.graph, self.exported.folder, block, Precision.FLOAT32, None)
        return tried(graph, pictures, pictures[:1], self.size(block, None))


@dataclass(frozen=True, kw_only=True)
class PicturesRead:
    """Stored pictures as a network reads them."""

    height: int
    pixels: Session

    @classmethod
    def of(cls, pixels: Pixels, shape: tuple[int, int, int], sides: Sides) -> PicturesRead:
        """
        Args:
            shape: height, width and channels of stored pictures.
            sides: height and width at which they are read.
        """
        from leadline.graph.builder import Graph
        from leadline.graph.runtime import Session

        g = Graph("pixels")
        x = pixels.of(g, g.input("pictures", np.uint8, ["N", *shape]), shape, sides)
        g.output("pixels", x, np.float32, ["N", 3, *sides])
        return cls(height=shape[0], pixels=Session(g.model()))

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), self.height)

    def steps(self, lengths: np.ndarray) -> None:
        return None

    def parts(self, rows: Tensor, alone: bool) -> list[tuple[Tensor, ...]]:
        import torch

        return [(torch.from_numpy(self.pixels.only({"pictures": rows.numpy()})),)]


def noise(sides: Sides) -> np.ndarray:
    """Two pictures, float32 [2, 3, height, width], as a network reads them."""
    return np.random.default_rng(0).standard_normal((2, 3, *sides)).astype(np.float32)


def _joined(states: Callable[[], States]) -> Any:
    from leadline.kinds.image.towers import Joined

    return Joined(states())


def _facts(states: States, sides: Sides) -> dict[str, Any]:
    both = _answer(states, sides)
    if not all(_alike(both[name][:1], alone) for name, alone in states.made.items()):
        raise FolderError("cannot be used: what its network says of a row depends on chance, or on the rows beside it.")
    parts = {type(part).__name__ for part in states.modules() if not list(part.children())}
    return {
        "layers": {name: value.shape[1] for name, value in states.made.items()},
        "free": not states.fixed and _reads(states, OBLONG), "int8": parts <= INT8, "work": _work(states, sides),
    }  # fmt: skip


def _answer(states: States, sides: Sides) -> dict[str, Tensor]:
    """Of two pictures of noise, of which the first is that of `made`."""
    import torch

    with torch.no_grad():
        found: dict[str, Tensor] = states(torch.from_numpy(noise(sides)))
    return found


def _work(states: States, sides: Sides) -> float:
    """Operations on one picture."""
    import torch

    from leadline.kinds.operations import operations

    return operations(states, torch.from_numpy(noise(sides)[:1])).total()


def _alike(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= ALIKE * other.abs().max() + TINY)


def _reads(states: States, sides: Sides) -> bool:
    try:
        _answer(states, sides)
    except Exception:  # each architecture refuses another size in its own way
        return False
    return True
