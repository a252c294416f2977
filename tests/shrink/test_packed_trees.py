"""Trees as tables of integers take the same turns as the runtime's operator, at missing and unseen values too."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import onnx
import pytest

from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.graph.trees import ensemble
from leadline.shrink import packed_trees as module
from leadline.shrink.compact import compact
from leadline.shrink.packed_trees import packed_trees


def _grown(leaves: int, outputs: int, rounds: int = 20) -> tuple[onnx.ModelProto, np.ndarray, Any]:
    """A network of trees over numbers, one with missing values, and categories; its rows; and the booster."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 5)).astype(np.float32)
    x[:, 3] = rng.integers(0, 21, 3_000)
    x[rng.random(3_000) < 0.1, 1] = np.nan
    y = (x[:, 0] + x[:, 2] * x[:, 4] > 0).astype(int) + (np.nan_to_num(x[:, 1]) + x[:, 3] % 3 > 1)
    settings: dict[str, Any] = {"objective": "multiclass", "num_class": 3} if outputs == 3 else {"objective": "l2"}
    settings |= {"num_leaves": leaves, "verbosity": -1, "num_threads": 1, "min_data_per_group": 5}
    booster = lgb.train(settings, lgb.Dataset(x, y, categorical_feature=[3]), rounds)
    g = Graph("trees")
    raw = ensemble(g, g.input("x", np.float32, ["N", 5]), booster.dump_model(), outputs)
    g.output("y", raw, np.float32, ["N", outputs])
    x[0, 3], x[1, 3], x[2, :3], x[3, 0], x[4, 0] = -1, 300, np.nan, np.inf, -np.inf
    return g.model(), x, booster


@pytest.mark.parametrize(("leaves", "outputs"), [(2, 1), (12, 3), (31, 1), (100, 1)])
def test_packed_trees_answer_within_a_level_of_each_tree(leaves: int, outputs: int) -> None:
    network, x, booster = _grown(leaves, outputs)
    made = packed_trees(network)
    assert made is not None
    compact(made)
    onnx.checker.check_model(made)
    right, small = Session(network)({"x": x})["y"], Session(made)({"x": x})["y"]
    trees = booster.dump_model()["tree_info"]
    largest = [max(abs(value) for value in _leaves(tree["tree_structure"])) for tree in trees]
    # A tree that is cut into some rounds in each of them.
    assert np.abs(right - small).max() <= sum(largest) / outputs / 127 * (1 if leaves <= 31 else 2)
    assert np.abs(right - small).std() < 0.01 * right.std()
    one = Session(made)({"x": x[7:8]})["y"]
    assert np.allclose(one, small[7:8], atol=1e-5)


def _leaves(tree: dict[str, Any]) -> list[float]:
    if "leaf_value" in tree:
        return [tree["leaf_value"]]
    return _leaves(tree["left_child"]) + _leaves(tree["right_child"])


def test_packed_trees_take_a_fifth_of_the_bytes() -> None:
    network, _, _ = _grown(31, 3, 200)
    made = packed_trees(network)
    assert made is not None
    compact(made)
    assert made.ByteSize() < 0.25 * network.ByteSize()


def test_trees_too_deep_for_an_integer_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _, _ = _grown(100, 1, 2)
    monkeypatch.setattr(module, "BITS_OF", {np.int32: 4})
    assert packed_trees(network) is None
    monkeypatch.setattr(module, "BITS_OF", {np.int32: 4, np.int64: 62})
    assert packed_trees(network) is not None
