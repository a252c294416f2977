"""The same answers in fewer bytes: what a whole file spends on tables that are mostly zero, on spellings, on Fourier
transforms, on settings that operators have anyway, and on names.

A text's n-grams are numbered by a table of all hash buckets, most of which are 0 and the rest of which rise. Such a
table is a set of buckets and a rank in it: a byte of marks and the number before it for each eight buckets (Jacobson
1989, 'Space-efficient static trees and graphs'). Enters: the graph of a file. Leaves: the same graph, changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.spectra import short_transforms
from leadline.shrink.lookups import ranged
from leadline.shrink.network import shorten
from leadline.shrink.spellings import lowered

if TYPE_CHECKING:
    import onnx

__all__ = ["compact"]

FEWEST = 4_096  # entries of a table that is worth it
WORD = 8  # entries that share a byte of marks
MOST_BEFORE = 65_535  # marked entries before a word, as uint16
# What attributes are where nobody says, by operator; of a list, each entry.
_AREAS: dict[str, Any] = {
    "dilations": 1, "strides": 1, "group": 1, "pads": 0, "ceil_mode": 0, "storage_order": 0, "auto_pad": b"NOTSET",
}  # fmt: skip
DEFAULTS: dict[str, dict[str, Any]] = {
    "Conv": _AREAS, "MaxPool": _AREAS, "Cast": {"saturate": 1}, "Reshape": {"allowzero": 0},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceSum"), {"keepdims": 1, "noop_with_empty_axes": 0}),
}  # fmt: skip


def compact(model: onnx.ModelProto) -> None:
    """Words in one spelling, rising tables as ranks, lookups as ranges, short transforms and names, and no defaults."""
    lowered(model)
    ranged(model)
    short_transforms(model)
    graph = model.graph
    tables = {each.name: each for each in graph.initializer if _rises(each)}
    readers = [node for node in graph.node if set(node.input) & set(tables)]
    for node in readers:
        if node.op_type != "Gather" or node.input[0] not in tables or node.input[1] in tables:
            for name in node.input:
                tables.pop(name, None)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        nodes += [node] if table is None else _ranked(node, table)
    for constant in list(tables.values()):
        _store(graph, constant)
    del graph.node[:]
    graph.node.extend(nodes)
    _leave_defaults_out(graph)
    shorten(model)
    for node in graph.node:
        node.name = ""


def _leave_defaults_out(graph: onnx.GraphProto) -> None:
    """Attributes that say the default, and zero points of 0 of the weights of convolutions."""
    from onnx import numpy_helper

    constants = {each.name: each for each in graph.initializer}
    read = {name for node in graph.node if node.op_type == "Conv" for name in node.input}
    for node in graph.node:
        if node.op_type in DEFAULTS:
            stated = [each for each in node.attribute if not _default(node.op_type, each)]
            del node.attribute[:]
            node.attribute.extend(stated)
        if node.op_type == "DequantizeLinear" and node.output[0] in read and len(node.input) > 2:
            zero = constants.get(node.input[2])
            if zero is None or numpy_helper.to_array(zero).any():
                continue
            if node.input[0] in constants or zero.dims:  # weights, which may be packed
                del node.input[2]
    used = {name for node in _nodes(graph) for name in node.input} | {value.name for value in graph.output}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches and bodies too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _default(kind: str, attribute: onnx.AttributeProto) -> bool:
    """Whether an attribute of an operator says what it would be anyway."""
    from onnx import helper

    if attribute.name not in DEFAULTS[kind]:
        return False
    value = helper.get_attribute_value(attribute)
    return set(value if isinstance(value, list) else [value]) == {DEFAULTS[kind][attribute.name]}


def _rises(constant: onnx.TensorProto) -> bool:
    """Whether a table of integers is 0 but for 1, 2, 3, ... in this order."""
    from onnx import TensorProto, numpy_helper

    if constant.data_type not in (TensorProto.INT32, TensorProto.INT64) or len(constant.dims) != 1:
        return False
    if constant.dims[0] < FEWEST or constant.dims[0] % WORD:
        return False
    values = numpy_helper.to_array(constant)
    marked = values[values != 0]
    return len(marked) <= MOST_BEFORE and np.array_equal(marked, np.arange(1, len(marked) + 1))


def _store(graph: onnx.GraphProto, constant: onnx.TensorProto) -> None:
    """Marks, numbers before each word, and how many marks of a byte lie up to each place in it."""
    from onnx import numpy_helper

    name = constant.name
    marked = numpy_helper.to_array(constant).reshape(-1, WORD) != 0
    before = np.concatenate([[0], marked.sum(axis=1).cumsum()[:-1]]).astype(np.uint16)
    bits = (np.arange(256)[:, None] >> np.arange(WORD)) & 1
    within = np.where(bits > 0, bits.cumsum(axis=1), 0).astype(np.uint8).ravel()
    constant.CopyFrom(numpy_helper.from_array(np.packbits(marked, axis=1, bitorder="little").ravel(), f"{name}.marks"))
    for part, values in (("before", before), ("within", within), ("word", np.array(WORD, np.int64)),
                         ("zero", np.array(0, np.int64))):  # fmt: skip
        graph.initializer.append(numpy_helper.from_array(values, f"{name}.{part}"))


def _ranked(node: onnx.NodeProto, constant: onnx.TensorProto) -> list[onnx.NodeProto]:
    """`Gather` of a rising table: the rank of a marked entry, 0 of another one."""
    from onnx import TensorProto, helper

    table, index, out, dtype = constant.name, node.input[1], node.output[0], constant.data_type
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", [index], "index", {"to": TensorProto.INT64}),
        ("Div", [f"{out}.index", f"{table}.word"], "place", {}),
        ("Mod", [f"{out}.index", f"{table}.word"], "bit", {}),
        ("Gather", [f"{table}.marks", f"{out}.place"], "byte", {"axis": 0}),
        ("Cast", [f"{out}.byte"], "wide", {"to": TensorProto.INT64}),
        ("Mul", [f"{out}.wide", f"{table}.word"], "row", {}),
        ("Add", [f"{out}.row", f"{out}.bit"], "entry", {}),
        ("Gather", [f"{table}.within", f"{out}.entry"], "rank", {"axis": 0}),
        ("Cast", [f"{out}.rank"], "inner", {"to": TensorProto.INT64}),
        ("Gather", [f"{table}.before", f"{out}.place"], "outer", {"axis": 0}),
        ("Cast", [f"{out}.outer"], "ahead", {"to": TensorProto.INT64}),
        ("Add", [f"{out}.inner", f"{out}.ahead"], "sum", {}),
        ("Greater", [f"{out}.inner", f"{table}.zero"], "marked", {}),
        ("Where", [f"{out}.marked", f"{out}.sum", f"{table}.zero"], "ranked", {}),
    ]
    made = [
        helper.make_node(kind, inputs, [f"{out}.{name}"], name=f"{out}.{name}", **settings)
        for kind, inputs, name, settings in steps
    ]
    return [*made, helper.make_node("Cast", [f"{out}.ranked"], [out], name=f"{out}.cast", to=dtype)]
