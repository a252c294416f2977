"""Lookup tables of n-grams stored as ranges find what they found, and nothing of what they did not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.shrink.compact import compact
from leadline.shrink.lookups import columns_of, fewer_columns

BUCKETS = 1 << 22


def _network(keys: np.ndarray, weights: np.ndarray) -> onnx.ModelProto:
    """Numbers of n-grams -> the sum of what their columns weigh."""
    g = Graph("grams")
    x = g.input("x", np.int64, ["N", "K"])
    column = g.look(x, keys, np.arange(1, len(keys) + 1, dtype=np.float32), 0.0)
    place = g.op("Cast", column, to=7)
    value = g.op("Gather", g.const(np.concatenate([[0], weights]).astype(np.float32)), place)
    g.output("y", g.op("ReduceSum", value, g.const(np.array([1])), keepdims=0), np.float32, ["N"])
    return g.model()


@pytest.mark.parametrize("spread", [BUCKETS, 3_000, 2_000])
def test_ranges_answer_as_the_table_did(spread: int) -> None:
    rng = np.random.default_rng(0)
    keys = np.sort(rng.choice(np.arange(1, spread), 1_500, replace=False))
    if spread == BUCKETS:  # many in one range
        keys = np.unique(np.concatenate([keys, np.arange(70_000, 70_300)]))
    network = _network(keys, rng.normal(size=len(keys)))
    made = onnx.ModelProto.FromString(network.SerializeToString())
    compact(made)
    onnx.checker.check_model(made)
    assert made.ByteSize() < 0.75 * network.ByteSize()
    known, near, any_ = rng.choice(keys, (300, 4)), rng.choice(keys, (300, 4)) + 1, rng.integers(-9, 1 << 33, (300, 4))
    for numbers in (known, near, any_, np.zeros((2, 0), np.int64)):
        assert np.array_equal(Session(made)({"x": numbers})["y"], Session(network)({"x": numbers})["y"])


def test_fewer_columns_are_those_that_weigh_most() -> None:
    rng = np.random.default_rng(0)
    keys, weights = np.arange(4_000) * 7 + 1, rng.normal(size=4_000).astype(np.float32)
    network = _network(keys, weights)
    made = fewer_columns(network, 1 / 4)
    assert columns_of(network) == 4_000 and columns_of(made) == 1_000
    found = Session(made)({"x": keys[:, None]})["y"]
    heavy = np.abs(weights) >= np.sort(np.abs(weights))[-1_000]
    assert np.array_equal(found, np.where(heavy, weights, 0))
