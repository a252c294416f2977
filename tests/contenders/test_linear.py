"""The linear contender: rows that do not hold every class, and choices by valid rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.contenders.linear import HALF, LOGISTIC, MOST_CROSS_VALIDATED, VALID, Linear, Search, Tried
from leadline.contenders.linear_rows import FOLDS, PLAIN, Part
from leadline.contenders.linear_solver import Solved
from leadline.core.contender import Clock, Data
from leadline.metrics.metrics import METRICS
from leadline.tasks.classification import Binary, Multiclass
from leadline.tasks.multilabel import Multilabel


def _search(classes: int, task: Any = Multiclass) -> Search:
    """As much of a search as a fit reads."""
    search = object.__new__(Search)
    names = tuple(map(str, range(classes)))
    made = task(target="y", classes=names, metric="accuracy")
    search.data = SimpleNamespace(task=made, classes=classes, clock=Clock(5.0))  # type: ignore[assignment]
    search.scale, search.reserve = (0.0, 1.0), 0.0
    return search


def _solve(x: np.ndarray, y: np.ndarray, classes: int, strength: float = 1.0, start: Solved | None = None) -> Solved:
    return Part(x, y, classes, np.zeros(x.shape[1], bool)).solve(strength, LOGISTIC, PLAIN, start, Clock(5.0))


def _scores(search: Search, x: np.ndarray, solved: Solved) -> np.ndarray:
    return search.data.task.activate(x @ solved.weights + solved.intercepts, (0.0, 1.0))


@pytest.mark.parametrize("seen", [[0, 2], [1], [0, 1, 2, 3]])
def test_a_class_without_rows_has_a_small_probability_and_a_column(seen: list[int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    y = np.array(seen)[rng.integers(0, len(seen), 120)]
    search = _search(4)
    first = _solve(x, y, 4)
    again = _solve(x, y, 4, start=first)
    scores = _scores(search, x, first)
    assert scores.shape == (120, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert scores[:, [k for k in range(4) if k not in seen]].max(initial=0.0) < 1e-3
    np.testing.assert_allclose(_scores(search, x, again), scores, atol=5e-3)


def test_of_two_classes_the_one_that_rows_have_is_predicted() -> None:
    x = np.ones((20, 2), np.float32)
    for only in (0, 1):
        search = _search(2, Binary)
        fitted = _solve(x, np.full(20, only), 2)
        assert (_scores(search, x, fitted).argmax(axis=1) == only).all()


def test_a_label_of_every_row_and_one_of_none_are_predicted_by_their_shares() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    marks = np.stack([np.ones(50), np.zeros(50), x[:, 0] > 0], axis=1).astype(np.float32)
    search = _search(3, Multilabel)
    search.data.task = Multilabel(target="y", classes=("a", "b", "c"), metric="micro f1")  # type: ignore[misc]
    scores = _scores(search, x, _solve(x, marks, 3, strength=10.0))
    assert (scores[:, 0] > 0.9).all() and (scores[:, 1] < 0.1).all()
    assert ((scores[:, 2] > 0.5) == (x[:, 0] > 0)).mean() > 0.9


def _tried(right: np.ndarray, log_loss: float) -> Tried:
    truth, metric = np.zeros(len(right), np.int64), METRICS["accuracy"]
    scores = np.stack([right, ~right], axis=1).astype(np.float32)
    nothing = Solved(weights=np.zeros((1, 1), np.float32), intercepts=np.zeros(1, np.float32))
    return Tried(
        strength=1.0, loss=LOGISTIC, bayes=HALF, solved=nothing, temperature=1.0, score=metric(truth, scores),
        answers=scores, judged=metric(truth, scores), influence=metric.influence(truth, scores)[1], log_loss=log_loss,
        by=VALID,
    )  # fmt: skip


def test_log_loss_decides_where_valid_cannot_tell_by_the_metric() -> None:
    search = _search(2, Binary)
    search.metric = METRICS["accuracy"]
    base = np.arange(1_000) % 5 > 0
    one_more, many_more = base.copy(), base.copy()
    one_more[0], many_more[:250] = True, True
    assert not search.better(_tried(one_more, log_loss=0.6), _tried(base, log_loss=0.5))
    assert search.better(_tried(one_more, log_loss=0.4), _tried(base, log_loss=0.5))
    assert search.better(_tried(many_more, log_loss=0.6), _tried(base, log_loss=0.5))


def test_folds_have_every_row_once_and_classes_evenly() -> None:
    y = np.repeat([0, 1, 2], [50, 30, 10])
    x = np.arange(90, dtype=np.float32)[:, None]
    folds = Part(x, y, 3, np.zeros(1, bool)).folds()
    assert len(folds) == FOLDS
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.rows for fold in folds])), np.arange(90))
    for fold in folds:
        assert np.bincount(y[fold.rows]).tolist() == [10, 6, 2]
        assert not set(fold.x[:, 0]) & set(fold.part.x[:, 0]) and len(fold.part.y) == 72


def _data(prepare: Any, mixed: Any, rows: int, **settings: Any) -> Data:
    return Data(store=prepare(mixed(rows), target="y", **settings).store, clock=Clock(60.0), threads=1)


def test_few_rows_are_compared_by_cross_validation(prepare: Any, mixed: Any) -> None:
    few, many = (list(Linear().fit(_data(prepare, mixed, rows), 0))[-1] for rows in (300, 2 * MOST_CROSS_VALIDATED))
    assert any("cross-validation chose" in line for line in few.describe)
    assert any("valid chose" in line for line in many.describe)


def test_rows_that_depend_on_each_other_are_not_held_out_at_random(prepare: Any, mixed: Any) -> None:
    data = _data(prepare, mixed, 300)
    data.store.dependent = True
    assert any("as valid chose" in line for line in list(Linear().fit(data, 0))[-1].describe)


def test_a_text_beside_many_columns_of_noise_is_no_worse_than_the_mean(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x_{number}": rng.normal(size=200) for number in range(300)}
    words = [" ".join(rng.choice(["good", "bad", "dull", "fine", "odd"], 6)) for _ in range(200)]
    table = pl.DataFrame({**columns, "text": words, "y": rng.normal(size=200)})
    store = prepare(table, target="y", kind=["text=text"]).store
    *_, fitted = Linear().fit(Data(store=store, clock=Clock(30.0), threads=1), seed=0)
    values = store.labels[store.split.valid]
    assert fitted.score < 1.1 * float(np.sqrt(np.mean((values - store.labels[store.split.train].mean()) ** 2)))
