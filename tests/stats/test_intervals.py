"""Intervals cover the truth about as often as they say; differences are paired; seeds count their noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from leadline.metrics.metrics import METRICS
from leadline.stats.intervals import LEVEL, MOST_UNITS, RESAMPLES, rows_gap, score

ACCURACY, RMSE, AUC = METRICS["accuracy"], METRICS["rmse"], METRICS["auc"]


def _answers(hits: np.ndarray) -> np.ndarray:
    """Probabilities that are right for class 0 where `hits`."""
    return np.stack([hits, ~hits], axis=1).astype(np.float32)


def test_a_share_has_wilsons_interval() -> None:
    hits = np.arange(200) < 190
    found = score(np.zeros(200, np.int64), {"a": _answers(hits)}, ACCURACY, 0)["a"]
    expected = stats.binomtest(190, 200).proportion_ci(0.95, "wilson")
    assert found.score == 0.95
    # The error is estimated with n - 1, as of any mean.
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-3), pytest.approx(expected.high, abs=1e-3))


def test_a_perfect_score_may_still_be_luck() -> None:
    found = score(np.zeros(50, np.int64), {"a": _answers(np.ones(50, bool))}, ACCURACY, 0)["a"]
    assert found.high == pytest.approx(1.0) and 0.9 < found.low < 0.95


@pytest.mark.parametrize("metric", ["accuracy", "auc", "rmse", "log loss"])
def test_the_interval_covers_the_truth_as_often_as_it_says(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.stats.intervals.RESAMPLES", 500)
    rng = np.random.default_rng(0)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
        if metric == "rmse":
            truth = rng.normal(size=n)
            return truth, truth + rng.standard_t(6, n)
        truth = (rng.random(n) < 0.3).astype(np.int64)
        up = 1 / (1 + np.exp(-(truth * 2 - 1 + rng.normal(size=n))))
        return truth, np.stack([1 - up, up], axis=1)

    real = METRICS[metric](*drawn(2_000_000))
    covered = 0
    for trial in range(1_000):
        truth, answers = drawn(300)
        found = score(truth, {"a": answers}, METRICS[metric], trial)["a"]
        covered += found.low <= real <= found.high
    assert abs(covered / 1_000 - LEVEL) < 0.02


def test_rows_of_one_group_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 25)
    hits = np.repeat(rng.random(40) < 0.7, 25)  # a whole group is right or wrong
    alone = score(np.zeros(1_000, np.int64), {"a": _answers(hits)}, ACCURACY, 0)["a"]
    grouped = score(np.zeros(1_000, np.int64), {"a": _answers(hits)}, ACCURACY, 0, group)["a"]
    assert grouped.score == alone.score
    assert 4 < (grouped.high - grouped.low) / (alone.high - alone.low) < 6  # as if there were forty rows


def test_differences_are_paired() -> None:
    """Rows that both find hard cancel out: the difference is far surer than either score."""
    rng = np.random.default_rng(0)
    hits = rng.random(2_000) < 0.7
    better = hits.copy()
    better[np.flatnonzero(~hits)[:40]] = True
    truth = np.zeros(2_000, np.int64)
    gap = rows_gap(truth, [_answers(better)], [_answers(hits)], ACCURACY, 0)
    assert gap.size == pytest.approx(0.02) and gap.of == "model"
    assert gap.interval()[0] > 0.012 and gap.above(0.0) == 1.0
    same = rows_gap(truth, [_answers(hits)], [_answers(hits)], ACCURACY, 0)
    assert same.size == 0.0 and max(map(abs, same.interval())) == pytest.approx(0.0014, abs=2e-4)
    few = rows_gap(truth[:48], [_answers(hits[:48])], [_answers(hits[:48])], ACCURACY, 0)
    assert few.interval()[0] < -0.04 and few.interval()[1] > 0.04  # 48 rows without a difference do not prove a tie


def test_a_lower_error_is_a_gap_above_zero() -> None:
    truth = np.random.default_rng(0).normal(size=500)
    noise = np.random.default_rng(1).normal(size=500)
    gap = rows_gap(truth, [truth + noise], [truth + 2 * noise], RMSE, 0)
    assert gap.size == pytest.approx(RMSE(truth, truth + noise)) and gap.interval()[0] > 0


def test_a_gap_that_rests_on_few_rows_is_less_sure() -> None:
    """Six rows of five hundred, all for one side: a normal interval would be sure."""
    hits = np.ones(500, bool)
    worse = hits.copy()
    worse[:6] = False
    low, _ = rows_gap(np.zeros(500, np.int64), [_answers(hits)], [_answers(worse)], ACCURACY, 0).interval()
    drawn = np.random.default_rng(0).binomial(500, 6 / 500, 100_000) / 500
    assert low < np.quantile(drawn, 0.025)


def test_three_seeds_bring_in_the_noise_between_them() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros(20_000, np.int64)
    base = rng.random(20_000)
    trainings = [_answers(base < share) for share in (0.88, 0.90, 0.92)]
    steady = [_answers(base < 0.89)] * 3
    gap = rows_gap(truth, trainings, steady, ACCURACY, 0)
    assert gap.of == "method" and gap.noise > 0.9
    expected = stats.t.ppf(0.975, 2) * 0.02 / np.sqrt(3)  # of three scores that are two points apart
    low, high = gap.interval()
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)
    assert rows_gap(truth, trainings[:2], steady[:2], ACCURACY, 0).of == "model"  # two tell nothing of it


def test_the_seed_decides() -> None:
    truth = np.random.default_rng(0).normal(size=100)
    a, b = truth + 0.1 * np.sin(np.arange(100)), truth + 0.2
    first, again, other = (rows_gap(truth, [a], [b], RMSE, seed) for seed in (0, 0, 1))
    assert (first.draws == again.draws).all() and (first.draws != other.draws).any() and len(first.draws) == RESAMPLES
    assert first.size == other.size


def test_many_rows_are_pooled_without_a_bias() -> None:
    rows = 4 * MOST_UNITS + 1
    truth, values = np.zeros(rows), np.random.default_rng(0).normal(size=rows)
    found = score(truth, {"a": values}, RMSE, 0)["a"]
    assert found.score == pytest.approx(np.sqrt((values**2).mean()))
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(2 * rows), rel=0.1)


def test_two_shares_never_differ_by_more_than_one() -> None:
    truth = np.array([0, 1])
    right, wrong = np.eye(2)[truth], np.eye(2)[1 - truth]
    low, high = rows_gap(truth, [right], [wrong], METRICS["accuracy"], 0).interval()
    assert -1 <= low <= 1 and high <= 1


def test_more_rows_narrow_what_rows_leave_open_and_more_seeds_what_seeds_do() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros(400, np.int64)
    base = rng.random(400)
    sides = [[_answers(base < share + step) for step in (-0.05, 0.0, 0.05)] for share in (0.8, 0.7)]

    def half(draws: np.ndarray) -> float:
        return float(np.diff(np.quantile(draws, [0.025, 0.975]))[0]) / 2

    one = rows_gap(truth, sides[0][:1], sides[1][:1], ACCURACY, 0)
    assert half(one.after(16.0).draws) == pytest.approx(half(one.draws) / 4, rel=0.1)
    three = rows_gap(truth, sides[0], sides[1], ACCURACY, 0)
    assert half(three.after(1e6).draws) > 0.8 * half(three.draws)  # the seeds differ
    assert half(three.after(1.0, 12).draws) < 0.5 * half(three.draws)


def test_one_large_error_widens_an_interval_upwards_alone() -> None:
    rng = np.random.default_rng(0)
    errors = np.append(rng.normal(size=89), 30.0)
    found = score(np.zeros(90), {"a": errors}, METRICS["rmse"], 0)["a"]
    without = float(np.sqrt((errors[:-1] ** 2).mean()))
    assert 0.7 * without < found.low < without and found.high > 2 * found.score
