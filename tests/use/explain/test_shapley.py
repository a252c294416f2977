"""Sampled Shapley values are about the exact ones, as often as their intervals say, against the same rows for all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from leadline.tasks import Regression
from leadline.use.explain.records import Method
from leadline.use.explain.scorer import Scorer
from leadline.use.explain.shapley import PAIRS, affordable, answers_of_sets, of_all_sets, sampled

NAMES = "abcd"


def _scorer() -> Any:
    """A product of columns, a step, and a sum."""

    def run(feeds: dict[str, Any]) -> dict[str, np.ndarray]:
        return {"prediction": feeds["a"] * feeds["b"] + 2.0 * (feeds["c"] > 0.5) * feeds["a"] + feeds["d"]}

    facts = {name: {"kind": "number", "dtype": "float64", "decode": {}} for name in NAMES}
    task = Regression(target="y", classes=(), metric="rmse")
    return Scorer(SimpleNamespace(contract={"inputs": facts}, task=task, run=run))  # type: ignore[arg-type]


def _rows(count: int, seed: int = 0) -> list[dict[str, float]]:
    values = np.random.default_rng(seed).normal(size=(count, len(NAMES)))
    return [dict(zip(NAMES, row, strict=True)) for row in values.tolist()]


def test_intervals_of_sampled_values_hold_the_exact_ones_as_often_as_they_say() -> None:
    scorer, others = _scorer(), _rows(60)
    rows = _rows(10, 1)
    exact = of_all_sets(scorer, rows, [0] * len(rows), others)
    inside = []
    for seed in range(60):  # other rows to compare with, each time
        found = sampled(scorer, rows, [0] * len(rows), [[[name] for name in NAMES]] * len(rows), others, seed=seed)
        for one, true in zip(found.rows, exact.rows, strict=True):
            inside.append(np.abs(one.effects - true.effects) <= one.half + 1e-9)
    covered = np.concatenate(inside).mean()
    assert 0.93 <= covered <= 0.99, covered


def test_all_rows_are_compared_with_the_same_ones() -> None:
    scorer, others, rows = _scorer(), _rows(60), _rows(5, 1)
    groups = [[[name] for name in NAMES]] * len(rows)
    found, exact = sampled(scorer, rows, [0] * 5, groups, others), of_all_sets(scorer, rows, [0] * 5, others)
    assert len({one.base for one in found.rows}) == len({one.base for one in exact.rows}) == 1
    assert (found.against, exact.against, exact.method) == (PAIRS, 60, Method.EXACT_SHAPLEY)
    for one in (*found.rows, *exact.rows):
        assert abs(one.effects.sum() - (one.margin - one.base)) < 1e-9


def test_the_answers_of_exact_values_are_counted_before() -> None:
    scorer, others, rows = _scorer(), _rows(20), _rows(5, 1)
    of_all_sets(scorer, rows, [0] * 5, others)
    assert scorer.calls == answers_of_sets(5, len(NAMES), 20)
    assert affordable(32, 4, 300, True) and not affordable(32, 14, 300, True) and not affordable(16, 5, 60, False)
