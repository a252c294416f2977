"""Target leakage: a column that alone predicts most of the target.

Each column is cut into at most 64 ranges or values. The share of the target's entropy (of the variance, for a number)
that it explains is counted on one half of the rows and measured on the other. Such a column may have been recorded
after the target: only the owner of the data knows, so the finding is a question.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl

from leadline.dataset.table import Table
from leadline.flaws import impact
from leadline.flaws.detector import FEWEST, Detector, Finding, ScanData
from leadline.flaws.flaw import Flaw, Impact
from leadline.flaws.probe import some
from leadline.kinds import KINDS

RANGES = 64
EXPLAINED_CLASSES, EXPLAINED_VALUES = 0.6, 0.93  # shares of the entropy, of the variance
FEWEST_READ, MOST_READ = 60, 100_000  # rows
TRIED = 8  # rows tried, for one trained on


class TargetLeakage(Detector[None]):
    """Columns that each explain most of the target."""

    name, title, description = "target_leakage", "Target leakage", "target leakage"
    share, removal = 0.5, "removed"

    def search(self, data: ScanData, seconds: float) -> Finding[None]:
        """Columns from train and valid rows; the impact by the probe, trained with and without them."""
        shares = explained(data.table, some(data.known_rows, MOST_READ))
        enough = EXPLAINED_CLASSES if data.table.task.classes else EXPLAINED_VALUES
        columns = tuple(sorted((name for name in shares if shares[name] >= enough), key=lambda name: -shares[name]))
        if not columns:
            return Finding(data=data)
        what = "A column predicts" if len(columns) == 1 else "Columns predict"
        each = ", ".join(f"{name!r} {shares[name]:.0%}" for name in columns)
        says = f"{what} most of the target alone: {each}. Is that known when you predict?"
        flaw = Flaw(
            name=self.name, columns=columns, fixes=len(columns), says=says, impact=_impact(data, columns, seconds)
        )
        return Finding(data=data, flaws=(flaw,))

    def fix(self, table: Table, flaw: Flaw) -> tuple[Table, str]:
        """Drop the columns."""
        columns = tuple(
            dataclasses.replace(c, role="dropped", note="removed: target leakage") if c.name in flaw.columns else c
            for c in table.columns
        )
        names = ", ".join(map(repr, flaw.columns))
        return dataclasses.replace(table, columns=columns), f"Removed {names}: target leakage."


def _impact(data: ScanData, columns: tuple[str, ...], seconds: float) -> Impact | None:
    most = data.probe.most_rows(seconds, impact.FITS)
    if most < FEWEST or len(columns) == len(data.table.inputs):
        return None
    rows = some(data.known_rows, TRIED * most)
    labels = data.table.labels[rows]
    fold = impact.folds_of(labels)
    with_it, without = (
        data.probe.crossed(rows, labels, fold, most, hidden=hidden, choose=True) for hidden in ((), columns)
    )
    how = "trained again without them"
    return impact.cross_validated(labels, with_it, without, fold, data.metric, data.probe.name, how)


def explained(table: Table, rows: np.ndarray) -> dict[str, float]:
    """{column: share of the target that it alone explains}, of scalar input columns."""
    labels = table.labels[rows]
    if len(rows) < FEWEST_READ:
        return {}
    names = [c.name for c in table.inputs if KINDS[c.kind].scale is not None]
    frame = table.take(rows, names)
    half = np.random.default_rng(0).random(len(rows)) < 0.5
    return {name: _share(_codes(frame[name], half), labels, half, len(table.task.classes)) for name in names}


def _codes(values: pl.Series, half: np.ndarray) -> np.ndarray:
    """Values as whole numbers from 0 up: numbers and times by quantiles, words by value."""
    known = values.cast(pl.Float64, strict=False) if not values.dtype.is_temporal() else values.to_physical()
    numbers = known.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    finite = np.isfinite(numbers)
    if finite.mean() > 0.5 and len(np.unique(numbers[finite])) > RANGES:
        edges = np.unique(np.quantile(numbers[half & finite], np.linspace(0, 1, RANGES + 1)[1:-1]))
        return np.where(finite, np.searchsorted(edges, numbers, "right") + 1, 0)
    _, codes = np.unique(values.cast(pl.String).fill_null("").to_numpy().astype(str), return_inverse=True)
    return np.asarray(codes)


def _share(codes: np.ndarray, labels: np.ndarray, half: np.ndarray, classes: int) -> float:
    """The share of the labels of one half that the codes explain, by the counts of the other half."""
    values, rest = int(codes.max()) + 1, labels[~half]
    if not classes:
        mean = labels[half].mean()
        count = np.bincount(codes[half], minlength=values)
        expected = (np.bincount(codes[half], labels[half], values) + mean) / (count + 1)
        variance = float(((rest - mean) ** 2).mean())
        return max(0.0, 1 - float(((rest - expected[codes[~half]]) ** 2).mean()) / variance) if variance else 0.0
    return max(0.0, explained_entropy(codes, labels, half, 1.0))


def explained_entropy(by: np.ndarray, of: np.ndarray, half: np.ndarray, prior: float, least: float = 0.0) -> float:
    """The share of the entropy of `of` that `by` explains on the rows that are not in `half`; both are codes [rows].

    Args:
        prior: added to the count of each value of `of`. least: entropy in nats; of less, nothing is explained.
    """
    width, deep = int(of.max()) + 1, int(by.max()) + 1
    base = np.bincount(of[half], minlength=width) + prior
    base /= base.sum()
    table = np.bincount(by[half] * width + of[half], minlength=deep * width).reshape(deep, width)
    chance = (table + base) / (table.sum(axis=1, keepdims=True) + 1)
    entropy, usual = -np.log(chance[by[~half], of[~half]]).mean(), -np.log(base[of[~half]]).mean()
    return float(1 - entropy / usual) if usual > least else 0.0
