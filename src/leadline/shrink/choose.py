"""Which candidate ships: some rows set the order of the tests, and others judge.

Calib rows choose, on which no contender was trained, and all test rows judge; where a run has no calib rows, one half
of the test rows chooses and the other half judges. Enters: what the candidates take, and how they did on the rows that
choose. Leaves: a sequence to be tested on the rows that judge, the most evident candidate first, each next one smaller;
the first that fails ends it (stats/noninferiority.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from leadline.core.tensors import Split

__all__ = ["Chosen", "alike", "count_units", "halves", "last_proved", "rows_of", "sequence"]

T = TypeVar("T")
FEWEST_CALIB = 200  # rows that choose in place of one half of the test rows
AS_SMALL, FASTER = 1.1, 1.2  # times the bytes, and the speed, for which a file counts as smaller than another one


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Rows of the table, rising, and the places among them of those that choose and of those that judge."""

    part: str  # whence come those that choose: calib or test
    rows: np.ndarray
    chooses: np.ndarray
    judges: np.ndarray


def rows_of(split: Split, further: np.ndarray, group: np.ndarray | None, seed: int, whole: bool) -> Chosen:
    """Which rows choose and which judge.

    Args:
        further: test rows that the run had no time to decode; they judge too where calib rows choose.
        group: of each row of the table.
        whole: as in `halves`.
    """
    if len(split.calib) >= FEWEST_CALIB:
        rows = np.sort(np.concatenate([split.calib, split.test, further]))
        chooses = np.isin(rows, split.calib)
        return Chosen(part="calib", rows=rows, chooses=np.flatnonzero(chooses), judges=np.flatnonzero(~chooses))
    of_test = None if group is None else group[split.test]
    chooses, judges = halves(len(split.test), of_test, seed, whole)
    return Chosen(part="test", rows=split.test, chooses=chooses, judges=judges)


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


def count_units(group: np.ndarray | None, rows: np.ndarray) -> int:
    """How many of these rows count alone: all of them, or their groups."""
    return len(rows) if group is None else len(np.unique(group[rows]))


def alike(candidates: Sequence[T], size: Callable[[T], float], time: Callable[[T], float]) -> list[float]:
    """The size of each; one that another candidate hardly exceeds, and far outruns, counts as just larger than that.

    >>> sizes = alike([(100, 9.0), (105, 5.0), (150, 1.0)], lambda c: c[0], lambda c: c[1])
    >>> [round(size) for size in sizes], sizes[0] > sizes[1]
    ([105, 105, 150], True)
    """
    found = []
    for each in candidates:
        faster = [size(other) for other in candidates if FASTER * time(other) <= time(each)]
        near = [larger for larger in faster if size(each) <= larger <= AS_SMALL * size(each)]
        found.append(max(near) * (1 + 1e-6) if near else float(size(each)))
    return found


def sequence(candidates: Sequence[T], key: Callable[[T], float], evidence: Callable[[T], Any]) -> list[T]:
    """The candidates to test, in order: those that no smaller one equals in evidence, the most evident first.

    Args:
        evidence: the least is the strongest: how likely it fails, or that and what decides where it is equal.

    >>> sequence([(9, 0.01), (5, 0.02), (7, 0.3), (2, 0.9)], lambda c: c[0], lambda c: c[1])
    [(9, 0.01), (5, 0.02), (2, 0.9)]
    """
    found: list[T] = []
    for each in sorted(candidates, key=key):
        if not found or evidence(each) < evidence(found[-1]):
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
