"""Prediction sets and intervals that contain the label as often as promised: split conformal prediction.

Enters: answers on rows that took no part in training, and the truth. Leaves: one number, a threshold, which the shipped
file keeps. For classes the set holds every class whose probability reaches it (Sadinle, Lei and Wasserman 2019: the
smallest sets on average); for values the interval is the answer, more and less the threshold (Lei et al. 2018). With n
rows the quantile at ceil((n + 1) coverage) / n makes the coverage hold for any distribution, if new rows come from
it too (Vovk, Gammerman and Shafer 2005). A set may be empty: no class is as likely as the true one mostly is.

In a multilabel task the set contains a given share of the labels that a row has, on average over rows with any. That is
conformal risk control (Angelopoulos et al. 2024) of the share that is missed.

    >>> made = conformal(np.array([0.0, 1.0, 2.0] * 10), np.array([0.5, 1.0, 1.0] * 10), 0.9)
    >>> made.threshold, made.interval(np.array([5.0]))
    (1.0, (array([4.]), array([6.])))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from leadline.metrics.metrics import Metric
from leadline.stats.intervals import score

COVERAGE = 0.9
HELD = Metric("held", True, lambda _, held: (float(held.mean()), held - held.mean()))  # whether, or how far


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """A threshold: the least probability of a class in a set, or the half-width of an interval."""

    coverage: float
    threshold: float
    rows: int

    def sets(self, scores: np.ndarray) -> np.ndarray:
        """bool [n, classes] of probabilities; of several labels too."""
        return np.asarray(scores >= np.float32(self.threshold))

    def interval(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), each [n]."""
        return values - self.threshold, values + self.threshold


def conformal(truth: np.ndarray, answers: np.ndarray, coverage: float = COVERAGE) -> Conformal | None:
    """The threshold for a coverage; None where the rows are too few for it.

    Args:
        truth: class numbers or values [n], or the labels of a row, bool [n, labels].
        answers: probabilities [n, classes], calibrated or not, or values [n].
    """
    if truth.ndim == 2:
        return _labels(truth, answers, coverage)
    n = len(truth)
    rank = math.ceil((n + 1) * coverage)
    if rank > n:
        return None
    classes = answers.ndim == 2
    away = -answers[np.arange(n), truth] if classes else np.abs(truth - answers)
    at = float(np.partition(away, rank - 1)[rank - 1])
    return Conformal(coverage=coverage, threshold=-at if classes else at, rows=n)


def _labels(labels: np.ndarray, answers: np.ndarray, coverage: float) -> Conformal | None:
    """The largest threshold under which no more of a row's labels are missed than may be."""
    some = labels.any(axis=1)
    labels, answers, n = labels[some], answers[some], int(some.sum())
    may_miss = (n + 1) * (1 - coverage) - 1 + 1e-9  # summed over the rows, of each the share of its labels
    if may_miss < 0:
        return None
    share = np.broadcast_to(1 / labels.sum(axis=1, keepdims=True), labels.shape)[labels]
    likely, place = np.unique(answers[labels], return_inverse=True)
    missed = np.cumsum(np.bincount(place, weights=share)) - np.bincount(place, weights=share)  # by each as threshold
    at = float(likely[np.flatnonzero(missed <= may_miss)[-1]])
    return Conformal(coverage=coverage, threshold=at, rows=n)


def _held(sets: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each row with labels, the share of them in its set."""
    some = labels.any(axis=1)
    return np.asarray((sets & labels)[some].sum(axis=1) / labels[some].sum(axis=1))


def seen(made: Conformal, truth: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    """What result.json says of it: on rows of its own, how many were covered, and how wide that is.

    In a multilabel task a row is covered as far as the set contains its labels; one without labels is left out.
    """
    if answers.ndim == 2:
        sets = made.sets(answers)
        size = sets.sum(axis=1)
        held = _held(sets, truth) if truth.ndim == 2 else sets[np.arange(len(truth)), truth]
    else:
        low, high = made.interval(answers)
        held, size = (low <= truth) & (truth <= high), high - low
    found = score(held, {"": held}, HELD, 0)[""]
    return {
        "coverage": made.coverage, "rows": made.rows, "threshold": made.threshold, "observed": found.score,
        "low": found.low, "high": found.high, "size": float(size.mean()), "empty": float((size == 0).mean()),
    }  # fmt: skip
