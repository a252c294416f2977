"""Metrics: one number from predictions, and the losses of single rows from which it comes.

A metric is `finish(sum(row losses) / sum(row weights))`, so that the bootstrap needs only sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metric:
    """`rows` gives a loss a row and `weights` what it counts; the score is `finish` of their ratio."""

    name: str
    higher_is_better: bool
    rows: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray]
    weights: Callable[[np.ndarray], np.ndarray]

    def __call__(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """The score of probabilities [n, classes], values or bits [n] against class numbers, values or bytes [n]."""
        return float(self.finish(np.asarray(self.rows(truth, scores).sum() / self.weights(truth).sum())))

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`."""
        return a > b if self.higher_is_better else a < b


def _hits(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores.argmax(axis=1) == truth, np.float64)


def _squares(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.asarray((truth - scores) ** 2, np.float64)


def _bits(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores, np.float64)


def _one(truth: np.ndarray) -> np.ndarray:
    return np.ones(len(truth))


def _bytes(truth: np.ndarray) -> np.ndarray:
    return np.asarray(truth, np.float64)


METRICS = {
    "accuracy": Metric("accuracy", True, _hits, np.asarray, _one),
    "rmse": Metric("rmse", False, _squares, np.sqrt, _one),
    "bits a byte": Metric("bits a byte", False, _bits, np.asarray, _bytes),
}
