"""Weights in fewer bits that are read as float32: half precision, and tables of embeddings in 8 or 4 bits with a scale
a row.

Only what is stored changes, so arithmetic stays float32: ONNX Runtime widens constants once, when it loads the file. Of
a table (`Gather` of rows) the rows that are read are widened, and the table stays small in memory (row-wise scales as
in Guan et al. 2019, 'Post-Training 4-bit Quantization on Embedding Tables').
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from leadline.graph.packing import LOWEST, packed, unpacking
from leadline.graph.rounding import INT4, INT8, Levels, Rounded
from leadline.graph.spectra import fourier

if TYPE_CHECKING:
    import onnx

__all__ = ["half_weights", "integer_tables", "integer_weights", "large_weights", "matrices"]

FEWEST = 256  # numbers of a constant that is worth a node that widens it
NARROW = 16  # columns of a table under which a scale a column takes less than one a row
LARGEST_HALF, SMALL = 6e4, 1e-2  # what half precision holds, and below which it has fewer bits
LEAST = 1e-7  # the least scale of a table, which half precision holds
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


def integer_weights(
    model: onnx.ModelProto, names: Collection[str], rounded: Mapping[str, Rounded], four: Collection[str] = ()
) -> onnx.ModelProto:  # fmt: skip
    """The same graph with these matrices and filters in int8, which are widened once, on loading; others are halved.

    Each has a scale a row or a column of its last two axes, or a filter: whichever rounds it least.

    Args:
        rounded: what is rounded already.
        four: of the others those that have levels of 4 bits.
    """
    from onnx import TensorProto, helper, numpy_helper

    made = model.__class__()
    made.CopyFrom(model)
    ahead, scales = [], []
    for constant in made.graph.initializer:
        if constant.name not in names:
            continue
        values, name = numpy_helper.to_array(constant), constant.name
        if not np.isfinite(values).all():
            continue
        found = rounded.get(name) or _nearest(values, INT4 if name in four else INT8)
        constant.CopyFrom(numpy_helper.from_array(found.levels, f"{name}.int8"))
        scales.append(numpy_helper.from_array(found.scale, f"{name}.scale"))
        ahead.append(
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], name=f"{name}.cast", to=TensorProto.FLOAT)
        )
        ahead.append(helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name], name=f"{name}.scaled"))
    _put_ahead(made, ahead)
    made = half_weights(made)
    made.graph.initializer.extend(scales)
    return made


def _nearest(values: np.ndarray, levels: Levels) -> Rounded:
    """The nearest levels, by the axes that round least."""
    scales = [levels.scale(values, axes) for axes in _axes(values)]
    found = [Rounded(levels=levels.nearest(values, scale), scale=scale) for scale in scales]
    return min(found, key=lambda each: float(((values - each.values) ** 2).sum()))


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


def integer_tables(model: onnx.ModelProto, levels: Levels = INT8) -> onnx.ModelProto:
    """The same graph with every large float32 table, of which rows are gathered, in 8 or 4 bits with a scale a row.

    A narrow table, or one of single numbers, has a scale a column, as one a row would be as large as what it saves;
    one of single numbers keeps 8 bits. Other large constants are stored in half precision.
    """
    from onnx import numpy_helper

    made = model.__class__()
    made.CopyFrom(model)
    graph = made.graph
    tables = _gathered(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        constant = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if constant is None:
            nodes.append(node)
            continue
        read, constants = _reading(node, _columns(constant), _bits(constant, levels) == INT4)
        nodes += read
        graph.initializer.extend(constants)
    for name, constant in tables.items():
        values, wide, own = numpy_helper.to_array(constant), _columns(constant) >= NARROW, _bits(constant, levels)
        scale = np.maximum(own.scale(values, int(wide)), np.float32(LEAST))
        scale = scale.astype(np.float16) if wide else scale
        stored = own.nearest(values, scale.astype(np.float32))
        constant.CopyFrom(numpy_helper.from_array(packed(stored) if own == INT4 else stored, f"{name}.rows"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
    del graph.node[:]
    graph.node.extend(nodes)
    return half_weights(made)


def _gathered(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Large tables, by their names, of which rows are read and nothing else."""
    constants = {each.name: each for each in graph.initializer if _large(each) and len(each.dims) <= 2}
    read = set()
    for node in graph.node:
        for place, name in enumerate(node.input):
            read.add(name)
            if not (node.op_type == "Gather" and place == 0 and _axis(node) == 0):
                constants.pop(name, None)
    return {name: each for name, each in constants.items() if name in read}


def _bits(table: onnx.TensorProto, levels: Levels) -> Levels:
    """Levels of a table: single numbers keep 8 bits."""
    return levels if _columns(table) > 1 else INT8


def _reading(node: onnx.NodeProto, columns: int, four: bool) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """(nodes, constants) that read rows of a table and widen them.

    Args:
        node: that gathers them.
        four: whether the table has 4 bits.
    """
    from onnx import TensorProto, helper, numpy_helper

    table, index, out = node.input[0], node.input[1], node.output[0]
    whole, wide, scale, to = f"{out}.rows", f"{out}.wide", f"{table}.scale", TensorProto.FLOAT
    nodes = [helper.make_node("Gather", [f"{table}.rows", index], [whole], name=whole, axis=0)]
    constants: list[onnx.TensorProto] = []
    if four:
        unpacked, constants = unpacking(f"{out}.unpacked", whole)
        nodes, whole = [*nodes, *unpacked], f"{out}.unpacked"
        ends = {"none": [0], "columns": [columns], "last": [-1]} if columns % 2 else {}
        constants += [numpy_helper.from_array(np.array(end, np.int64), f"{out}.{name}") for name, end in ends.items()]
        if ends:
            even, whole = whole, f"{out}.odd"
            nodes.append(helper.make_node("Slice", [even, *(f"{out}.{name}" for name in ends)], [whole], name=whole))
        constants.append(numpy_helper.from_array(np.array(-LOWEST, np.float32), f"{out}.middle"))
        nodes.append(helper.make_node("Cast", [whole], [f"{out}.raised"], name=f"{out}.cast", to=to))
        nodes.append(helper.make_node("Sub", [f"{out}.raised", f"{out}.middle"], [wide], name=wide))
    else:
        nodes.append(helper.make_node("Cast", [whole], [wide], name=f"{out}.cast", to=to))
    if columns >= NARROW:
        nodes.append(helper.make_node("Gather", [scale, index], [f"{out}.half"], name=f"{out}.scales", axis=0))
        scale = f"{out}.scale"
        nodes.append(helper.make_node("Cast", [f"{out}.half"], [scale], name=f"{out}.widen", to=to))
    nodes.append(helper.make_node("Mul", [wide, scale], [out], name=f"{out}.scaled"))
    return nodes, constants


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
