"""The same answers in fewer bytes: what a whole file spends on tables that are mostly zero, on spellings, on Fourier
transforms, and on names.

A text's n-grams are numbered by a table of all hash buckets, most of which are 0 and the rest of which rise. Such a
table is a set of buckets and a rank in it: a byte of marks and the number before it for each eight buckets (Jacobson
1989, 'Space-efficient static trees and graphs'). Enters: the graph of a file. Leaves: the same graph, changed in place.
"""

from __future__ import annotations

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


def compact(model: onnx.ModelProto) -> None:
    """Words in one spelling, rising tables as ranks, lookups as ranges, short Fourier transforms, and short names."""
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
    shorten(model)
    for node in graph.node:
        node.name = ""


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
