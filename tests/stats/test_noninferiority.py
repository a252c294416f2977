"""A model that is worse than allowed is taken for one that is not in at most one of twenty draws."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.metrics.metrics import METRICS
from leadline.stats.noninferiority import ALPHA, compare, least_certifiable

ACCURACY = METRICS["accuracy"]


def _answers(right: np.ndarray) -> np.ndarray:
    """Probabilities of two classes where class 0 is the truth."""
    return np.stack([np.where(right, 0.9, 0.1), np.where(right, 0.1, 0.9)], axis=1)


@pytest.mark.parametrize(
    ("rows", "lost", "gained"),
    [(200, 0.05, 0.0), (900, 0.02, 0.01), (4_000, 0.005, 0.0), (2_000, 0.012, 0.002), (40, 0.12, 0.02)],
)
def test_the_level_holds_where_the_true_drop_is_the_limit(rows: int, lost: float, gained: float) -> None:
    rng, taken, truth = np.random.default_rng(0), 0, np.zeros(rows, int)
    for _ in range(600):
        full = rng.random(rows) < 0.9
        draw = rng.random(rows)
        small = np.where(full, draw >= lost / 0.9, draw < gained / 0.1)
        taken += compare(truth, _answers(full), _answers(small), ACCURACY, lost - gained).proved
    assert taken / 600 <= ALPHA + 2 * (ALPHA * (1 - ALPHA) / 600) ** 0.5


def test_equal_answers_certify_what_their_rows_allow() -> None:
    right = np.arange(500) % 10 > 0
    found = compare(np.zeros(500, int), _answers(right), _answers(right), ACCURACY, 0.01)
    assert found.proved and found.drop == 0
    assert found.upper == pytest.approx(least_certifiable(500), abs=1e-4) == pytest.approx(3.06 / 500, abs=1e-4)
    assert not compare(np.zeros(500, int), _answers(right), _answers(right), ACCURACY, 0.005).proved


def test_few_rows_that_change_in_both_ways_still_certify() -> None:
    right = np.arange(500) % 10 > 0
    small = right.copy()
    small[[0, 11]] = [True, False]  # one won, one lost
    found = compare(np.zeros(500, int), _answers(right), _answers(small), ACCURACY, 0.012)
    assert found.proved and found.drop == 0 and 3.06 / 500 < found.upper < 0.012


def test_the_upper_bound_is_the_drop_that_is_just_excluded() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(2_000) < 0.9
    small = np.where(rng.random(2_000) < 0.02, ~right, right)
    for name in ("accuracy", "balanced accuracy"):
        metric, truth = METRICS[name], rng.integers(0, 2, 2_000)
        sides = [np.where(truth[:, None] > 0, _answers(each)[:, ::-1], _answers(each)) for each in (right, small)]
        upper = compare(truth, *sides, metric, 0.1).upper
        assert compare(truth, *sides, metric, upper * 1.01).proved
        assert not compare(truth, *sides, metric, upper * 0.99).proved


def test_errors_are_compared_as_shares_and_groups_count_once() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=2_000)
    full = truth + rng.normal(0, 0.5, 2_000)
    worse = truth + 1.05 * (full - truth)
    found = compare(truth, full, worse, METRICS["rmse"], 0.1)
    assert found.drop == pytest.approx(0.05, abs=1e-3) and found.proved
    assert not compare(truth, full, worse, METRICS["rmse"], 0.04).proved
    group = np.arange(2_000) // 200
    right = rng.random(2_000) < 0.9
    labels, small = np.zeros(2_000, int), right & (rng.random(2_000) > 0.002)
    alone = compare(labels, _answers(right), _answers(small), ACCURACY, 0.02)
    together = compare(labels, _answers(right), _answers(small), ACCURACY, 0.02, group)
    assert alone.proved and not together.proved  # ten groups exclude no drop under a quarter


def _heavy(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Errors of values, a few of them large; their mean square is 3."""
    return rng.standard_t(3, rows)


@pytest.mark.parametrize("rows", [20, 40, 400])
@pytest.mark.parametrize("how", ["noise", "noise that grows with the error", "one side", "further off"])
def test_the_level_holds_for_values_with_a_few_large_errors(rows: int, how: str) -> None:
    rng, taken, limit = np.random.default_rng(2), 0, 0.02
    more = (1 + limit) ** 2 - 1  # of the mean square
    for _ in range(600):
        truth = _heavy(rng, rows)
        moves = {
            "noise": np.sqrt(3 * more) * rng.normal(size=rows),
            "noise that grows with the error": np.sqrt(more) * truth * rng.normal(size=rows),
            "one side": np.full(rows, np.sqrt(3 * more)),
            "further off": -0.019 * truth + np.sqrt(3 * ((1 + limit) ** 2 - 1.019**2)) * rng.normal(size=rows),
        }[how]
        taken += compare(truth, np.zeros(rows), moves, METRICS["rmse"], limit).proved
    assert taken / 600 <= ALPHA + 2 * (ALPHA * (1 - ALPHA) / 600) ** 0.5


@pytest.mark.parametrize("name", ["rmse", "mae"])
def test_what_hardly_moves_is_certified_whatever_errors_there_are(name: str) -> None:
    for draw in range(50):
        rng = np.random.default_rng(draw)
        truth = np.exp(rng.normal(size=40)) * rng.choice([-1.0, 1.0], 40)
        for moves in (np.zeros(40), 1e-4 * rng.normal(size=40)):
            found = compare(truth, np.zeros(40), moves, METRICS[name], 0.005)
            assert found.proved and found.upper < 0.005


def test_the_upper_bound_of_values_is_the_drop_that_is_just_excluded() -> None:
    for draw, by in enumerate((0.0, 0.01, 0.1, 1.0)):
        rng = np.random.default_rng(draw)
        truth = _heavy(rng, 60)
        sides = np.zeros(60), by * rng.normal(size=60)
        upper = compare(truth, *sides, METRICS["rmse"], 0.1).upper
        if 0 < upper < 1:
            assert compare(truth, *sides, METRICS["rmse"], upper * 1.01 + 1e-9).proved
            assert not compare(truth, *sides, METRICS["rmse"], upper * 0.99 - 1e-9).proved
