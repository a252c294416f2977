"""The graph of a network that has learned further: other weights in the graph as it was written.

Enters: a graph, and what its weights were and are. Leaves: the graph with the new ones, without an exporter's seconds.
An exporter renames weights, transposes some, and computes others into each other: each is found by its values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def with_weights(
    model: onnx.ModelProto, weights: Iterable[tuple[np.ndarray, np.ndarray]]
) -> onnx.ModelProto | None:  # fmt: skip
    """The graph, changed in place; None where a weight that has changed cannot be distinguished from the rest in it.

    Args:
        weights: of each weight, float32, what it was and what it is.
    """
    import onnx
    from onnx import numpy_helper

    held = model.graph.initializer
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, each in enumerate(held):
        if each.data_type == onnx.TensorProto.FLOAT:
            places[_key(numpy_helper.to_array(each))].append(place)
    new: dict[int, np.ndarray] = {}
    for before, now in weights:
        moved = now is not before and not np.array_equal(before, now)
        found = [(place, now) for place in places[_key(before)]]
        if before.ndim == 2:
            found += [(place, now.T) for place in places[_key(before.T)]]
        if moved and (not found or np.ptp(before) == 0):  # a constant may be anything
            return None
        for place, value in found:
            if place in new and not np.array_equal(new[place], value):
                return None  # weights that were equal are one in the graph
            new[place] = value
    for place, value in new.items():
        held[place].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), held[place].name))
    return model


def _key(values: np.ndarray) -> bytes:
    found = blake2b(str(values.shape).encode(), digest_size=16)
    found.update(np.ascontiguousarray(values).tobytes())
    return found.digest()
