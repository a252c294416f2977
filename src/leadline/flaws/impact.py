"""What a flaw does to the score: the score again without it, and how sure that is.

Each price is the score without the flaw less the score with it, in the metric's own unit.
"""

from __future__ import annotations

import numpy as np

from leadline.flaws.confident_learning import Noise, cleaned
from leadline.flaws.flaw import Price
from leadline.metrics.metrics import METRICS, Metric
from leadline.stats.few_folds import fold_of, folds_gap
from leadline.stats.intervals import Gap, rows_gap, without_gap


def crossed(
    truth: np.ndarray, with_it: np.ndarray, without: np.ndarray, fold: np.ndarray, metric: Metric, of: str, how: str
) -> Price:
    """Of something that can be hidden from the learner: what it costs on each fold, learned from the others.

    The interval is that of the method, not of two models that happened to be trained (`folds.folds_gap`): it holds
    the noise between trainings beside that between rows.
    """
    each = [
        fold_of(truth[mine], without[mine], with_it[mine], metric)
        for mine in (fold == number for number in np.unique(fold))
    ]
    return _of_gap(folds_gap(each, 1 / len(each), shares=metric.share), metric, of, how)


def paired(truth: np.ndarray, with_it: np.ndarray, without: np.ndarray, metric: Metric, of: str, how: str) -> Price:
    """Of something that can be hidden from the learner: two answers to the same rows."""
    return _of_gap(rows_gap(truth, [without], [with_it], metric, 0), metric, of, how)


def of_rows(
    truth: np.ndarray, answers: np.ndarray, kept: np.ndarray, metric: Metric, of: str, how: str
) -> Price | None:
    """Of rows that can be left out of the test."""
    if not 0 < kept.sum() < len(kept) or (truth.dtype.kind == "i" and len(np.unique(truth[kept])) < 2):
        return None
    return _of_gap(without_gap(truth, answers, kept, metric, 0), metric, of, how)


def apart(
    with_it: tuple[np.ndarray, np.ndarray], without: tuple[np.ndarray, np.ndarray], metric: Metric, of: str, how: str
) -> Price:
    """Of another split: (truth, answers) on rows of their own each."""
    ends, spread = [], 0.0
    for truth, answers in (with_it, without):
        value, moves = metric.influence(truth, answers)
        step = 1e-4 * max(abs(value), 1e-9)
        low, high = metric.finish(np.array([max(value - step, 0.0), value + step]))
        slope = float((high - low) / (2 * step))
        spread += slope**2 * float(moves.var()) / len(moves)
        ends.append(float(metric.finish(np.asarray(value))))
    size, half = ends[1] - ends[0], 1.96 * spread**0.5
    return Price(size=size, low=size - half, high=size + half, metric=metric.name, of=of, how=how)


def of_labels(truth: np.ndarray, answers: np.ndarray, found: Noise, learned: Price, classes: int, of: str) -> Price:
    """Of wrong labels: what the same answers would score on true ones, and what learning from them would add.

    Args:
        truth, answers: of the test rows, labels as given.
        learned: what the probe gains, on labels as given, from learning without the suspects.
    """
    metric = METRICS["accuracy"]
    score = metric(truth, answers)
    error = 1.96 * float(np.sqrt(max(score * (1 - score), 1e-4) / len(truth)))

    def gain(share: float, at: float) -> float:
        return cleaned(at, share, classes) - at

    ends = [gain(share, at) for share in (found.low, found.high) for at in (score - error, score + error)]
    wider = 1 / max(0.2, 1 - found.share * classes / (classes - 1))
    size = gain(found.share, score) + wider * learned.size
    low = min(ends) + wider * min(learned.low, 0.0)
    high = max(ends) + wider * max(learned.high, 0.0)
    how = f"on true labels, were {found.low:.1%} to {found.high:.1%} of the labels wrong"
    return Price(size=size, low=min(low, size), high=max(high, size), metric=metric.name, of=of, how=how)


def _of_gap(gap: Gap, metric: Metric, of: str, how: str) -> Price:
    low, high = (metric.sign * end for end in gap.interval())
    return Price(
        size=metric.sign * gap.size, low=min(low, high), high=max(low, high), metric=metric.name, of=of, how=how
    )  # fmt: skip
