"""Level races: the same learner in both families, with and without the same use of the valid rows.

A learner is a layer of random features, another one from each seed, and a linear layer on them that is trained by
gradient descent along a schedule. `before`, the deep one is trained on train rows alone, the classical one on train and
valid rows, as linear models and trees are in the end. `now`, the deep one ends its schedule on both parts too, by the
share that the project takes. A race is weighed as `leadline fit` weighs it with time enough: over 25 folds. False wins
are few, so that who is ahead, however little, is counted too.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from record import Found

from leadline.contenders.annealing import SHARE
from leadline.core.tensors import Split
from leadline.dataset.split import split
from leadline.metrics.metrics import METRICS
from leadline.race.resample import ENOUGH
from leadline.stats.evaluate_repeats import Known, Scales
from leadline.stats.round import Round

FAMILY = {"net": "deep", "trees": "classical"}
RACES, COLUMNS, WIDTH, STEPS, FOLDS = 500, 10, 48, 60, 5
RATE, MOMENTUM = 0.5, 0.9
ROWS = (200, 2_000)  # of a race, fewest and most


class Learner:
    """Random features, and a logistic layer on them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.hidden = rng.normal(size=(COLUMNS + 1, WIDTH)) / math.sqrt(COLUMNS)
        self.weights, self.speed = np.zeros(WIDTH), np.zeros(WIDTH)

    def read(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(np.c_[x, np.ones(len(x))] @ self.hidden, 0))

    def learn(self, x: np.ndarray, y: np.ndarray, steps: int = STEPS, share: float = 1.0) -> Learner:
        """Steps along the last `share` of a schedule that falls to zero."""
        read = self.read(x)
        for step in range(steps):
            away = 1 / (1 + np.exp(-read @ self.weights)) - y
            self.speed = MOMENTUM * self.speed + read.T @ away / len(y)
            self.weights = self.weights - RATE * share * (1 - step / steps) * self.speed
        return self

    def answers(self, x: np.ndarray) -> np.ndarray:
        up = 1 / (1 + np.exp(-self.read(x) @ self.weights))
        return np.stack([1 - up, up], axis=1)


def level(data: Path, folder: Path) -> Found:
    """False wins of each family, before and now."""
    found = []
    races = [_race(number) for number in range(RACES)]
    for side, what in enumerate(("deep without the valid rows, as before", "both with the valid rows, as now")):
        answers, gaps = [race[side][0] for race in races], [race[side][1] for race in races]
        deep, classical = answers.count("deep"), answers.count("classical")
        ahead, behind = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
        shares = _binomial(deep, deep + classical), _binomial(ahead, ahead + behind)
        even = all(low <= 0.5 <= high for low, high in shares)
        error = 2 * float(np.std(gaps)) / math.sqrt(RACES)
        found.append({
            "what": f"level race, the same learner twice: {what}",
            "must": "<= 25 of 500 false wins; of these and of the leads as many of each side (95% interval)"
            if side else "what it was",
            "seen": f"{deep + classical} of {RACES}: deep {deep}, classical {classical}, {answers.count('tie')} ties; "
            f"deep ahead in {ahead}, behind in {behind} (share {shares[1][0]:.2f} to {shares[1][1]:.2f}); gap "
            f"{100 * float(np.mean(gaps)):+.2f} ± {100 * error:.2f} points",
            "met": side == 0 or (deep + classical <= 25 and even), "n": RACES,
        })  # fmt: skip
    return found


def _race(number: int) -> list[tuple[str, float]]:
    """(answer, mean gap) before and now, of one race of rows of its own."""
    rng = np.random.default_rng(number)
    n = int(np.exp(rng.uniform(*np.log(ROWS))))
    x = rng.normal(size=(n, COLUMNS))
    odds = 2 * x[:, 0] + 1.5 * x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3])
    y = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    rounds = [
        _rounds(x, y, split(y, np.zeros(n), number + k // FOLDS, fold=k % FOLDS), number, k) for k in range(ENOUGH)
    ]
    known = {name: Known(family=family, cost=1.0, undertrained=False) for name, family in FAMILY.items()}
    scales = Scales(known=known, metric=METRICS["accuracy"], seed=number, folds=FOLDS, rows=n)
    return [
        (scales.verdict(side).answer, float(np.mean([one.scores["net"] - one.scores["trees"] for one in side])))
        for side in zip(*rounds, strict=True)
    ]


def _rounds(x: np.ndarray, y: np.ndarray, parts: Split, number: int, k: int) -> tuple[Round, Round]:
    """The same fold before and now."""
    both, seed, test = np.concatenate([parts.train, parts.valid]), 2 * (1_000 * number + k), x[parts.test]
    trees = Learner(seed).learn(x[both], y[both]).answers(test)
    net = Learner(seed + 1).learn(x[parts.train], y[parts.train])
    before = net.answers(test)
    now = net.learn(x[both], y[both], round(SHARE / (1 - SHARE) * STEPS), SHARE).answers(test)
    one, other = (_round({"net": answers, "trees": trees}, y, parts, number, k) for answers in (before, now))
    return one, other


def _round(answers: dict[str, np.ndarray], y: np.ndarray, parts: Split, number: int, k: int) -> Round:
    truth = y[parts.test]
    return Round(
        number=k, fold=k % FOLDS, seed=number + k, seconds=1.0, rows=parts.test, truth=truth, answers=answers,
        valid=dict.fromkeys(FAMILY, 0.5),  # one contender a family: nothing is chosen by them
        scores={name: METRICS["accuracy"](truth, p) for name, p in answers.items()},
    )  # fmt: skip


def _binomial(hits: int, n: int) -> tuple[float, float]:
    """The exact 95% interval of a share (Clopper and Pearson 1934); all of it where nothing was drawn."""
    from scipy.stats import beta

    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, n - hits + 1))
    return low, 1.0 if hits == n else float(beta.ppf(0.975, hits + 1, n - hits))
