"""Which of two smaller models the judging rows certify is foreseen better by probabilities than by labels alone."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.metrics.metrics import METRICS
from leadline.stats.foreseen import chance_to_fail, expected_drop
from leadline.stats.noninferiority import compare

ACCURACY = METRICS["accuracy"]
CLASSES, LIMIT, JUDGES = 3, 0.003, 10_000


def _model(rng: np.random.Generator, rows: int, sharp: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """(calibrated probabilities, labels drawn from them)."""
    logits = sharp * rng.normal(size=(rows, CLASSES))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p, (rng.random(rows)[:, None] > p.cumsum(axis=1)[:, :-1]).sum(axis=1)


def _moved(rng: np.random.Generator, p: np.ndarray, by: float) -> np.ndarray:
    """Probabilities after the noise of a coarser arithmetic."""
    logits = np.log(p) + by * rng.normal(size=p.shape)
    made = np.exp(logits)
    return np.asarray(made / made.sum(axis=1, keepdims=True))


def test_the_expected_drop_is_the_mean_of_the_drops_that_are_seen() -> None:
    rng = np.random.default_rng(0)
    p, truth = _model(rng, 200_000)
    small = _moved(rng, p, 0.5)
    seen = compare(truth, p, small, ACCURACY, LIMIT).drop
    assert expected_drop(p, small, ACCURACY) == pytest.approx(seen, abs=0.001) and seen > 0.004


@pytest.mark.parametrize("name", ["accuracy", "balanced accuracy", "log loss"])
def test_equal_answers_expect_no_drop(name: str) -> None:
    p, _ = _model(np.random.default_rng(1), 400)
    assert expected_drop(p, p, METRICS[name]) == 0


def test_a_drop_of_a_loss_is_a_share_of_it() -> None:
    rng = np.random.default_rng(2)
    p, truth = _model(rng, 50_000)
    small, loss = _moved(rng, p, 1.0), METRICS["log loss"]
    assert expected_drop(p, small, loss) == pytest.approx(compare(truth, p, small, loss, 0.1).drop, rel=0.1)


def test_the_nearer_of_two_candidates_is_foreseen_to_pass_more_often_than_labels_say() -> None:
    by_labels = by_chance = 0
    for draw in range(25):
        rng = np.random.default_rng(draw)
        p, truth = _model(rng, 2_500)
        near, far = _moved(rng, p, 0.03), _moved(rng, p, 0.09)
        expected = [expected_drop(p, each, ACCURACY) for each in (near, far)]
        chance = [
            chance_to_fail(truth, p, each, ACCURACY, LIMIT, JUDGES, drop)
            for each, drop in zip((near, far), expected, strict=True)
        ]
        by_chance += chance[0] < chance[1]
        by_labels += compare(truth, p, near, ACCURACY, LIMIT).p < compare(truth, p, far, ACCURACY, LIMIT).p
    assert by_chance >= 24 and by_chance > by_labels


def test_a_student_is_judged_by_labels_where_it_decides_otherwise() -> None:
    """The model is sure of what is wrong: its probabilities expect a drop, and labels say that there is none."""
    rng = np.random.default_rng(3)
    p, truth = _model(rng, 4_000)
    wrong = rng.permutation(4_000)[:800]
    truth[wrong] = rng.integers(0, CLASSES, 800)
    student = p.copy()
    student[wrong[:400]] = 0.9 * np.eye(CLASSES)[truth[wrong[:400]]] + 0.1 / CLASSES
    expected = expected_drop(p, student, ACCURACY)
    assert expected > LIMIT and compare(truth, p, student, ACCURACY, LIMIT).drop < -0.03
    assert chance_to_fail(truth, p, student, ACCURACY, LIMIT, JUDGES, expected) < 1e-3


def test_more_rows_that_judge_make_a_failure_less_likely() -> None:
    rng = np.random.default_rng(4)
    p, truth = _model(rng, 2_000)
    small = _moved(rng, p, 0.05)
    chances = [chance_to_fail(truth, p, small, ACCURACY, 0.005, judges, 0.0005) for judges in (200, 2_000, 20_000)]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.5 > chances[-1]


def test_rows_of_one_group_are_one_witness() -> None:
    """As the judging rows' test has it: what is lost in one group of many alike rows is one loss, not many."""
    rng = np.random.default_rng(6)
    p, truth = _model(rng, 2_000)
    group = np.arange(2_000) // 100
    lost = rng.permutation(np.flatnonzero((p.argmax(axis=1) == truth) & (group < 2)))[:40]
    small = p.copy()
    small[lost] = np.eye(CLASSES)[(truth[lost] + 1) % CLASSES]
    rows = chance_to_fail(truth, p, small, ACCURACY, 0.04, 2_000, None)
    groups = chance_to_fail(truth, p, small, ACCURACY, 0.04, 20, None, group)
    assert rows < 0.01 and groups > 0.3
    alone = chance_to_fail(truth, p, small, ACCURACY, 0.04, 2_000, None, np.arange(2_000))
    assert alone == pytest.approx(rows)


def test_answers_that_are_no_numbers_are_never_certified() -> None:
    p, truth = _model(np.random.default_rng(5), 400)
    broken = p.copy()
    broken[7] = np.nan
    found = compare(truth, p, broken, ACCURACY, 0.5)
    assert not found.proved and (found.drop, found.upper) == (1, 1)
    assert expected_drop(p, broken, ACCURACY) == chance_to_fail(truth, p, broken, ACCURACY, 0.5, 400, None) == 1
