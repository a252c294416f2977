"""A linear model in numbers that a person can compute with.

Enters: a design, its weights, the rows they were learned from. Leaves: a `PrintedModel`: of a number the weight of one
of its units, of a category a weight a value, each with its 95% interval.

What the data cannot tell is taken out of the weights, and of their intervals with it. Adding to all values of a
category what is taken from the intercept changes no answer, so these weights have the mean zero over the rows; nor does
adding the same to every class of a softmax, so these have the mean zero over the classes. An interval is that of such a
difference from the mean.

It is that of the normal distribution around the weights with the curvature of the penalised loss (Laplace's
approximation; of values it is exact, with the variance of what remains).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leadline.contenders.design import REACH, Design
from leadline.contenders.features import features_of
from leadline.core.kind import View
from leadline.core.printed import Feature, PrintedModel, Slope, Table, place, plain, reading
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors

MOST = 1_200  # weights of which intervals are computed: the curvature has as many squared
Z = 1.959964  # of a 95% interval
NOTHING = 1e-9  # of the variance of a weight: less is rounding


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a fit rests on: rows, and the inverse of the penalty."""

    rows: np.ndarray
    strength: float


def print_linear(
    design: Design, solved: tuple[np.ndarray, np.ndarray], task: Task, scale: Scale, store: Tensors, learned: Learned
) -> PrintedModel | None:  # fmt: skip
    """The model, or None where a column cannot be read by itself."""
    features = features_of(store, design.plan)
    if features is None:
        return None
    x = design(store, learned.rows)
    y = task.encode_labels(np.asarray(store.labels[learned.rows]), scale)
    weights, intercepts = (np.asarray(each, np.float64) for each in solved)
    spread = _covariance(x, y, weights, intercepts, learned.strength, task)
    if task.link == "softmax":
        weights, intercepts = (each - each.mean(axis=-1, keepdims=True) for each in (weights, intercepts))
    unit = scale[1]
    if spread is not None:
        spread = spread * unit**2
    weights, intercepts = weights * unit, intercepts * unit + scale[0]
    slopes: list[Slope] = []
    tables: list[Table] = []
    low = 0
    for name, form, sizes, mine in zip(
        design.plan.tensors, design.plan.forms, design.plan.sizes, features, strict=True
    ):
        if form == View.DENSE:
            varies = _deviation(x[:, low : low + len(mine)])
            for i, feature in enumerate(mine):
                own = weights[low + i]
                errors = (
                    None if spread is None or varies[i] == 0 else np.sqrt(np.maximum(spread[:, low + i, low + i], 0.0))
                )
                slope, moved = _slope(feature, own, errors, float(design.mean[name][i]),
                                      float(design.deviation[name][i]))  # fmt: skip
                slope["size"] = float(varies[i] * np.abs(own).max())
                slopes.append(slope)
                intercepts = intercepts - moved
        else:
            ends = low + np.cumsum([0, *sizes])
            for feature, start, end in zip(mine, ends[:-1], ends[1:], strict=True):
                part = slice(int(start), int(end))
                table, mean = _table(
                    feature, weights[part], x[:, part], None if spread is None else spread[:, part, part]
                )
                tables.append(table)
                intercepts = intercepts + mean
        low += design.width(name)
    return {
        "contender": "linear", "outputs": list(task.raw_names), "link": task.link, "intercept": intercepts.tolist(),
        "slopes": slopes, "tables": tables, "root": None, "temperature": [1.0] * len(task.raw_names), "knots": None,
        "price": None,
    }  # fmt: skip


def _slope(
    feature: Feature, weights: np.ndarray, errors: np.ndarray | None, mean: float, deviation: float
) -> tuple[Slope, np.ndarray]:
    """The term of a number, and what it takes from the intercept, as its value is not centred any more.

    Args:
        errors: standard errors; None of what never varies, and has no effect.
    """
    unit = deviation * feature.spread
    centre = feature.centre + feature.spread * mean
    a_unit = weights / unit
    low, high = (None, None) if errors is None else _interval(a_unit, errors / unit)
    slope: Slope = {
        **reading(feature), "weights": a_unit.tolist(), "low": low, "high": high,
        "missing": 0.0 if feature.of_list else centre,
        "least": centre - REACH * unit, "most": centre + REACH * unit, "size": 0.0,
    }  # fmt: skip
    return slope, a_unit * centre


