"""Converted trees against LightGBM's own predictions, to the last turn at every node."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.graph.trees import _floor32, ensemble

ROWS = 600


def _grow(
    x: np.ndarray, y: np.ndarray, rounds: int = 20, categories: list[int] | None = None, **params: Any
) -> lgb.Booster:
    settings = {
        "objective": "regression", "verbose": -1, "min_data_in_leaf": 3, "num_threads": 1, "seed": 0, "num_leaves": 15,
        "max_cat_to_onehot": 1, "min_data_per_group": 1, "cat_smooth": 1.0, **params,
    }  # fmt: skip
    return lgb.train(settings, lgb.Dataset(x, y, categorical_feature=categories or []), rounds)


def _convert(booster: lgb.Booster, features: int, outputs: int = 1) -> Any:
    g = Graph("trees")
    raw = ensemble(g, g.input("x", np.float32, ["N", features]), booster.dump_model(), outputs)
    g.output("raw", raw, np.float32, ["N", outputs])
    session = Session(g.model())
    return lambda x: session({"x": np.asarray(x, np.float32)})["raw"]


def _leaves_agree(booster: lgb.Booster, x: np.ndarray, outputs: int = 1) -> None:
    """One tree at a time: a wrong turn cannot hide behind a small leaf."""
    own = booster.predict(x, raw_score=True).reshape(len(x), outputs)
    np.testing.assert_allclose(_convert(booster, x.shape[1], outputs)(x), own, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    """float32 [ROWS, 3] and a target that bends in all columns."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3)).astype(np.float32)
    return x, x[:, 0] * 3 + np.sin(3 * x[:, 1]) + (x[:, 2] > 0.3)


def test_numbers(table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = table
    new = np.random.default_rng(1).normal(size=(2_000, 3)).astype(np.float32) * 3
    _leaves_agree(_grow(x, y), np.concatenate([x, new]))


def test_missing_numbers_seen_in_train(table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = table
    x = x.copy()
    gaps = np.random.default_rng(2).random(x.shape) < 0.2
    x[gaps] = np.nan
    booster = _grow(x, y + 2 * gaps[:, 0])
    _leaves_agree(booster, np.concatenate([x, np.full((1, 3), np.nan, np.float32)]))


def test_missing_numbers_never_seen_in_train(table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = table
    for shift in (0, 5, -5):  # LightGBM reads them as 0, left or right of every threshold
        holes = np.where(np.random.default_rng(3).random(x.shape) < 0.3, np.nan, x + shift).astype(np.float32)
        _leaves_agree(_grow(x + np.float32(shift), y), holes)


def test_categories_with_unseen_ones() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 40, (ROWS, 2))
    effect = rng.normal(size=(40, 2))
    x = np.concatenate([codes, rng.normal(size=(ROWS, 1))], axis=1).astype(np.float32)
    y = effect[codes[:, 0], 0] + effect[codes[:, 1], 1] + x[:, 2]
    booster = _grow(x, y, categories=[0, 1])
    assert any("||" in str(tree) for tree in booster.dump_model()["tree_info"])
    new = x.copy()
    new[:50, 0] = 99
    new[50:100, 1] = 1_000
    _leaves_agree(booster, np.concatenate([x, new]))


@pytest.mark.parametrize("classes", [3, 5])
def test_classes_have_a_tree_each(classes: int, table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = table
    labels = np.digitize(y, np.quantile(y, np.linspace(0, 1, classes + 1)[1:-1]))
    _leaves_agree(_grow(x, labels, objective="multiclass", num_class=classes), x, classes)


def test_stumps_without_a_split(table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = table
    booster = _grow(x, y, rounds=2, min_data_in_leaf=ROWS, boost_from_average=True)
    assert "leaf_value" in booster.dump_model()["tree_info"][0]["tree_structure"]
    new = np.concatenate([x, np.full((1, 3), np.nan, np.float32)])
    _leaves_agree(booster, new)
    assert _convert(booster, 3)(new)[:, 0] == pytest.approx(y.mean(), rel=1e-5)


def test_some_classes_stop_growing(table: tuple[np.ndarray, np.ndarray]) -> None:
    """A rare class ends in stumps while the others still split."""
    x, y = table
    labels = np.where(y > 0, 1, 0)
    labels[:4] = 2
    booster = _grow(x, labels, rounds=5, objective="multiclass", num_class=3, min_data_in_leaf=40)
    _leaves_agree(booster, x, 3)


def test_deep_chains_need_no_recursion() -> None:
    x = np.arange(1_500, dtype=np.float32)[:, None]
    booster = _grow(
        x,
        np.exp(x[:, 0] / 100),
        rounds=1,
        num_leaves=1_500,
        min_data_in_leaf=1,
        min_sum_hessian_in_leaf=0,
        max_bin=2_000,
    )
    _leaves_agree(booster, x)


def test_thresholds_at_adjacent_floats() -> None:
    """Two neighbours of float32 that a split parts: no rounding of the threshold may join them."""
    rng = np.random.default_rng(0)
    parted = 0
    for start in (*rng.normal(size=40), 1e-30, 16_777_215.0, 1e30, -1.0, 1.0, 0.1):
        low = np.float32(start)
        high = np.nextafter(low, np.float32(np.inf))
        x = np.array([low, high], np.float32).repeat(20)[:, None]
        booster = _grow(x, np.repeat([0.0, 1.0], 20), rounds=1, learning_rate=1.0)
        own = booster.predict(np.array([[low], [high]], np.float32))
        if own[0] == own[1]:  # LightGBM itself saw no gap
            continue
        parted += 1
        np.testing.assert_allclose(_convert(booster, 1)([[low], [high]])[:, 0], own, atol=1e-6)
    assert parted > 20


@pytest.mark.parametrize("threshold", [0.1, 1 / 3, 1e-40, 16_777_217.0, -0.1, -1 / 3, 0.0, 1e300, -1e300, 5.0])
def test_rounding_down_keeps_the_turn_of_every_float32(threshold: float) -> None:
    shipped = np.float32(_floor32(threshold))
    near = np.float32(np.clip(threshold, -1e38, 1e38))
    for x in (near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf)), np.float32(0)):
        assert (x <= shipped) == (float(x) <= threshold)
