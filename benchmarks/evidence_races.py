"""Real races by the thousand, cheap enough to learn from: quick learners on 60 to 1,000 real rows, over ten folds.

All learners answer the same folds, so every pair of them is a race. A training is also scored on thousands of rows that
no training of the race sees; the mean of that over all races is the true gap of a pair. Learners that draw lots are
raced against themselves from another seed too: then the true gap is nought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
from evidence_sets import numbers
from sklearn.tree import DecisionTreeClassifier

from leadline.dataset.split import split

FOLDS, UNSEEN = 10, 1_500  # twice five folds; rows that a training is scored on besides
Learner = Callable[
    [np.ndarray, np.ndarray, np.ndarray, int], np.ndarray
]  # train x, train y in {0, 1}, x, seed -> label


@dataclass(frozen=True, kw_only=True)
class Races:
    """Races of one pair on one set at one size: first minus second."""

    what: str
    n: int
    same: bool  # one learner from two seeds: the true gap is nought
    moves: list[
        np.ndarray
    ]  # [races][folds, rows of a fold] int8: 1 where the first alone is right, -1 the second alone
    unseen: np.ndarray  # [races, folds] the gap of each training on unseen rows

    @property
    def gap(self) -> float:
        """The true one."""
        return 0.0 if self.same else float(self.unseen.mean())


def ridge(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    return _least_squares(x, y, rows, 1.0)


def features(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """A network whose first layer stays as it was drawn."""
    rng = np.random.default_rng(seed)
    weights, shift = rng.normal(size=(x.shape[1], 40)) / np.sqrt(x.shape[1]), rng.normal(size=40)
    return _least_squares(np.tanh(2 * x @ weights + shift), y, np.tanh(2 * rows @ weights + shift), 0.3)


def net(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """One hidden layer of 24, all rows at a time, Adam."""
    rng = np.random.default_rng(seed)
    p = [rng.normal(size=(x.shape[1], 24)) / np.sqrt(x.shape[1]), np.zeros(24), rng.normal(size=24) / 5, np.zeros(1)]
    mean, square = [np.zeros_like(each) for each in p], [np.zeros_like(each) for each in p]
    for step in range(1, 81):
        hidden = np.maximum(x @ p[0] + p[1], 0)
        off = (1 / (1 + np.exp(-np.clip(hidden @ p[2] + p[3], -30, 30))) - y) / len(y)
        back = np.outer(off, p[2]) * (hidden > 0)
        slopes = [x.T @ back, back.sum(0), hidden.T @ off, off.sum(keepdims=True)]
        for k, slope in enumerate(slopes):
            mean[k] = 0.9 * mean[k] + 0.1 * slope
            square[k] = 0.99 * square[k] + 0.01 * slope**2
            p[k] = p[k] - 0.03 * (mean[k] / (1 - 0.9**step)) / (np.sqrt(square[k] / (1 - 0.99**step)) + 1e-8)
    return np.asarray(np.maximum(rows @ p[0] + p[1], 0) @ p[2] + p[3] > 0)


def tree(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    model = DecisionTreeClassifier(min_samples_leaf=3, max_features=0.5, random_state=seed)
    return np.asarray(model.fit(x, y).predict(rows) > 0)


def boosting(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    settings = {
        "objective": "binary", "verbose": -1, "num_threads": 1, "seed": seed, "num_leaves": 7, "feature_fraction": 0.5,
        "bagging_fraction": 0.7, "bagging_freq": 1, "min_data_in_leaf": 5,
    }  # fmt: skip
    return np.asarray(lgb.train(settings, lgb.Dataset(x, y), 30).predict(rows)) > 0.5


def nearest(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    far = (x**2).sum(1) - 2 * rows @ x.T
    return y[np.argpartition(far, 4, axis=1)[:, :5]].sum(axis=1) > 2


def bayes(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    if y.min() == y.max():
        return np.zeros(len(rows), bool)
    odds = np.full(len(rows), np.log((y.sum() + 1) / (len(y) - y.sum() + 1)))
    for k, sign in ((1, 1.0), (0, -1.0)):
        middle, spread = x[y == k].mean(0), x[y == k].var(0) + 0.05
        odds -= sign * 0.5 * ((rows - middle) ** 2 / spread + np.log(spread)).sum(1)
    return odds > 0


LEARNERS: dict[str, tuple[Learner, bool]] = {  # and whether it draws lots
    "ridge": (ridge, False), "nearest": (nearest, False), "bayes": (bayes, False), "features": (features, True),
    "net": (net, True), "tree": (tree, True), "boosting": (boosting, True),
}  # fmt: skip


def _least_squares(x: np.ndarray, y: np.ndarray, rows: np.ndarray, strength: float) -> np.ndarray:
    middle, base = x.mean(0), y.mean()
    x = x - middle
    found = np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ (y - base))
    return np.asarray((rows - middle) @ found + base > 0.5)


SOURCES: dict[str, tuple[str, str, Callable[[pl.Series], pl.Series]]] = {  # file, target, what is 1
    "bank": ("bank-marketing/bank-full.csv", "y", lambda y: y == "yes"),
    "telco": ("telco-churn/Telco-Customer-Churn.csv", "Churn", lambda y: y == "Yes"),
    "wine": ("wine-quality/winequality.csv", "quality", lambda y: y >= 6),
    "diamonds": ("diamonds/diamonds.csv", "price", lambda y: y > y.median()),
    "abalone": ("abalone/abalone.csv", "rings", lambda y: y >= 10),
    "california": ("california-housing/housing.csv", "median_house_value", lambda y: y > y.median()),
    "adult": ("adult/train.csv", "income", lambda y: y == ">50K"),
    "covertype": ("covertype/covertype-93k.parquet", "Cover_Type", lambda y: y == 2),
    "bikes": ("bike-sharing/hour.csv", "cnt", lambda y: y > y.median()),
}
DROPPED = ["customerID", "casual", "registered", "instant", "dteday"]
LEARNED_ON = ("bank", "telco", "wine", "diamonds", "abalone", "california")  # the constants of stats/few_folds.py
TESTED_ON = ("adult", "covertype", "bikes")  # and nothing was learned on these


def table(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(x [rows, columns] scaled, y in {0, 1}); at most 20,000 rows."""
    file, target, is_one = SOURCES[name]
    path = data / file
    frame = (
        pl.read_parquet(path)
        if path.suffix == ".parquet"
        else pl.read_csv(path, separator=";" if name == "bank" else ",", infer_schema_length=None)
    )
    frame = frame.sample(min(len(frame), 20_000), seed=0, shuffle=True)
    x = np.nan_to_num(numbers(frame.drop([target, *(c for c in DROPPED if c in frame.columns)])))
    x = x[:, x.std(0) > 0]
    return np.clip((x - x.mean(0)) / x.std(0), -5, 5), is_one(frame[target]).to_numpy().astype(np.int64)


