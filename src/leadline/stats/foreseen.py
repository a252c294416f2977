"""How likely the rows that judge certify a smaller model, foreseen by the rows that choose.

The drop on some thousand rows counts the few that were lost and won: of two candidates, either may have the smaller
one by chance. The model's own calibrated probabilities know more: a row on which it is torn between two classes is
lost half the time, whatever its label says here. So the drop that these probabilities expect is the prior (normal, as
wide as that drop itself, since the probabilities may be off), and the labels add what they can tell: little of a
candidate that changes few decisions, nearly all of a student.

Enters: truth, answers of both models, a metric, a limit, and how many rows judge. Leaves: the probability that the test
of stats/noninferiority.py fails there. It orders candidates, and is part of no proof.
"""

from __future__ import annotations

import math

import numpy as np

from leadline.metrics.metrics import Metric
from leadline.stats.intervals import slope, units
from leadline.stats.noninferiority import LEVEL

__all__ = ["chance_to_fail", "expected_drop"]

DRAWS = 50  # of the labels, by the model's probabilities


def expected_drop(full: np.ndarray, small: np.ndarray, metric: Metric, seed: int = 0) -> float:
    """The mean drop, in the unit of `Comparison`, were the probabilities of `full` right: by labels drawn from them.

    Args:
        full: calibrated probabilities [n, classes]; `small`: the other model's [n, classes].

    >>> sure, torn = [0.9, 0.1], [0.51, 0.49]
    >>> from leadline.metrics.metrics import METRICS
    >>> full, small = np.array([sure, torn] * 500), np.array([sure, torn[::-1]] * 500)
    >>> abs(expected_drop(full, small, METRICS["accuracy"])) < 0.02
    True
    """
    if not np.isfinite(small).all():
        return 1.0
    rng = np.random.default_rng(seed)
    ends = np.cumsum(full / full.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    drops = []
    for _ in range(DRAWS):
        truth = (rng.random(len(full))[:, None] > ends).sum(axis=1)
        own, other = metric(truth, full), metric(truth, small)
        drops.append(metric.sign * (own - other) / (1.0 if metric.higher_is_better else abs(own) or 1.0))
    known = [drop for drop in drops if math.isfinite(drop)]  # a draw without some class has no balanced accuracy
    return float(np.mean(known)) if known else 0.0


def chance_to_fail(
    truth: np.ndarray, full: np.ndarray, small: np.ndarray, metric: Metric, limit: float, judges: int,
    expected: float | None, group: np.ndarray | None = None,
) -> float:  # fmt: skip
    """The probability that as many rows as judge do not exclude a drop of `limit`.

    Args:
        truth, full, small: of the rows that choose.
        judges: how many rows judge, or groups of rows where there are some.
        expected: the prior drop, of `expected_drop`; None: there is none.
        group: what each row that chooses belongs to [n].
    """
    from scipy.special import ndtr, ndtri

    if not np.isfinite(small).all():
        return 1.0
    seen, error, count = _seen(truth, full, small, metric, group)
    believed, doubt = seen, error**2
    if expected is not None:
        weight = expected**2 / (expected**2 + error**2)  # of what was seen
        believed, doubt = expected + weight * (seen - expected), weight * error**2
    there = error * math.sqrt(count / max(1, judges))
    return float(ndtr((believed - float(ndtri(LEVEL)) * there - limit) / math.sqrt(there**2 + doubt)))


def _seen(
    truth: np.ndarray, full: np.ndarray, small: np.ndarray, metric: Metric, group: np.ndarray | None
) -> tuple[float, float, int]:  # fmt: skip
    """The drop, its standard error, and how many rows or groups count; as if one more were lost: it is never zero."""
    sides = [metric.influence(truth, answers) for answers in (full, small)]
    ends = [float(metric.finish(np.asarray(value))) for value, _ in sides]
    own, other = (slope(metric, value) * moves for value, moves in sides)
    unit = 1.0 if metric.higher_is_better else abs(ends[0]) or 1.0
    moves = units((own - other)[:, None], group, None)
    error = math.sqrt(float((moves**2).sum()) + 1 / len(moves) ** 2)
    return metric.sign * (ends[0] - ends[1]) / unit, error / unit, len(moves)
