"""The integral of slopes along a path, on pieces that are halved until each adds up to what it should.

Source: Gauss-Legendre quadrature. Between two points of a path the slopes along it add up to the change of the value,
which is known: so the error of each piece is known too, and the pieces of most error are halved. A network of rectified
units has a kink wherever a unit begins to answer; most lie close together on a small part of the path.

    >>> def path(shares):
    ...     return np.abs(shares - 0.3), {"x": np.sign(shares - 0.3)[:, None]}
    >>> sums, points = integral(path, (0.3, 0.7), allowed=0.001, most=1_000, at_once=100)
    >>> bool(abs(sums["x"][0] - 0.4) < 0.001), points < 300
    (True, True)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

FIRST = 4  # pieces
NODES = 8  # of each piece
GRADED = 3  # power by which the first pieces are narrower at the start: a logarithm of loudness is steep near silence
NARROW = 2.0**-24  # of the path: a piece that is not halved, as a value that jumps is never reached

Path = Callable[[np.ndarray], tuple[np.ndarray, dict[str, np.ndarray]]]
"""Shares of the path [n] -> the value at each [n], and by name what each element adds to its slope [n, ...]."""


@dataclass(frozen=True)
class _Piece:
    low: float
    high: float
    sums: dict[str, np.ndarray]
    error: float


def integral(
    path: Path, ends: tuple[float, float], allowed: float, most: int, at_once: int
) -> tuple[dict[str, np.ndarray], int]:  # fmt: skip
    """(what each element adds along the path, float64; points at which slopes were computed).

    Args:
        ends: the value where the path begins and where it ends.
        allowed: what the errors of all pieces may add up to.
        most: points, where the errors stay larger.
        at_once: points in one call of `path`.
    """
    edges = np.linspace(0, 1, FIRST + 1) ** GRADED
    known = {0.0: ends[0], 1.0: ends[1]}
    pieces = _pieces(path, list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)), known, at_once)
    points = NODES * len(pieces)
    while halved := _worst(pieces, allowed, (most - points) // (2 * NODES)):
        halves = []
        for each in halved:
            middle = (each.low + each.high) / 2
            halves += [(each.low, middle), (middle, each.high)]
        kept = [each for each in pieces if not any(each is other for other in halved)]
        pieces = [*kept, *_pieces(path, halves, known, at_once)]
        points += NODES * len(halves)
    return {name: np.sum([each.sums[name] for each in pieces], axis=0) for name in pieces[0].sums}, points


def _worst(pieces: Sequence[_Piece], allowed: float, most: int) -> list[_Piece]:
    """The fewest pieces without which half of the allowed error is left; none where all together have no more."""
    left = sum(each.error for each in pieces)
    found: list[_Piece] = []
    if left <= allowed:
        return found
    for each in sorted(pieces, key=lambda piece: -piece.error):
        if left <= allowed / 2 or len(found) >= most:
            break
        if each.high - each.low > NARROW:
            found.append(each)
        left -= each.error
    return found


def _pieces(
    path: Path, intervals: Sequence[tuple[float, float]], known: dict[float, float], at_once: int
) -> list[_Piece]:  # fmt: skip
    """Intervals integrated; values at their ends are added to `known`."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    wide = np.array([high - low for low, high in intervals])
    inner = np.array([low for low, _ in intervals])[:, None] + wide[:, None] * (nodes + 1) / 2
    edges = [share for share in dict.fromkeys(end for pair in intervals for end in pair) if share not in known]
    shares = np.concatenate([inner.ravel(), edges])
    by = np.zeros((len(intervals), len(shares)))  # the weight of each point in each interval
    by[:, : inner.size] = np.kron(np.eye(len(intervals)), weights) * wide[:, None] / 2
    values, sums = np.zeros(len(shares)), dict[str, np.ndarray]()
    for start in range(0, len(shares), at_once):
        part = slice(start, start + at_once)
        values[part], slopes = path(shares[part])
        for name, each in slopes.items():
            moved = np.tensordot(by[:, part], each.astype(np.float64), axes=1)
            sums[name] = sums[name] + moved if name in sums else moved
    known |= dict(zip(edges, values[inner.size :].tolist(), strict=True))
    totals = sum(each.reshape(len(intervals), -1).sum(axis=1) for each in sums.values())
    return [
        _Piece(low, high, {name: each[i] for name, each in sums.items()},
               abs(float(np.broadcast_to(totals, len(intervals))[i]) - (known[high] - known[low])))
        for i, (low, high) in enumerate(intervals)
    ]  # fmt: skip
