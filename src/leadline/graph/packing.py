"""Integers of 4 bits, two to a byte, which plain operators widen to int8.

Constants of a network are packed as one: the runtime computes what widens them once, as it loads the file, and only
then looks for products of int8, so that a network is as fast as with int8 constants. Rows of a table are widened as
they are read. Enters: int8 constants with levels of 4 bits. Leaves: the same graph with fewer bytes.

    bytes ─► & 15 ─┐
          ─► >> 4 ─┴► join ─► - 8 ─► int8 ─► a part a constant
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["LOWEST", "HIGHEST", "pack_constants", "packed", "unpacking"]

LOWEST, HIGHEST = -8, 7  # levels of 4 bits
BITS, MASK = 4, 15
FEWEST = 256  # numbers of a constant that is worth a part of its own


def packed(levels: np.ndarray) -> np.ndarray:
    """uint8 [..., (n + 1) // 2] of levels [..., n]: the first half in the low bits, the second half in the high ones.

    Where n is odd, one level of 0 is added at the end.
    """
    levels = np.pad(levels, [(0, 0)] * (levels.ndim - 1) + [(0, levels.shape[-1] % 2)])
    low, high = np.split((levels.astype(np.int16) - LOWEST).astype(np.uint8), 2, axis=-1)
    return np.asarray(low | high << BITS)


def unpacking(name: str, source: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """(nodes, constants) that make of packed values [..., k] their levels + 8, uint8 [..., 2 k].

    Args:
        name: of what is made, and the begin of all names.
        source: the packed values.
    """
    from onnx import helper, numpy_helper

    mask, bits, low, high = (f"{name}.{part}" for part in ("mask", "bits", "low", "high"))
    nodes = [
        helper.make_node("BitwiseAnd", [source, mask], [low], name=low),
        helper.make_node("BitShift", [source, bits], [high], name=high, direction="RIGHT"),
        helper.make_node("Concat", [low, high], [name], name=name, axis=-1),
    ]
    return nodes, [
        numpy_helper.from_array(np.array(value, np.uint8), each) for value, each in ((MASK, mask), (BITS, bits))
    ]


def pack_constants(model: onnx.ModelProto) -> None:
    """Every large int8 constant whose levels have 4 bits becomes a part of one packed constant; changed in place."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    found = {each.name: numpy_helper.to_array(each) for each in graph.initializer if _fits(each)}
    if not found:
        return
    counts = [each.size for each in found.values()]
    padding = sum(counts) % 2
    parts = [f"{name}.part" for name in found]
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Cast", ["packed.wide"], ["packed.integers"], {"to": TensorProto.INT32}),
        ("Sub", ["packed.integers", "packed.middle"], ["packed.levels"], {}),
        ("Cast", ["packed.levels"], ["packed.int8"], {"to": TensorProto.INT8}),
        ("Split", ["packed.int8", "packed.counts"], [*parts, *["packed.padding"][:padding]], {"axis": 0}),
        *(("Reshape", [f"{name}.part", f"{name}.shape"], [name], {}) for name in found),
    ]
    nodes, constants = unpacking("packed.wide", "packed")
    nodes += [helper.make_node(kind, read, made, name=made[0], **facts) for kind, read, made, facts in steps]
    values = {
        "packed": packed(np.concatenate([each.ravel() for each in found.values()])),
        "packed.middle": np.array(-LOWEST, np.int32), "packed.counts": np.array([*counts, *[1] * padding], np.int64),
        **{f"{name}.shape": np.array(each.shape, np.int64) for name, each in found.items()},
    }  # fmt: skip
    kept = [each for each in graph.initializer if each.name not in found]
    rest = list(graph.node)
    for field in (graph.initializer, graph.node):
        del field[:]
    graph.initializer.extend([*kept, *constants, *(numpy_helper.from_array(v, name) for name, v in values.items())])
    graph.node.extend([*nodes, *rest])


def _fits(constant: onnx.TensorProto) -> bool:
    from onnx import TensorProto, numpy_helper

    if constant.data_type != TensorProto.INT8 or int(np.prod(constant.dims)) < FEWEST:
        return False
    values = numpy_helper.to_array(constant)
    return bool(values.min() >= LOWEST and values.max() <= HIGHEST)