def _table(feature: Feature, weights: np.ndarray, x: Any, spread: np.ndarray | None) -> tuple[Table, np.ndarray]:
    """The term of a category, its mean over the rows taken out, and this mean.

    Args:
        weights: [codes, outputs].
        x: [rows, codes], 1 at the code of each row.
        spread: the covariance of the weights [outputs, codes, codes].
    """
    rows = np.asarray(x.sum(axis=0), np.float64).ravel()
    shares = rows / max(1.0, rows.sum())
    mean = shares @ weights
    centred = weights - mean
    low, high = None, None
    if spread is not None:
        with_mean = spread @ shares  # the covariance of each weight with the mean [outputs, codes]
        own = np.diagonal(spread, axis1=1, axis2=2)
        variance = own - 2 * with_mean + (with_mean @ shares)[:, None]
        variance = np.where(variance > NOTHING * own, variance, 0.0)  # a value that all rows have does not differ
        low, high = _interval(centred, np.sqrt(variance.T))
    size = float(np.sqrt(shares @ centred**2).max())
    table: Table = {"axes": [place(feature, rows)], "weights": plain(centred), "low": low, "high": high, "size": size}
    return table, mean


def _interval(weights: np.ndarray, errors: np.ndarray) -> tuple[list[Any], list[Any]]:
    """The ends of the 95% intervals."""
    return plain(weights - Z * errors), plain(weights + Z * errors)


def _deviation(x: Any) -> np.ndarray:
    """Of each column of a matrix, sparse or not: float64 [columns]."""
    mean = np.asarray(x.mean(axis=0), np.float64).ravel()
    square = x.multiply(x) if hasattr(x, "multiply") else np.square(x)
    return np.sqrt(np.maximum(np.asarray(square.mean(axis=0), np.float64).ravel() - mean**2, 0.0))


def _covariance(
    x: Any, y: np.ndarray, weights: np.ndarray, intercepts: np.ndarray, strength: float, task: Task
) -> np.ndarray | None:
    """Of the weights of each output, float64 [outputs, columns, columns]; None where there are too many weights.

    Those of a softmax are differences from the mean over the classes.
    """
    from scipy import sparse

    columns, outputs = weights.shape
    if columns * outputs > MOST:
        return None
    ones = np.ones((x.shape[0], 1), np.float64)
    if sparse.issparse(x):
        full: Any = sparse.hstack([x.astype(np.float64), ones], format="csr")
    else:
        full = np.hstack([x.astype(np.float64), ones])
    raw = np.asarray(x @ weights) + intercepts
    penalty = np.append(np.full(columns, 1 / strength), 1e-9)
    if task.numeric:
        rest = float(((raw[:, 0] - y) ** 2).sum()) / max(1, len(y) - columns - 1)
        return np.asarray(rest * _inverse(_squares(full, ones[:, 0]), penalty)[None, :-1, :-1])
    shares = np.asarray(task.activate(raw, (0.0, 1.0)), np.float64)
    if task.link == "logistic":
        shares = shares[:, -outputs:]
        curves = [_squares(full, shares[:, k] * (1 - shares[:, k])) for k in range(outputs)]
        return np.stack([_inverse(curve, penalty)[:-1, :-1] for curve in curves])
    size = columns + 1
    whole = np.zeros((outputs * size, outputs * size))
    for k in range(outputs):
        for m in range(k, outputs):
            bend = shares[:, k] * ((k == m) - shares[:, m])
            part = _squares(full, bend)
            whole[k * size : (k + 1) * size, m * size : (m + 1) * size] = part
            whole[m * size : (m + 1) * size, k * size : (k + 1) * size] = part
    found = _inverse(whole, np.tile(penalty, outputs)).reshape(outputs, size, outputs, size)[:, :-1, :, :-1]
    # Of the class k minus the mean m of all: C(k, k) - C(k, m) - C(m, k) + C(m, m).
    with_mean = found.mean(axis=2)  # [outputs, columns, columns]
    own = np.stack([found[k, :, k] for k in range(outputs)])
    return np.asarray(own - with_mean - with_mean.transpose(0, 2, 1) + with_mean.mean(axis=0))


def _squares(x: Any, weights: np.ndarray) -> np.ndarray:
    """x' diag(weights) x, float64 [columns, columns]."""
    if isinstance(x, np.ndarray):
        return np.asarray((x * weights[:, None]).T @ x)
    return np.asarray((x.multiply(weights[:, None]).T @ x).toarray())


def _inverse(curvature: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """The inverse of a curvature with its penalty."""
    return np.asarray(np.linalg.pinv(curvature + np.diag(penalty), hermitian=True))
