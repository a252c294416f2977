"""Columns that alone give the target away: read from train rows, tried on others.

A column is cut into at most 64 ranges or values; how much the target of unseen rows is told by them is measured as the
share of its entropy (of its variance, for a number) that is gone. A column that tells most of it may know the answer
because it was written down after it: only whoever made the table can say, so the finding is put as a question.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from leadline.dataset.table import Table
from leadline.kinds import KINDS

RANGES = 64
TOLD_CLASSES, TOLD_VALUES = 0.6, 0.93  # share of the entropy, of the variance
FEWEST = 60  # rows


def told(table: Table, rows: np.ndarray) -> dict[str, float]:
    """{column: share of the target that it tells by itself}, of scalar input columns, on every second row."""
    labels = table.labels[rows]
    if len(rows) < FEWEST:
        return {}
    names = [c.name for c in table.inputs if KINDS[c.kind].scale is not None]
    frame = table.take(rows, names)
    half = np.random.default_rng(0).random(len(rows)) < 0.5
    return {name: _share(_cut(frame[name], half), labels, half, len(table.task.classes)) for name in names}


def enough(table: Table) -> float:
    """The share from which on a column is asked about."""
    return TOLD_CLASSES if table.task.classes else TOLD_VALUES


def _cut(cells: pl.Series, half: np.ndarray) -> np.ndarray:
    """Cells as whole numbers from 0 up: numbers and times by ranges of equally many rows, words by value."""
    numbers = cells.cast(pl.Float64, strict=False) if not cells.dtype.is_temporal() else cells.to_physical()
    values = numbers.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    if np.isfinite(values).mean() > 0.5 and len(np.unique(values[np.isfinite(values)])) > RANGES:
        known = values[half & np.isfinite(values)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, RANGES + 1)[1:-1]))
        return np.where(np.isfinite(values), np.searchsorted(edges, values, "right") + 1, 0)
    _, codes = np.unique(cells.cast(pl.String).fill_null("").to_numpy().astype(str), return_inverse=True)
    return np.asarray(codes)


def _share(codes: np.ndarray, labels: np.ndarray, half: np.ndarray, classes: int) -> float:
    """What is told of the labels of one half by the codes as the other half has them."""
    cells = int(codes.max()) + 1
    if not classes:
        count = np.bincount(codes[half], minlength=cells)
        mean = labels[half].mean()
        value = (np.bincount(codes[half], labels[half], cells) + mean) / (count + 1)
        rest = labels[~half]
        spread = float(((rest - mean) ** 2).mean())
        return max(0.0, 1 - float(((rest - value[codes[~half]]) ** 2).mean()) / spread) if spread else 0.0
    base = np.bincount(labels[half], minlength=classes) + 1.0
    base /= base.sum()
    table = np.bincount(codes[half] * classes + labels[half], minlength=cells * classes).reshape(cells, classes)
    chance = (table + base) / (table.sum(axis=1, keepdims=True) + 1)
    rest = labels[~half]
    spent = -np.log(chance[codes[~half], rest]).mean()
    usual = -np.log(base[rest]).mean()
    return max(0.0, float(1 - spent / usual)) if usual > 0 else 0.0
