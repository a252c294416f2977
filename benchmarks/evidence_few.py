"""Few folds of few rows: what the verdict sees of a planted gap, and how often it names a winner among equals.

Stubs as in evidence_stubs.py, with the training noise of real races (evidence_prior.py): a training's own luck and, of
the same size, a luck that all trainings of a race share, together `LUCK` times what the train rows alone would give.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from evidence_stubs import World
from record import Found

from leadline.stats.few_folds import correlated_t
from leadline.stats.repeat import Repeat
from leadline.stats.rule import rule
from leadline.stats.verdict import POINTS

LUCK = 0.5  # variance of a training's gap, in units of the variance of a row over the train rows; 0.4 on average
COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10)
RACES, CELL = 1_000, 300


def few_folds(data: Path, folder: Path) -> Found:
    """Three folds of fifty rows, with a gap and without."""
    found = []
    for gap in (0.15, 0.0):
        answers, before = _races(250, gap, 3, RACES, seed=15)
        told = answers["deep"] + answers["classical"]
        found.append({
            "what": f"3 folds of 50 rows, true gap {100 * gap:.0f} points", "n": RACES,
            "must": "decided >= 60%" if gap else "<= 38 of 1,000", "met": told >= 600 if gap else told <= 38,
            "seen": f"deep {answers['deep']}, classical {answers['classical']}, tie {answers['tie']}; by the "
            f"correlated t-test of the folds alone deep {before['deep']}, classical {before['classical']}, "
            f"tie {before['tie']}",
        })  # fmt: skip
    return found


def few_false_wins(data: Path, folder: Path) -> Found:
    """Equal risk, at every number of folds."""
    found = []
    for folds in COUNTS:
        answers, before = Counter[str](), Counter[str]()
        for n in (60, 250, 1_000, 4_000):
            each, old = _races(n, 0.0, folds, RACES // 4, seed=folds)
            answers, before = answers + each, before + old
        wins = answers["deep"] + answers["classical"]
        found.append({
            "what": f"false wins, equal risk, 60 to 4,000 rows: {folds} folds", "must": "<= 38 of 1,000", "n": RACES,
            "seen": f"{wins} of {RACES:,}, {answers['tie']} ties; by the correlated t-test of the folds alone "
            f"{before['deep'] + before['classical']}, {before['tie']} ties",
            "met": wins <= 38,
        })  # fmt: skip
    return found


def few_power(data: Path, folder: Path) -> Found:
    """Winners named at planted gaps, before and after."""
    found = []
    for folds in (3, 5):
        for points in (0, 2, 4, 8, 16):
            told, wrong = [], 0
            for n in (50, 100, 250, 500, 1_000):
                answers, before = _races(n, points / 100, folds, CELL, seed=n + points)
                right, old = answers["deep"], before["deep"]
                wrong = max(wrong, answers["classical"] + (right if points == 0 else 0))
                if points == 0:
                    right, old = (each["deep"] + each["classical"] for each in (answers, before))
                told.append(f"{n:,}: {right / CELL:.0%} (was {old / CELL:.0%})")
            found.append({
                "what": f"power of {folds} folds, true gap {points} points, by rows in all",
                "must": "wrong winner <= 3.8%" if points == 0 else "wrong winner <= 2.5%",
                "seen": ", ".join(told), "met": wrong <= (0.038 if points == 0 else 0.025) * CELL, "n": 5 * CELL,
            })  # fmt: skip
    return found


def few_seeds(data: Path, folder: Path) -> Found:
    """The same test rows answered from several seeds: false wins, and winners at a planted gap."""
    found = []
    for seeds in (3, 5, 10):
        for gap in (0.0, 0.08):
            rng, answers = np.random.default_rng(seeds), Counter[str]()
            for _ in range(CELL):
                n, disagree = int(np.exp(rng.uniform(np.log(50), np.log(2_000)))), gap + rng.uniform(0.05, 0.25)
                luck = float(np.sqrt(LUCK * disagree / (4 * n)))
                world = World(n=5 * n, gap=gap, disagree=disagree, rng=rng, shift=luck, seeds=True)
                answers[world.scales(False).verdict([world.round(k, False) for k in range(seeds)]).answer] += 1
            wrong = answers["classical"] + (0 if gap else answers["deep"])
            found.append({
                "what": f"{seeds} seeds, 50 to 2,000 test rows, true gap {100 * gap:.0f} points", "n": CELL,
                "must": "wrong winner <= 2.5%" if gap else "wrong winner <= 5%",
                "seen": f"wrong {wrong / CELL:.1%}" + (f", deep {answers['deep'] / CELL:.0%}" if gap else ""),
                "met": wrong <= (0.025 if gap else 0.05) * CELL,
            })  # fmt: skip
    return found


def _races(n: int, gap: float, folds: int, count: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """The answers of `count` races, and what the correlated t-test of the folds alone would have said."""
    rng, answers, before = np.random.default_rng(seed), Counter[str](), Counter[str]()
    for _ in range(count):
        disagree = gap + rng.uniform(0.05, 0.25)
        luck = float(np.sqrt(LUCK * disagree / (0.8 * n) / 2))
        world = World(n=n, gap=gap, disagree=disagree, rng=rng, shift=luck, common=luck)
        held = [world.round(number, True) for number in range(folds)]
        answers[world.scales(True).verdict(held).answer] += 1
        before[_alone(held)] += 1
    return answers, before


def _alone(held: list[Repeat]) -> str:
    """As verdicts were made before they knew rows, of three folds or more; their spread is at least what rows give."""
    if len(held) < 3:
        return "unsure"
    gaps, rows = [one.scores["net"] - one.scores["trees"] for one in held], len(held[0].truth)
    seen = min(len(held), 5) * rows
    one, other = (abs(float(np.mean(gaps))) * seen + 1) / (seen + 2), 1 / (seen + 2)
    least = (one + other - (one - other) ** 2) / rows
    return rule(*correlated_t(gaps, 0.2, shares=True, least=least).interval(), POINTS)
