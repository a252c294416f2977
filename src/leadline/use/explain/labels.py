"""Labels of a source's rows as those of a model's task, read as `fit` reads them.

Enters: the values of the target as written. Leaves: class numbers, marks of several labels, or numbers; or nothing,
where most of them cannot be read as this task's.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from leadline.core.kind import present
from leadline.core.task import Task
from leadline.dataset.target import as_numbers
from leadline.kinds import spelling
from leadline.kinds.tags import lists_of

LABELLED = 0.9  # share of the rows whose label must be readable


def labels_of(cells: pl.Series, task: Task) -> np.ndarray | None:
    """Class numbers int64 [n] (-1: unknown), labels bool [n, classes] or values float64 [n] (NaN: unknown); or None.

    >>> from leadline.tasks import Multilabel
    >>> task = Multilabel(target="y", classes=("a", "b"), metric="micro f1")
    >>> labels_of(pl.Series(["a; b", "b", None]), task).tolist()
    [[True, True], [False, True], [False, False]]
    """
    if cells.null_count() == len(cells):
        return None
    if task.numeric:
        known = present(cells) if cells.dtype == pl.String else cells
        values = as_numbers(known, known.drop_nulls()).fill_null(float("nan")).to_numpy()
        return values if np.isfinite(values).mean() >= LABELLED else None
    return _several(cells, task) if task.multilabel else _one(cells, task)


def _several(cells: pl.Series, task: Task) -> np.ndarray | None:
    lists = lists_of(cells, task.classes)
    marks = np.stack([lists.list.contains(name).fill_null(False).to_numpy() for name in task.classes], axis=1)
    known = (lists.list.set_difference(list(task.classes)).list.len() == 0).fill_null(False).to_numpy()
    return marks if marks.any() and known.mean() >= LABELLED else None


def _one(cells: pl.Series, task: Task) -> np.ndarray | None:
    numbers = {name: i for i, name in enumerate(task.classes)}
    words = spelling.spelled(cells)
    ways = [words, spelling.read(words, spelling.infer(words))]
    found = [np.array([-1 if word is None else numbers.get(word, -1) for word in way], np.int64) for way in ways]
    best = max(found, key=lambda each: int((each >= 0).sum()))
    return best if (best >= 0).mean() >= LABELLED else None
