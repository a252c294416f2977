"""Weights rounded to few levels so that what they give to real inputs changes least (GPTQ: Frantar et al. 2022,
'Accurate post-training quantization for generative pre-trained Transformers').

Rounded one by one, weights lose most where inputs go together, as neighbouring pixels do: errors of a filter whose
weights add up to nothing do not. Here a filter's weights are rounded one after another, and the others make up for the
error so far, as the covariance of the inputs has it. Levels reach to the largest weight of a filter, of 4 bits too.
Enters: a network, names of its nodes, batches of its inputs. Leaves: levels of the weights of these nodes, and a scale
a filter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.packing import HIGHEST, LOWEST

if TYPE_CHECKING:
    import onnx

__all__ = [
    "INT4",
    "INT8",
    "Levels",
    "Rounded",
    "main_parts",
    "put_weights",
    "rounded",
    "rounded_weights",
    "seen_inputs",
]

PRODUCTS = ("Conv", "Gemm", "MatMul")  # operators with weights that int8 makes smaller and faster
PLACES = 30_000  # of a convolution, at which its inputs are looked at
WIDEST = 1_200  # inputs of a filter, with more of which the covariance takes longer than it is worth
DAMPING = 0.01  # of the mean variance, added to each: few rows do not tell every direction
TINY = 1e-12  # the least scale
SMALL = 0.25  # of the mean number of weights: fewer bits for so few save little


@dataclass(frozen=True, kw_only=True)
class Levels:
    """What weights are rounded to: whole numbers from `lowest` to `highest`, times a scale."""

    lowest: int
    highest: int

    def scale(self, weights: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
        """float32, one for what lies along the axes, which are kept: the largest weight has the highest level."""
        largest = np.abs(weights).max(axis=axis, keepdims=True)
        return np.asarray(np.maximum(largest / self.highest, TINY), np.float32)

    def nearest(self, weights: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Of each weight, int8."""
        return np.asarray(np.clip(np.rint(weights / scale), self.lowest, self.highest), np.int8)


INT8 = Levels(lowest=-127, highest=127)
INT4 = Levels(lowest=LOWEST, highest=HIGHEST)


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """Weights as levels, int8, shaped as the weights; `scale`, float32, has one number an output, and as many axes."""

    levels: np.ndarray
    scale: np.ndarray

    @property
    def values(self) -> np.ndarray:
        return np.asarray(self.levels * self.scale, np.float32)


