"""A body of pictures in a folder of the user's, as timm writes one to a hub: config.json and model.safetensors.

Enters: stored pictures uint8 [N, height, width, channels]. Leaves: means over the places of several stages: of a ResNet
(He et al. 2016, 'Deep Residual Learning') each of its four; of a vision transformer (Dosovitskiy et al. 2021, 'An Image
is Worth 16x16 Words'; Touvron et al. 2021, 'Training data-efficient image transformers') every quarter of its blocks,
and the class token at the end. These are written as graphs from the names of their weights: timm is not needed. Where
it is installed it reads other networks too (`timm_module.py`), and trains these further.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.pretrained import Layer, Precision, PretrainedBody, TrainableBody, Trial
from leadline.kinds.body_folder import finite, weight_bytes
from leadline.kinds.depths import quarters
from leadline.kinds.hub_cache import called
from leadline.kinds.image.module_body import A_STEP
from leadline.kinds.image.pixels import Sides
from leadline.kinds.image.pretrained import SIDE, augmentation, in_int8, made_up, mirrored, size_of
from leadline.kinds.image.timm_config import OtherNetworkError, TimmFolder, blocks_of
from leadline.kinds.image.timm_module import PACKAGE, module_in
from leadline.kinds.trial import tried

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block
    from leadline.graph.builder import Graph

NORM_EPSILON, LAYER_EPSILON = 1e-5, 1e-6
STAGES = 4
MADE_UP = (48, 64, 3)  # height, width and channels of pictures by which a body is tried


def timm_in(path: Path) -> PretrainedBody | None:
    """The body in a folder; None where its configuration is none of timm's.

    Raises FolderError where it is, of a network that is not read, or not of these weights.
    """
    try:
        folder = TimmFolder.read(path)
    except OtherNetworkError as other:
        return module_in(path, str(other))
    if folder is None:
        return None
    precisions = (Precision.FLOAT32,) if folder.transformer else (Precision.INT8, Precision.FLOAT32)
    return PretrainedBody(
        name=called(folder.architecture, path), package="", licence=folder.licence,
        source=f"not stated; weights of the folder {path}",
        paper="Dosovitskiy et al. 2021" if folder.transformer else "He et al. 2016",
        bytes=weight_bytes(folder.stored), layers=_layers(folder), precisions=precisions, view=None,
        find=lambda: path, graph=partial(_graph, folder), mirrored=mirrored,
        trial=partial(_trial, folder), size=partial(_size, folder),
        trainable=partial(_trainable, folder) if importlib.util.find_spec(PACKAGE) else None,
        training_s=partial(_training_s, folder), augmentation=augmentation,
    )  # fmt: skip


def _trainable(folder: TimmFolder, path: Path, block: Block) -> TrainableBody:
    """As the package has it."""
    body = module_in(path, f"holds {folder.architecture}")
    assert body.trainable is not None
    return body.trainable(path, block)


def _training_s(folder: TimmFolder, path: Path, block: Block) -> float:
    """Of a picture: two operations for each weight of a matrix or a kernel, at each place."""
    height, width = _sides(folder, size_of(block))
    work = 0.0
    for name, shape in folder.expected.items():
        if len(shape) in (2, 4):
            stage = int(name[len("layer")]) if name.startswith("layer") else 0
            stride = folder.expected["patch_embed.proj.weight"][-1] if folder.transformer else 2 ** (stage + 1)
            work += 2 * math.prod(shape) * (height / stride) * (width / stride)
    return A_STEP * work


def _sides(folder: TimmFolder, shape: tuple[int, int, int]) -> Sides:
    """Height and width at which it reads pictures of this shape."""
    if folder.transformer:
        return folder.pixels.sides
    longer = max(shape[:2])
    factor = min(folder.pixels.sides[0], max(SIDE, longer)) / longer
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _layers(folder: TimmFolder) -> tuple[Layer, ...]:
    """What the graph gives."""
    if folder.transformer:
        width, blocks = folder.expected["cls_token"][-1], blocks_of(folder.expected)
        return (
            *(Layer(name=f"block {number}", width=width) for number in quarters(blocks)),
            Layer(name="class token", width=width),
        )
    widths = [_last(folder.expected, stage) for stage in range(1, STAGES + 1)]
    return tuple(Layer(name=f"stage {number}", width=width) for number, width in enumerate(widths, start=1))


def _trial(folder: TimmFolder) -> Trial:
    """Of pictures of noise, in float32."""
    finite(folder.weights())
    block, pictures = made_up(MADE_UP)
    graph = partial(_graph, folder, folder.path, block, Precision.FLOAT32, None)
    return tried(graph, pictures, pictures[:1], _size(folder, block, None))


def _size(folder: TimmFolder, block: Block, filled: float | None) -> float:
    """Pixels of a picture as the network reads it."""
    return float(math.prod(_sides(folder, size_of(block))))


def _last(shapes: Mapping[str, tuple[int, ...]], stage: int) -> int:
    """Channels at the end of a stage."""
    deep = "conv3" if f"layer{stage}.0.conv3.weight" in shapes else "conv2"
    return shapes[f"layer{stage}.0.{deep}.weight"][0]


def _graph(folder: TimmFolder, path: Path, block: Block, precision: Precision, calibration: object) -> onnx.ModelProto:
    from leadline.graph.builder import Graph

    g, shape, weights = Graph("timm"), size_of(block), folder.weights()
    pictures = g.input(block.name, np.uint8, ["N", *shape])
    x = folder.pixels.of(g, pictures, shape, _sides(folder, shape))
    states = (_Transformer(g, weights, folder.heads) if folder.transformer else _ResNet(g, weights)).states(x)
    joined = g.op("Concat", *states, axis=1)
    g.output("states", joined, np.float32, ["N", sum(layer.width for layer in _layers(folder))])
    model = g.model()
    return model if precision is Precision.FLOAT32 else in_int8(model, block.name, np.asarray(calibration))


class _ResNet:
    """Stages of residual blocks, with the batch normalisations inside the convolutions."""

    def __init__(self, g: Graph, weights: Mapping[str, np.ndarray]) -> None:
        self.g, self.weights = g, weights

    def states(self, x: str) -> list[str]:
        g, area = self.g, self.g.const(np.array([2, 3], np.int64))
        x = g.op("Relu", self._convolution(x, "conv1", "bn1", 2))
        x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        means = []
        for stage in range(1, STAGES + 1):
            blocks = 1 + max(int(name.split(".")[1]) for name in self.weights if name.startswith(f"layer{stage}."))
            for number in range(blocks):
                x = self._block(x, f"layer{stage}.{number}", 2 if stage > 1 and not number else 1)
            means.append(g.op("ReduceMean", x, area, keepdims=0))
        return means

    def _block(self, x: str, name: str, stride: int) -> str:
        """Two convolutions, or three of which the middle one is wide; it halves the sides in its 3 x 3."""
        g, deep = self.g, f"{name}.conv3.weight" in self.weights
        strides = (1, stride, 1) if deep else (stride, 1)
        y = x
        for place, each in enumerate(strides, start=1):
            y = self._convolution(y, f"{name}.conv{place}", f"{name}.bn{place}", each)
            if place < len(strides):
                y = g.op("Relu", y)
        if f"{name}.downsample.0.weight" in self.weights:
            x = self._convolution(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
        return str(g.op("Relu", g.op("Add", y, x)))

    def _convolution(self, x: str, conv: str, norm: str, stride: int) -> str:
        held = {each: self.weights[f"{norm}.{each}"] for each in ("weight", "bias", "running_mean", "running_var")}
        scale = held["weight"] / np.sqrt(held["running_var"] + NORM_EPSILON)
        kernel = self.weights[f"{conv}.weight"] * scale[:, None, None, None]
        size = kernel.shape[2]
        return str(self.g.op(
            "Conv", x, self.g.const(kernel), self.g.const(held["bias"] - held["running_mean"] * scale),
            kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4,
        ))  # fmt: skip


class _Transformer:
    """A vision transformer with a class token. T: places and the token; D: width."""

    def __init__(self, g: Graph, weights: Mapping[str, np.ndarray], heads: int) -> None:
        self.g, self.weights, self.heads = g, weights, heads
        self.width = weights["cls_token"].shape[-1]

    def states(self, x: str) -> list[str]:
        g, weights = self.g, self.weights
        kernel = weights["patch_embed.proj.weight"]
        size = list(kernel.shape[2:])
        x = g.op("Conv", x, g.const(kernel), g.const(weights["patch_embed.proj.bias"]), kernel_shape=size, strides=size)
        x = g.op("Transpose", g.op("Reshape", x, g.const(np.array([0, self.width, -1], np.int64))), perm=[0, 2, 1])
        rows = g.op("Shape", x, start=0, end=1)
        token = g.op("Expand", g.const(weights["cls_token"]), g.op("Concat", rows, g.const(np.array([1, 1])), axis=0))
        x = g.op("Add", g.op("Concat", token, x, axis=1), g.const(weights["pos_embed"]))
        blocks, means = blocks_of(weights), []
        for number in range(blocks):
            x = self._block(x, f"blocks.{number}")
            if number + 1 in quarters(blocks):
                means.append(g.op("ReduceMean", x, g.const(np.array([1], np.int64)), keepdims=0))
        last = g.op("Gather", self._norm(x, "norm"), g.const(np.int64(0)), axis=1)
        return [*means, last]

    def _block(self, x: str, name: str) -> str:
        x = self.g.op("Add", x, self._attention(self._norm(x, f"{name}.norm1"), f"{name}.attn"))
        inner = self.g.op("Gelu", self._dense(self._norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
        return str(self.g.op("Add", x, self._dense(inner, f"{name}.mlp.fc2")))

    def _attention(self, x: str, name: str) -> str:
        g, size = self.g, self.width // self.heads
        parts = g.op("Split", self._dense(x, f"{name}.qkv"), axis=-1, num_outputs=3, outputs=3)
        by_head = g.const(np.array([0, 0, self.heads, size], np.int64))
        query, key, value = (
            g.op("Transpose", g.op("Reshape", part, by_head), perm=order)
            for part, order in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        scores = g.op("Mul", g.op("MatMul", query, key), g.const(np.float32(size**-0.5)))
        mixed = g.op("Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
        joined = g.op("Reshape", mixed, g.const(np.array([0, 0, self.width], np.int64)))
        return self._dense(joined, f"{name}.proj")

    def _dense(self, x: str, name: str) -> str:
        g = self.g
        weight = g.const(np.ascontiguousarray(self.weights[f"{name}.weight"].T))
        return str(g.op("Add", g.op("MatMul", x, weight), g.const(self.weights[f"{name}.bias"])))

    def _norm(self, x: str, name: str) -> str:
        weight, bias = (self.g.const(self.weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        return str(self.g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=LAYER_EPSILON))
