"""Fit a linear model by L-BFGS (Liu & Nocedal 1989), from where another stands, until the clock runs out.

Enters: a matrix [n, columns], sparse or not, and labels. Leaves: weights [columns, outputs], intercepts. Minimised is

    strength * sum of losses + |weights / scale|^2 / 2

in which `scale` is how large a weight may be: 1, or of a gram by how much its counts differ between the classes, which
is the logistic regression weighted by naive Bayes of Wang & Manning (2012, 'Baselines and Bigrams').
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from leadline.core.contender import Clock

ITERATIONS = 300  # at most
MEMORY = 6  # pairs of steps from which the curvature is estimated
GRADIENT = 3e-5  # of the mean loss, its largest part, at which it is at rest
NOTHING = 0.5  # seconds that a fit takes without asking the clock: of few rows it takes a thousandth of one
DECREASE, HALVINGS = 1e-4, 30  # of a line search (Armijo): share of the slope's promise, and steps tried
LOGISTIC, HINGE, SQUARED = "logistic", "squared hinge", "squared"


@dataclass(frozen=True, kw_only=True)
class Solved:
    """What a fit came to."""

    weights: np.ndarray  # float32 [columns, outputs]
    intercepts: np.ndarray  # float32 [outputs]
    iterations: int = 0  # those of the fits that it started from included
    cut: bool = False  # by the clock, before it converged


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Rows to learn from, and what is minimised over them.

    `y` are class numbers [n] of two or more classes that all occur, marks [n, labels] each of which some rows have
    and some have not, or, for a squared loss, values [n].
    """

    x: Any
    y: np.ndarray
    strength: float
    scale: np.ndarray | None = None  # [columns, outputs], or None: 1
    loss: str = LOGISTIC

    @property
    def outputs(self) -> int:
        """Columns of weights: one tells two classes apart."""
        if self.y.ndim == 2 or self.loss == SQUARED:
            return 1 if self.y.ndim == 1 else int(self.y.shape[1])
        classes = int(self.y.max()) + 1
        return classes if classes > 2 else 1


def solve(problem: Problem, clock: Clock, start: Solved | None = None, reserve: float = 0.0) -> Solved:
    """The weights at rest, or where they stand when no more than `reserve` seconds are left.

    The function is strictly convex, so that every step that goes down far enough (Armijo) measures the curvature.
    """
    point = _first(problem, start)
    value = _function(problem)
    height, slope = value(point)
    pairs: list[tuple[np.ndarray, np.ndarray, float]] = []
    taken, cut, began = 0, False, clock.spent()
    while taken < ITERATIONS and not cut and np.abs(slope).max() > GRADIENT:
        step = _direction(slope, pairs)
        promise, length = float(step @ slope), 1.0 if pairs else min(1.0, 1.0 / float(np.abs(slope).sum()))
        for _ in range(HALVINGS):
            following = point + length * step
            lower, next_slope = value(following)
            if lower <= height + DECREASE * length * promise:
                break
            length /= 2
        else:  # float32 knows no lower point
            break
        change, bend = following - point, next_slope - slope
        along = float(change @ bend)
        if along > 0:
            pairs = [*pairs[-(MEMORY - 1) :], (change, bend, along)]
        point, height, slope = following, lower, next_slope
        taken += 1
        cut = clock.left() <= reserve and (clock.endless or clock.spent() - began > NOTHING)
    parameters = point.reshape(-1, problem.outputs)
    weights = parameters[:-1] if problem.scale is None else parameters[:-1] * problem.scale
    return Solved(
        weights=weights.astype(np.float32), intercepts=parameters[-1].astype(np.float32),
        iterations=taken + (start.iterations if start else 0), cut=cut,
    )  # fmt: skip


def _first(problem: Problem, start: Solved | None) -> np.ndarray:
    """Where the search begins, flat: weights over their scale, then intercepts."""
    found = np.zeros((problem.x.shape[1] + 1, problem.outputs))
    if start is not None:
        found[-1] = start.intercepts
        found[:-1] = start.weights if problem.scale is None else start.weights / np.maximum(problem.scale, 1e-9)
    return found.ravel()


