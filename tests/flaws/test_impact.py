"""The price of what can be hidden from a learner: its interval holds the noise between trainings."""

import numpy as np

from leadline.flaws.impact import cross_validated
from leadline.flaws.probe import _least_squares
from leadline.metrics.metrics import METRICS


def _answers(right: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.asarray(np.eye(2, dtype=np.float32)[np.where(right, truth, 1 - truth)])


def test_the_true_impact_lies_inside_though_each_training_has_luck_of_its_own() -> None:
    rng = np.random.default_rng(0)
    rows, inside = 2_000, 0
    for _ in range(200):
        truth, fold = rng.integers(0, 2, rows), np.arange(rows) % 5
        luck = rng.normal(0, 0.01, (2, 5))  # of each fit, shared by all rows that it answers
        hard = rng.random(rows)
        with_it, without = (_answers(hard < share + luck[side][fold], truth) for side, share in enumerate((0.9, 0.8)))
        found = cross_validated(truth, with_it, without, fold, METRICS["accuracy"], "a probe", "without it")
        inside += found.low <= -0.1 <= found.high
    assert inside >= 188


def test_least_squares_give_probabilities_that_are_worth_something() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 20)).astype(np.float32)
    labels = np.argmax(x[:, :3] + rng.normal(0, 0.5, (3_000, 3)), axis=1)
    answers = _least_squares(x[:2_000], labels[:2_000], x[2_000:], 3)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert (answers.argmax(axis=1) == labels[2_000:]).mean() > 0.7
    assert -np.log(answers[np.arange(1_000), labels[2_000:]]).mean() < 0.7
