"""Which of several contenders is the best by valid rows.

Enters: their scores on the valid rows, and their answers to them from before any was learned from. Leaves: one of them,
and the measure that chose it.

Accuracy tells contenders apart badly on few rows: only those count that they decide differently.
Those that it does not tell from the best one are compared by the Brier score of the same answers, which every row moves
by how likely its class was held. All are first brought to the temperature that suits these rows, or one would be behind
for being too sure, which calibration repairs after the choice (`calibration.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from leadline.core.records import Measure
from leadline.metrics.metrics import Metric
from leadline.stats.calibration import tempered_brier

TELLING = 1.5  # standard errors of a difference on the same rows, from which on the metric tells two contenders apart


@dataclass(frozen=True, kw_only=True)
class ValidAnswers:
    """What contenders answered on the valid rows of a race."""

    truth: np.ndarray
    answers: Mapping[str, np.ndarray]  # by contender, of those that keep them


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best of several contenders."""

    name: str
    by: Measure


def best(scores: Mapping[str, float], metric: Metric, on_valid: ValidAnswers | None) -> Choice | None:
    """The best by valid; the first where there are no valid rows, and None of nobody.

    Args:
        scores: on the valid rows, by contender; NaN where there are none.
        on_valid: the answers that the scores are of.

    Example:
        >>> from leadline.metrics.metrics import METRICS
        >>> best({"mlp": 0.91, "cnn": 0.95}, METRICS["accuracy"], None)
        Choice(name='cnn', by=<Measure.METRIC: 'metric'>)
    """
    if not scores:
        return None
    if any(math.isnan(score) for score in scores.values()):
        return Choice(name=next(iter(scores)), by=Measure.NO_VALID_ROWS)
    top = max(scores, key=lambda name: metric.sign * scores[name])
    if not metric.brier or on_valid is None or not scores.keys() <= on_valid.answers.keys():
        return Choice(name=top, by=Measure.METRIC)
    near = _near(top, scores, metric, on_valid)
    if len(near) == 1:
        return Choice(name=top, by=Measure.METRIC)
    errors = {name: tempered_brier(on_valid.truth, on_valid.answers[name]) for name in near}
    return Choice(name=min(near, key=lambda name: errors[name]), by=Measure.BRIER)


def _near(top: str, scores: Mapping[str, float], metric: Metric, on_valid: ValidAnswers) -> list[str]:
    """Those that the metric does not tell from the best one, itself included."""
    moves = {name: metric.influence(on_valid.truth, on_valid.answers[name])[1] for name in scores}
    found = []
    for name, score in scores.items():
        error = float(np.sqrt(((moves[top] - moves[name]) ** 2).mean() / len(on_valid.truth)))
        if abs(scores[top] - score) <= TELLING * error:
            found.append(name)
    return found
