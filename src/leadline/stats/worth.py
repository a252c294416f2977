"""How many labelled rows one way to learn is worth, against another: the horizontal distance of two learning curves.

Enters: scores of both at the same numbers of rows, several draws of rows each. Leaves: the rows that the second one has
in all, less those with which the first one is as good as that. Between two sizes a curve runs straight over the
logarithm of the rows, and it never falls (isotonic regression): more rows do no harm, and a dip is chance. The interval
is a bootstrap over the test rows and over the draws.

    >>> sizes, flat = [10, 20, 40, 80], np.zeros((4, 1))
    >>> first = flat + [[0.6], [0.7], [0.8], [0.9]]
    >>> second = flat + [[0.5], [0.6], [0.7], [0.8]]
    >>> distance(sizes, first.mean(axis=1), second.mean(axis=1))
    40.0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadline.core.records import WorthCode
from leadline.metrics.metrics import Metric

DRAWS = 300  # of the bootstrap
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """What one contender answered on the test rows, for every number of labelled rows and every draw of them."""

    sizes: Sequence[int]  # of labelled rows, rising
    answers: Sequence[Sequence[np.ndarray]]  # [sizes][draws] of scores on the test rows

    def scores(self, truth: np.ndarray, metric: Metric, rows: np.ndarray | slice = slice(None)) -> list[np.ndarray]:
        """The metric of every draw [sizes][draws], on some test rows; higher is better."""
        return [
            np.array([metric.sign * metric(truth[rows], answers[rows]) for answers in draws]) for draws in self.answers
        ]


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Rows that the first curve is worth; below zero it needs more rows than the second."""

    code: WorthCode
    rows: float
    low: float
    high: float


def distance(sizes: Sequence[int], first: np.ndarray, second: np.ndarray) -> float:
    """Rows between two curves [sizes], where higher is better, at the level that the lower one reaches with all rows.

    Where the upper curve is above that level with the fewest rows already, the distance ends there, and is a
    lower bound.
    """
    a, b = _rising(first), _rising(second)
    upper, level = (a, b[-1]) if a[-1] >= b[-1] else (b, a[-1])
    gap = sizes[-1] - _reached(sizes, upper, level)
    return gap if upper is a else -gap


def worth(first: LearningCurve, second: LearningCurve, truth: np.ndarray, metric: Metric, seed: int) -> Distance:
    """The distance of two curves over the same sizes, with its interval.

    Args:
        truth: labels of the test rows [n].
    """
    sizes = first.sizes
    all_rows = [curve.scores(truth, metric) for curve in (first, second)]
    rows = distance(sizes, *(np.array([draws.mean() for draws in curve]) for curve in all_rows))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS):
        some = rng.integers(0, len(truth), len(truth))
        means = []
        for curve in (first, second):
            scores = curve.scores(truth, metric, some)
            means.append(np.array([_mean(draws, rng) for draws in scores]))
        found.append(distance(sizes, *means))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    most = sizes[-1] - sizes[0]
    code: WorthCode = "worth" if low > 0 else "costs" if high < 0 else "open"
    if code == "worth" and high >= most:
        code = "at_least"
    if code == "costs" and low <= -most:
        code = "costs_at_least"
    return Distance(code=code, rows=float(rows), low=float(low), high=float(high))


def _mean(draws: np.ndarray, rng: np.random.Generator) -> float:
    """The mean of a bootstrap sample of draws; few draws understate their spread, so it is widened by n / (n - 1)."""
    if len(draws) < 2:
        return float(draws[0])
    again = draws[rng.integers(0, len(draws), len(draws))].mean()
    return float(draws.mean() + (again - draws.mean()) * np.sqrt(len(draws) / (len(draws) - 1)))


def _rising(scores: np.ndarray) -> np.ndarray:
    """The closest curve that never falls (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for score in scores:
        blocks.append((float(score), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return np.repeat([value for value, _ in blocks], [count for _, count in blocks])


def _reached(sizes: Sequence[int], curve: np.ndarray, level: float) -> float:
    """The fewest rows with which a rising curve reaches a level that its end reaches."""
    place = int(np.argmax(curve >= level))
    if place == 0:
        return float(sizes[0])
    low, high = curve[place - 1], curve[place]
    share = (level - low) / (high - low)
    return float(np.exp(np.log(sizes[place - 1]) + share * (np.log(sizes[place]) - np.log(sizes[place - 1]))))
