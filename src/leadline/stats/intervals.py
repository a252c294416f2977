"""Intervals: of one score on the test rows, of a difference between two contenders, over rows or seeds.

Enters: truth [n], answers of each training, a metric. Leaves: `Scored`, and a `Gap` with what may be thought of its
size. Methods and sources are in docs/evidence.md; in short:

    rows    a paired bootstrap (Efron and Tibshirani 1993): contenders answer the same rows, so rows that both find
            hard cancel out. Rows of one group are resampled together. Expanded as Hesterberg (2015) does, by
            Student's t with as many degrees as rows that differ.
    seeds   the bootstrap of the mean over trainings, and Student's t for the noise between them
    folds   in few_folds.py: what their rows leave open, and what is known of the noise of training

A metric is resampled through the influence of each row (`metrics/metrics.py`), exact where it is a mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from leadline.core.records import Scope
from leadline.metrics.metrics import Metric

RESAMPLES = 4_000
MOST_UNITS = 5_000  # above, rows are pooled at random into this many units, which are resampled instead
LEVEL = 0.95
FEWEST_SEEDS = 3  # trainings, to measure the noise between them


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A score on the test rows with its interval."""

    score: float
    low: float
    high: float


class Outlook(NamedTuple):
    """What another race would state, were the true difference the one that was seen."""

    draws: np.ndarray  # rising
    error: float  # standard deviation of its difference from one race to the next

    @classmethod
    def of(cls, draws: np.ndarray) -> Outlook:
        """Of draws in any order: their middle says how races scatter, their far ends what one does not know of it."""
        draws = np.sort(draws)
        return cls(draws, float(np.diff(np.quantile(draws, [0.1587, 0.8413]))[0]) / 2)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """How much better one is than the other, in the metric's unit; above zero is better for the first.

    `draws` are equally likely values of the true difference.
    """

    size: float
    draws: np.ndarray  # rising
    of: Scope  # model: these trained ones. method: on any rows, from any seed
    noise: float = 0.0  # share of the variance that comes from training, not from too few rows
    more: Callable[[float, int | None], Outlook] | None = None  # of so many times the rows, or of so many trainings

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def after(self, times: float = 1.0, trainings: int | None = None) -> Outlook:
        """What a race would state with so many times the rows, or so many trainings, were this the true difference."""
        if self.more is None:
            return Outlook.of(self.size + (self.draws - self.size) / math.sqrt(times))
        return self.more(times, trainings)

    def above(self, value: float) -> float:
        """The probability that the difference is more than `value`."""
        return float((self.draws > value).mean())


def score(
    truth: np.ndarray, answers: Mapping[str, np.ndarray], metric: Metric, seed: int, group: np.ndarray | None = None
) -> dict[str, Scored]:
    """Score every contender on the test rows, with 95% intervals.

    Args:
        truth: class numbers, values or bytes [n].
        answers: {contender: probabilities [n, classes], values [n] or bits [n]}.
        group: what each row belongs to [n]; rows of one group are not independent.
    """
    inner = {name: metric.influence(truth, scores) for name, scores in answers.items()}
    rng = np.random.default_rng(seed)
    moves = units(np.stack([each for _, each in inner.values()], axis=1), group, rng)
    found = {}
    resampled = None if metric.share else _bootstrap(moves, rng)
    for place, (name, (value, _)) in enumerate(inner.items()):
        mine = moves[:, place]
        ends = (
            share_interval(value, mine, len(truth))
            if resampled is None
            else _expanded(value, resampled[:, place], mine)
        )
        low, high = sorted(float(metric.finish(np.asarray(end))) for end in ends)
        found[name] = Scored(score=float(metric.finish(np.asarray(value))), low=low, high=high)
    return found


