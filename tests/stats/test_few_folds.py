"""A few folds tell what their rows tell; training noise is expected before it is seen, and believed when it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from leadline.metrics.metrics import METRICS
from leadline.stats.few_folds import Fold, correlated_t, fold_of, folds_gap, spread

ACCURACY, RMSE, AUC = METRICS["accuracy"], METRICS["rmse"], METRICS["auc"]


def _answers(hits: np.ndarray) -> np.ndarray:
    """Probabilities that are right for class 0 where `hits`."""
    return np.stack([hits, ~hits], axis=1).astype(np.float32)


def _folds(
    rng: np.random.Generator, count: int, rows: int, first: float, second: float, luck: float = 0.0
) -> list[Fold]:
    """Folds of methods of which each alone has right a share of the rows; trainings deviate by `luck`."""
    made = []
    for _ in range(count):
        own = rng.normal(0, luck) / 2
        lot = rng.random(rows)
        one, other = first + own, second - own
        a, b = lot < one, (lot >= one) & (lot < one + other)
        both = lot > 0.5
        made.append(fold_of(np.zeros(rows, np.int64), _answers(a | both), _answers(b | both), ACCURACY))
    return made


def test_a_fold_is_its_gap_and_the_error_of_that() -> None:
    hits, other = np.arange(50) < 40, np.arange(50) < 34
    fold = fold_of(np.zeros(50, np.int64), _answers(hits), _answers(other), ACCURACY)
    assert (fold.gap, fold.rows, fold.units) == (pytest.approx(0.12), 50, 50)
    assert fold.variance == pytest.approx(np.var(hits * 1.0 - other, ddof=1) / 50)
    grouped = fold_of(np.zeros(50, np.int64), _answers(hits), _answers(other), ACCURACY, np.arange(50) // 5)
    assert grouped.units == 10 and grouped.variance > 2 * fold.variance  # the six rows lie in two groups


def test_three_folds_of_fifty_rows_see_a_gap_of_thirteen_points() -> None:
    """The t of three folds has two degrees and does not; the rows do."""
    rng = np.random.default_rng(3)
    seen = [_folds(rng, 3, 50, 0.20, 0.05) for _ in range(200)]
    decided = [folds_gap(folds, 0.2, shares=True).interval()[0] > 0 for folds in seen]
    alone = [correlated_t([fold.gap for fold in folds], 0.2).interval()[0] > 0 for folds in seen]
    assert np.mean(decided) > 0.7 and np.mean(alone) < 0.45


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_the_gap_is_held_as_often_as_is_said(count: int) -> None:
    """With training noise of half a row's, of a training's own: noisier than most real pairs."""
    rng, held = np.random.default_rng(count), 0
    for _ in range(400):
        low, high = folds_gap(_folds(rng, count, 60, 0.12, 0.08, luck=0.04), 0.2, shares=True).interval()
        held += low <= 0.04 <= high
    assert held >= 0.95 * 400


def test_folds_that_scatter_more_than_their_rows_are_believed() -> None:
    def made(gaps: list[float]) -> float:
        folds = [Fold(gap=gap, rows=400, units=400, variance=0.0004, fourth=4e-10) for gap in gaps]
        low, high = folds_gap(folds, 0.2, shares=False).interval()
        return (high - low) / 2

    steady, wild = made([0.02, 0.00, 0.03, 0.01, 0.04]), made([0.20, -0.15, 0.30, -0.10, 0.25])
    alone = correlated_t([0.20, -0.15, 0.30, -0.10, 0.25], 0.2).interval()
    assert steady < 0.035  # the error by rows alone is 0.9 points
    assert wild == pytest.approx((alone[1] - alone[0]) / 2, rel=0.25)  # rows do not matter any more


def test_more_folds_of_the_same_rows_say_less_than_more_rows() -> None:
    folds = [Fold(gap=0.02, rows=100, units=100, variance=0.002, fourth=1e-7) for _ in range(5)]
    made = spread(folds, 0.2, False)
    assert made is not None

    def half(**more: float) -> float:
        return float(np.quantile(made.more(**more).draws(), 0.975))  # type: ignore[arg-type]

    assert half(times=4.0) == pytest.approx(half() / 2, rel=0.02)  # training noise shrinks with the rows
    assert half(folds=25) < half()
    assert half(folds=25) > 0.7 * half()


def test_rows_that_never_part_two_do_not_make_them_the_same() -> None:
    rng = np.random.default_rng(0)
    few, many = (folds_gap(_folds(rng, 3, rows, 0.0, 0.0), 0.2, shares=True) for rows in (12, 10_000))
    assert few.size == 0 and few.interval()[1] > 0.05  # thirty-six rows
    assert many.interval()[1] < 1e-3


@pytest.mark.parametrize(("folds", "rows"), [(2, 12), (3, 12), (5, 10), (5, 40)])
@pytest.mark.parametrize(("first", "second"), [(0.01, 0.0), (0.01, 0.01), (0.05, 0.0), (0.1, 0.05)])
def test_folds_hold_the_true_gap_of_methods_that_part_on_few_rows(
    folds: int, rows: int, first: float, second: float
) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = folds_gap(_folds(rng, folds, rows, first, second), 0.2, shares=True).interval()
        held += low <= first - second <= high
    assert held >= 0.95 * 200


def test_an_error_is_weighed_as_a_share_is() -> None:
    rng = np.random.default_rng(1)
    folds = []
    for _ in range(3):
        truth, noise = rng.normal(size=(2, 80))
        folds.append(fold_of(truth, truth + 0.8 * noise, truth + noise + rng.normal(0, 0.2, 80), RMSE))
    low, high = folds_gap(folds, 0.2, shares=False).interval()
    assert 0 < low < 0.2 < high + 0.1  # less error is better for the first, and above zero


def test_too_few_groups_leave_the_folds_alone() -> None:
    rng = np.random.default_rng(2)
    folds = []
    for _ in range(3):
        hits, other = rng.random((2, 60)) < 0.7
        folds.append(fold_of(np.zeros(60, np.int64), _answers(hits), _answers(other), ACCURACY, np.arange(60) // 30))
    gaps = [fold.gap for fold in folds]
    made = folds_gap(folds, 0.2, shares=True)
    assert (made.draws == correlated_t(gaps, 0.2, shares=True).draws).all()  # six groups


def test_without_rows_it_is_the_correlated_t_test() -> None:
    gaps = [0.01, 0.03, 0.02, 0.00, 0.04]
    found = correlated_t(gaps, 0.2)
    error = np.sqrt((1 / 5 + 0.25) * np.var(gaps, ddof=1))
    expected = stats.t.interval(0.95, 4, loc=0.02, scale=error)
    assert found.size == pytest.approx(0.02) and found.of == "method"
    assert found.interval() == (pytest.approx(expected[0], abs=1e-4), pytest.approx(expected[1], abs=1e-4))
    assert found.above(0.005) == pytest.approx(stats.t.sf(0.005, 4, loc=0.02, scale=error), abs=1e-3)


def test_two_shares_never_differ_by_more_than_one() -> None:
    truth = np.zeros(4, np.int64)
    right, wrong = _answers(np.ones(4, bool)), _answers(np.zeros(4, bool))
    folds = [fold_of(truth, right, wrong, ACCURACY), *(fold_of(truth, wrong, right, ACCURACY) for _ in range(2))]
    low, high = folds_gap(folds, 0.2, shares=True).interval()
    assert low >= -1 and high <= 1