def _direction(slope: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """Down the slope, bent by the curvature of the last steps (two loops)."""
    from scipy.linalg.blas import daxpy  # in place: a temporary for each term takes longer than the term

    step = -slope
    shares = []
    for change, bend, along in reversed(pairs):
        shares.append(float(change @ step) / along)
        daxpy(bend, step, a=-shares[-1])
    if pairs:
        _, bend, along = pairs[-1]
        step *= along / float(bend @ bend)
    for (change, bend, along), share in zip(pairs, reversed(shares), strict=True):
        daxpy(change, step, a=share - float(bend @ step) / along)
    return step


def _function(problem: Problem) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """What is minimised, over the rows: parameters, flat -> its value and slope."""
    x, outputs, scale = problem.x, problem.outputs, problem.scale
    back, (loss, slopes) = x.T, _loss(problem)
    rows, penalty = x.shape[0], 1.0 / (problem.strength * x.shape[0])
    weights = np.empty((x.shape[1], outputs), np.float32)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        inner = flat[:-outputs].reshape(-1, outputs)
        np.multiply(inner, 1.0 if scale is None else scale, out=weights, casting="same_kind")
        raw = np.asarray(x @ weights) + flat[-outputs:].astype(np.float32)
        outer = slopes(raw) / np.float32(rows)
        along = np.asarray(back @ outer)
        gradient = penalty * flat
        if scale is not None:
            along *= scale
        gradient[:-outputs] += along.ravel()
        gradient[-outputs:] = outer.sum(axis=0, dtype=np.float64)
        return loss(raw) / rows + 0.5 * penalty * float(flat[:-outputs] @ flat[:-outputs]), gradient

    return value


def _loss(problem: Problem) -> tuple[Any, Any]:
    """(raw [n, outputs] -> the summed loss, raw -> its slope [n, outputs])."""
    from scipy.special import expit  # of any number, without overflow

    y = problem.y
    if y.ndim == 1 and problem.outputs > 1:
        hot = np.zeros((len(y), problem.outputs), np.float32)
        hot[np.arange(len(y)), y] = 1
    else:
        hot = y.reshape(len(y), -1).astype(np.float32)
    if problem.loss == SQUARED:
        return lambda raw: 0.5 * float(((raw - hot) ** 2).sum(dtype=np.float64)), lambda raw: raw - hot
    if problem.loss == HINGE:
        sign = 2 * hot - 1
        return (
            lambda raw: float((np.maximum(0, 1 - sign * raw) ** 2).sum(dtype=np.float64)),
            lambda raw: -2 * sign * np.maximum(0, 1 - sign * raw),
        )
    if y.ndim == 1 and problem.outputs > 1:
        return (
            lambda raw: float((_log_sum(raw) - (hot * raw).sum(axis=1)).sum(dtype=np.float64)),
            lambda raw: np.exp(raw - _log_sum(raw)[:, None]) - hot,
        )
    return (
        lambda raw: float((np.logaddexp(0, raw) - hot * raw).sum(dtype=np.float64)),
        lambda raw: expit(raw) - hot,
    )


def _log_sum(raw: np.ndarray) -> np.ndarray:
    highest = raw.max(axis=1)
    return np.asarray(highest + np.log(np.exp(raw - highest[:, None]).sum(axis=1)))


def naive_bayes(x: Any, y: np.ndarray, outputs: int) -> np.ndarray:
    """float32 [columns, outputs]: how much a column's presence speaks for a class and against the rest.

    The absolute log of the ratio of its shares, in rows of the class and in the others; of mean square 1, each presence
    counted.
    """
    present = x.copy()
    present.data = np.ones_like(present.data)
    if y.ndim == 2 or outputs == 1:
        member = y.reshape(len(y), -1).astype(np.float32)
    else:
        member = (y[:, None] == np.arange(outputs)).astype(np.float32)
    seen = np.asarray(present.sum(axis=0), np.float64).reshape(-1, 1)
    inside = np.asarray(present.T @ member, np.float64)
    of, rest = 1 + inside, 1 + seen - inside
    ratio = np.abs(np.log(of / of.sum(axis=0)) - np.log(rest / rest.sum(axis=0)))
    usual = np.sqrt((seen * ratio**2).sum(axis=0) / max(1.0, float(seen.sum())))
    return np.asarray(ratio / np.maximum(usual, 1e-9), np.float32)