def rows_gap(
    truth: np.ndarray, first: Sequence[np.ndarray], second: Sequence[np.ndarray], metric: Metric, seed: int,
    group: np.ndarray | None = None,
) -> Gap:  # fmt: skip
    """The difference between two contenders on the same test rows.

    Args:
        first, second: the answers of each training; with three or more of both the noise between trainings counts, and
            the gap is one of methods.
    """
    from scipy.special import stdtrit

    sides = [[metric.influence(truth, answers) for answers in side] for side in (first, second)]
    values = [np.array([value for value, _ in side]) for side in sides]
    means = [float(side.mean()) for side in values]
    rng = np.random.default_rng(seed)
    moves = units(np.stack([np.mean([each for _, each in side], axis=0) for side in sides], axis=1), group, rng)
    # Two rows more, one that each alone has right (Bonett and Price 2012): that no row of fifty parted them does not
    # say that none will.
    unseen = np.eye(2) / len(truth) if metric.share else np.empty((0, 2))
    resampled = np.asarray(metric.finish(np.maximum(means + _bootstrap(np.concatenate([moves, unseen]), rng), 0.0)))
    ends = [float(metric.finish(np.asarray(mean))) for mean in means]
    size = metric.sign * (ends[0] - ends[1])
    away = metric.sign * (resampled[:, 0] - resampled[:, 1]) - size
    difference = slope(metric, means[0]) * moves[:, 0] - slope(metric, means[1]) * moves[:, 1]
    degrees, count = _degrees(difference), min(len(first), len(second))
    away *= _expansion(degrees)
    if group is not None and len(difference) > 1:  # a bootstrap of few units is too narrow by this (Hesterberg 2015)
        away *= math.sqrt(len(difference) / (len(difference) - 1))
    alone = 2 / len(truth) ** 2 if metric.share else 0.0
    alone /= (
        float((difference**2).sum()) + alone or 1.0
    )  # what the two rows more add to the variance: half as much by twice n
    spreads = (
        sum(float(np.asarray(metric.finish(side)).var(ddof=1)) / len(side) for side in values) if count > 1 else 0.0
    )
    chance = rng.random(RESAMPLES)

    def spread(times: float, trainings: int | None) -> np.ndarray:
        scale = math.sqrt((1 - alone) / times + alone / times**2) * _expansion(degrees * times) / _expansion(degrees)
        if count < FEWEST_SEEDS:
            return np.asarray(size + scale * away)
        trained = trainings or count
        noise = math.sqrt(spreads * count / trained) * stdtrit(trained - 1, chance)
        return np.asarray(size + scale * away + noise)

    def more(times: float, trainings: int | None) -> Outlook:
        return Outlook.of(spread(times, trainings))

    draws = possible(spread(1.0, None), metric.share)
    if count < FEWEST_SEEDS:
        return Gap(size=size, draws=draws, of="model", more=more)
    share = spreads / (spreads + float(away.var()) or 1.0)
    return Gap(size=size, draws=draws, of="method", noise=share, more=more)


def without_gap(truth: np.ndarray, answers: np.ndarray, kept: np.ndarray, metric: Metric, seed: int) -> Gap:
    """What a score would be on some of its rows alone, less what it is on all: above zero is better without the rest.

    Args:
        answers: of one contender.
        kept: which rows stay, booleans [n].
    """
    n = len(truth)
    value, moves = metric.influence(truth, answers)
    less, part = metric.influence(truth[kept], answers[kept])
    moved = np.zeros(n)
    moved[kept] = slope(metric, less) * part * n / kept.sum()
    moved -= slope(metric, value) * moves
    rng = np.random.default_rng(seed)
    parts = units(moved[:, None], None, rng)
    away = metric.sign * _bootstrap(parts, rng)[:, 0] * _expansion(_degrees(parts[:, 0]))
    ends = metric.finish(np.array([value, less]))
    size = metric.sign * float(ends[1] - ends[0])
    return Gap(size=size, draws=possible(size + away, metric.share), of="model")


