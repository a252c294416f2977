"""The impact of a flaw: the score without it, less the score with it, in the unit of the metric, with an interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leadline.flaws.confident_learning import Noise, cleaned
from leadline.flaws.detector import ScanData, TestAnswers
from leadline.flaws.flaw import Impact
from leadline.metrics.metrics import METRICS, Metric
from leadline.readers.part import counted
from leadline.stats.few_folds import fold_of, folds_gap
from leadline.stats.intervals import Gap, rows_gap, without_gap

FOLDS = 5
FITS = 2 * FOLDS + 2  # of the probe in `cross_validated`, with and without; two more for its regularisation


def folds_of(labels: np.ndarray) -> np.ndarray:
    """A fold for each row [n], stratified by class, or by value."""
    order = np.lexsort((np.random.default_rng(3).permutation(len(labels)), labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    return fold


def cross_validated(
    labels: np.ndarray, with_it: np.ndarray, without: np.ndarray, fold: np.ndarray, metric: Metric, of: str, how: str
) -> Impact:
    """Of something that can be hidden from a model: the difference on each fold, trained on the others.

    The interval is that of the method, not of two trained models (`folds_gap`): it has the variance between trainings
    as well as that between rows.
    """
    each = [
        fold_of(labels[rows], without[rows], with_it[rows], metric)
        for rows in (fold == number for number in np.unique(fold))
    ]
    return _of_gap(folds_gap(each, 1 / len(each), shares=metric.share), metric, of, how)


def paired(labels: np.ndarray, with_it: np.ndarray, without: np.ndarray, metric: Metric, of: str, how: str) -> Impact:
    """Of something that can be hidden from a model: two predictions for the same rows."""
    return _of_gap(rows_gap(labels, [without], [with_it], metric, 0), metric, of, how)


def without_rows(test: TestAnswers, rows: np.ndarray) -> Impact | None:
    """Of test rows: the score on the others; None where there are none, or of one class only."""
    others = ~np.isin(test.rows, rows)
    one_class = test.labels.dtype.kind == "i" and len(np.unique(test.labels[others])) < 2
    if not 0 < others.sum() < len(others) or one_class:
        return None
    gap = without_gap(test.labels, test.answers, others, test.metric, 0)
    return _of_gap(gap, test.metric, test.contender, f"{counted(int(others.sum()), 'test row')} without them")


def random_split(data: ScanData, rows: np.ndarray, together: np.ndarray, how: str) -> Impact | None:
    """Of a test that is a random sample, where the rows `together` (bool, [rows]) should be the test.

    The probe is evaluated on both. None where the difference is not significant.
    """
    labels, metric, ends = data.table.labels[rows], data.metric, []
    sample = np.zeros(len(rows), bool)
    sample[np.random.default_rng(1).choice(len(rows), int(together.sum()), replace=False)] = True
    for test in (sample, together):
        ends.append((labels[test], data.probe.answers(rows[~test], labels[~test], rows[test])))
    impact = between_rows(ends[0], ends[1], metric, data.probe.name, how)
    return impact if max(impact.low * metric.sign, impact.high * metric.sign) < 0 else None


def between_rows(
    with_it: tuple[np.ndarray, np.ndarray], without: tuple[np.ndarray, np.ndarray], metric: Metric, of: str, how: str
) -> Impact:
    """Of other rows: (labels, answers) of each."""
    ends, variance = [], 0.0
    for labels, answers in (with_it, without):
        value, influence = metric.influence(labels, answers)
        step = 1e-4 * max(abs(value), 1e-9)
        low, high = metric.finish(np.array([max(value - step, 0.0), value + step]))
        slope = float((high - low) / (2 * step))
        variance += slope**2 * float(influence.var()) / len(influence)
        ends.append(float(metric.finish(np.asarray(value))))
    size, half = ends[1] - ends[0], 1.96 * variance**0.5
    return Impact(size=size, low=size - half, high=size + half, metric=metric.name, of=of, how=how)


def label_noise(test: TestAnswers, noise: Noise, trained: Impact) -> Impact:
    """Of wrong labels: the score of the same answers on true labels, and the gain from training on these.

    Args:
        trained: what the probe gains, on the labels of the source, from training without the suspects.
    """
    metric = METRICS["accuracy"]
    score = metric(test.labels, test.answers)
    error = 1.96 * float(np.sqrt(max(score * (1 - score), 1e-4) / len(test.labels)))

    def gain(share: float, at: float) -> float:
        return cleaned(at, share, test.classes) - at

    ends = [gain(share, at) for share in (noise.low, noise.high) for at in (score - error, score + error)]
    wider = 1 / max(0.2, 1 - noise.share * test.classes / (test.classes - 1))
    size = gain(noise.share, score) + wider * trained.size
    low = min(ends) + wider * min(trained.low, 0.0)
    high = max(ends) + wider * max(trained.high, 0.0)
    how = f"on true labels, were {noise.low:.1%} to {noise.high:.1%} of the labels wrong"
    return replace(trained, size=size, low=min(low, size), high=max(high, size), of=test.contender, how=how)


def _of_gap(gap: Gap, metric: Metric, of: str, how: str) -> Impact:
    low, high = (metric.sign * end for end in gap.interval())
    return Impact(
        size=metric.sign * gap.size, low=min(low, high), high=max(low, high), metric=metric.name, of=of, how=how
    )  # fmt: skip
