"""Near duplicates among vectors: the nearest other rows of each, and whether one of them is a near duplicate.

Enters: a float32 vector a row, of length one. Leaves: pairs of row positions. There is no threshold on the distance
itself, which no two data sets share: a near duplicate is far closer than the fifth nearest row, as Lowe (2004)
distinguishes a true match of two images from a merely similar one. Each row is compared with those that share one of
its nearest anchors (random rows), not with every other: n rows cost about n * sqrt(n).

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(200, 16)).astype(np.float32)
    >>> rows[7] = rows[3] + 0.01
    >>> rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    >>> where, away = nearest([rows])
    >>> pairs(where, away).tolist()
    [[3, 7]]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CLOSER = 0.45  # of the fifth nearest's distance: nearer than that is a near duplicate
NEAREST = 8  # candidates a row
FIFTH = 5
ANCHORS = 3  # nearest ones of each row
SAME = 1e-6  # distance of rows that are one


def nearest(views: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(positions [n, k], distances [n, k]) of the nearest other rows, nearest first; k is at most NEAREST.

    Args:
        views: unit vectors [n, d] of each row as it is, then as it would look if changed in some way. Two rows are as
            near as the nearest of one's plain view and any of the other's.
    """
    plain = views[0]
    n = len(plain)
    k = min(NEAREST, n - 1)
    rng = np.random.default_rng(0)
    anchors = plain[rng.choice(n, max(1, int(1.5 * n**0.5)), replace=False)]
    homes = [_homes(view, anchors) for view in views]
    best = np.full((n, k), -2.0, np.float32)
    where = np.full((n, k), -1, np.int64)
    for anchor in range(len(anchors)):
        rows = np.flatnonzero((homes[0] == anchor).any(axis=1))
        if len(rows) < 2:
            continue
        alike = plain[rows] @ plain[rows].T
        for view, home in zip(views[1:], homes[1:], strict=True):
            here = (home[rows] == anchor).any(axis=1)
            turned = np.where(here[:, None], view[rows] @ plain[rows].T, -2.0)
            alike = np.maximum(alike, np.maximum(turned, turned.T))
        np.fill_diagonal(alike, -2.0)
        few = min(k, len(rows) - 1)
        top = np.argpartition(-alike, few - 1, axis=1)[:, :few]
        _keep(best, where, rows, np.take_along_axis(alike, top, axis=1), rows[top])
    return where, np.sqrt(np.maximum(0.0, 2 - 2 * best))


def pairs(where: np.ndarray, away: np.ndarray, most: float = np.inf) -> np.ndarray:
    """[pairs, 2] positions of near duplicates, lower first: `where` and `away` as `nearest` gives them, in any order.

    Args:
        most: distance of near duplicates, however far others are.
    """
    if where.shape[1] == 0:
        return np.empty((0, 2), np.int64)
    ordered = np.sort(np.where(where < 0, np.inf, away), axis=1)
    usual = ordered[:, min(FIFTH, ordered.shape[1]) - 1]
    usual = np.where(np.isfinite(usual), usual, 0.0)  # nothing to be closer than
    near = (where >= 0) & ((away < np.minimum(CLOSER * usual[:, None], most)) | (away < SAME))
    if ordered.shape[1] < FIFTH:  # too few rows to know what is usual
        near = (where >= 0) & (away < SAME)
    row, place = np.nonzero(near)
    found = np.sort(np.stack([row, where[row, place]], axis=1), axis=1)
    return np.unique(found, axis=0)


def _homes(view: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """The nearest anchors of each row, [n, ANCHORS]."""
    count = min(ANCHORS, len(anchors))
    found = np.empty((len(view), count), np.int64)
    for start in range(0, len(view), 8_192):
        alike = view[start : start + 8_192] @ anchors.T
        found[start : start + 8_192] = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    return found


def _keep(best: np.ndarray, where: np.ndarray, rows: np.ndarray, alike: np.ndarray, others: np.ndarray) -> None:
    """Merge the rows of an anchor into the nearest known so far; a row of two anchors counts once."""
    k = best.shape[1]
    values = np.concatenate([best[rows], alike], axis=1)
    places = np.concatenate([where[rows], others], axis=1)
    again = (places[:, k:, None] == places[:, None, :k]).any(axis=2)
    values[:, k:][again] = -2.0
    places[:, k:][again] = -1
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    best[rows] = np.take_along_axis(values, order, axis=1)
    where[rows] = np.take_along_axis(places, order, axis=1)