def possible(draws: np.ndarray, shares: bool) -> np.ndarray:
    """In rising order; two shares differ by 1 at most, whatever a handful of rows may seem to say."""
    return np.sort(np.clip(draws, -1.0, 1.0) if shares else draws)


def units(moves: np.ndarray, group: np.ndarray | None, rng: np.random.Generator | None) -> np.ndarray:
    """Influences [n, contenders] over n, summed over rows that are resampled together: [units, contenders].

    With an `rng` many of them are pooled at random.
    """
    n = len(moves)
    if group is not None:
        _, unit = np.unique(group, return_inverse=True)
    else:
        unit = np.arange(n)
    count = int(unit.max()) + 1
    if count > MOST_UNITS and rng is not None:
        unit, count = (rng.permutation(count) % MOST_UNITS)[unit], MOST_UNITS
    return np.stack([np.bincount(unit, weights=column, minlength=count) for column in moves.T], axis=1) / n


def _bootstrap(moves: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How far resamples of the units lie from the value: [RESAMPLES, contenders]."""
    units = len(moves)
    found = np.empty((RESAMPLES, moves.shape[1]))
    chunk = max(1, 2_000_000 // units)  # 16 MB at a time: half the seconds of 160 MB
    for start in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - start)
        resampled = rng.integers(0, units, (size, units)) + units * np.arange(size)[:, None]
        times = np.bincount(resampled.ravel(), minlength=size * units).reshape(size, units)
        found[start : start + size] = times @ moves
    return found


def _degrees(moves: np.ndarray) -> float:
    """How many units differ, less one: (sum m^2)^2 / sum m^4.

    Units of equal weight count fully; one that outweighs all others leaves next to none.
    """
    squares = moves**2
    return max(1.0, float(squares.sum() ** 2 / (squares**2).sum()) - 1) if squares.any() else math.inf


def _expansion(degrees: float) -> float:
    """By how much few units, or few that differ, widen the bootstrap: Student's t over the normal."""
    from scipy.special import ndtri, stdtrit

    tail = (1 + LEVEL) / 2
    return float(stdtrit(degrees, tail) / ndtri(tail)) if degrees < math.inf else 1.0


def _expanded(value: float, away: np.ndarray, moves: np.ndarray) -> tuple[float, float]:
    """The expanded percentile interval of something above zero, on its logarithm.

    Where few units are most of it, the true value may be far above, as more such units may be missing, and not far
    below: the lower end is expanded by the number of units alone.
    """
    if value <= 0:
        return value, value
    logs = np.log(np.maximum(value + away, 1e-3 * value) / value)
    low, high = np.quantile(logs, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = low * _expansion(max(1, len(moves) - 1)), high * _expansion(_degrees(moves))
    return float(value * np.exp(low)), float(value * np.exp(high))


def share_interval(value: float, moves: np.ndarray, rows: int) -> tuple[float, float]:
    """Wilson's (1927) interval of a share, for as many independent rows as its standard error is worth.

    Korn and Graubard (1998) have the effective number: value (1 - value) over the squared error. A mere share of rows
    needs no more; where the error is estimated, from rows of unlike weight, Student's t takes the normal's place.
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2)) * (1.0 if len(np.unique(moves)) <= 2 else _expansion(_degrees(moves)))
    variance = float((moves**2).sum()) * len(moves) / max(1, len(moves) - 1)
    n = min(value * (1 - value) / variance, 1e12) if variance > 0 and 0 < value < 1 else len(moves)
    middle, half = value + z * z / (2 * n), z * np.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - half) / (1 + z * z / n)), min(1.0, float(middle + half) / (1 + z * z / n))


def slope(metric: Metric, value: float) -> float:
    """Of `finish` at a value."""
    step = 1e-4 * max(abs(value), 1e-12)
    ends = metric.finish(np.array([max(value - step, 0.0), value + step]))
    return float((ends[1] - ends[0]) / (2 * step))
