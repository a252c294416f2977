"""Exact effects of trees equal LightGBM's own, where both count the same rows."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from leadline.graph.builder import Graph
from leadline.graph.trees import ensemble
from leadline.tasks import Binary
from leadline.use.explain.trees import Ensemble, _centred, _line, _owners, _Sums


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


def _ensemble(booster: Any, targets: int) -> Any:
    g = Graph("trees")
    x = g.input("x", np.float32, ["N", 6])
    g.output("raw", ensemble(g, x, booster.dump_model(), targets), np.float32, ["N", targets])
    (node,) = [node for node in g.model().graph.node if node.op_type == "TreeEnsemble"]
    return Ensemble.of(node)


def test_of_three_classes_effects_are_on_the_score_less_that_of_all() -> None:
    """What softmax does not see is in no effect: the logarithms of probabilities, less their mean, are the sums."""
    booster, x = grown(3, True)
    trees = _ensemble(booster, 3)
    raw = np.stack([trees.sums(trees.decisions(x), target) for target in range(3)], axis=1)
    sums = _Sums(trees, x, np.arange(30), raw, math.inf)
    outputs = (np.arange(30) % 3).tolist()
    logs = np.log(booster.predict(x))
    centred = logs - logs.mean(axis=1, keepdims=True)
    for i, one in enumerate(_centred(sums, np.eye(6, dtype=bool), outputs)):
        assert (
            one.base + one.effects.sum() == pytest.approx(one.margin) == pytest.approx(centred[i, outputs[i]], abs=1e-5)
        )
        assert one.base == pytest.approx(centred[:, outputs[i]].mean(), abs=0.5)
    assert sums.error < 1e-9


def test_log_odds_are_recognised_and_what_bends_them_is_too() -> None:
    raw = np.linspace(-4, 4, 50)
    task = Binary(target="y", classes=("no", "yes"), metric="accuracy")
    facts = {"kind": "number", "dtype": "float64", "decode": {}}
    model: Any = SimpleNamespace(task=task, contract={"inputs": {"x": facts}})

    def scores(odds: np.ndarray) -> np.ndarray:
        up = (1 / (1 + np.exp(-odds))).astype(np.float32).astype(float)
        return np.stack([1 - up, up], axis=1)

    assert _line(model, raw, scores(raw), 1) == (1.0, 0.0)
    slope, offset = _line(model, raw, scores(raw / 2), 1) or (0.0, 9.0)  # a temperature
    assert slope == pytest.approx(0.5, abs=1e-4) and offset == pytest.approx(0, abs=1e-4)
    assert _line(model, raw, scores(np.cbrt(raw)), 1) is None


def test_the_columns_of_features_are_found_with_few_answers() -> None:
    names = [f"c{i}" for i in range(300)]
    rng = np.random.default_rng(0)
    rows = [dict(zip(names, row, strict=True)) for row in rng.normal(size=(20, 300)).tolist()]
    model: Any = SimpleNamespace(
        contract={"inputs": {name: {"kind": "number", "dtype": "float64", "decode": {}} for name in names}}
    )
    other = 5
    node, calls = SimpleNamespace(input=["x"], output=["raw"]), []

    def session(feeds: Any, _: Any) -> dict[str, np.ndarray]:
        x = np.stack([feeds[name] for name in names], axis=1)
        calls.append(len(x))
        features = np.concatenate([x[:, ::-1], np.ones((len(x), 1)), x[:, 5:6] * x[:, other : other + 1]], axis=1)
        return {"x": features, "raw": features[:, :1]}

    features = session({name: np.array([row[name] for row in rows]) for name in names}, None)["x"]
    found = _owners(model, session, node, rows, features)  # type: ignore[arg-type]
    assert found is not None and (found[:300] == np.eye(300, dtype=bool)[::-1]).all() and not found[300].any()
    assert len(calls) <= 80

    other = 200  # a feature of two columns
    features = session({name: np.array([row[name] for row in rows]) for name in names}, None)["x"]
    assert _owners(model, session, node, rows, features) is None  # type: ignore[arg-type]
