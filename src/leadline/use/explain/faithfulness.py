"""How far effects can be trusted: deletion and insertion curves, and whether two methods agree.

Source: deletion and insertion, Petsiuk et al. 2018 (RISE), here against random orders of the same players of the same
rows. Enters: games and effects of their players. Leaves: a curve with the gap to random order, paired over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from leadline.core.parts import Layout
from leadline.use.explain.games import Game, evaluate
from leadline.use.explain.records import Agreement, Curve, Mean, Method
from leadline.use.explain.scorer import Scorer

STEPS = 8  # of a curve
ORDERS = 4  # random ones of each row


def curves(
    scorer: Scorer, games: Sequence[Game], effects: Sequence[np.ndarray], outputs: Sequence[int], of: str = "",
    layout: Layout | None = None, seed: int = 0,
) -> tuple[Curve, ...]:  # fmt: skip
    """The deletion and the insertion curve of rows with two players or more; () where there is no such row.

    A value is a curve between 0 and 1 too: from the lowest to the highest answer of the row's two curves, upside down
    where the row is answered by less than its rest, so that effects that speak for the answer come first in any case.
    """
    kept = [i for i, game in enumerate(games) if game.size > 1]
    if not kept:
        return ()
    rng = np.random.default_rng(seed)
    shares = np.linspace(0, 1, STEPS + 1)
    numeric = scorer.task.numeric
    plays, orders = [], 1 + ORDERS
    ways = _ways(scorer, [games[i] for i in kept], [outputs[i] for i in kept]) if numeric else np.ones(len(kept))
    for i, way in zip(kept, ways, strict=True):
        game, output = games[i], outputs[i]
        ranked = np.argsort(-way * effects[i], kind="stable")
        for order in [ranked, *(rng.permutation(game.size) for _ in range(ORDERS))]:
            counts = np.round(shares * game.size).astype(int)
            for deletion in (True, False):
                for count in counts:
                    gone = np.zeros(game.size, bool) if deletion else np.ones(game.size, bool)
                    gone[order[:count]] = deletion
                    plays.append((game, gone, output))
    values = evaluate(scorer, plays, scorer.chance).reshape(len(kept), orders, 2, STEPS + 1)
    if numeric:
        values = _between(values * ways[:, None, None, None])
    return tuple(_curve(values[:, :, i], deletion, shares, of, layout) for i, deletion in enumerate((True, False)))


def _ways(scorer: Scorer, games: Sequence[Game], outputs: Sequence[int]) -> np.ndarray:
    """1 where a row's answer is above that without all its players, else -1: float64 [n]."""
    ends = [
        (game, np.full(game.size, gone), out)
        for game, out in zip(games, outputs, strict=True)
        for gone in (False, True)
    ]
    whole, rest = evaluate(scorer, ends, scorer.chance).reshape(-1, 2).T
    return np.where(whole >= rest, 1.0, -1.0)


def _between(values: np.ndarray) -> np.ndarray:
    """Answers [rows, orders, 2, steps] as 0 at the lowest of a row's and 1 at its highest."""
    flat = values.reshape(len(values), -1)
    low, high = (end[:, None, None, None] for end in (flat.min(axis=1), flat.max(axis=1)))
    return np.asarray((values - low) / np.maximum(high - low, 1e-12))


def _curve(
    values: np.ndarray, deletion: bool, shares: np.ndarray, of: str, layout: Layout | None
) -> Curve:  # fmt: skip
    """From answers [rows, orders, steps], of which the first order is the explanation's own."""
    own, random = values[:, 0], values[:, 1:].mean(axis=1)
    area = np.trapezoid(own - random, shares, axis=1)
    return Curve(
        of=of, layout=layout, deletion=deletion, shares=tuple(shares.tolist()), own=tuple(own.mean(axis=0).tolist()),
        random=tuple(random.mean(axis=0).tolist()), gap=Mean.of(-area if deletion else area),
    )  # fmt: skip


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's; 0 where one of them ranks nothing."""
    x, y = (_ranks(each) - (len(each) + 1) / 2 for each in (a, b))
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, the mean of them where values are equal: float64 [n]."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


def agreement(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], methods: tuple[Method, Method], of: str = "",
    layout: Layout | None = None,
) -> tuple[Agreement, ...]:  # fmt: skip
    """How two methods rank the players of the same rows; () where no row has three players."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if len(a) > 2]
    if not pairs:
        return ()
    mean = Mean.of([rank_correlation(a, b) for a, b in pairs])
    if np.isfinite(mean.low):  # of two rows or more; Student's t knows no bounds
        mean = replace(mean, low=max(mean.low, -1.0), high=min(mean.high, 1.0))
    return (Agreement(of=of, layout=layout, methods=methods, correlation=mean),)
