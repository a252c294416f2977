"""Lookup tables of n-grams in two bytes an entry: which number is which column of a linear model.

The operator `LabelEncoder` holds a key in eight bytes and a value in four. Where keys rise and values are 1, 2, 3, ...,
a value is a place among the keys, so keys alone are stored: how many lie in each range of keys, and the last bits of
each (as in quotient filters: Bender et al. 2012). Columns that weigh least can be left out altogether. Enters: a graph
with such tables. Leaves: the same answers (`ranged`), or those of fewer columns (`fewer_columns`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["columns_of", "fewer_columns", "ranged"]

FEWEST = 512  # entries of a table that is worth it
LARGEST = 1 << 31  # a key at most
MOST_BITS = 15  # of a key that are stored
FLOAT, INT32 = 1, 6  # element types of ONNX


@dataclass(frozen=True, kw_only=True)
class _Lookup:
    """A `LabelEncoder` whose keys rise and whose values count them."""

    node: onnx.NodeProto
    keys: np.ndarray  # int64, rising


def columns_of(model: onnx.ModelProto) -> int:
    """Columns that its lookups name; 0 where it has none."""
    return sum(len(lookup.keys) for lookup in _lookups(model))


def ranged(model: onnx.ModelProto) -> None:
    """Store the keys of lookups as ranges and last bits; the graph is changed in place."""
    graph, nodes = model.graph, list[Any]()
    found = {lookup.node.output[0]: lookup for lookup in _lookups(model)}
    for node in graph.node:
        lookup = found.get(node.output[0]) if node.output else None
        nodes += [node] if lookup is None else _searched(graph, lookup)
    copies = [node.__class__.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _lookups(model: onnx.ModelProto) -> list[_Lookup]:
    from onnx import helper, numpy_helper

    found = []
    for node in model.graph.node:
        if node.op_type != "LabelEncoder":
            continue
        settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if not {"keys_tensor", "values_tensor", "default_tensor"} <= set(settings):
            continue
        keys, values, default = (
            numpy_helper.to_array(settings[name]) for name in ("keys_tensor", "values_tensor", "default_tensor")
        )
        counts = values.dtype == np.float32 and np.array_equal(values, np.arange(1, len(values) + 1, dtype=np.float32))
        rises = keys.dtype == np.int64 and len(keys) >= FEWEST and bool((np.diff(keys) > 0).all())
        if counts and rises and keys[0] > 0 and keys[-1] < LARGEST - 2 and float(default.ravel()[0]) == 0:
            found.append(_Lookup(node=node, keys=keys))
    return found


def _searched(graph: onnx.GraphProto, lookup: _Lookup) -> list[onnx.NodeProto]:
    """int64 numbers of any shape -> float32 places from 1, and 0 of a number that is no key.

    The runtime makes whole keys of what is stored, once. A number is searched by halving among the keys of its range.
    """
    from onnx import helper, numpy_helper

    keys, out = lookup.keys, lookup.node.output[0]
    made: list[onnx.NodeProto] = []

    def const(values: Any) -> str:
        name = f"{out}.constant{len(graph.initializer)}"
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def op(kind: str, *inputs: str, **settings: Any) -> str:
        name = f"{out}.{kind}{len(made)}"
        made.append(helper.make_node(kind, list(inputs), [name], name=name, **settings))
        return name

    bits, counts = _ranges(keys)
    width, size, one = 1 << int(counts.max()).bit_length(), const(np.int32(1 << bits)), const(np.int32(1))
    # A range begins behind the keys of those before it; a number beyond the last range falls into an empty one.
    counted = op("Concat", op("Cast", const(_small(counts)), to=INT32), const(np.zeros(1, np.int32)), axis=0)
    begins = op("CumSum", counted, const(np.int64(0)), exclusive=1)
    marks = op("Expand", const(np.int32(0)), const(np.array([len(keys) + 1])))
    marks = op("ScatterElements", marks, begins, op("Expand", one, op("Shape", begins)), axis=0, reduction="add")
    ranges = op("Sub", op("CumSum", marks, const(np.int64(0))), one)  # of each key, and of one behind the last
    rest = op("Cast", const(_small(np.concatenate([keys & ((1 << bits) - 1), [0]]))), to=INT32)
    whole = op("Add", op("Mul", ranges, size), rest)
    behind = op("Expand", const(np.int32(LARGEST - 1)), const(np.array([2 * width])))
    whole = op("Concat", whole, behind, axis=0)
    bounded = op("Clip", lookup.node.input[0], const(np.int64(0)), const(np.int64(LARGEST - 2)))  # neither is a key
    number = op("Cast", bounded, to=INT32)
    place = op("Gather", begins, op("Min", op("Div", number, size), const(np.int32(len(counts)))))
    step = width
    while step := step // 2:  # the first key that is not below the number
        table = op("Slice", whole, const(np.array([step - 1])), const(np.array([LARGEST])))
        below = op("Cast", op("Less", op("Gather", table, place), number), to=INT32)
        place = op("Add", place, op("Mul", below, const(np.int32(step))))
    known = op("Cast", op("Equal", op("Gather", whole, place), number), to=INT32)
    found = op("Mul", op("Add", place, one), known)
    made.append(helper.make_node("Cast", [found], [out], name=out, to=FLOAT))
    return made


def _ranges(keys: np.ndarray) -> tuple[int, np.ndarray]:
    """(bits of a key that are stored, keys in each range): about one a range, where a key has so few bits."""
    bits = int(np.clip(np.ceil(np.log2((int(keys[-1]) + 1) / len(keys))), 1, MOST_BITS))
    return bits, np.bincount(keys >> bits)


def _small(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint8 if values.max(initial=0) < 256 else np.uint16)


def fewer_columns(model: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """The network with this share of the columns of its lookups, those that weigh most in its tables."""
    from onnx import helper, numpy_helper

    made = model.__class__()
    made.CopyFrom(model)
    for lookup in _lookups(made):
        columns = len(lookup.keys)
        tables = [each for each in _tables(made, lookup) if each.dims[0] == columns + 1]
        weight = np.ones(columns)
        for table in tables:
            values = numpy_helper.to_array(table).reshape(columns + 1, -1)[1:]
            weight *= np.abs(values - values.mean(axis=1, keepdims=True) * (values.shape[1] > 1)).max(axis=1)
        kept = np.sort(np.argsort(-weight, kind="stable")[: max(1, int(share * columns))])
        for table in tables:
            values = numpy_helper.to_array(table)
            table.CopyFrom(numpy_helper.from_array(values[np.concatenate([[0], kept + 1])], table.name))
        for name, values in (("keys_tensor", lookup.keys[kept]),
                             ("values_tensor", np.arange(1, len(kept) + 1, dtype=np.float32))):  # fmt: skip
            place = next(i for i, each in enumerate(lookup.node.attribute) if each.name == name)
            tensor = numpy_helper.from_array(values, name)
            lookup.node.attribute[place].CopyFrom(helper.make_attribute(name, tensor))
    return made


def _tables(model: onnx.ModelProto, lookup: _Lookup) -> list[onnx.TensorProto]:
    """Constants whose rows are gathered by what the lookup finds."""
    reached, constants = {lookup.node.output[0]}, {each.name: each for each in model.graph.initializer}
    tables = {}
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[0] in constants:
            if node.input[1] in reached:
                tables[node.input[0]] = constants[node.input[0]]
        elif reached & set(node.input):
            reached |= set(node.output)
    return list(tables.values())
