"""Intervals: they cover the truth about as often as they say, and differences are paired."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.judge.compare import LEVEL, MOST_UNITS, RESAMPLES, compare
from leadline.judge.metrics import METRICS

ACCURACY, RMSE = METRICS["accuracy"], METRICS["rmse"]


def _answers(hits: np.ndarray) -> np.ndarray:
    """Probabilities that are right for class 0 where `hits`."""
    return np.stack([hits, ~hits], axis=1).astype(np.float32)


def test_scores_and_shapes() -> None:
    truth = np.zeros(200, np.int64)
    hits = np.arange(200) < 150
    found = compare(truth, {"a": _answers(hits), "b": _answers(~hits)}, ACCURACY, 0)
    assert found["a"].score == 0.75 and found["b"].score == 0.25 and found["a"].resampled.shape == (RESAMPLES,)
    assert found["a"].low < 0.75 < found["a"].high
    np.testing.assert_allclose(found["a"].resampled + found["b"].resampled, 1)


def test_the_interval_is_that_of_a_binomial() -> None:
    hits = np.arange(1_000) < 900
    found = compare(np.zeros(1_000, np.int64), {"a": _answers(hits)}, ACCURACY, 0)["a"]
    error = 1.96 * np.sqrt(0.9 * 0.1 / 1_000)
    assert found.low == pytest.approx(0.9 - error, abs=0.003) and found.high == pytest.approx(0.9 + error, abs=0.003)


def test_the_interval_covers_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.judge.compare.RESAMPLES", 500)
    rng, covered = np.random.default_rng(0), 0
    for trial in range(200):
        truth, noise = rng.normal(size=300), rng.normal(0, 0.5, 300)
        found = compare(truth, {"a": truth + noise}, RMSE, trial)["a"]
        covered += found.low <= 0.5 <= found.high
    assert abs(covered / 200 - LEVEL) < 0.05


def test_differences_are_paired() -> None:
    """Rows that both find hard cancel out: the difference is far surer than either score."""
    rng = np.random.default_rng(0)
    hits = rng.random(2_000) < 0.7
    better = hits.copy()
    better[np.flatnonzero(~hits)[:40]] = True
    found = compare(np.zeros(2_000, np.int64), {"a": _answers(hits), "b": _answers(better)}, ACCURACY, 0)
    gaps = found["b"].resampled - found["a"].resampled
    assert np.quantile(gaps, 0.025) > 0.012 and gaps.std() < 0.4 * found["a"].resampled.std()
    same = compare(np.zeros(2_000, np.int64), {"a": _answers(hits), "b": _answers(hits)}, ACCURACY, 0)
    assert (same["a"].resampled == same["b"].resampled).all()


def test_the_seed_decides() -> None:
    truth = np.random.default_rng(0).normal(size=100)
    answers = {"a": truth + 0.1 * np.sin(np.arange(100))}
    first, again, other = (compare(truth, answers, RMSE, seed)["a"] for seed in (0, 0, 1))
    assert (first.resampled == again.resampled).all() and (first.resampled != other.resampled).any()
    assert first.score == other.score


def test_many_rows_are_pooled_without_a_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.judge.compare.RESAMPLES", 400)
    rows = MOST_UNITS + 10_001
    truth = np.zeros(rows)
    values = np.random.default_rng(0).normal(size=rows)
    found = compare(truth, {"a": values}, RMSE, 0)["a"]
    assert found.score == pytest.approx(np.sqrt((values**2).mean()))
    assert found.resampled.mean() == pytest.approx(found.score, rel=1e-3)
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(2 * rows), rel=0.2)
