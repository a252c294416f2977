"""The linear contender: rows that do not hold every class, and choices by valid rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leadline.contenders.linear import HALF, LOGISTIC, PLAIN, Search, Tried
from leadline.contenders.linear_solver import Solved
from leadline.core.contender import Clock
from leadline.metrics.metrics import METRICS
from leadline.tasks.classification import Binary, Multiclass
from leadline.tasks.multilabel import Multilabel


def _search(classes: int, task: Any = Multiclass) -> Search:
    """As much of a search as a fit reads."""
    search = object.__new__(Search)
    names = tuple(map(str, range(classes)))
    made = task(target="y", classes=names, metric="accuracy")
    search.data = SimpleNamespace(task=made, classes=classes, clock=Clock(5.0))  # type: ignore[assignment]
    search.scale, search.reserve, search._scales = (0.0, 1.0), 0.0, {PLAIN: None}
    return search


def _scores(search: Search, x: np.ndarray, solved: Solved) -> np.ndarray:
    return search.data.task.activate(x @ solved.weights + solved.intercepts, (0.0, 1.0))


@pytest.mark.parametrize("seen", [[0, 2], [1], [0, 1, 2, 3]])
def test_a_class_without_rows_has_a_small_probability_and_a_column(seen: list[int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    y = np.array(seen)[rng.integers(0, len(seen), 120)]
    search = _search(4)
    first = search._solve(x, y, 1.0, LOGISTIC, PLAIN, None)
    again = search._solve(x, y, 1.0, LOGISTIC, PLAIN, first)
    scores = _scores(search, x, first)
    assert scores.shape == (120, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert scores[:, [k for k in range(4) if k not in seen]].max(initial=0.0) < 1e-3
    np.testing.assert_allclose(_scores(search, x, again), scores, atol=5e-3)


def test_of_two_classes_the_one_that_rows_have_is_predicted() -> None:
    x = np.ones((20, 2), np.float32)
    for only in (0, 1):
        search = _search(2, Binary)
        fitted = search._solve(x, np.full(20, only), 1.0, LOGISTIC, PLAIN, None)
        assert (_scores(search, x, fitted).argmax(axis=1) == only).all()


def test_a_label_of_every_row_and_one_of_none_are_predicted_by_their_shares() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    marks = np.stack([np.ones(50), np.zeros(50), x[:, 0] > 0], axis=1).astype(np.float32)
    search = _search(3, Multilabel)
    search.data.task = Multilabel(target="y", classes=("a", "b", "c"), metric="micro f1")  # type: ignore[misc]
    scores = _scores(search, x, search._solve(x, marks, 10.0, LOGISTIC, PLAIN, None))
    assert (scores[:, 0] > 0.9).all() and (scores[:, 1] < 0.1).all()
    assert ((scores[:, 2] > 0.5) == (x[:, 0] > 0)).mean() > 0.9


def _tried(right: np.ndarray, log_loss: float) -> Tried:
    truth, metric = np.zeros(len(right), np.int64), METRICS["accuracy"]
    scores = np.stack([right, ~right], axis=1).astype(np.float32)
    nothing = Solved(weights=np.zeros((1, 1), np.float32), intercepts=np.zeros(1, np.float32))
    return Tried(
        strength=1.0, loss=LOGISTIC, bayes=HALF, solved=nothing, temperature=1.0, score=metric(truth, scores),
        influence=metric.influence(truth, scores)[1], log_loss=log_loss,
    )  # fmt: skip


def test_log_loss_decides_where_valid_cannot_tell_by_the_metric() -> None:
    search = _search(2, Binary)
    search.metric = METRICS["accuracy"]
    base = np.arange(1_000) % 5 > 0
    one_more, many_more = base.copy(), base.copy()
    one_more[0], many_more[:250] = True, True
    assert not search._better(_tried(one_more, log_loss=0.6), _tried(base, log_loss=0.5))
    assert search._better(_tried(one_more, log_loss=0.4), _tried(base, log_loss=0.5))
    assert search._better(_tried(many_more, log_loss=0.6), _tried(base, log_loss=0.5))
