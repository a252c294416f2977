"""The solver of linear models against scikit-learn's, and its clock."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from leadline.contenders.linear_solver import HINGE, SQUARED, Problem, naive_bayes, solve
from leadline.core.contender import Clock

ENDLESS = Clock(np.inf)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    return x, (x[:, 0] + 0.5 * x[:, 1] + rng.normal(size=300)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("packed", [False, True])
def test_logistic_regression_is_that_of_scikit_learn(
    rows: tuple[np.ndarray, np.ndarray], classes: int, packed: bool
) -> None:
    x, value = rows
    y = np.digitize(value, np.quantile(value, np.arange(1, classes) / classes))
    theirs = LogisticRegression(C=0.7, tol=1e-6, max_iter=1_000).fit(x, y)
    ours = solve(Problem(x=sparse.csr_matrix(x) if packed else x, y=y, strength=0.7), ENDLESS)
    np.testing.assert_allclose(ours.weights.T, theirs.coef_, atol=2e-3)
    assert not ours.cut and ours.weights.dtype == np.float32


def test_a_squared_hinge_is_that_of_scikit_learn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    x, value = rows
    y = (value > 0).astype(int)
    theirs = LinearSVC(C=0.3, intercept_scaling=1e3, tol=1e-8, max_iter=100_000).fit(x, y)  # its intercept is free too
    ours = solve(Problem(x=x, y=y, strength=0.3, loss=HINGE), ENDLESS)
    np.testing.assert_allclose(ours.weights.T, theirs.coef_, atol=5e-3)


def test_a_squared_loss_is_ridge(rows: tuple[np.ndarray, np.ndarray]) -> None:
    x, value = rows
    ours = solve(Problem(x=sparse.csr_matrix(x), y=value, strength=0.1, loss=SQUARED), ENDLESS)
    theirs = Ridge(alpha=10.0).fit(x, value)
    np.testing.assert_allclose(ours.weights[:, 0], theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.intercepts[0], theirs.intercept_, atol=1e-3)


def test_labels_are_fitted_together_as_each_alone(rows: tuple[np.ndarray, np.ndarray]) -> None:
    x, value = rows
    marks = np.stack([value > 0, value > 1], axis=1).astype(np.float32)
    both = solve(Problem(x=x, y=marks, strength=1.0), ENDLESS)
    for label in range(2):
        alone = solve(Problem(x=x, y=marks[:, label].astype(int), strength=1.0), ENDLESS)
        np.testing.assert_allclose(both.weights[:, label], alone.weights[:, 0], atol=2e-3)


def test_a_scale_is_as_columns_multiplied_by_it(rows: tuple[np.ndarray, np.ndarray]) -> None:
    x, value = rows
    y, scale = (value > 0).astype(int), np.linspace(0.2, 2, 6, dtype=np.float32)[:, None]
    scaled = solve(Problem(x=x, y=y, strength=1.0, scale=scale), ENDLESS)
    multiplied = solve(Problem(x=x * scale.T, y=y, strength=1.0), ENDLESS)
    np.testing.assert_allclose(scaled.weights, multiplied.weights * scale, atol=1e-3)


def test_a_fit_goes_on_from_another(rows: tuple[np.ndarray, np.ndarray]) -> None:
    x, value = rows
    problem = Problem(x=x, y=(value > 0).astype(int), strength=1.0)
    first = solve(problem, ENDLESS)
    again = solve(problem, ENDLESS, first)
    assert again.iterations <= first.iterations + 2
    np.testing.assert_allclose(again.weights, first.weights, atol=1e-3)


def test_it_ends_with_the_clock_within_an_iteration() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2_000, 400)).astype(np.float32), np.arange(2_000) % 200
    clock = Clock(0.0, readings=[float(second) for second in range(1_000)], place=0)
    found = solve(Problem(x=x, y=y, strength=1e4), clock)
    assert found.cut and found.iterations == 1 and np.isfinite(found.weights).all()


def test_naive_bayes_weighs_what_tells_classes_apart() -> None:
    y = np.arange(200) % 2
    x = sparse.csr_matrix(np.stack([y == 1, np.ones(200), np.arange(200) < 100], axis=1).astype(np.float32))
    ratio = naive_bayes(x, y, 1)
    assert ratio.shape == (3, 1) and ratio[0] > 5 * ratio[1] and ratio[0] > 5 * ratio[2]
    several = naive_bayes(x, np.arange(200) % 3, 3)
    assert several.shape == (3, 3) and np.isfinite(several).all()
