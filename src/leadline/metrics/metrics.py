"""Metrics: one number from answers, and how much each row moves it.

Enters: truth [n] (class numbers, values, or bytes) and answers (probabilities [n, classes], values [n], or bits [n]).
Leaves: a score; and an inner value with its influence [n], of mean zero, from which every interval comes. The score is
`finish` of the inner value, so that a root or a difference from one does not stand in the way of a mean. Influence is
the infinitesimal jackknife's: the mean's own deviations for a mean, those of DeLong et al. (1988) for AUC.

    >>> truth, scores = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    >>> round(METRICS["accuracy"](truth, scores), 4), METRICS["auc"](truth, scores)
    (0.6667, 1.0)
    >>> METRICS["accuracy"].influence(truth, scores)[1].round(2).tolist()
    [0.33, 0.33, -0.67]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leadline.metrics.multilabel import unpacked
from leadline.system.errors import LeadlineError

Inner = tuple[float, np.ndarray]  # a value, and the influence of each row on it

LIKELY = 0.5  # least probability of a predicted label, where a row may have several
LEAST_P = 1e-7  # of a probability, in a log loss: float32 knows no finer share of one


@dataclass(frozen=True)
class Metric:
    """`influence` gives the inner value and what each row does to it; `finish` makes the score of it."""

    name: str
    higher_is_better: bool
    influence: Callable[[np.ndarray, np.ndarray], Inner]
    share: bool = True  # the inner value lies in [0, 1]; else it is above zero
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray
    brier: bool = False  # whether the Brier score orders what it does not tell apart; not if classes are weighted
    classes_needed: int = 1  # different classes among the rows, without which the score says nothing

    def __call__(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """The score of answers against the truth."""
        return float(self.finish(np.asarray(self.influence(truth, scores)[0])))

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`."""
        return a > b if self.higher_is_better else a < b

    @property
    def sign(self) -> float:
        """What a difference is multiplied by, so that above zero is better."""
        return 1.0 if self.higher_is_better else -1.0


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> Inner:
    """A mean, or a ratio of two sums."""
    values = np.asarray(values, np.float64)
    if weights is None:
        mean = float(values.mean())
        return mean, values - mean
    ratio = float(values.sum() / weights.sum())
    return ratio, (values - ratio * weights) / weights.mean()


def _accuracy(truth: np.ndarray, scores: np.ndarray) -> Inner:
    return _mean(scores.argmax(axis=1) == truth)


