"""Prediction sets and intervals that hold the truth as often as stated: split conformal prediction.

Enters: answers on rows that took no part in training, and the truth. Leaves: one number, a threshold, which the shipped
file keeps. For classes the set holds every class whose probability reaches it (Sadinle, Lei and Wasserman 2019: the
smallest sets on average); for values the interval is the answer, more and less the threshold (Lei et al. 2018). With n
rows the quantile at ceil((n + 1) coverage) / n makes the coverage hold in any law of the data, if new rows are drawn
like these (Vovk, Gammerman and Shafer 2005). A set may be empty: no class is as likely as the true one mostly is.

    >>> made = conformal(np.array([0.0, 1.0, 2.0] * 10), np.array([0.5, 1.0, 1.0] * 10), 0.9)
    >>> made.threshold, made.interval(np.array([5.0]))
    (1.0, (array([4.]), array([6.])))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from leadline.judge.compare import score
from leadline.judge.metrics import METRICS

COVERAGE = 0.9


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """A threshold: the least probability of a class in a set, or the half-width of an interval."""

    coverage: float
    threshold: float
    rows: int

    def sets(self, scores: np.ndarray) -> np.ndarray:
        """bool [n, classes] of probabilities."""
        return np.asarray(scores >= np.float32(self.threshold))

    def interval(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), each [n]."""
        return values - self.threshold, values + self.threshold


def conformal(truth: np.ndarray, answers: np.ndarray, coverage: float = COVERAGE) -> Conformal | None:
    """The threshold for a coverage; None where the rows are too few for it.

    Args:
        truth: class numbers or values [n].
        answers: probabilities [n, classes], calibrated or not, or values [n].
    """
    n = len(truth)
    rank = math.ceil((n + 1) * coverage)
    if rank > n:
        return None
    classes = answers.ndim == 2
    away = -answers[np.arange(n), truth] if classes else np.abs(truth - answers)
    at = float(np.partition(away, rank - 1)[rank - 1])
    return Conformal(coverage=coverage, threshold=-at if classes else at, rows=n)


def seen(made: Conformal, truth: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    """What result.json says of it: on rows of its own, how many were covered, and how wide that is."""
    if answers.ndim == 2:
        sets = made.sets(answers)
        held, size = sets[np.arange(len(truth)), truth], sets.sum(axis=1)
    else:
        low, high = made.interval(answers)
        held, size = (low <= truth) & (truth <= high), high - low
    # Whether a row is covered is right or wrong, as an answer is.
    found = score(np.zeros(len(held), np.int64), {"": np.stack([held, ~held], axis=1)}, METRICS["accuracy"], 0)[""]
    return {
        "coverage": made.coverage, "rows": made.rows, "threshold": made.threshold, "seen": found.score,
        "low": found.low, "high": found.high, "size": float(size.mean()), "empty": float((size == 0).mean()),
    }  # fmt: skip
