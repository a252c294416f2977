"""Compare contenders on the sealed test: intervals by a paired bootstrap over rows.

Source: Efron and Tibshirani, 'An Introduction to the Bootstrap' (1993), percentile intervals. The same resamples serve
every contender, so differences are paired: rows that both find hard cancel out. A row of running text is a block of
about a kilobyte, so neighbouring tokens, which are not independent, are drawn together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from leadline.judge.metrics import Metric

RESAMPLES = 4_000
MOST_UNITS = 20_000  # above, rows are pooled at random into this many units, which are resampled instead
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A score on the test rows with its interval, and the score in every resample [RESAMPLES]."""

    score: float
    low: float
    high: float
    resampled: np.ndarray


def compare(truth: np.ndarray, answers: Mapping[str, np.ndarray], metric: Metric, seed: int) -> dict[str, Scored]:
    """Score every contender, with 95% intervals.

    Args:
        truth: class numbers, values or bytes [n].
        answers: {contender: probabilities [n, classes], values [n] or bits [n]}.
    """
    losses = np.stack([metric.rows(truth, scores) for scores in answers.values()], axis=1)  # [n, contenders]
    rng = np.random.default_rng(seed)
    weights = metric.weights(truth)
    sums, counts = _pooled(losses, weights, rng)
    resampled = np.empty((RESAMPLES, losses.shape[1]))
    units = len(sums)
    chunk = max(1, 20_000_000 // units)
    for start in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - start)
        drawn = rng.integers(0, units, (size, units))
        times = np.stack([np.bincount(row, minlength=units) for row in drawn]).astype(np.float64)
        resampled[start : start + size] = (times @ sums) / (times @ counts)[:, None]
    finished = metric.finish(resampled)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(finished, [tail, 1 - tail], axis=0)
    scores = metric.finish(losses.sum(axis=0) / weights.sum())
    return {
        name: Scored(score=float(scores[i]), low=float(low[i]), high=float(high[i]), resampled=finished[:, i])
        for i, name in enumerate(answers)
    }


def _pooled(losses: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sums of losses [units, contenders] and of weights [units] of what is resampled."""
    n = len(losses)
    if n <= MOST_UNITS:
        return losses, weights
    unit = rng.permutation(n) % MOST_UNITS
    sums = np.stack([np.bincount(unit, weights=column, minlength=MOST_UNITS) for column in losses.T], axis=1)
    return sums, np.bincount(unit, weights=weights, minlength=MOST_UNITS)
