"""What is said to settle an open question: races whose true gap is the one that was seen, with so many rows, decide.

A race is drawn until it is unsure and states a number. Then races are drawn from a world whose true gap is exactly the
one that this race saw, in other respects as before, with as many rows as were stated. An 80% chance was promised. One
number rests on what one race happened to see of training noise, so 12 of them are tried, with 25 races each; the share
of all 300 is what must hold, and the least and the largest share of one number stand beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from evidence_stubs import World
from record import Found

from leadline.core.records import Verdict
from leadline.metrics.metrics import METRICS
from leadline.stats.intervals import rows_gap
from leadline.stats.verdict import FamilyBest, Trial, judge

RACES, STATED = 25, 12  # races at a stated number; stated numbers that are tried
MOST = 6_000  # rows of a race that is drawn here
GROUP = 5  # rows
Race = Callable[[int, float, np.random.Generator], Verdict]  # rows, true gap


def _folds(count: int) -> Race:
    def race(n: int, gap: float, rng: np.random.Generator) -> Verdict:
        luck = float(np.sqrt(0.5 * 0.3 / (0.8 * n) / 2))
        world = World(n=n, gap=gap, disagree=0.3, rng=rng, shift=luck, common=luck)
        return world.scales(True).verdict([world.round(number, True) for number in range(count)])

    return race


def _split(n: int, gap: float, rng: np.random.Generator) -> Verdict:
    return _one(World(n=5 * n, gap=gap, disagree=0.3, rng=rng))


def _close(n: int, gap: float, rng: np.random.Generator) -> Verdict:
    """Near-equal contenders, which part on few rows."""
    return _one(World(n=5 * n, gap=gap, disagree=0.01, rng=rng))


def _one(world: World) -> Verdict:
    return world.scales(False).verdict([world.round(0, False)])


def _grouped(n: int, gap: float, rng: np.random.Generator) -> Verdict:
    """All rows of a group are alike."""
    count = n // GROUP
    lot = np.repeat(rng.random(count), GROUP)
    net, trees = lot > 0.15 - gap / 2, (lot < 0.7) | (lot > 0.85 + gap / 2)
    answers = [np.stack([hit, ~hit], axis=1) for hit in (net, trees)]
    return _weighed("accuracy", np.zeros(len(lot), np.int64), answers, rng, np.repeat(np.arange(count), GROUP))


def _auc(n: int, gap: float, rng: np.random.Generator) -> Verdict:
    """Two normal scores of one strength, to the second of which noise is added; at d' of 1.5 their AUC are 0.856."""
    from scipy.special import ndtr, ndtri

    truth = (rng.random(n) < 0.3).astype(np.int64)
    shared = rng.normal(size=n)
    scores = []
    for area in (0.80 + gap, 0.80):
        strength = float(np.sqrt(2) * ndtri(area))
        scores.append(ndtr(strength * truth + np.sqrt(0.6) * shared + np.sqrt(0.4) * rng.normal(size=n)))
    return _weighed("auc", truth, [np.stack([1 - up, up], axis=1) for up in scores], rng)


def _rmse(n: int, gap: float, rng: np.random.Generator) -> Verdict:
    """Errors with a heavy tail."""
    truth, shared = rng.normal(size=n), rng.standard_t(6, n) * np.sqrt(0.7 * 4 / 6)
    answers = [
        truth + error * (shared + rng.standard_t(6, n) * np.sqrt(0.3 * 4 / 6)) for error in (1.0 - gap, 1.0)
    ]  # fmt: skip
    return _weighed("rmse", truth, answers, rng)


def _weighed(
    name: str, truth: np.ndarray, answers: list[np.ndarray], rng: np.random.Generator, group: np.ndarray | None = None
) -> Verdict:
    metric = METRICS[name]
    gap = rows_gap(truth, [answers[0]], [answers[1]], metric, int(rng.integers(2**31)), group)
    scores = [metric(truth, each) for each in answers]
    rivals = [FamilyBest(name=name, cost=1.0, score=score) for name, score in zip("ab", scores, strict=True)]
    return judge(rivals[0], rivals[1], gap, metric, Trial(rows=len(truth)))


WORLDS: dict[str, tuple[Race, int, float]] = {  # how, rows of the race that states, its true gap
    "150 test rows, accuracy, gap of 6 points": (_split, 150, 0.06),
    "500 test rows, accuracy, gap of 3 points": (_split, 500, 0.03),
    "1,000 test rows, accuracy, near-equal": (_close, 1_000, 0.0),
    "600 test rows in groups of 5, accuracy, gap of 6 points": (_grouped, 600, 0.06),
    "400 test rows, AUC, gap of 3 points": (_auc, 400, 0.03),
    "400 test rows, RMSE, gap of 4%": (_rmse, 400, 0.04),
    "2 folds of 250 rows, gap of 10 points": (_folds(2), 250, 0.10),
    "3 folds of 250 rows, gap of 8 points": (_folds(3), 250, 0.08),
    "5 folds of 250 rows, gap of 6 points": (_folds(5), 250, 0.06),
}


def settling(data: Path, folder: Path) -> Found:
    """A row a world: how many of the races at the stated numbers decide."""
    found = []
    for number, (what, (race, n, gap)) in enumerate(WORLDS.items()):
        rng, told, shares = np.random.default_rng(number), [], []
        while len(told) < STATED:
            made = race(n, gap, rng)
            if made.answer != "unsure" or made.settle_rows is None or made.settle_rows > MOST:
                continue
            assert made.gap is not None
            answers = Counter(race(made.settle_rows, made.gap, rng).answer for _ in range(RACES))
            shares.append(1 - answers["unsure"] / RACES)
            told.append(made.settle_rows)
        found.append({
            "what": f"what would settle it: {what}", "must": "70% to 90% decide",
            "seen": f"{np.mean(shares):.0%} of {RACES * STATED} races at {STATED} numbers ({min(told):,} to "
            f"{max(told):,} rows); of one number {min(shares):.0%} to {max(shares):.0%}",
            "met": bool(0.7 <= np.mean(shares) <= 0.9), "n": RACES * STATED,
        })  # fmt: skip
    return found
