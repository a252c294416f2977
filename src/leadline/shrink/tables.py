"""Weights in fewer bits that are read as float32: half precision, and int8 tables of embeddings with a scale a row.

Only what is stored changes, so arithmetic stays float32: ONNX Runtime widens half-precision constants once, when it
loads the file. Of a table (`Gather` of rows) the rows that are read are widened, and the table stays int8 in memory
(row-wise scales as in Guan et al. 2019, 'Post-Training 4-bit Quantization on Embedding Tables').
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from leadline.graph.spectra import fourier

if TYPE_CHECKING:
    import onnx

__all__ = ["half_weights", "int8_tables", "int8_weights", "large_weights", "matrices"]

FEWEST = 256  # numbers of a constant that is worth a node that widens it
NARROW = 16  # columns of a table under which a scale a column takes less than one a row
LARGEST_HALF, SMALL = 6e4, 1e-2  # what half precision holds, and below which it has fewer bits
LEVELS, TINY = 127.0, 1e-12  # of a weight, and the least scale
# Operators that sum what they multiply by weights: an error of a weight is one of many.
PRODUCTS = ("Conv", "ConvTranspose", "Einsum", "Gather", "Gemm", "GRU", "LSTM", "MatMul", "RNN")


def large_weights(model: onnx.ModelProto) -> int:
    """Bytes of float32 constants that these functions can store in less."""
    return sum(4 * _count(each) for each in model.graph.initializer if _large(each))


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its large float32 constants in half precision."""
    from onnx import TensorProto, helper, numpy_helper

    made = model.__class__()
    made.CopyFrom(model)
    ahead, scales, weights = [], [], set(matrices(model))
    for constant in made.graph.initializer:
        if not _large(constant):
            continue
        values = numpy_helper.to_array(constant)
        if not np.isfinite(values).all() or np.abs(values).max(initial=0) > LARGEST_HALF:
            continue
        name, wide, scale = constant.name, f"{constant.name}.wide", _power(values)
        half = (values / scale).astype(np.float16)
        if name not in weights and ((half == 0) & (values != 0)).any():
            continue  # others may divide by it
        constant.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        out = wide if scale != 1 else name
        ahead.append(helper.make_node("Cast", [f"{name}.half"], [out], name=wide, to=TensorProto.FLOAT))
        if scale != 1:
            scales.append(numpy_helper.from_array(scale, f"{name}.power"))
            ahead.append(helper.make_node("Mul", [wide, f"{name}.power"], [name], name=f"{name}.scaled"))
    made.graph.initializer.extend(scales)
    _put_ahead(made, ahead)
    return made


def _power(values: np.ndarray) -> np.ndarray:
    """What small values are divided by, so that half precision has all its bits for them: a power of two."""
    largest = float(np.abs(values).max(initial=0))
    return np.array(2.0 ** np.ceil(np.log2(largest)) if 0 < largest < SMALL else 1.0, np.float32)


def matrices(model: onnx.ModelProto) -> list[str]:
    """Names of large float32 constants of two or more axes that products alone read.

    Other constants are no weights: a divisor of a few levels may be zero.
    """
    others = {name for node in model.graph.node for name in node.input if node.op_type not in PRODUCTS}
    return [
        each.name for each in model.graph.initializer
        if _large(each) and len(each.dims) >= 2 and each.name not in others
    ]  # fmt: skip


def int8_weights(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """The same graph with these matrices and filters in int8, which are widened once, on loading; others are halved.

    Each has a scale a row or a column of its last two axes, or a filter: whichever rounds it least.
    """
    from onnx import TensorProto, helper, numpy_helper

    made = model.__class__()
    made.CopyFrom(model)
    ahead, scales = [], []
    for constant in made.graph.initializer:
        if constant.name not in names:
            continue
        values = numpy_helper.to_array(constant)
        if not np.isfinite(values).all():
            continue
        stored, scale = min((_levels(values, axes) for axes in _axes(values)), key=lambda pair: _apart(values, *pair))
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(stored, f"{name}.int8"))
        scales.append(numpy_helper.from_array(scale, f"{name}.scale"))
        ahead.append(
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], name=f"{name}.cast", to=TensorProto.FLOAT)
        )
        ahead.append(helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name], name=f"{name}.scaled"))
    _put_ahead(made, ahead)
    made = half_weights(made)
    made.graph.initializer.extend(scales)
    return made


