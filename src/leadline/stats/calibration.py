"""Calibration: probabilities that say how often they are right, learned on rows that no contender has seen.

Enters: class numbers [n] and probabilities [n, classes]. Leaves: a `Calibrator`, an increasing map that all classes
share, so that it changes how sure an answer is and never the answer. Two maps are tried, by 5-fold cross-validated log
loss: temperature (Guo et al. 2017) and isotonic regression (Zadrozny and Elkan 2002), the latter over bins and with
straight lines between them. Where neither gains more than two standard errors, probabilities stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.metrics.metrics import LEAST_P, METRICS
from leadline.metrics.multilabel import unpacked

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

FOLDS = 5
FEWEST, MOST = 50, 1_000_000  # rows that are worth learning a map from; probabilities that one is learned from, at most
BINS, A_BIN = 30, 10  # bins of the isotonic map at most, and right answers in each at least
RISING = 0.02  # share of the identity in it: flat stretches would make equal what was not
ECE_BINS = 15
FEWEST_OF_LABEL = 10  # rows with a label, and without, from which on it gets a temperature
PLAINLY_NOT = 0.01  # a label's probability under which it is not counted, or the many labels of no row would outweigh
LEAST_LABEL = 1e-4  # of a label's probability where it is mapped: nearer to 0 or 1 float32 knows too few odds


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """A map of probabilities. `temperature` divides their logarithms; `knots` are (from, to) of the isotonic map."""

    method: str  # none, temperature or isotonic
    rows: int = 0  # it was learned from
    temperature: float = 1.0
    knots: np.ndarray = field(default_factory=lambda: np.array([[0.0, 0.0], [1.0, 1.0]]))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """float32 [n, classes], rows adding up to 1."""
        if self.method == "none":
            return np.asarray(scores, np.float32)
        scores = np.asarray(scores, np.float64)
        if self.method == "temperature":
            logs = np.log(np.clip(scores, LEAST_P, 1.0)) / self.temperature
            mapped = np.exp(logs - logs.max(axis=1, keepdims=True))
        else:
            mapped = np.interp(scores, self.knots[:, 0], self.knots[:, 1])
        return np.asarray(mapped / mapped.sum(axis=1, keepdims=True), np.float32)

    def onnx(self, g: Graph, scores: str) -> str:
        """The same as nodes of a graph: float32 [N, classes] -> float32 [N, classes]."""
        if self.method == "none":
            return scores
        if self.method == "temperature":
            logs = g.op("Log", g.op("Clip", scores, g.const(np.float32(LEAST_P)), g.const(np.float32(1))))
            return str(g.op("Softmax", g.op("Div", logs, g.const(np.float32(self.temperature))), axis=1))
        # A straight line between two knots is what a value covers of it, times its rise.
        start, width = self.knots[:-1, 0].astype(np.float32), np.diff(self.knots[:, 0]).astype(np.float32)
        rise = np.diff(self.knots[:, 1]).astype(np.float32)
        apart = g.op("Unsqueeze", scores, g.const(np.array([2], np.int64)))
        covered = g.op("Div", g.op("Sub", apart, g.const(start)), g.const(width))
        covered = g.op("Clip", covered, g.const(np.float32(0)), g.const(np.float32(1)))
        risen = g.op("Squeeze", g.op("MatMul", covered, g.const(rise[:, None])), g.const(np.array([2], np.int64)))
        mapped = g.op("Add", risen, g.const(np.float32(self.knots[0, 1])))
        return str(g.op("Div", mapped, g.op("ReduceSum", mapped, g.const(np.array([1], np.int64)), keepdims=1)))

    @property
    def describe(self) -> str:
        """A line for the report."""
        how = {
            "none": "left as they are: no map was shown to do better",
            "temperature": f"by a temperature of {self.temperature:.2f}",
            "isotonic": f"by an isotonic map of {len(self.knots)} knots",
        }
        return f"probabilities {how[self.method]} ({self.rows:,} rows)"


@dataclass(frozen=True, kw_only=True)
class LabelCalibrator:
    """A temperature a label, for multilabel tasks; 1 leaves a label as it is. No label's answer changes."""

    temperatures: np.ndarray  # float32 [labels]
    rows: int  # they were learned from

    @property
    def method(self) -> str:
        return "temperature" if (self.temperatures != 1).any() else "none"

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """float32 [n, labels]."""
        p = np.clip(np.asarray(scores, np.float64), LEAST_LABEL, 1 - LEAST_LABEL)
        mapped = 1 / (1 + np.exp(-np.log(p / (1 - p)) / self.temperatures))
        return np.asarray(np.where(self.temperatures == 1, scores, mapped), np.float32)

    def onnx(self, g: Graph, scores: str) -> str:
        """The same as nodes of a graph: float32 [N, labels] -> float32 [N, labels]."""
        if self.method == "none":
            return scores
        one = g.const(np.float32(1))
        p = g.op("Clip", scores, g.const(np.float32(LEAST_LABEL)), g.const(np.float32(1 - LEAST_LABEL)))
        odds = g.op("Log", g.op("Div", p, g.op("Sub", one, p)))
        mapped = g.op("Sigmoid", g.op("Div", odds, g.const(self.temperatures)))
        return str(g.op("Where", g.const(self.temperatures == 1), scores, mapped))

    @property
    def describe(self) -> str:
        """A line for the report."""
        changed = int((self.temperatures != 1).sum())
        how = f"{changed} of {len(self.temperatures)} labels by a temperature of their own" if changed else "left as is"
        return f"probabilities {how} ({self.rows:,} rows)"


