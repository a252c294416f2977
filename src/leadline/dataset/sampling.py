"""Which rows are decoded: a random share of them, which shrinks where decoding takes longer than it may.

Each row has one random number, so that the same share is the same rows, and a smaller share a subset of a larger one.
The first share is estimated from a few rows, and holds for a machine as busy as it was then. Where the share shrinks,
rows beyond it that were already decoded are left out as well: the rows that stay are a random sample.

    >>> ration = Ration(1_000, 0.5)
    >>> int(ration.drawn().sum()), ration.wants(slice(0, 4))
    (473, True)
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

FEWEST = 100  # rows that are decoded, however long they take
SURE, EARLY = 20, 0.2  # rows, and share of the seconds, before which no row is left out: the first rows are the slowest
LATE = 1.1  # times the seconds that all would take, from which on the share shrinks
HALF = 0.5  # of the share stays when it shrinks, which happens in the first half of the rows: later it would waste more


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How many of the rows are decoded."""

    share: float | None = None  # as an earlier run decoded them; None: as many as there is time for
    spent: float = 0.0  # seconds of the budget that are gone, by an earlier go at the run


WHOLE = Sample()  # with a whole budget


class Ration:
    """The share of `rows`, each of so many `blocks`, that is decoded within `seconds`."""

    def __init__(self, rows: int, share: float, seconds: float = math.inf, blocks: int = 1) -> None:
        self._number = np.random.default_rng(0).random(rows)
        fewest = np.sort(self._number)[: min(FEWEST, rows)]
        self._least = float(np.nextafter(fewest[-1], 2.0)) if rows else 0.0  # the share that contains so many rows
        self._seconds, self._began, self._taken = seconds, time.perf_counter(), 0.0
        self._part = 1 / max(1, blocks)  # of a row that one block is
        self._look = EARLY * seconds  # when the rate is checked next
        self.share = share

    def drawn(self) -> np.ndarray:
        """Which rows are in the share, bool [rows]."""
        return np.asarray(self._number < self.share)

    def wants(self, rows: slice) -> bool:
        """Whether any of these is in the share."""
        return bool((self._number[rows] < self.share).any())

    def starts(self, rows: slice, step: int) -> list[int]:
        """Starts of the pieces of `step` rows that contain a row in the share."""
        wanted = np.flatnonzero(self._number[rows] < self.share)
        return [int(start) for start in np.unique(rows.start + wanted // step * step)]

    def took(self, rows: slice) -> None:
        """Note that these rows were decoded, for one block; about all before them were decoded or left out."""
        self._taken += int((self._number[rows] < self.share).sum()) * self._part
        spent = time.perf_counter() - self._began
        if self._taken < SURE or spent < self._look or rows.stop > HALF * len(self._number):
            return
        a_row, left = spent / self._taken, max(0, len(self._number) - rows.stop) * self.share
        if spent + left * a_row > LATE * self._seconds:
            fitting = max(0.0, self._seconds - spent) / a_row
            self.share = min(self.share, max(self.share * max(HALF, fitting / left), self._least))
            self._look = spent + EARLY * self._seconds
