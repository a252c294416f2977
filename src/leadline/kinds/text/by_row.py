"""A body of texts as a graph that encodes a row by itself, as long as it is.

No time goes into padding, and what a row gives does not depend on the batch, not even in int8, whose activations are
scaled as they come (one scale for all pieces of the row).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.pretrained import Layer

if TYPE_CHECKING:
    import onnx

    from leadline.graph.builder import Graph


def layers_of(count: int, width: int) -> tuple[Layer, ...]:
    """What a body gives: means of the embeddings and of each layer, and the maximum of the last."""
    means = ("embeddings", *(f"layer {number}" for number in range(1, count + 1)))
    return tuple(Layer(name=name, width=width) for name in (*means, f"layer {count}, maximum"))


def piece_type(pieces: int) -> Any:
    """The smallest type that holds the numbers of so many pieces."""
    return np.uint16 if pieces <= np.iinfo(np.uint16).max else np.int32


def row_input(g: Graph, length: int) -> tuple[str, str]:
    """The inputs of the graph of a row: the pieces that it has, int64 [T], and their count [1]."""
    ids, count = g.input("ids", np.int64, [length]), g.input("length", np.int64, [1])
    zero = g.const(np.array([0], np.int64))
    return str(g.op("Slice", ids, zero, count, zero)), count


def by_row(row: onnx.GraphProto, name: str, dtype: Any, length: int, width: int) -> onnx.ModelProto:
    """The graph: 'name' [N, length], 0 for none at the end -> 'states' float32 [N, width].

    Args:
        row: from what `row_input` declares to float32 [width].
    """
    from leadline.graph.builder import Graph, scan

    g = Graph("rows")
    ids = g.op("Cast", g.input(name, dtype, ["N", length]), to=7)
    held = g.op("Cast", g.op("Greater", ids, g.const(np.int64(0))), to=7)
    lengths = g.op("ReduceSum", held, g.const(np.array([1], np.int64)), keepdims=1)
    return scan(g, [ids, lengths], row, "states", width)