def seen_inputs(
    model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Products [inputs, inputs], summed over places, of each input of a filter by each; by the name of the node.

    A node that is no plain product of its inputs by constants is left out.
    """
    from leadline.graph.builder import with_outputs
    from leadline.graph.runtime import Session

    found = _weights(model)
    nodes = [node for node in model.graph.node if node.name in names and node.op_type in PRODUCTS]
    nodes = [node for node in nodes if node.input[1] in found and _plain(node, found[node.input[1]])]
    if not nodes:
        return {}
    inputs = list(dict.fromkeys(node.input[0] for node in nodes))
    given = {value.name for value in model.graph.input}
    inner = [name for name in inputs if name not in given]
    session, rng = Session(with_outputs(model, inner)), np.random.default_rng(0)
    products: dict[str, Any] = {node.name: 0.0 for node in nodes}
    for feeds in batches:
        values = {**feeds, **session(feeds, inner)} if inner else feeds
        for node in nodes:
            shape = found[node.input[1]].shape
            seen = _seen(node, values[node.input[0]], shape, PLACES // len(batches), rng)
            products[node.name] += seen.T @ seen
    return products


def rounded_weights(
    model: onnx.ModelProto, products: Mapping[str, np.ndarray], levels: Levels = INT8
) -> dict[str, Rounded]:
    """Weights by the name of their constant; `products` as `seen_inputs` gives them."""
    found, made = _weights(model), {}
    for node in (node for node in model.graph.node if node.name in products):
        weights = found[node.input[1]]
        whole, scale = rounded(_filters(node, weights), products[node.name], levels)
        folded = scale[:, None] if node.op_type != "Conv" else scale.reshape(-1, *[1] * (weights.ndim - 1))
        made[node.input[1]] = Rounded(
            levels=_unfolded(node, whole, weights.shape), scale=_unfolded(node, folded, folded.shape)
        )
    return made


def main_parts(counts: Mapping[str, int]) -> list[str]:
    """Of parts with so many weights each, those that are worth fewer bits: the first and the last are often small."""
    return [name for name, count in counts.items() if count * len(counts) >= SMALL * sum(counts.values())]


def put_weights(model: onnx.ModelProto, weights: Mapping[str, Rounded]) -> None:
    """Put weights in place of those that a graph has by these names, in place."""
    from onnx import numpy_helper

    for held in model.graph.initializer:
        if held.name in weights:
            held.CopyFrom(numpy_helper.from_array(weights[held.name].values, held.name))


def rounded(weights: np.ndarray, products: Any, levels: Levels = INT8) -> tuple[np.ndarray, np.ndarray]:
    """(levels int8 [outputs, inputs], a scale a row float32 [outputs]).

    Args:
        weights: float32 [outputs, inputs].
        products: [inputs, inputs], summed over rows, of each input by each.
    """
    inputs = weights.shape[1]
    left = weights.astype(np.float64)
    scale = levels.scale(left, 1)[:, 0].astype(np.float64)
    damped = products + np.eye(inputs) * (DAMPING * np.trace(products) / inputs + TINY)
    inverse = np.linalg.inv(damped)
    factor = np.linalg.cholesky((inverse + inverse.T) / 2).T
    made = np.empty(weights.shape, np.int8)
    for column in range(inputs):
        made[:, column] = levels.nearest(left[:, column], scale)
        error = (left[:, column] - made[:, column] * scale) / factor[column, column]
        left[:, column + 1 :] -= np.outer(error, factor[column, column + 1 :])
    return made, scale.astype(np.float32)


def _weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Constants of products by their names."""
    from onnx import numpy_helper

    read = {node.input[1] for node in model.graph.node if node.op_type in PRODUCTS}
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer if each.name in read}


def _plain(node: onnx.NodeProto, weights: np.ndarray) -> bool:
    """Whether its outputs are filters times inputs, of which there are not too many."""
    facts = _facts(node)
    if node.op_type == "Conv":
        padded = facts.get("auto_pad", b"NOTSET") != b"NOTSET"
        return facts.get("group", 1) == 1 and not padded and bool(np.prod(weights.shape[1:]) <= WIDEST)
    return weights.ndim == 2 and not facts.get("transA") and len(_filters(node, weights)[0]) <= WIDEST


def _filters(node: onnx.NodeProto, weights: np.ndarray) -> np.ndarray:
    """[outputs, inputs]."""
    if node.op_type == "Conv":
        return weights.reshape(len(weights), -1)
    return weights if _facts(node).get("transB") else weights.T


def _unfolded(node: onnx.NodeProto, filters: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Filters as the node holds them."""
    if node.op_type == "Conv" or _facts(node).get("transB"):
        return filters.reshape(shape)
    return np.ascontiguousarray(filters.T)


def _seen(
    node: onnx.NodeProto, values: np.ndarray, shape: tuple[int, ...], places: int, rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
    """Inputs of a filter, float64 [places, inputs], at some places of its input."""
    if node.op_type != "Conv":
        return values.reshape(-1, values.shape[-1]).astype(np.float64)
    facts, axes = _facts(node), len(shape) - 2
    pads, strides = facts.get("pads", [0] * 2 * axes), facts.get("strides", [1] * axes)
    dilations, last = facts.get("dilations", [1] * axes), tuple(range(2, 2 + axes))
    values = np.pad(values, [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)])
    spans = [1 + (size - 1) * step for size, step in zip(shape[2:], dilations, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(values, spans, axis=last)
    outer = tuple(slice(None, None, step) for step in strides)
    windows = windows[(slice(None), slice(None), *outer, *(slice(None, None, step) for step in dilations))]
    rows, grid = len(windows), windows.shape[2 : 2 + axes]
    count = min(int(np.prod(grid)), max(1, places // rows))
    chosen = [rng.integers(0, size, (rows, count)) for size in grid]
    taken: Any = np.moveaxis(windows, 1, 1 + axes)[(np.arange(rows)[:, None], *chosen)]  # [rows, places, channels, ...]
    return np.asarray(taken.reshape(rows * count, -1), np.float64)


def _facts(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
