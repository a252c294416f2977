"""Which rows are decoded: a random share of them, which shrinks where decoding takes longer than it may.

A row is drawn by one number of its own, so that the same share is the same rows, and a smaller share a part of a larger
one. A sample told how many rows there is time for; that was right for a machine as busy as it was then. Whatever
shrinks, rows that were decoded before and are over the share by then are left out with the others: the rows that stay
are as random as they were.

    >>> ration = Ration(1_000, 0.5)
    >>> int(ration.drawn().sum()), ration.wants(slice(0, 4))
    (473, True)
"""

from __future__ import annotations

import math
import time

import numpy as np

FEWEST = 100  # rows that are decoded, however long they take
LATE = 1.1  # times the rows that there is time for, from which on the share shrinks
SURE, EARLY = 20, 0.2  # rows, and share of the seconds, before which none is left out: the first rows are the slowest


class Ration:
    """The share of `rows`, each of so many `blocks`, that is decoded within `seconds`."""

    def __init__(self, rows: int, share: float, seconds: float = math.inf, blocks: int = 1) -> None:
        self._number = np.random.default_rng(0).random(rows)
        self._seconds, self._began, self._taken = seconds, time.perf_counter(), 0.0
        self._part = 1 / max(1, blocks)  # of a row that one block is
        self.share = share

    def drawn(self) -> np.ndarray:
        """Which rows are in the share, bool [rows]."""
        return np.asarray(self._number < self.share)

    def wants(self, rows: slice) -> bool:
        """Whether any of these is in the share."""
        return bool((self._number[rows] < self.share).any())

    def took(self, rows: slice) -> None:
        """These were decoded, for one block; all before them, about, were decoded or left out."""
        self._taken += int((self._number[rows] < self.share).sum()) * self._part
        spent, left = time.perf_counter() - self._began, max(0, len(self._number) - rows.stop)
        if self._taken < SURE or spent < EARLY * self._seconds:
            return
        more = max(0.0, self._seconds - spent) * self._taken / max(spent, 1e-9)  # rows that there is time for
        if left * self.share > LATE * more:
            self.share = min(self.share, max(more / left, FEWEST / len(self._number)))
