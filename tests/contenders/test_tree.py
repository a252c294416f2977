"""The decision tree: its valid score is no better than the tree is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from leadline.contenders.tree import Tree
from leadline.core.contender import Clock, Data, Progress


def test_the_valid_score_of_a_tree_is_not_the_best_of_many(prepare: Callable[..., Any]) -> None:
    """Of labels that no column knows, half are right: the best of twelve trees by these valid rows has 0.55."""
    scores = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        frame = pl.DataFrame({f"x{i}": rng.normal(size=240).round(3) for i in range(6)})
        store = prepare(frame.with_columns(y=pl.Series(["yes", "no"] * 120)), target="y").store
        scores.append(list(Tree().fit(Data(store=store, clock=Clock(100.0), threads=1), 0))[-1].score)
    assert abs(np.mean(scores) - 0.5) < 0.04


def test_a_tree_ends_in_its_time_after_one_try(prepare: Callable[..., Any], mixed: Callable[..., Any]) -> None:
    store = prepare(mixed(200), target="y").store
    *steps, fitted = Tree().fit(Data(store=store, clock=Clock(1e-6), threads=1), 0)
    tried, judged = steps
    assert isinstance(tried, Progress) and isinstance(judged, Progress) and judged.score == fitted.score > 0.5
    assert not fitted.trained_on_valid


def test_of_rows_that_depend_on_each_other_none_are_held_out_of_train(
    prepare: Callable[..., Any], mixed: Callable[..., Any]
) -> None:
    store = prepare(mixed(300), target="y").store
    for dependent, chose in ((True, "valid"), (False, "cross-validation")):
        store.dependent = dependent
        (fitted,) = (each for each in Tree().fit(Data(store=store, clock=Clock(60.0), threads=1), 0)
                     if not isinstance(each, Progress))  # fmt: skip
        assert any(f"as {chose} chose" in line for line in fitted.describe)