def _axes(values: np.ndarray) -> list[tuple[int, ...]]:
    """Axes that share a scale, in turn; a scale has sixteen numbers at least, or all of a filter.

    Filters of one layer may differ a hundredfold, as those do that make the variance of pixels even.
    """
    last, filters = values.ndim - 1, tuple(range(1, values.ndim))
    ways: list[tuple[int, ...]] = [(last,), (last - 1,)]
    ways = [axes for axes in ways if np.prod([values.shape[axis] for axis in axes]) >= NARROW]
    if values.ndim > 2:
        return [*ways, filters]
    return ways or [tuple(range(values.ndim))]


def _levels(values: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(levels int8, scales float32) with one scale for what lies along the axes."""
    scale = np.maximum(np.abs(values).max(axis=axes, keepdims=True) / LEVELS, TINY).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def _apart(values: np.ndarray, levels: np.ndarray, scale: np.ndarray) -> float:
    return float(((values - levels * scale) ** 2).sum())


def int8_tables(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every large float32 table, of which rows are gathered, in int8 with a scale a row.

    A narrow table, or one of single numbers, has a scale a column, as one a row would be as large as what it saves;
    other large constants are stored in half precision.
    """
    from onnx import TensorProto, helper, numpy_helper

    made = model.__class__()
    made.CopyFrom(model)
    graph = made.graph
    constants = {each.name: each for each in graph.initializer if _large(each) and len(each.dims) <= 2}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in constants:
                gathers = node.op_type == "Gather" and place == 0 and _axis(node) == 0
                readers.setdefault(name, []).append(node)
                if not gathers:
                    constants.pop(name)
    nodes, to = [], TensorProto.FLOAT
    for node in graph.node:
        if node.op_type != "Gather" or node.input[0] not in constants:
            nodes.append(node)
            continue
        table, index, out = node.input[0], node.input[1], node.output[0]
        wide = _columns(constants[table]) >= NARROW
        nodes.append(helper.make_node("Gather", [f"{table}.int8", index], [f"{out}.int8"], name=f"{out}.rows", axis=0))
        nodes.append(helper.make_node("Cast", [f"{out}.int8"], [f"{out}.wide"], name=f"{out}.cast", to=to))
        scale = f"{table}.scale"
        if wide:
            nodes.append(helper.make_node("Gather", [scale, index], [f"{out}.half"], name=f"{out}.scales", axis=0))
            scale = f"{out}.scale"
            nodes.append(helper.make_node("Cast", [f"{out}.half"], [scale], name=f"{out}.widen", to=to))
        nodes.append(helper.make_node("Mul", [f"{out}.wide", scale], [out], name=f"{out}.scaled"))
    for name, constant in constants.items():
        if name not in readers:
            continue
        values = numpy_helper.to_array(constant)
        axis = 1 if _columns(constant) >= NARROW else 0
        scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / LEVELS, 1e-7).astype(np.float32)
        scale = scale.astype(np.float16).astype(np.float32) if axis == 1 else scale
        scale = np.maximum(scale, np.float32(6e-8))
        levels = np.clip(np.rint(values / scale), -LEVELS, LEVELS).astype(np.int8)
        constant.CopyFrom(numpy_helper.from_array(levels, f"{name}.int8"))
        stored = scale.astype(np.float16) if axis == 1 else scale
        graph.initializer.append(numpy_helper.from_array(stored, f"{name}.scale"))
    del graph.node[:]
    graph.node.extend(nodes)
    return half_weights(made)


def _columns(table: onnx.TensorProto) -> int:
    return int(table.dims[1]) if len(table.dims) == 2 else 1


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)


def _count(constant: onnx.TensorProto) -> int:
    return int(np.prod(constant.dims)) if len(constant.dims) else 1


def _large(constant: onnx.TensorProto) -> bool:
    """Whether fewer bits are worth it; a Fourier transform stays as it is, and becomes short (graph/spectra.py)."""
    from onnx import TensorProto

    return constant.data_type == TensorProto.FLOAT and _count(constant) >= FEWEST and fourier(constant) is None


def _put_ahead(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
