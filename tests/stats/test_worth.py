"""How many rows one way to learn is worth: known curves, and how often the interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.metrics.metrics import METRICS
from leadline.stats import worth as worth_module
from leadline.stats.worth import LearningCurve, distance, worth

SIZES = (30, 60, 120, 240, 480)


def _rising(start: float, end: float) -> np.ndarray:
    return np.interp(np.log(SIZES), np.log([SIZES[0], SIZES[-1]]), [start, end])


def _curve(chances: np.ndarray, rng: np.random.Generator, rows: int = 600, draws: int = 3) -> LearningCurve:
    """Answers that are right with these chances; some rows are harder than others, for every contender alike."""
    hard = np.random.default_rng(7).normal(0, 0.15, rows)
    answers = []
    for chance in chances:
        of_size = []
        for _ in range(draws):
            right = rng.random(rows) < np.clip(chance + hard + rng.normal(0, 0.01), 0, 1)
            of_size.append(np.stack([right, ~right], axis=1).astype(np.float32))
        answers.append(of_size)
    return LearningCurve(sizes=SIZES, answers=answers)


def test_the_distance_of_known_curves() -> None:
    assert distance(SIZES, _rising(0.7, 0.9), _rising(0.7, 0.9)) == pytest.approx(0.0)
    assert distance(SIZES, _rising(0.7, 0.9), _rising(0.6, 0.8)) == pytest.approx(480 - 120)
    assert distance(SIZES, _rising(0.6, 0.8), _rising(0.7, 0.9)) == pytest.approx(120 - 480)
    assert distance(SIZES, _rising(0.9, 0.95), _rising(0.6, 0.8)) == 480 - 30, "above all of it from the first point"


def test_a_dip_is_no_fall() -> None:
    dipped = np.array([0.7, 0.78, 0.74, 0.82, 0.9])
    assert distance(SIZES, dipped, np.full(5, 0.76)) == pytest.approx(480 - 60)


def test_a_lower_score_may_be_the_better_one() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    rmse = METRICS["rmse"]
    noise = {"first": (0.8, 0.6, 0.4, 0.3, 0.2), "second": (1.2, 1.0, 0.8, 0.6, 0.4)}
    first, second = (
        LearningCurve(sizes=SIZES, answers=[[truth + rng.normal(0, s, 400) for _ in range(2)] for s in each])
        for each in noise.values()
    )
    found = worth(first, second, truth, rmse, 0)
    assert found.code == "worth" and found.rows == pytest.approx(480 - 120, abs=40)


@pytest.mark.parametrize(("first", "code"), [((0.9, 0.95), "at_least"), ((0.3, 0.4), "costs_at_least")])
def test_curves_that_do_not_meet_bound_it_on_one_side(first: tuple[float, float], code: str) -> None:
    rng = np.random.default_rng(1)
    truth = np.zeros(600, np.int64)
    found = worth(_curve(_rising(*first), rng), _curve(_rising(0.55, 0.7), rng), truth, METRICS["accuracy"], 0)
    assert found.code == code and abs(found.rows) == pytest.approx(450, abs=1)


def test_the_interval_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the chances that made the answers: the test rows and the draws are both a sample."""
    monkeypatch.setattr(worth_module, "DRAWS", 80)
    a, b, truth = _rising(0.62, 0.82), _rising(0.54, 0.74), np.zeros(600, np.int64)
    true, held = distance(SIZES, a, b), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = worth(_curve(a, rng), _curve(b, rng), truth, METRICS["accuracy"], seed)
        held += found.low <= true <= found.high
    assert held >= 34, f"{held} of 40"


def test_equal_curves_are_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth_module, "DRAWS", 80)
    truth, opened = np.zeros(600, np.int64), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = worth(*(_curve(_rising(0.6, 0.8), rng) for _ in range(2)), truth, METRICS["accuracy"], seed)
        opened += found.code == "open"
    assert opened >= 17, f"{opened} of 20"
