"""Real races, small and many: real learners on a few hundred real rows, weighed as `leadline fit` weighs folds.

What is true is known from the other rows of a large set: the mean, over many trainings, of the score on rows that no
training saw. A learner is also raced against itself from another seed: two contenders of equal true risk, which
disagree on many rows because so few rows teach a tree little.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
from evidence_sets import numbers
from record import Found
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import leadline as ll
from leadline.dataset.split import split
from leadline.metrics.metrics import METRICS
from leadline.stats.evaluate_repeats import Known, Scales
from leadline.stats.round import Round
from leadline.stats.verdict import POINTS

FAMILY = {"first": "deep", "second": "classical"}
RACES, FOLDS, TRAININGS, UNSEEN = 100, 5, 60, 20_000
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]  # train x, train y, x, seed -> probabilities


def trees(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    settings = {
        "objective": "binary", "verbose": -1, "num_threads": 1, "seed": seed, "num_leaves": 7, "feature_fraction": 0.5,
        "bagging_fraction": 0.7, "bagging_freq": 1, "min_data_in_leaf": 5,
    }  # fmt: skip
    up = np.asarray(lgb.train(settings, lgb.Dataset(x, y), 40).predict(rows))
    return np.stack([1 - up, up], axis=1)


def line(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    return np.asarray(model.fit(np.nan_to_num(x), y).predict_proba(np.nan_to_num(rows)))


def net(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    model = make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=60, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is not meant to converge
        return np.asarray(model.fit(np.nan_to_num(x), y).predict_proba(np.nan_to_num(rows)))


def _adult(data: Path) -> tuple[np.ndarray, np.ndarray]:
    frame = ll.load("adult", data=data).train.collect()
    return numbers(frame.drop("income")), (frame["income"] == ">50K").to_numpy().astype(np.int64)


def _covertype(data: Path) -> tuple[np.ndarray, np.ndarray]:
    frame = ll.load("covertype", data=data).train.collect()
    return numbers(frame.drop("Cover_Type")), (frame["Cover_Type"].cast(str) == "2").to_numpy().astype(np.int64)


def small(data: Path, folder: Path) -> Found:
    """Pairs of learners on two sets, at 300 and 1,000 rows."""
    found = []
    pairs = {"trees and trees": (trees, trees), "trees and line": (trees, line), "net and line": (net, line)}
    for name, load in (("adult", _adult), ("covertype", _covertype)):
        x, y = load(data)
        for what, pair in pairs.items():
            for n in (300, 1_000):
                found.append(_cell(f"{what}, {n} rows of {name}", x, y, pair, n))
    return found


def _cell(what: str, x: np.ndarray, y: np.ndarray, pair: tuple[Learner, Learner], n: int) -> dict[str, object]:
    rng = np.random.default_rng(n)
    gaps, apart = zip(*(_true(x, y, pair, n, rng) for _ in range(TRAININGS)), strict=True)
    gap, error = float(np.mean(gaps)), float(np.std(gaps) / np.sqrt(TRAININGS))
    if pair[0] is pair[1]:
        gap = 0.0
    answers = Counter(_race(x, y, pair, rng.choice(len(y), n, replace=False), k) for k in range(RACES))
    wrong = answers["deep"] * (gap <= 0) + answers["classical"] * (gap >= 0) + answers["tie"] * (abs(gap) > POINTS)
    shares = ", ".join(f"{word} {answers[word]}" for word in ("deep", "classical", "tie", "unsure") if answers[word])
    return {
        "what": f"real races: {what}", "must": "wrong <= 5 of 100", "n": RACES, "met": wrong <= 0.05 * RACES,
        "seen": f"wrong {wrong}; {shares}; true gap {100 * gap:+.2f} ± {200 * error:.2f} points, "
        f"apart on {np.mean(apart):.0%} of the rows",
    }  # fmt: skip


def _true(
    x: np.ndarray, y: np.ndarray, pair: tuple[Learner, Learner], n: int, rng: np.random.Generator
) -> tuple[float, float]:
    """(gap, share of rows on which the two disagree) of one training on four fifths of n rows, on unseen rows."""
    order = rng.permutation(len(y))
    train, rest = order[: int(0.8 * n)], order[n : n + UNSEEN]
    guesses = [
        learn(x[train], y[train], x[rest], 2 * int(rng.integers(10**6)) + k).argmax(1) for k, learn in enumerate(pair)
    ]
    return float((guesses[0] == y[rest]).mean() - (guesses[1] == y[rest]).mean()), float(
        (guesses[0] != guesses[1]).mean()
    )


def _race(x: np.ndarray, y: np.ndarray, pair: tuple[Learner, Learner], rows: np.ndarray, seed: int) -> str:
    """The answer over five folds."""
    mine, rounds = y[rows], []
    for fold in range(FOLDS):
        parts = split(mine, np.zeros(len(rows)), seed, fold=fold)
        train, test = rows[np.concatenate([parts.train, parts.valid])], rows[parts.test]
        answers = {
            name: learn(x[train], y[train], x[test], 1_000 * seed + 10 * fold + k)
            for k, (name, learn) in enumerate(zip(FAMILY, pair, strict=True))
        }
        scores = {name: METRICS["accuracy"](y[test], p) for name, p in answers.items()}
        rounds.append(Round(
            number=fold, fold=fold, seed=seed, seconds=1.0, rows=parts.test, truth=y[test], answers=answers,
            valid=dict.fromkeys(FAMILY, 0.5), scores=scores,
        ))  # fmt: skip
    known = {name: Known(family=family, cost=1.0, undertrained=False) for name, family in FAMILY.items()}
    scales = Scales(known=known, metric=METRICS["accuracy"], seed=seed, folds=FOLDS, rows=len(rows))
    return scales.verdict(rounds).answer
