"""Where the constants of stats/few_folds.py come from, and how they fare on data sets that they were not learned on.

k of a pair of learners on a set at a size is the variance of its gap from one training to the next, on rows that no
training saw, over the variance W that a fold's own test rows give. The scale of the half-Cauchy prior is fitted to the
roots of all of them by maximum likelihood. What folds have in common is their covariance, over W too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from evidence_races import LEARNED_ON, TESTED_ON, UNSEEN, Races, races, table
from record import Found

from leadline.stats.few_folds import SCALE, SHARED, Fold, correlated_t, folds_gap

SIZES, RACES = {60: 40, 150: 40, 500: 40, 3_000: 6}, 25  # races of each pair to learn from, by rows; and to test on
LARGE = ("bank", "diamonds", "california")  # sets that have rows enough for 3,000 and as many unseen ones
COUNTS = (2, 3, 5, 10)


def learned(data: Path, folder: Path) -> Found:
    """The constants. Takes ten minutes."""
    return summary(
        one
        for name in LEARNED_ON
        for n, count in SIZES.items()
        if n < 3_000 or name in LARGE
        for one in races(*table(data, name), name, n, count)
    )


def summary(held: Iterable[Races]) -> Found:
    own, common = [], []
    for one in held:
        moves = np.stack(one.moves).astype(float)
        row = float(moves.var(2, ddof=1).mean())
        size = moves.shape[2]
        # Folds of a race are scored on the same unseen rows, so that half of their noise or more is common.
        between = (one.unseen[:, :5].var(1, ddof=1) + one.unseen[:, 5:].var(1, ddof=1)).mean() / 2
        own.append((between - 0.5 * row / UNSEEN) * size / row)
        if (
            one.same or one.n > 500
        ):  # two seeds have nothing in common; a fold of 600 rows is less noisy than 1,500 unseen
            continue
        away = one.unseen[:, :5] - one.unseen.mean()
        covariance = (away.sum(1) ** 2 - (away**2).sum(1)).mean() / 20
        common.append(((covariance - 0.7 * row / UNSEEN) * size / row, own[-1]))
    k = np.maximum(own, 1e-3)
    scales = np.linspace(0.05, 0.6, 111)
    likely = [np.log(2 / np.pi / s / (1 + k / s**2)).sum() for s in scales]
    best = float(scales[int(np.argmax(likely))])
    shown = np.quantile(own, [0.5, 0.9, 0.99])
    shared, of = np.array(common).T
    noisy = of > np.quantile(of, 0.9)
    ratio = float(shared[noisy].sum() / of[noisy].sum())
    return [
        {
            "what": "training noise over row noise, k: scale of its root", "must": f"at most {SCALE}, as set",
            "seen": f"{best:.3f}; k median {shown[0]:.2f}, 9 of 10 under {shown[1]:.2f}, "
            f"99 of 100 under {shown[2]:.2f}",
            "met": best <= SCALE, "n": len(own),
        },
        {
            "what": "what folds have in common, over k", "must": f"at most {SHARED}, as set", "met": ratio <= SHARED,
            "seen": f"{shared.sum() / of.sum():.2f} on average, {ratio:.2f} in the noisiest tenth", "n": len(of),
        },
    ]  # fmt: skip


def tested(data: Path, folder: Path) -> Found:
    """Intervals of real races on sets that nothing was learned from, beside those of the folds alone."""
    held = [one for name in TESTED_ON for n in (60, 150, 500) for one in races(*table(data, name), name, n, RACES)]
    found = []
    for count in COUNTS:
        for same in (True, False):
            missed, before, widths = 0, 0, []
            mine = [one for one in held if one.same == same]
            for one in mine:
                for moves in one.moves:
                    folds = [_fold(fold) for fold in moves[:count]]
                    gap, alone = folds_gap(folds, 0.2, shares=True), correlated_t([f.gap for f in folds], 0.2)
                    low, high = gap.interval()
                    wide = np.diff(alone.interval())[0]
                    missed += not low <= one.gap <= high
                    before += not alone.interval()[0] <= one.gap <= alone.interval()[1]
                    widths.append(wide / (high - low))
            n = len(widths)
            found.append({
                "what": f"real races, {count} folds of 60 to 500 rows: "
                + ("false wins of a learner against itself" if same else "intervals that miss the true gap"),
                "must": "<= 38 of 1,000" if same else "<= 50 of 1,000",
                "seen": f"{1_000 * missed / n:.0f} of 1,000; by the correlated t-test of the folds alone "
                f"{1_000 * before / n:.0f}, with intervals {np.median(widths):.2f} times as wide",
                "met": missed <= (0.038 if same else 0.05) * n, "n": n,
            })  # fmt: skip
    return found


def _fold(moves: np.ndarray) -> Fold:
    """Of rows that the first alone has right (1), the second alone (-1), or both or none (0)."""
    n, gap = len(moves), float(moves.mean())
    away = (moves - gap) / n
    return Fold(
        gap=gap, rows=n, units=n, variance=float((away**2).sum()) * n / (n - 1), fourth=float((away**4).sum())
    )  # fmt: skip
