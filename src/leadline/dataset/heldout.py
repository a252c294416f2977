"""The labels of test rows: kept from everything that learns, handed to the judge, and counted when they are.

Enters: a table whose labels were read. Leaves: for each round a table in which the labels of its test rows are SEALED,
and to the judge the labels themselves. `HeldOut` is the only place that knows them before the verdict; what is stated
of evaluations is what it counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from leadline.config import Settings
from leadline.core.tensors import Split
from leadline.dataset.split_table import draw
from leadline.dataset.table import Table

__all__ = ["SEALED", "HeldOut", "hidden"]

SEALED = -1  # the label of a test row, in all that learners see


def hidden(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A copy of the labels [rows] with SEALED, or NaN for values, in the given rows."""
    kept = np.array(labels)
    kept[rows] = SEALED if kept.dtype.kind == "i" else np.nan
    return kept


class HeldOut:
    """The labels of a run; counts how often those of test rows were handed out to score contenders."""

    def __init__(self, table: Table) -> None:
        self._labels = table.labels
        self._times = np.zeros(table.rows, np.int64)  # evaluations of each row
        self._sets: Counter[bytes] = Counter()  # evaluations of each set of test rows
        self._decided = False

    def split(self, table: Table, asked: Settings, fold: int = 0, seed: int | None = None) -> Split:
        """The split of the rows that are left in `table`; parts are drawn alike by the labels of all rows."""
        return draw(replace(table, labels=self._labels), asked, fold, seed)

    def without(self, table: Table, split: Split) -> Table:
        """The table as it may be learned from: the labels of the split's test rows are sealed."""
        return replace(table, labels=hidden(self._labels, split.test))

    def evaluate(self, rows: np.ndarray) -> np.ndarray:
        """The labels of a round's test rows, for its scores. Counted."""
        self._times[rows] += 1
        self._sets[np.asarray(rows, np.int64).tobytes()] += 1
        return np.asarray(self._labels[rows])

    def decide(self) -> None:
        """Say that the verdict is made, and nothing that follows can change it."""
        self._decided = True

    def opened(self, table: Table) -> Table:
        """The table with all labels, for what is told after the verdict."""
        assert self._decided, "labels of test rows were asked for before the verdict"
        return replace(table, labels=self._labels)

    def evaluations(self, rows: np.ndarray) -> int:
        """How often this set of test rows was evaluated."""
        return self._sets[np.asarray(rows, np.int64).tobytes()]

    def counted(self) -> dict[str, Any]:
        """The `evaluations` of result.json: sets of test rows, and how often one set, and one row, was evaluated."""
        return {
            "sets": len(self._sets), "most": max(self._sets.values(), default=0),
            "rows": int((self._times > 0).sum()), "most_a_row": int(self._times.max(initial=0)),
        }  # fmt: skip
