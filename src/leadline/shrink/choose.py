"""Which candidate ships: one half of the test rows sets the order of the tests, the other half judges.

Enters: what the candidates take, and how they did on the choosing half. Leaves: a sequence to be tested on the judging
half, the most evident candidate first, each next one smaller; the first that fails ends it (stats/noninferiority.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

__all__ = ["halves", "last_proved", "sequence"]

T = TypeVar("T")


def halves(rows: int, group: np.ndarray | None, seed: int, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """(places that choose, places that judge) among so many test rows, rising; rows of one group stay together.

    Args:
        whole: the halves are two stretches, as rows of a text depend on those before them.
    """
    if whole:
        return np.arange(rows // 2), np.arange(rows // 2, rows)
    unit = np.arange(rows) if group is None else np.unique(group, return_inverse=True)[1]
    count = int(unit.max()) + 1 if rows else 0
    chosen = np.random.default_rng(seed).permutation(count) < count // 2
    return np.flatnonzero(chosen[unit]), np.flatnonzero(~chosen[unit])


def sequence(candidates: Sequence[T], key: Callable[[T], float], p: Callable[[T], float]) -> list[T]:
    """The candidates to test, in order: those that no smaller one equals in evidence, the most evident first.

    >>> sequence([(9, 0.01), (5, 0.02), (7, 0.3), (2, 0.9)], lambda c: c[0], lambda c: c[1])
    [(9, 0.01), (5, 0.02), (2, 0.9)]
    """
    found: list[T] = []
    for each in sorted(candidates, key=key):
        if not found or p(each) < p(found[-1]):
            found.append(each)
    return found[::-1]


def last_proved(order: Sequence[T], proved: Callable[[T], bool]) -> T | None:
    """The last candidate before the first that fails; None where the first one fails."""
    best = None
    for each in order:
        if not proved(each):
            break
        best = each
    return best
