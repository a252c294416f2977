"""How likely the rows that judge certify a smaller model, foreseen by the rows that choose.

The drop on some thousand rows counts the few that were lost and won: of two candidates, either may have the smaller
one by chance. The model's own calibrated probabilities know more: a row on which it is torn between two classes is
lost half the time, whatever its label says here. Of values it knows its errors, which are as likely above as below: the
further an answer moves, the larger the error gets, whatever the label of that row says. So the drop that is expected in
this way is the prior (normal, as wide as that drop itself, since the probabilities may be off), and the labels add what
they can tell: little of a candidate that changes few decisions, nearly all of a student.

Enters: truth, answers of both models, a metric, a limit, and how many rows judge. Leaves: the probability that the test
of stats/noninferiority.py fails there. It orders candidates, and is part of no proof.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from leadline.core.task import Task
from leadline.metrics.metrics import METRICS, Metric
from leadline.stats.intervals import slope, units
from leadline.stats.noninferiority import LEVEL

__all__ = ["Evidence", "chance_to_fail", "drawn_drops", "evidence"]

DRAWS = 50  # of the labels, by what the model knows of them
NEAR = 1 / 4  # of the limit: a candidate that moves the score by less than that on all draws is tested before others
LEAST = 1e-6  # of a score: its standard error is never zero


class Evidence(NamedTuple):
    """The least is the strongest."""

    far: bool  # whether the labels, or some draw of them, show a drop or a gain of more than `NEAR`
    chance: float  # that the rows that judge do not certify it
    distance: float  # of its answers from the full ones: where neither can fail, the nearer one is tested first


def evidence(
    task: Task, truth: np.ndarray, full: np.ndarray, small: np.ndarray, limit: float, judges: int,
    group: np.ndarray | None = None,
) -> Evidence:  # fmt: skip
    """What the rows that choose say of a candidate; arguments as of `chance_to_fail`."""
    metric, drops = METRICS[task.metric], drawn_drops(task, truth, full, small)
    expected = float(drops.mean()) if len(drops) else None
    most = max(abs(drop) for drop in (*drops.tolist(), _drop(truth, full, small, metric)))
    return Evidence(
        far=expected is None or most > NEAR * limit,
        chance=chance_to_fail(truth, full, small, metric, limit, judges, expected, group),
        distance=float(np.abs(small - full).mean()),
    )


def drawn_drops(task: Task, truth: np.ndarray, full: np.ndarray, small: np.ndarray, seed: int = 0) -> np.ndarray:
    """Drops, in the unit of `Comparison`, on labels drawn as `full` has it (`Task.draws`); empty where it has none.

    Args:
        truth: of rows from which the model has not learned [n].
        full: scores of the model, calibrated; `small`: the other one's.

    >>> from leadline.tasks import Regression
    >>> values = Regression(target="y", classes=(), metric="rmse")
    >>> full, truth = np.zeros(4), np.array([1.0, -1.0, 1.0, -1.0])
    >>> round(float(drawn_drops(values, truth, full, full + 0.2).mean()), 2)
    0.02
    """
    if not np.isfinite(small).all():
        return np.ones(1)
    rng, metric = np.random.default_rng(seed), METRICS[task.metric]
    drops = []
    for _ in range(DRAWS):
        for drawn in task.draws(full, truth, rng):
            if metric.classes_needed > 1 and len(np.unique(drawn)) < metric.classes_needed:
                continue
            drops.append(_drop(drawn, full, small, metric))
    known = [drop for drop in drops if math.isfinite(drop)]  # a draw without some class has no balanced accuracy
    return np.array(known)


def chance_to_fail(
    truth: np.ndarray, full: np.ndarray, small: np.ndarray, metric: Metric, limit: float, judges: int,
    expected: float | None, group: np.ndarray | None = None,
) -> float:  # fmt: skip
    """The probability that as many rows as judge do not exclude a drop of `limit`.

    Args:
        truth, full, small: of the rows that choose.
        judges: how many rows judge, or groups of rows where there are some.
        expected: the prior drop, the mean of `drawn_drops`; None: there is none.
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


def _drop(truth: np.ndarray, full: np.ndarray, small: np.ndarray, metric: Metric) -> float:
    """In the unit of `Comparison`; infinite where an answer is no number."""
    if not np.isfinite(small).all():
        return math.inf
    own, other = metric(truth, full), metric(truth, small)
    return metric.sign * (own - other) / (1.0 if metric.higher_is_better else abs(own) or 1.0)


def _seen(
    truth: np.ndarray, full: np.ndarray, small: np.ndarray, metric: Metric, group: np.ndarray | None
) -> tuple[float, float, int]:  # fmt: skip
    """The drop, its standard error, which is never zero, and how many rows or groups count.

    Of shares the error is as if one more row were lost, as few rows lose none by chance.
    """
    sides = [metric.influence(truth, answers) for answers in (full, small)]
    ends = [float(metric.finish(np.asarray(value))) for value, _ in sides]
    own, other = (slope(metric, value) * moves for value, moves in sides)
    unit = 1.0 if metric.higher_is_better else abs(ends[0]) or 1.0
    moves = units((own - other)[:, None], group, None)
    least = 1 / len(moves) if metric.share else LEAST * unit
    error = math.sqrt(float((moves**2).sum()) + least**2)
    return metric.sign * (ends[0] - ends[1]) / unit, error / unit, len(moves)
