"""A linear model that is fitted in the space of its rows is the one that is fitted on all columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from leadline.contenders import linear_rows
from leadline.contenders.beside import Beside
from leadline.contenders.linear_rows import PLAIN, Part
from leadline.contenders.linear_solver import HINGE, LOGISTIC, SQUARED, Problem, Solved, solve
from leadline.contenders.row_space import RowSpace, worthwhile
from leadline.core.contender import Clock

ENDLESS = Clock(np.inf)
ROWS, COLUMNS = 60, 400


def _dense() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(ROWS, COLUMNS)) * rng.uniform(0.01, 0.1, COLUMNS)).astype(np.float32)


def _beside() -> Beside:
    x = _dense()
    return Beside(sparse=sparse.csr_matrix(np.where(np.abs(x) > 0.05, x, 0)), dense=x[:, :50])


MATRICES: dict[str, Any] = {"dense": _dense, "sparse": lambda: sparse.csr_matrix(_dense()), "beside": _beside}


def _labels(classes: int) -> np.ndarray:
    return np.random.default_rng(1).permutation(np.arange(ROWS) % classes)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(("classes", "loss"), [(2, LOGISTIC), (4, LOGISTIC), (2, HINGE)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_fit_is_that_on_all_columns(matrix: str, classes: int, loss: str, weighted: bool) -> None:
    x = MATRICES[matrix]()
    problem = Problem(x=x, y=_labels(classes), strength=3.0, loss=loss)
    if weighted and problem.outputs == 1:
        scale = np.random.default_rng(2).uniform(0.5, 2, (x.shape[1], 1)).astype(np.float32)
        problem = replace(problem, scale=scale)
    assert worthwhile(problem)
    whole, inner = solve(problem, ENDLESS), RowSpace(problem).solve(problem, ENDLESS, None, 0.0)
    assert inner.weights.shape == whole.weights.shape and inner.weights.dtype == np.float32
    np.testing.assert_allclose(x @ inner.weights, x @ whole.weights, atol=5e-3)
    np.testing.assert_allclose(inner.weights, whole.weights, atol=2e-2 * np.abs(whole.weights).max())


def test_a_squared_loss_too() -> None:
    x = MATRICES["sparse"]()
    value = np.random.default_rng(3).normal(size=ROWS).astype(np.float32)
    problem = Problem(x=x, y=value, strength=0.5, loss=SQUARED)
    whole, inner = solve(problem, ENDLESS), RowSpace(problem).solve(problem, ENDLESS, None, 0.0)
    np.testing.assert_allclose(inner.weights, whole.weights, atol=1e-3)


def test_rows_that_repeat_span_less() -> None:
    x = np.repeat(_dense()[:10], 6, axis=0)
    problem = Problem(x=x, y=np.repeat(np.arange(10) % 2, 6), strength=1.0)
    space = RowSpace(problem)
    assert space.coordinates.shape == (ROWS, 10)
    inner, whole = space.solve(problem, ENDLESS, None, 0.0), solve(problem, ENDLESS)
    np.testing.assert_allclose(inner.weights, whole.weights, atol=1e-2 * np.abs(whole.weights).max())


def test_a_fit_goes_on_from_another() -> None:
    problem = Problem(x=_dense(), y=_labels(3), strength=1.0)
    space = RowSpace(problem)
    first = space.solve(problem, ENDLESS, None, 0.0)
    again = space.solve(problem, ENDLESS, first, 0.0)
    assert again.iterations - first.iterations <= 2


def test_a_part_is_fitted_in_it_where_columns_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, int]] = []

    def spied(problem: Problem, *rest: Any) -> Solved:
        taken.append(problem.x.shape)
        return solve(problem, *rest)

    monkeypatch.setattr("leadline.contenders.row_space.solve", spied)
    monkeypatch.setattr(linear_rows, "solve", spied)
    for columns in (COLUMNS, 5):
        part = Part(_dense()[:, :columns], _labels(3), 3, np.zeros(columns, bool))
        part.solve(1.0, LOGISTIC, PLAIN, None, ENDLESS)
    assert taken == [(ROWS, ROWS), (ROWS, 5)]
