"""The linear contender where the rows to learn from do not hold every class."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from leadline.contenders.linear import ROUND, _logistic, _scores
from leadline.core.contender import Clock
from leadline.tasks.classification import Multiclass


def _task(classes: int) -> Multiclass:
    return Multiclass(target="y", classes=tuple(map(str, range(classes))), metric="accuracy")


@pytest.mark.parametrize("seen", [[0, 2], [1], [0, 1, 2, 3]])
def test_a_class_without_rows_has_a_small_probability_and_a_column(seen: list[int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    y = np.array(seen)[rng.integers(0, len(seen), 120)]
    first = _logistic(x, y, 1.0, Clock(5.0), None, 4)
    again = _logistic(x, y, 1.0, Clock(5.0), first, 4)
    scores = _scores(x, first.weights, _task(4), (0.0, 1.0))
    assert scores.shape == (120, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert scores[:, [k for k in range(4) if k not in seen]].max(initial=0.0) < 1e-3
    np.testing.assert_allclose(_scores(x, again.weights, _task(4), (0.0, 1.0)), scores, atol=5e-3)


def test_of_two_classes_one_alone_is_told_always() -> None:
    x = np.ones((20, 2), np.float32)
    for only in (0, 1):
        fitted = _logistic(x, np.full(20, only), 1.0, Clock(5.0), None, 2)
        assert (_scores(x, fitted.weights, _task(2), (0.0, 1.0)).argmax(axis=1) == only).all()


@pytest.mark.parametrize(("classes", "seconds", "most"), [(3_000, 2.0, 5), (3_000, 1e4, ROUND), (3, 2.0, ROUND)])
def test_rounds_are_short_where_an_iteration_is_long(
    classes: int, seconds: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit cannot be interrupted, and 25 iterations for 3,000 classes may take longer than the whole budget."""
    asked: list[int] = []

    def fit(self: Any, x: np.ndarray, y: np.ndarray) -> None:
        asked.append(self.max_iter)
        self.n_iter_ = np.array([1 if len(asked) > 1 else self.max_iter])
        self.coef_, self.intercept_ = np.zeros((classes, x.shape[1])), np.zeros(classes)

    monkeypatch.setattr(LogisticRegression, "fit", fit)
    x, y = np.zeros((9_000, 20), np.float32), np.arange(9_000) % classes
    _logistic(x, y, 1.0, Clock(seconds), None, classes)
    assert 1 <= asked[0] <= most
    assert (asked[0] == ROUND) == (most == ROUND)
