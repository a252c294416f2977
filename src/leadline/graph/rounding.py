"""Weights rounded to int8 so that what they give to real inputs changes least (GPTQ: Frantar et al. 2022, 'Accurate
post-training quantization for generative pre-trained Transformers').

Rounded one by one, weights lose most where inputs go together, as neighbouring pixels do: errors of a filter whose
weights add up to nothing do not. Here a filter's weights are rounded one after another, and the others make up for the
error so far, as the covariance of the inputs has it. Enters: a network, names of its nodes, batches of its inputs.
Leaves: the weights of these nodes, each a level of int8 times the scale that the quantiser will find again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["put_weights", "rounded", "rounded_weights"]

PRODUCTS = ("Conv", "Gemm", "MatMul")  # operators with weights that int8 makes smaller and faster
LEVELS = 127  # on either side of zero
PLACES = 30_000  # of a convolution, at which its inputs are looked at
WIDEST = 1_200  # inputs of a filter, with more of which the covariance takes longer than it is worth
DAMPING = 0.01  # of the mean variance, added to each: few rows do not tell every direction
TINY = 1e-12  # the least scale


def rounded_weights(
    model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Weights by the name of their constant; those of a node that is no plain product of its inputs are left out."""
    from onnx import numpy_helper

    from leadline.graph.builder import with_outputs
    from leadline.graph.runtime import Session

    held = {each.name: each for each in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.name in names and node.op_type in PRODUCTS]
    nodes = [node for node in nodes if node.input[1] in held]
    found = {node.name: numpy_helper.to_array(held[node.input[1]]) for node in nodes}
    nodes = [node for node in nodes if _plain(node, found[node.name])]
    if not nodes:
        return {}
    inputs = list(dict.fromkeys(node.input[0] for node in nodes))
    given = {value.name for value in model.graph.input}
    inner = [name for name in inputs if name not in given]
    session, rng = Session(with_outputs(model, inner)), np.random.default_rng(0)
    products = {node.name: 0.0 for node in nodes}
    for feeds in batches:
        values = {**feeds, **session(feeds, inner)} if inner else feeds
        for node in nodes:
            seen = _seen(node, values[node.input[0]], found[node.name].shape, PLACES // len(batches), rng)
            products[node.name] += seen.T @ seen
    made = {}
    for node in nodes:
        weights = found[node.name]
        made[node.input[1]] = _unfolded(node, rounded(_filters(node, weights), products[node.name]), weights.shape)
    return made


def put_weights(model: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> None:
    """Put weights in place of those that a graph has by these names, in place."""
    from onnx import numpy_helper

    for held in model.graph.initializer:
        if held.name in weights:
            held.CopyFrom(numpy_helper.from_array(weights[held.name], held.name))


def rounded(weights: np.ndarray, products: Any) -> np.ndarray:
    """Weights at levels of a scale a row.

    Args:
        weights: float32 [outputs, inputs].
        products: [inputs, inputs], summed over rows, of each input by each.
    """
    outputs, inputs = weights.shape
    left = weights.astype(np.float64)
    scale = np.maximum(np.abs(left).max(axis=1) / LEVELS, TINY).astype(np.float32).astype(np.float64)
    largest = np.abs(left).argmax(axis=1)  # stays at the last level, so that the quantiser finds the same scale
    ends = LEVELS * np.sign(left[np.arange(outputs), largest])
    damped = products + np.eye(inputs) * (DAMPING * np.trace(products) / inputs + TINY)
    inverse = np.linalg.inv(damped)
    factor = np.linalg.cholesky((inverse + inverse.T) / 2).T
    made = np.empty_like(left)
    for column in range(inputs):
        levels = np.clip(np.rint(left[:, column] / scale), -LEVELS, LEVELS)
        made[:, column] = np.where(largest == column, ends, levels) * scale
        error = (left[:, column] - made[:, column]) / factor[column, column]
        left[:, column + 1 :] -= np.outer(error, factor[column, column + 1 :])
    return made.astype(np.float32)


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
