"""Races of stubs, thousands of them: contenders whose true difference is known, weighed by the verdict's own code.

Two stubs answer every row. They are both right, both wrong, or one of them is right: the share of rows on which they
disagree is drawn from 5% to 30%, and the true gap is planted in it. A row keeps its outcome from one training to the
next seven times in ten, and every training shifts a stub's risk a little, as real ones do. A race of n rows is weighed
as `leadline fit` would with time enough: under 5,000 rows over 25 folds, above by a fifth of them as test rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from record import Found

from leadline.dataset.split import CALIBRATED, TEST
from leadline.metrics.metrics import METRICS
from leadline.race.resample import ENOUGH
from leadline.stats.evaluate_repeats import Known, Scales
from leadline.stats.round import Round
from leadline.stats.verdict import POINTS, Verdict

FAMILY = {"net": "deep", "trees": "classical"}
KEPT = 0.7  # of the rows keep their outcome from one training to the next
SHIFT = 0.004  # standard deviation of a training's own gap: about a region
WAYS = {"as fit does it": None, "3 folds": 3, "10 folds": 10, "n test rows, one training": 1}  # rounds
RACES, CELL, RUNS = 1_000, 300, 500
SIZES = (500, 2_000, 4_900, 20_000, 200_000)


@dataclass
class World:
    """Two methods on n rows; `gap` is deep minus classical in accuracy."""

    n: int
    gap: float
    disagree: float
    rng: np.random.Generator
    shift: float = SHIFT
    common: float = 0.0  # standard deviation of what all trainings of a race have in common, beside the gap
    seeds: bool = False  # trainings differ though the test rows stay

    def __post_init__(self) -> None:
        self.luckier = self.rng.normal(0, self.common)
        self.luck = self.rng.random(self.n)  # of each row, kept
        self.order = np.empty(0, np.int64)

    def round(self, number: int, folds: bool) -> Round:
        """A training of both, and their answers on a fold, or on the one test part."""
        own = self.gap + (self.rng.normal(0, self.shift) + self.luckier if folds or self.seeds else 0.0)
        own = float(np.clip(own, -self.disagree, self.disagree))
        if number % 5 == 0 and (folds or number == 0):
            self.order = self.rng.permutation(self.n)
        size = int(TEST * self.n)
        rows = self.order[number % 5 * size : (number % 5 + 1) * size] if folds else self.order[:size]
        luck = np.where(self.rng.random(len(rows)) < KEPT, self.luck[rows], self.rng.random(len(rows)))
        only_net, only_trees = (self.disagree + own) / 2, (self.disagree - own) / 2
        both_right = luck < 0.8 * (1 - self.disagree)
        net = both_right | (luck > 1 - only_net)
        trees = both_right | ((luck > 1 - only_net - only_trees) & (luck <= 1 - only_net))
        answers = {name: np.stack([hit, ~hit], axis=1) for name, hit in (("net", net), ("trees", trees))}
        scores = {"net": float(net.mean()), "trees": float(trees.mean())}
        return Round(
            number=number, fold=number % 5 if folds else None, seed=number, seconds=1.0, rows=rows,
            truth=np.zeros(len(rows), np.int64), answers=answers, valid=scores, scores=scores,
        )  # fmt: skip

    def scales(self, folds: bool) -> Scales:
        known = {name: Known(family=family, cost=1.0, undertrained=False) for name, family in FAMILY.items()}
        seed = int(self.rng.integers(2**31))
        return Scales(known=known, metric=METRICS["accuracy"], seed=seed, folds=5 if folds else 1, rows=self.n)

    def verdict(self, rounds: int | None = None) -> Verdict:
        """As `leadline fit` gives it with time enough, or from so many rounds."""
        folds = self.n < CALIBRATED if rounds is None else rounds > 1
        held = [self.round(number, folds) for number in range((rounds or ENOUGH) if folds else 1)]
        return self.scales(folds).verdict(held)


def drawn(rng: np.random.Generator, n: int, gap: float, disagree: float | None = None) -> World:
    return World(n=n, gap=gap, disagree=rng.uniform(0.05, 0.3) if disagree is None else disagree, rng=rng)


def false_wins(data: Path, folder: Path) -> Found:
    """Equal true risk: how often a winner is named, as fit does it; and over fewer rounds or by test rows alone.

    The last is what a stated test part is weighed by, where only one training is asked for: a 95% interval errs in 5%.
    """
    found = []
    for what, rounds in WAYS.items():
        rng, wrong, ties = np.random.default_rng(1), 0, 0
        for _ in range(RACES):
            n = int(np.exp(rng.uniform(np.log(200), np.log(20_000))))
            answer = drawn(rng, int(n / TEST) if rounds == 1 else n, 0.0).verdict(rounds).answer
            wrong += answer in ("deep", "classical")
            ties += answer == "tie"
        found.append({
            "what": f"false wins, equal risk, n of 200 to 20,000: {what}",
            "must": "5%, as the interval says" if rounds == 1 else "<= 38 of 1,000",
            "seen": f"{wrong} of {RACES:,}; {ties} ties", "met": wrong <= (68 if rounds == 1 else 38), "n": RACES,
        })  # fmt: skip
    return found


def power(data: Path, folder: Path) -> Found:
    """Planted gaps at several n; a tie where the gap is one region would be wrong as a wrong winner is."""
    found, unsure = [], {}
    for gap in (0, 1, 2, 4):
        for n in SIZES:
            rng, answers = np.random.default_rng(gap * 1_000_003 + n), Counter[str]()
            for _ in range(CELL):
                answers[drawn(rng, n, gap * POINTS).verdict().answer] += 1
            unsure[gap, n] = answers["unsure"]
            wrong = answers["classical"] if gap else answers["classical"] + answers["deep"]
            shares = ", ".join(f"{word} {answers[word] / CELL:.1%}" for word in ("deep", "classical", "tie", "unsure"))
            # Of equal risk both winners are wrong: that row has its own bound.
            met = wrong <= (0.025 if gap else 0.05) * CELL
            found.append({
                "what": f"power: gap of {gap} regions, {n:,} rows", "seen": shares,
                "must": "wrong winner <= 2.5%" if gap else "a table", "met": met, "n": CELL,
            })  # fmt: skip
    for gap in (0, 1, 2, 4):
        seen = [unsure[gap, n] / CELL for n in SIZES]
        found.append({
            "what": f"unsure as n grows from {SIZES[0]} to {SIZES[-1]:,}, gap of {gap} regions", "must": "shrinks",
            "seen": ", ".join(f"{share:.1%}" for share in seen), "met": seen[-1] < seen[0], "n": len(SIZES) * CELL,
        })  # fmt: skip
    return found


def ties(data: Path, folder: Path) -> Found:
    """How often equal contenders are called equal, and contenders that are a region apart."""
    found = []
    for gap, must in ((0, ">= 90% at the largest"), (1, "<= 5% at each")):
        shares = []
        sizes = (20_000, 50_000, 100_000, 250_000)  # a fifth of them tested on, at most 50,000
        for n in sizes:
            rng = np.random.default_rng(gap + n)
            answers = [drawn(rng, n, gap * POINTS, disagree=0.06).verdict().answer for _ in range(CELL)]
            shares.append(answers.count("tie") / CELL)
        met = shares[-1] >= 0.9 if gap == 0 else max(shares) <= 0.05
        found.append({
            "what": f"tie at a true gap of {gap} regions, 6% disagreement", "must": must, "met": met, "n": CELL,
            "seen": ", ".join(f"{share:.1%} of {n:,} rows" for share, n in zip(shares, sizes, strict=True)),
        })  # fmt: skip
    return found


def until_sure(data: Path, folder: Path) -> Found:
    """Looks at growing rounds, at most 25, against all 25 at once."""
    found = []
    for gap in (0, 1, 2, 4, 8):
        rng, wrong, fixed_wrong, spent, decided, fixed = np.random.default_rng(gap), 0, 0, [], 0, 0
        for _ in range(RUNS):
            world = drawn(rng, 2_000, gap * POINTS)
            scales, held, verdict = world.scales(True), [], None
            while verdict is None:
                held.append(world.round(len(held), True))
                verdict = scales.until_sure(held, ended=len(held) == ENOUGH)
            spent.append(len(held))
            decided += verdict.answer != "unsure"
            wrong += _wrong(verdict.answer, gap)
            whole = [*held, *(world.round(k, True) for k in range(len(held), ENOUGH))]
            all_at_once = scales.verdict(whole).answer
            fixed += all_at_once != "unsure"
            fixed_wrong += _wrong(all_at_once, gap)
        found.append({
            "what": f"until sure, gap of {gap} regions, 2,000 rows", "must": "wrong <= 5%", "met": wrong <= 0.05 * RUNS,
            "seen": f"wrong {wrong / RUNS:.1%}, decided {decided / RUNS:.1%} after {np.mean(spent):.1f} rounds; all 25 "
            f"at once: wrong {fixed_wrong / RUNS:.1%}, decided {fixed / RUNS:.1%}", "n": RUNS,
        })  # fmt: skip
    return found


def _wrong(answer: str, gap: int) -> bool:
    """A winner where there is none, the wrong one, or a tie of what is more than a region apart."""
    return answer == "classical" or (answer == "deep" and gap == 0) or (answer == "tie" and gap > 1)
