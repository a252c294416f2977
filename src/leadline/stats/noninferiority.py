"""Whether a model is not worse than another one by more than a limit, on rows that both answered.

Enters: truth, the answers of both, a metric and a limit. Leaves: a `Comparison`: the drop, its upper 95% bound, and the
p value of 'the drop is the limit or more'. Two tests have to agree, and the larger p value counts:

    score    of rows that are lost and won, where each is right or wrong: the drop over its standard error were it the
             limit (Tango 1998). The error that is seen is too small where few rows are lost by chance
    t        for any other metric, or rows in groups, which count together: of the drop's influences
             (metrics/metrics.py), paired by row, with the degrees of the rows that differ. A limit that is a share of
             the other one's score is as uncertain as that score: rows of a few large errors could not even exclude
             that a model is worse than itself. Where the drop alone excludes a fourth of the limit, that is enough,
             unless the score is seen four times too large (decisions/0161)
    exact    the binomial probability of so small a drop where each row is lost with the limit's probability. Without
             it two models that differ on none of ten rows would be taken for equal (the rule of three: Hanley and
             Lippman-Hand 1983). For metrics that are shares alone

Candidates are tested in an order that other rows chose, and the first that fails ends the tests, so that at most one in
twenty runs ships a model that is worse than allowed, however many candidates there are (fixed sequence: Maurer, Hothorn
and Lehmacher 1995).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from leadline.metrics.metrics import Metric
from leadline.stats.intervals import slope, units

__all__ = ["ALPHA", "Comparison", "compare", "least_certifiable"]

ALPHA = 0.05  # of taking a worse model for one that is not
LEVEL = 0.04  # to which t and score are held: by t a worse model is taken up to a sixth more often (decisions/0105)
WHOLE = 1e-6  # by which a row's part in a drop may differ from -1, 0 and 1 by rounding
CRUDE = 4  # times that the score of the other model, of which the limit is a share, may be seen too large
ENOUGH = 40  # rows with which that counts: of fewer, one may hide all that is lost
STEPS = 40  # halvings in the search for an upper bound


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model beside the one that it replaces; above zero it is worse. `drop` is in the unit of `--max-drop`."""

    rows: int
    drop: float  # points of a metric for which higher is better; else a share of the other one's score
    upper: float  # below which the true drop lies with 95% confidence
    p: float  # of a drop of `limit` or more
    limit: float

    @property
    def proved(self) -> bool:
        """Whether a drop of the limit or more is excluded."""
        return self.p <= ALPHA


def compare(
    truth: np.ndarray, full: np.ndarray, small: np.ndarray, metric: Metric, limit: float,
    group: np.ndarray | None = None,
) -> Comparison:  # fmt: skip
    """Test the drop from `full` to `small`.

    Args:
        truth: labels [n]; `full` and `small`: scores [n, classes], values [n] or bits [n].
        limit: the drop that is not allowed: points, or a share of the score of `full` where lower is better.
        group: what each row belongs to [n].

    A model that answers some row with what is no finite number is worse by all that there is.
    """
    if not np.isfinite(small).all():
        return Comparison(rows=len(truth), drop=1.0, upper=1.0, p=1.0, limit=limit)
    sides = [metric.influence(truth, answers) for answers in (full, small)]
    ends = [float(metric.finish(np.asarray(value))) for value, _ in sides]
    moves = np.stack([slope(metric, value) * each for value, each in sides], axis=1)
    moves = units(moves, group, None)
    relative = not metric.higher_is_better
    drop = metric.sign * (ends[0] - ends[1]) / (abs(ends[0]) or 1.0 if relative else 1.0)
    differences = (moves[:, 0] - moves[:, 1]) * len(moves) + drop
    counted = metric.share and not relative and group is None and _whole(differences)

    def p_of(bound: float) -> float:
        if counted and 0 < bound < 1:
            tail = _score_tail(differences.round(), bound)
        else:
            excess = ends[1] - (1 + bound) * ends[0] if relative else ends[0] - ends[1] - bound
            parts = moves[:, 1] - (1 + bound) * moves[:, 0] if relative else moves[:, 0] - moves[:, 1]
            tail = _t_tail(excess, parts)
            if relative and bound > 0 and len(moves) >= ENOUGH:
                alone = _t_tail(ends[1] - (1 + bound / CRUDE) * ends[0], moves[:, 1] - moves[:, 0])
                tail = min(tail, alone)
        tail = min(1.0, tail * ALPHA / LEVEL)
        return max(tail, _binomial_tail(drop, len(moves), bound)) if metric.share else tail

    return Comparison(rows=len(truth), drop=drop, upper=_upper(p_of, drop), p=p_of(limit), limit=limit)


def least_certifiable(units: int, lost: int = 0) -> float:
    """The smallest drop of a share that so many rows or groups exclude where so many are lost, and none is won.

    >>> least_certifiable(1_000) < least_certifiable(1_000, lost=1) < least_certifiable(500, lost=1)
    True
    """
    differences = np.zeros(max(1, units, lost))
    differences[:lost] = 1.0
    drop = float(differences.mean())

    def p_of(bound: float) -> float:
        tail = _score_tail(differences, bound) * ALPHA / LEVEL if 0 < bound < 1 else 1.0 * (bound <= 0)
        return max(tail, _binomial_tail(drop, len(differences), bound))

    return _upper(p_of, drop)


def _whole(differences: np.ndarray) -> bool:
    """Whether each row is lost, won or neither."""
    nearest = differences.round()
    return bool(np.abs(nearest).max(initial=0) <= 1 and np.abs(differences - nearest).max(initial=0) <= WHOLE)


def _score_tail(differences: np.ndarray, bound: float) -> float:
    """The probability of so few rows lost (1) beside those won (-1), were the true drop `bound`: Tango 1998.

    The share of rows won under that drop is the one that makes what was seen most likely: a root of a quadratic.
    """
    from scipy.special import ndtr

    count, lost, won = len(differences), int((differences > 0).sum()), int((differences < 0).sum())
    linear = lost + won + bound * (lost - won) - 2 * count * bound
    share = (linear + math.sqrt(linear**2 + 8 * count * won * bound * (1 - bound))) / (4 * count)
    share = min(max(share, 0.0), (1 - bound) / 2)
    return float(ndtr((lost - won - count * bound) / math.sqrt(count * (2 * share + bound - bound**2))))


def _t_tail(excess: float, parts: np.ndarray) -> float:
    """The probability of so low an excess, were it zero."""
    from scipy.special import stdtr

    squares = parts**2
    count, error = len(parts), math.sqrt(float(squares.sum()))
    if count < 2:
        return 1.0
    if error == 0:
        return 0.0 if excess < 0 else 1.0
    degrees = max(1.0, float(squares.sum() ** 2 / (squares**2).sum()) - 1)
    return float(stdtr(degrees, excess / (error * math.sqrt(count / (count - 1)))))


def _binomial_tail(drop: float, count: int, bound: float) -> float:
    """The probability that so few of `count` rows are lost where each is lost with probability `bound`."""
    from scipy.special import bdtr

    lost = min(count, max(0, math.ceil(drop * count - 1e-9)))
    return float(bdtr(lost, count, min(1.0, max(0.0, bound))))


def _upper(p_of: object, drop: float) -> float:
    """The smallest limit that is excluded; 1 where none under it is."""
    assert callable(p_of)
    low, high = max(drop, 0.0) if p_of(0.0) > ALPHA else -1.0, 1.0
    if p_of(high) > ALPHA:
        return high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if p_of(middle) <= ALPHA else (middle, high)
    return high
