"""Several labels a row, as one whole number: bit k says whether the row bears label k, and -1 that it is unusable.

So a row's labels travel through split, store and judge like a class number, and rows with the same labels are of one
class where classes are kept alike. `kinds/tags.py` says which values hold several.

    >>> packed(np.array([[True, False], [True, True]])).tolist()
    [1, 3]
    >>> unpacked(np.array([1, 3]), 2).tolist()
    [[True, False], [True, True]]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST = 62  # labels: the bits of a whole number
JOIN = "|"


def packed(marks: np.ndarray) -> np.ndarray:
    """bool [n, labels] -> int64 [n]."""
    return np.asarray(marks.astype(np.int64) @ (np.int64(1) << np.arange(marks.shape[1], dtype=np.int64)))


def unpacked(labels: np.ndarray, count: int) -> np.ndarray:
    """int64 [n] -> bool [n, count]."""
    return np.asarray((labels[:, None] >> np.arange(count)) & 1, bool)


def rarest(labels: np.ndarray, count: int) -> np.ndarray:
    """int64 [n] -> int64 [n]: of each row its label that the fewest rows bear, `count` where it bears none.

    Rows that are alike in this are split alike, so that the rarest labels are on every side, as far as they go.

        >>> rarest(np.array([1, 1, 3, 0, -1]), 2).tolist()
        [0, 0, 1, 2, -1]
    """
    usable = labels >= 0
    present = unpacked(labels, count) & usable[:, None]
    order = np.argsort(present.sum(axis=0), kind="stable")
    found = np.where(present.any(axis=1), order[present[:, order].argmax(axis=1)], count)
    return np.asarray(np.where(usable, found, -1), np.int64)


def named(marks: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    """bool [n, labels] -> the labels of each row."""
    return [[name for name, present in zip(names, row, strict=True) if present] for row in marks.tolist()]


def joined(marks: np.ndarray, names: Sequence[str]) -> list[str]:
    """bool [n, labels] -> a text a row: its labels, joined by "|"."""
    return [JOIN.join(row) for row in named(marks, names)]
