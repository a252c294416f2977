"""Smaller networks from one network: which there are depends on its operators, and nobody asks for its contender.

    convolutions, dense layers    int8, static; the calibration that valid chooses; fragile nodes stay float32
    other matrix products, LSTMs  int8, dynamic, with int8 tables
    tables whose rows are read    int8, a scale a row
    trees                         the first half, quarter, ... of the rounds
    anything with weights         half precision

Enters: a network, and the rows to calibrate and to choose by (train and valid; no row of the test). Leaves: candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.tensors import Tensors
from leadline.shrink.network import feeds, scores
from leadline.shrink.quantize import METHODS, Static, dynamic_int8
from leadline.shrink.tables import half_weights, int8_tables, large_weights
from leadline.shrink.trees import fewer_trees, trees_of

if TYPE_CHECKING:
    import onnx

__all__ = ["Candidate", "candidates"]

CALIBRATION, A_BATCH = 256, 32  # train rows, and how many of them in one call
FRAGILE = (1, 2, 4, 8)  # nodes that stay float32, tried in turn
PROBED = 64  # valid rows on which the error of one int8 node is measured
MOST_NODES = 60  # that are probed one by one
HALVINGS = 5  # of the trees
WORTHWHILE = 0.95  # share of the bytes under which a candidate saves any


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A smaller network."""

    name: str
    describe: str
    network: onnx.ModelProto
    integer: bool = False  # whether it computes in int8, which differs between classes of processors


def candidates(
    network: onnx.ModelProto, store: Tensors, drop: Callable[[onnx.ModelProto], float], allowed: float, seed: int,
    folder: Path,
) -> Iterator[Candidate]:  # fmt: skip
    """The network itself, and all candidates that are smaller.

    Args:
        drop: of a network on the valid rows.
        allowed: drop on valid above which fragile nodes are looked for.
        folder: for files on the way.
    """
    size = network.ByteSize()
    yield Candidate(name="float32", describe="the same network, its tables and names stored in less", network=network)
    for each in _all(network, store, drop, allowed, seed, folder):
        if each.network.ByteSize() < WORTHWHILE * size:
            yield each


def _all(
    network: onnx.ModelProto, store: Tensors, drop: Callable[[onnx.ModelProto], float], allowed: float, seed: int,
    folder: Path,
) -> Iterator[Candidate]:  # fmt: skip
    trees, outputs = trees_of(network)
    for halving in range(1, HALVINGS + 1):
        rounds = trees // outputs >> halving
        if rounds:
            yield Candidate(
                name=f"trees/{1 << halving}", describe=f"the first {rounds:,} of {trees // outputs:,} rounds of trees",
                network=fewer_trees(network, rounds * outputs),
            )  # fmt: skip
    if not large_weights(network):
        return
    yield Candidate(name="float16", describe="weights in half precision", network=half_weights(network))
    kinds = {node.op_type for node in network.graph.node}
    if "Gather" in kinds:
        yield Candidate(
            name="int8 tables", describe="tables in int8 with a scale a row, other weights in half precision",
            network=int8_tables(network),
        )  # fmt: skip
    if "Conv" in kinds and "LSTM" not in kinds:
        yield from _static(network, store, drop, allowed, seed, folder)
    elif kinds & {"MatMul", "Gemm", "LSTM"}:
        made = int8_tables(dynamic_int8(network, folder))
        yield Candidate(
            name="dynamic int8", describe="int8 weights in matrix products and recurrences, activations scaled as they "
            "come; other weights in int8 tables or half precision", network=made, integer=True,
        )  # fmt: skip
        if not store.task.generative and "LSTM" not in kinds and "Softmax" in kinds:
            yield from _static(network, store, drop, allowed, seed, folder)


def _static(
    network: onnx.ModelProto, store: Tensors, drop: Callable[[onnx.ModelProto], float], allowed: float, seed: int,
    folder: Path,
) -> Iterator[Candidate]:  # fmt: skip
    """Static int8, by the calibration that is best on valid; and with its most fragile nodes in float32."""
    names = [value.name for value in network.graph.input]
    train = store.split.train
    few = np.sort(np.random.default_rng(seed).permutation(train)[:CALIBRATION])
    static = Static(network, list(feeds(store, names, few, A_BATCH)), folder)
    if not static.weighed:
        return
    drops = {method: drop(half_weights(static.quantized(method))) for method in METHODS}
    method = min(drops, key=lambda each: drops[each])
    how = f"static int8, calibrated by {method} on {len(few)} train rows"
    yield Candidate(name="int8", describe=how, network=half_weights(static.quantized(method)), integer=True)
    if drops[method] <= allowed:
        return
    order = _fragile(static, method, network, store)
    for count in (count for count in FRAGILE if count < len(order)):
        made = half_weights(static.quantized(method, floats=order[:count]))
        yield Candidate(
            name=f"int8, {count} float", describe=f"{how}; the {count} most fragile layers stay float32", network=made,
            integer=True,
        )  # fmt: skip
        if drop(made) <= allowed:
            return


def _fragile(static: Static, method: str, network: onnx.ModelProto, store: Tensors) -> Sequence[str]:
    """Nodes with weights, the one first whose int8 alone moves the answers to valid rows most."""
    rows = store.split.valid[:PROBED]
    right = scores(network, store, rows)
    moved = {}
    for node in static.weighed[:MOST_NODES]:
        made = scores(static.quantized(method, only=[node]), store, rows)
        moved[node] = float(np.mean((made - right) ** 2))
    return sorted(moved, key=lambda node: -moved[node])
