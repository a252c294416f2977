"""A body of pictures from a PyTorch module: of architectures for which there is no graph of our own.

Enters: a module that gives states of some depths, and how it wants pictures. Leaves: a body whose graph is the module's,
by PyTorch's exporter, behind the resizing: whoever uses the shipped file needs neither PyTorch nor the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.pretrained import Layer, Precision, PretrainedBody
from leadline.kinds.body_folder import FolderError, finite, floats, header, values, weight_bytes
from leadline.kinds.image.pixels import Pixels, Sides
from leadline.kinds.image.pretrained import SIDE, in_int8, mirrored, size_of

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from leadline.core.tensors import Block
    from leadline.kinds.image.towers import HiddenStates, Intermediates

SHORTEST = 32  # pixels of a side, of what is read at another size than that of its training
OBLONG = (SIDE, 2 * SIDE // 3)  # by which it is tried whether it reads other sizes
MADE_UP = (48, 64, 3)  # height, width and channels of pictures by which a body is tried
ALIKE = 1e-3  # of the largest state, by which a row's states may differ alone and in a batch: sums run in another order
TINY = 1e-6  # which nothing reads in a state: they are kept in float16
# Of what a network in int8 consists: other activations and normalisations lose too much, or are no faster.
INT8 = {"Conv2d", "BatchNorm2d", "ReLU", "ReLU6", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "Identity", "Linear",
        "Dropout", "Flatten"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A network of pictures, ready to answer."""

    states: HiddenStates | Intermediates
    layers: tuple[Layer, ...]
    pixels: Pixels
    free: bool  # it reads pictures of other sizes than it was trained with

    @classmethod
    def of(cls, states: HiddenStates | Intermediates, pixels: Pixels) -> Encoder:
        layers = tuple(Layer(name=name, width=value.shape[1]) for name, value in states.made.items())
        return cls(states=states, layers=layers, pixels=pixels, free=not states.fixed and _reads(states, OBLONG))

    @property
    def precisions(self) -> tuple[Precision, ...]:
        parts = {type(part).__name__ for part in self.states.modules() if not list(part.children())}
        return (Precision.INT8, Precision.FLOAT32) if parts <= INT8 else (Precision.FLOAT32,)

    def body(self, path: Path, name: str, licence: str) -> PretrainedBody:
        """
        Args:
            path: the folder with its weights.
        """
        return PretrainedBody(
            name=name, package="", licence=licence, source=f"not stated; weights of the folder {path}", paper="",
            bytes=weight_bytes(header(path)), layers=self.layers, precisions=self.precisions, view=None,
            find=lambda: path, graph=self.graph, mirrored=mirrored, trial=partial(self.trial, path),
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
        from leadline.graph.builder import Graph
        from leadline.graph.torch_export import export
        from leadline.kinds.image.towers import Joined, noise

        g, shape = Graph("encoder"), size_of(block)
        sides = self.sides(shape)
        x = self.pixels.of(g, g.input(block.name, np.uint8, ["N", *shape]), shape, sides)
        try:
            network = export(Joined(self.states), {"pixels": noise(sides)})
        except Exception as error:  # of any type
            raise FolderError(f"holds a network that PyTorch cannot write as a graph ({type(error).__name__}).") from error
        states = g.add(network, {"pixels": x}, "network")["raw"]
        g.output("states", states, np.float32, ["N", sum(layer.width for layer in self.layers)])
        model = g.model()
        return model if precision is Precision.FLOAT32 else in_int8(model, block.name, np.asarray(calibration))

    def trial(self, path: Path) -> np.ndarray:
        """States of two pictures of noise, once all weights in the folder are found to be finite.

        Raises FolderError where the states of one picture depend on the other, or on chance.
        """
        from leadline.core.tensors import Block
        from leadline.graph.runtime import Session

        finite(values(floats(header(path))))
        both = _answer(self.states, self.pixels.sides)
        if not all(_alike(both[name][:1], alone) for name, alone in self.states.made.items()):
            raise FolderError(
                "cannot be used: what its network says of a row depends on chance, or on the rows beside it."
            )
        height, width, channels = MADE_UP
        block = Block(
            name="x", kind="image", columns=("x",), decode={}, shape=MADE_UP, dtype="uint8", forms={},
            settings={"height": height, "width": width, "channels": channels},
        )  # fmt: skip
        pictures = np.random.default_rng(0).integers(0, 256, (2, *MADE_UP)).astype(np.uint8)
        return Session(self.graph(path, block, Precision.FLOAT32, None)).only({"x": pictures})


def _answer(states: HiddenStates | Intermediates, sides: Sides) -> dict[str, Tensor]:
    """Of two pictures of noise, of which the first is that of `made`."""
    import torch

    from leadline.kinds.image.towers import noise

    with torch.no_grad():
        found: dict[str, Tensor] = states(torch.from_numpy(noise(sides)))
    return found


def _alike(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= ALIKE * other.abs().max() + TINY)


def _reads(states: HiddenStates | Intermediates, sides: Sides) -> bool:
    try:
        _answer(states, sides)
    except Exception:  # each architecture refuses another size in its own way
        return False
    return True