def _balanced(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """The mean over classes of the share of a class's rows that is found."""
    hits = np.asarray(scores.argmax(axis=1) == truth, np.float64)
    parts = [_mean(hits * mine, mine) for mine in _members(truth)]
    return _average(
        [(found, moves * _few(int(mine.sum()))) for (found, moves), mine in zip(parts, _members(truth), strict=True)]
    )


def _f1(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """Of two classes F1 of the second; of more the mean over classes (macro)."""
    guess = scores.argmax(axis=1)
    classes = [1] if scores.shape[1] == 2 else np.unique(truth).tolist()
    parts = []
    for k in classes:
        is_k, says_k = np.asarray(truth == k, np.float64), np.asarray(guess == k, np.float64)
        both = is_k + says_k
        parts.append(_mean(2 * is_k * says_k, both) if both.any() else (0.0, np.zeros(len(truth))))
    return _average(parts)


def _auc(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """The probability that a row of the class is ranked above another row; the mean over classes (one against all)."""
    return _average([_auc_of(is_k, column) for is_k, column in _one_against_all(truth, scores)])


def _auc_of(positive: np.ndarray, score: np.ndarray) -> Inner:
    """DeLong, DeLong and Clarke-Pearson (1988), by ranks as Sun and Xu (2014): [n] booleans, [n] scores."""
    up, down = score[positive], score[~positive]
    below = (np.searchsorted(np.sort(down), up, "left") + np.searchsorted(np.sort(down), up, "right")) / 2 / len(down)
    above = 1 - (np.searchsorted(np.sort(up), down, "left") + np.searchsorted(np.sort(up), down, "right")) / 2 / len(up)
    area = float(below.mean())
    moves = np.empty(len(score))
    moves[positive] = (below - area) * len(score) / len(up) * _few(len(up))
    moves[~positive] = (above - area) * len(score) / len(down) * _few(len(down))
    return area, moves


def _average_precision(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """The mean, over rows of the class, of the precision at their rank; the mean over classes (one against all)."""
    return _average([_precision_of(is_k, column) for is_k, column in _one_against_all(truth, scores)])


def _precision_of(positive: np.ndarray, score: np.ndarray) -> Inner:
    n, share = len(score), float(positive.mean())
    order = np.argsort(score, kind="stable")
    ranked, up = score[order], positive[order]
    first = np.searchsorted(ranked, ranked, "left")  # of its ties: all from there on are called positive
    called = (n - first) / n  # share of the rows that are
    right = np.append(np.cumsum(up[::-1])[::-1], 0)[first] / n
    precision = right / called
    value = float(precision[up].mean())
    weight = up / (share * n)  # the law of a positive row
    # A row takes part in the precision of every positive that is ranked no higher than it.
    last = np.searchsorted(ranked, ranked, "right") - 1
    near = np.cumsum(weight / called)[last]
    drag = np.cumsum(weight * precision / called)[last]
    moves = np.empty(n)
    moves[order] = up / share * (precision - value) + up * near - drag
    return value, moves


def _micro_f1(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """Micro F1: twice the true positives of all rows and labels, over predicted plus actual labels."""
    actual, predicted = unpacked(truth, scores.shape[1]), scores >= LIKELY
    both = (actual.sum(axis=1) + predicted.sum(axis=1)).astype(np.float64)
    return _mean(2.0 * (actual & predicted).sum(axis=1), both) if both.any() else (1.0, np.zeros(len(truth)))


def _macro_f1(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """Macro F1; a label without actual and predicted rows is left out."""
    actual, predicted = unpacked(truth, scores.shape[1]), scores >= LIKELY
    both = (actual.astype(np.float64) + predicted).T
    parts = [_mean(2.0 * hits, sums) for hits, sums in zip((actual & predicted).T, both, strict=True) if sums.any()]
    return _average(parts) if parts else (1.0, np.zeros(len(truth)))


def _label_accuracy(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """The share of correct yes/no labels: one minus the Hamming loss."""
    return _mean((unpacked(truth, scores.shape[1]) == (scores >= LIKELY)).mean(axis=1))


def _exact_match(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """Subset accuracy: the share of rows whose labels are all correct."""
    return _mean((unpacked(truth, scores.shape[1]) == (scores >= LIKELY)).all(axis=1))


def _log_loss(truth: np.ndarray, scores: np.ndarray) -> Inner:
    held = np.asarray(scores[np.arange(len(truth)), truth], np.float64)
    return _mean(-np.log(np.clip(held, LEAST_P, 1.0)))


def _squares(truth: np.ndarray, scores: np.ndarray) -> Inner:
    return _mean((truth - scores) ** 2)


def _absolute(truth: np.ndarray, scores: np.ndarray) -> Inner:
    return _mean(np.abs(truth - scores))


def _unexplained(truth: np.ndarray, scores: np.ndarray) -> Inner:
    """Squared errors over squared distances from the mean, 1 - R2; the mean is itself taken from these rows."""
    away = (truth - truth.mean()) ** 2
    return _mean((truth - scores) ** 2, away) if away.any() else (1.0, np.zeros(len(truth)))


def _bits(truth: np.ndarray, scores: np.ndarray) -> Inner:
    return _mean(scores, np.asarray(truth, np.float64))


def _members(truth: np.ndarray) -> list[np.ndarray]:
    """For each class that occurs, 1.0 on its rows."""
    return [np.asarray(truth == k, np.float64) for k in np.unique(truth)]


def _one_against_all(truth: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows of a class, its probabilities): of two classes the second alone; of more, those that tell rows apart."""
    classes = [1] if scores.shape[1] == 2 else np.unique(truth).tolist()
    pairs = [(truth == k, scores[:, k]) for k in classes]
    told = [pair for pair in pairs if 0 < pair[0].sum() < len(truth)]
    if not told:
        raise LeadlineError("All rows to score are of one class, where a ranking needs two; give more rows.")
    return told


def _few(n: int) -> float:
    """What makes the mean square of n deviations from their own mean a fair variance."""
    return float(np.sqrt(n / (n - 1))) if n > 1 else 1.0


def _average(parts: list[Inner]) -> Inner:
    return float(np.mean([value for value, _ in parts])), np.mean([moves for _, moves in parts], axis=0)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, _accuracy, brier=True),
        Metric("balanced accuracy", True, _balanced),
        Metric("auc", True, _auc, classes_needed=2),
        Metric("f1", True, _f1, classes_needed=2),
        Metric("average precision", True, _average_precision, classes_needed=2),
        Metric("log loss", False, _log_loss, share=False),
        Metric("micro f1", True, _micro_f1),
        Metric("macro f1", True, _macro_f1),
        Metric("label accuracy", True, _label_accuracy),
        Metric("exact match", True, _exact_match),
        Metric("rmse", False, _squares, share=False, finish=np.sqrt),
        Metric("mae", False, _absolute, share=False),
        Metric("r2", True, _unexplained, share=False, finish=lambda inner: 1.0 - np.asarray(inner)),
        Metric("bits a byte", False, _bits, share=False),
    )
}