def label_calibrator(labels: np.ndarray, scores: np.ndarray, seed: int) -> LabelCalibrator:
    """For each label the temperature that is shown to do better, if any: bool and probabilities [n, labels].

    Labels of few rows would bend any more pliable map.
    """
    found = [
        calibrator(mine.astype(int), np.stack([1 - p, p], axis=1), seed, ("temperature",)).temperature
        if FEWEST_OF_LABEL <= mine.sum() <= len(mine) - FEWEST_OF_LABEL
        else 1.0
        for mine, p in zip(labels.T, np.asarray(scores, np.float64).T, strict=True)
    ]
    return LabelCalibrator(temperatures=np.array(found, np.float32), rows=len(labels))


def calibrator(
    truth: np.ndarray, scores: np.ndarray, seed: int, methods: Sequence[str] = ("temperature", "isotonic")
) -> Calibrator:
    """The better of the two maps, or of those named; or none.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.uniform(0.05, 0.95, 4_000); truth = (rng.random(4_000) < p).astype(int)
        >>> timid = 0.5 + (p - 0.5) / 3  # says 0.6 where it should say 0.8
        >>> found = calibrator(truth, np.stack([1 - timid, timid], axis=1), 0)
        >>> found(np.array([[0.4, 0.6]])).round(1).tolist()
        [[0.20000000298023224, 0.800000011920929]]
    """
    if len(truth) < FEWEST:
        return Calibrator(method="none", rows=len(truth))
    if scores.size > MOST:  # of a thousand classes, a thousand rows say enough
        few = np.random.default_rng(seed).permutation(len(truth))[: max(FEWEST, MOST // scores.shape[1])]
        truth, scores = truth[few], scores[few]
    known = {"temperature": _temperature, "isotonic": _isotonic}
    makers = {name: known[name] for name in methods}
    fold = np.random.default_rng(seed).permutation(len(truth)) % FOLDS
    losses = {"none": _losses(truth, scores)}
    for name, make in makers.items():
        losses[name] = np.empty(len(truth))
        for k in range(FOLDS):
            mine = fold == k
            losses[name][mine] = _losses(truth[mine], make(truth[~mine], scores[~mine])(scores[mine]))
    best = "none"
    for name in makers:  # from the simplest to the most pliable
        gain = losses[best] - losses[name]
        if gain.mean() > 2 * gain.std() / np.sqrt(len(gain)):
            best = name
    return Calibrator(method="none", rows=len(truth)) if best == "none" else makers[best](truth, scores)


def expected_error(truth: np.ndarray, scores: np.ndarray) -> float:
    """The expected calibration error of the answers, over 15 bins of as many rows (Nixon et al. 2019)."""
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    parts = np.array_split(np.argsort(sure, kind="stable"), min(ECE_BINS, len(sure)))
    return float(sum(len(part) * abs(sure[part].mean() - right[part].mean()) for part in parts) / len(sure))


def reliability(truth: np.ndarray, scores: np.ndarray, bins: int = 10) -> list[tuple[float, float, int]]:
    """(how sure, how often right, rows) of the answers, in bins of as many rows."""
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    parts = np.array_split(np.argsort(sure, kind="stable"), max(1, min(bins, len(sure) // 20)))
    return [(float(sure[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def summary(found: Calibrator | LabelCalibrator, truth: np.ndarray, before: np.ndarray) -> dict[str, Any]:
    """What result.json says of it: measured on rows of its own, before and after; of several labels over all of them.

    In a multilabel task every pair of a row and a label is a yes or a no, except those that are plainly a no.
    """
    after, loss = found(before), METRICS["log loss"]
    if isinstance(found, LabelCalibrator):
        open_ = np.maximum(before, after) > PLAINLY_NOT
        open_ = open_ if open_.any() else np.ones_like(open_)
        truth = unpacked(truth, before.shape[1])[open_].astype(int)
        before, after = (np.stack([1 - side[open_], side[open_]], axis=1) for side in (before, after))
    return {
        "method": found.method, "rows": found.rows, "describe": found.describe,
        "log_loss": [loss(truth, before), loss(truth, after)],
        "ece": [expected_error(truth, before), expected_error(truth, after)],
        "curve": [reliability(truth, before), reliability(truth, after)],
    }  # fmt: skip


def _losses(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    held = np.asarray(scores[np.arange(len(truth)), truth], np.float64)
    return np.asarray(-np.log(np.clip(held, LEAST_P, 1.0)))


def tempered_brier(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean squared error of the probabilities (Brier 1950) at the temperature that suits these rows best."""
    every = len(truth) * scores.shape[1] // MOST + 1  # of a thousand classes, a thousand rows say enough
    truth, scores = truth[::every], scores[::every]
    mapped = np.asarray(_temperature(truth, scores)(scores), np.float64)
    held = mapped[np.arange(len(truth)), truth]
    return float(((mapped**2).sum(axis=1) - 2 * held + 1).mean())


def _temperature(truth: np.ndarray, scores: np.ndarray) -> Calibrator:
    from scipy.optimize import minimize_scalar

    logs = np.log(np.clip(np.asarray(scores, np.float64), LEAST_P, 1.0))
    own = float(logs[np.arange(len(truth)), truth].mean())
    room = np.empty_like(logs)  # of a thousand classes most of the time would go to fetching memory

    def loss(log_temperature: float) -> float:
        cold = float(np.exp(-log_temperature))
        np.exp(np.multiply(logs, cold, out=room), out=room)  # logarithms of probabilities: no sum can overflow
        return float(np.log(room.sum(axis=1)).mean()) - own * cold

    found = minimize_scalar(loss, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    return Calibrator(method="temperature", temperature=float(np.exp(found.x)), rows=len(truth))


def _isotonic(truth: np.ndarray, scores: np.ndarray) -> Calibrator:
    """One increasing map from (probability, whether it is the class), all classes together."""
    from scipy.optimize import isotonic_regression

    p = np.asarray(scores, np.float64).ravel()
    hit = (np.arange(scores.shape[1]) == truth[:, None]).ravel()
    # Bins of as many rows by a weight under which hits and misses count the same: of many classes most are misses.
    weight = np.where(hit, 0.5 / max(1, hit.sum()), 0.5 / max(1, (~hit).sum()))
    order = np.argsort(p, kind="stable")
    bins = int(np.clip(len(truth) // A_BIN, 2, BINS))
    place = np.minimum((np.cumsum(weight[order]) - weight[order] / 2) * bins, bins - 1e-9).astype(int)
    counts = np.bincount(place, minlength=bins)
    filled = counts > 0
    centres = (np.bincount(place, weights=p[order], minlength=bins)[filled]) / counts[filled]
    shares = (np.bincount(place, weights=hit[order], minlength=bins)[filled]) / counts[filled]
    rising = isotonic_regression(shares, weights=counts[filled].astype(np.float64)).x
    centres, first = np.unique(centres, return_index=True)
    rising = rising[first]
    inside = (centres > 0) & (centres < 1)
    x = np.concatenate([[0.0], centres[inside], [1.0]])
    y = np.concatenate([[min(rising[0], centres[0])], rising[inside], [max(rising[-1], centres[-1])]])
    y = (1 - RISING) * np.maximum.accumulate(y) + RISING * x
    return Calibrator(method="isotonic", knots=np.stack([x, np.maximum(y, LEAST_P)], axis=1), rows=len(truth))
