"""A linear model in numbers that a person can compute with.

Enters: a design, its weights, the rows they were learned from. Leaves: a `PrintedModel`: of a number the weight of one
of its units, of a category a weight a value, each with its 95% interval.

An interval is that of the normal distribution around the weights with the curvature of the penalised loss (Laplace's
approximation; of values it is exact, with the variance of what remains).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leadline.contenders.design import REACH, Design
from leadline.contenders.features import features_of
from leadline.core.kind import View
from leadline.core.printed import Feature, PrintedModel, Slope, Table, place, plain
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors

MOST = 1_200  # weights of which intervals are computed: the curvature has as many squared
Z = 1.959964  # of a 95% interval


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
    errors = _errors(x, y, weights, intercepts, learned.strength, task)
    unit = scale[1]
    half = None if errors is None else Z * errors * unit
    weights, intercepts = weights * unit, intercepts * unit + scale[0]
    slopes: list[Slope] = []
    tables: list[Table] = []
    low = 0
    for name, form, sizes, mine in zip(
        design.plan.tensors, design.plan.forms, design.plan.sizes, features, strict=True
    ):
        width = design.width(name)
        part = slice(low, low + width)
        own, reach = weights[part], None if half is None else half[part]
        if form == View.DENSE:
            spread = _deviation(x[:, part])
            for i, feature in enumerate(mine):
                mean, deviation = float(design.mean[name][i]), float(design.deviation[name][i])
                ends = None if reach is None or spread[i] == 0 else reach[i]  # what never varies has no effect
                slope, moved = _slope(feature, own[i], ends, mean, deviation)
                slope["size"] = float(spread[i] * np.abs(own[i]).max())
                slopes.append(slope)
                intercepts = intercepts - moved
        else:
            starts = np.cumsum([0, *sizes])
            for i, feature in enumerate(mine):
                rows = slice(starts[i], starts[i + 1])
                table = _table(feature, own[rows], None if reach is None else reach[rows])
                table["size"] = float(_deviation(x[:, part][:, rows] @ own[rows]).max())
                tables.append(table)
        low += width
    return {
        "contender": "linear", "outputs": list(task.raw_names), "link": task.link, "intercept": intercepts.tolist(),
        "slopes": slopes, "tables": tables, "root": None, "temperature": [1.0] * len(task.raw_names), "knots": None,
        "price": None,
    }  # fmt: skip


def _slope(
    feature: Feature, weights: np.ndarray, half: np.ndarray | None, mean: float, deviation: float
) -> tuple[Slope, np.ndarray]:
    """The term of a number, and what it takes from the intercept, as its value is not centred any more."""
    unit = deviation * feature.spread
    centre = feature.centre + feature.spread * mean
    a_unit = weights / unit
    low, high = (None, None) if half is None else ((a_unit - half / unit).tolist(), (a_unit + half / unit).tolist())
    slope: Slope = {
        "column": feature.column, "part": feature.part, "weights": a_unit.tolist(), "low": low,
        "high": high, "missing": centre, "least": centre - REACH * unit, "most": centre + REACH * unit, "size": 0.0,
    }  # fmt: skip
    return slope, a_unit * centre


def _table(feature: Feature, weights: np.ndarray, half: np.ndarray | None) -> Table:
    """The term of a category."""
    ends = (None, None) if half is None else (plain(weights - half), plain(weights + half))
    return {"axes": [place(feature)], "weights": plain(weights), "low": ends[0], "high": ends[1], "size": 0.0}


def _deviation(x: Any) -> np.ndarray:
    """Of each column of a matrix, sparse or not: float64 [columns]."""
    mean = np.asarray(x.mean(axis=0), np.float64).ravel()
    square = x.multiply(x) if hasattr(x, "multiply") else np.square(x)
    return np.sqrt(np.maximum(np.asarray(square.mean(axis=0), np.float64).ravel() - mean**2, 0.0))


def _errors(
    x: Any, y: np.ndarray, weights: np.ndarray, intercepts: np.ndarray, strength: float, task: Task
) -> np.ndarray | None:
    """Standard errors float64 [columns, outputs]; None where there are too many weights."""
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
        return np.asarray(np.sqrt(rest * _inverse(_squares(full, ones[:, 0]), penalty)[:-1])[:, None])
    shares = np.asarray(task.activate(raw, (0.0, 1.0)), np.float64)
    if task.link == "logistic":
        shares = shares[:, -outputs:]
        curves = [_squares(full, shares[:, k] * (1 - shares[:, k])) for k in range(outputs)]
        return np.asarray(np.sqrt(np.stack([_inverse(curve, penalty)[:-1] for curve in curves], axis=1)))
    size = columns + 1
    whole = np.zeros((outputs * size, outputs * size))
    for k in range(outputs):
        for m in range(k, outputs):
            bend = shares[:, k] * ((k == m) - shares[:, m])
            part = _squares(full, bend)
            whole[k * size : (k + 1) * size, m * size : (m + 1) * size] = part
            whole[m * size : (m + 1) * size, k * size : (k + 1) * size] = part
    found = _inverse(whole, np.tile(penalty, outputs))
    return np.asarray(np.sqrt(found.reshape(outputs, size)[:, :-1].T))


def _squares(x: Any, weights: np.ndarray) -> np.ndarray:
    """x' diag(weights) x, float64 [columns, columns]."""
    if isinstance(x, np.ndarray):
        return np.asarray((x * weights[:, None]).T @ x)
    return np.asarray((x.multiply(weights[:, None]).T @ x).toarray())


def _inverse(curvature: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """The diagonal of the inverse of a curvature with its penalty."""
    matrix = curvature + np.diag(penalty)
    return np.asarray(np.maximum(np.diag(np.linalg.pinv(matrix, hermitian=True)), 0.0))