def races(x: np.ndarray, y: np.ndarray, name: str, n: int, count: int, seed: int = 0) -> Iterator[Races]:
    """`count` races of every pair of learners on n rows."""
    entries = [(name, 0) for name in LEARNERS] + [(name, 1) for name, (_, lots) in LEARNERS.items() if lots]
    rng, size = np.random.default_rng(1_000 * seed + n), int(0.2 * n)
    hits = np.empty((count, FOLDS, len(entries), size), bool)
    far = np.empty((count, FOLDS, len(entries)))
    for race in range(count):
        order = rng.permutation(len(y))
        mine, unseen = order[:n], order[n : n + UNSEEN]
        for fold in range(FOLDS):
            parts = split(y[mine], np.zeros(n), race + fold // 5, fold=fold % 5)
            train, test = mine[np.concatenate([parts.train, parts.valid])], mine[parts.test[:size]]
            rows = np.concatenate([test, unseen])
            for k, (learner, twin) in enumerate(entries):
                said = LEARNERS[learner][0](x[train], y[train], x[rows], int(rng.integers(2**31)) + twin)
                right = said == y[rows]
                hits[race, fold, k, : len(test)] = right[: len(test)]
                hits[race, fold, k, len(test) :] = False  # a fold that is a row short
                far[race, fold, k] = right[len(test) :].mean()
    for a, b in combinations(range(len(entries)), 2):
        if entries[a][1] or (entries[b][1] and entries[a][0] != entries[b][0]):
            continue
        yield Races(
            what=f"{entries[a][0]} and {entries[b][0]}, {n} rows of {name}", n=n, same=entries[a][0] == entries[b][0],
            moves=list(hits[:, :, a].astype(np.int8) - hits[:, :, b].astype(np.int8)),
            unseen=far[:, :, a] - far[:, :, b],
        )  # fmt: skip
