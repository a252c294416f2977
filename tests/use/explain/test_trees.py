"""Exact effects of trees equal LightGBM's own, where both count the same rows."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from leadline.graph.builder import Graph
from leadline.graph.trees import ensemble
from leadline.use.explain.trees import Ensemble


def grown(classes: int, categories: bool, rows: int = 400) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(rows, 6)).astype(np.float32)
    x[:, 2] = rng.integers(0, 7, rows)
    x[rng.random(rows) < 0.2, 4] = np.nan
    signal = x[:, 0] * x[:, 1] + (x[:, 2] % 2) + np.nan_to_num(x[:, 4], nan=1.5)
    y = np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes)) if classes > 1 else signal
    how: dict[str, Any] = {"objective": "regression"}
    if classes > 1:
        how = {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    how |= {"verbose": -1, "num_leaves": 15, "min_data_in_leaf": 5, "num_threads": 1, "boost_from_average": False}
    data = lgb.Dataset(x, y, categorical_feature=[2] if categories else [], free_raw_data=False)
    return lgb.train(how, data, 12), x


@pytest.mark.parametrize(("classes", "categories"), [(1, False), (2, True), (3, True)])
def test_effects_are_those_of_lightgbm(classes: int, categories: bool) -> None:
    booster, x = grown(classes, categories)
    targets = classes if classes > 2 else 1
    g = Graph("trees")
    g.output(
        "raw",
        ensemble(g, g.input("x", np.float32, ["N", 6]), booster.dump_model(), targets),
        np.float32,
        ["N", targets],
    )
    (node,) = [node for node in g.model().graph.node if node.op_type == "TreeEnsemble"]
    trees = Ensemble.of(node)
    reaching = trees.decisions(x)
    shares = trees.shares(reaching)
    theirs = booster.predict(x[:50], pred_contrib=True).reshape(50, targets, 7)
    for target in range(targets):
        effects, base = trees.contributions(reaching[:50], shares, target, 6)
        assert np.abs(effects.sum(axis=1) + base - trees.sums(reaching[:50], target)).max() < 1e-9
        assert np.abs(effects - theirs[:, target, :-1]).max() < 1e-5
        assert base == pytest.approx(theirs[0, target, -1], abs=1e-5)


def test_shares_of_rows_that_never_come_keep_the_sum() -> None:
    booster, x = grown(2, True)
    g = Graph("trees")
    g.output("raw", ensemble(g, g.input("x", np.float32, ["N", 6]), booster.dump_model(), 1), np.float32, ["N", 1])
    (node,) = [node for node in g.model().graph.node if node.op_type == "TreeEnsemble"]
    trees = Ensemble.of(node)
    reaching = trees.decisions(x)
    effects, base = trees.contributions(reaching[:20], trees.shares(reaching[:3]), 0, 6)
    assert np.abs(effects.sum(axis=1) + base - trees.sums(reaching[:20], 0)).max() < 1e-9


def test_trees_without_a_split_have_no_effects() -> None:
    ensemble = Ensemble(
        targets=1, features=np.zeros(0, np.int64), modes=np.zeros(0, np.int64), splits=np.zeros(0, np.float32),
        missing=np.zeros(0, bool), members=(), parents=np.array([-1, -1]), sides=np.zeros(2, bool),
        weights=np.array([0.25, 0.5]), leaf_targets=np.zeros(2, np.int64),
    )  # fmt: skip
    reaching = np.zeros((3, 0), bool)
    effects, base = ensemble.contributions(reaching, np.zeros(0), 0, features=2)
    assert not effects.any() and base == 0.75 and ensemble.sums(reaching, 0).tolist() == [0.75] * 3
