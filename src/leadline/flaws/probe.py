"""A quick model to search for flaws and to measure their impact: linear, or trees where all is numbers.

How long it trains is fixed, so that its result does not depend on the clock. Columns can be hidden from it. The linear
model reads what the contender `linear` does, of texts the same n-grams (`text_probe.py`). On dense columns it is fitted
by least squares, from one product of the columns with each other: on 7,000 pictures as good (85.9% of clothes right,
against 86.2%) in a tenth of the time, so that it can learn from about as many rows as a contender does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leadline.contenders.design import Design
from leadline.contenders.features import layout
from leadline.core.kind import View
from leadline.core.tensors import Block
from leadline.dataset.store import Store
from leadline.flaws.text_probe import KeptCutter, dual_logistic
from leadline.flaws.time_budget import Pace
from leadline.kinds import KINDS
from leadline.kinds.time import NEVER
from leadline.system.process_state import warnings_ignored

ROUNDS, ITERATIONS = 80, 60
FEWEST_ROUNDS = 5
TREES = {
    "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 30, "lambda_l2": 5.0, "cat_smooth": 20.0, "seed": 0,
    "max_bin": 63,
    "verbose": -1, "force_col_wise": True, "deterministic": True,
}  # fmt: skip
# C of the linear probe, by the first form that it reads, and those of which it may choose one.
STRENGTH = {View.GRAMS: 1.0, View.CODES: 1.0, View.DENSE: 0.01}
STRENGTHS = {View.GRAMS: (1.0, 3.0, 10.0), View.CODES: (0.1, 1.0, 10.0), View.DENSE: (0.01, 0.1, 1.0)}
MOST_SQUARED = 1_500  # dense columns that are multiplied with each other
RIDGES, SLOPES = (1.0, 10.0, 100.0, 1_000.0), (4.0, 8.0, 16.0)  # of least squares: penalty, and its odds a step
CHOOSING = 2_000  # rows that C is chosen on, at most: the best one hardly depends on how many there are
FEW_CELLS = 500_000  # trees on fewer are grown by one thread, and no trial is worth its time
MOST_CLASSES = 60
A_VALUE = {"trees": 1e-8, View.DENSE: 5e-10}  # seconds a value, round (or pass) and class
A_CUT, A_GRAM, A_PASS = 1.5e-7, 1.2e-7, 1.3e-7  # seconds a character: to cut it, once; each fit; each fit and class
AN_ANSWER = 3e-5  # seconds for one row and three classes
A_PRODUCT = 2e-10  # seconds for two numbers


class Probe:
    """Fit on some rows, answer others."""

    def __init__(self, store: Any, threads: int, pace: Pace | None = None) -> None:
        """`pace` bounds how long a fit may take; without one, it takes what it takes."""
        self.store, self.threads, self.pace = store, threads, pace
        self._a_fit = math.inf  # seconds
        self._paying: int | None = None  # threads, for trees
        self.classes = len(store.task.classes)
        self.trees = all(KINDS[block.kind].joint for block in store.blocks)
        self.plan = layout(store, (View.CODES, View.DENSE) if self.trees else (View.CODES, View.GRAMS, View.DENSE))
        self.name = "trees" if self.trees else "a linear model"
        plan = self.plan
        one_hot = sum(sum(sizes) for sizes, form in zip(plan.sizes, plan.forms, strict=True) if form == View.CODES)
        dense = sum(width for width, form in zip(plan.widths, plan.forms, strict=True) if form == View.DENSE)
        self._wide = one_hot + dense + 1
        self.form = next((form for form in STRENGTH if form in self.plan.forms), View.DENSE)
        self.text = View.GRAMS in plan.forms
        self._characters = sum(plan.widths) if self.text else 0  # other columns are few beside those of texts
        self._cutters: dict[str, KeptCutter] = {}

    @property
    def squared(self) -> bool:
        """Whether it is fitted by least squares."""
        return not self.trees and self.classes > 0 and not self.text and self._wide <= MOST_SQUARED

    @property
    def able(self) -> bool:
        """Whether there is something that it can learn from."""
        return bool(self.plan.tensors) and self.classes <= MOST_CLASSES

    def load(self) -> None:
        """Import what it learns with: seconds on a busy machine, which are then counted for themselves."""
        if self.trees:
            import lightgbm  # noqa: F401
        else:
            import sklearn.linear_model  # noqa: F401

    def most_rows(self, seconds: float, fits: int) -> int:
        """Rows that one fit may have, where so many fits are to take so long; none that follows takes much longer."""
        self._a_fit = seconds / max(1, fits)
        outputs = self.classes if self.classes > 2 else 1
        if self.text:
            return int(seconds / (self._characters * (A_CUT + (A_GRAM + A_PASS * outputs) * max(1, fits))))
        if self.squared:
            a_row = self._wide**2 * A_PRODUCT
            return max(0, int((seconds / max(1, fits) - 2 * self._wide * a_row) / a_row))
        steps = ROUNDS if self.trees else ITERATIONS
        a_row = A_VALUE["trees" if self.trees else View.DENSE] * sum(self.plan.widths) * steps * outputs
        return int(seconds / max(1, fits) / a_row)

    def most_answers(self, seconds: float) -> int:
        """Rows that can be answered in so many seconds."""
        return int(seconds / (AN_ANSWER * (1 + self.classes // 3) + self._characters * (A_CUT + A_GRAM)))

    def answers(
        self, train: np.ndarray, labels: np.ndarray, rows: np.ndarray, hidden: Sequence[str] = (),
        strength: float | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Probabilities [n, classes] float32, or values [n], for `rows`, learned from `train` with its labels."""
        store = Masked(self.store, hidden) if hidden else self.store
        if self.trees:
            return self._trees(store, train, labels, rows)
        return self._linear(store, train, labels, rows, strength or STRENGTH[self.form])

    def crossed(
        self, rows: np.ndarray, labels: np.ndarray, fold: np.ndarray, most: int, hidden: Sequence[str] = (),
        choose: bool = False, known: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Answers to all `rows`, each from a model that learned from at most so many rows of the other folds.

        Args:
            fold: the number of each row's fold [n].
            known: bool [n], rows that may be learned from (default: all). The labels of others are not read.
            choose: the strength of regularisation anew, as a contender would: without it a model that reads less, or
                something else, is no fair second to one for which the strength was right.
        """
        found = np.zeros((len(rows), self.classes) if self.classes else len(rows), np.float32)
        strength = None
        for number in np.unique(fold):
            apart = fold != number
            train = some(np.flatnonzero(apart if known is None else apart & known), most, seed=int(number))
            if choose and strength is None and not self.trees and not self.squared:
                strength = self._chosen(rows[train], labels[train], hidden)
            tried = fold == number
            found[tried] = self.answers(rows[train], labels[train], rows[tried], hidden, strength)
        return found

    def _chosen(self, rows: np.ndarray, labels: np.ndarray, hidden: Sequence[str]) -> float:
        """The strength by which two thirds of some rows tell most of the other third."""
        few = np.random.default_rng(0).permutation(len(rows))[:CHOOSING]
        train, tried = np.sort(few[len(few) // 3 :]), np.sort(few[: len(few) // 3])
        losses = {}
        for strength in STRENGTHS[self.form]:
            found = self.answers(rows[train], labels[train], rows[tried], hidden, strength)
            if self.classes:
                losses[strength] = -float(np.log(found[np.arange(len(tried)), labels[tried]].clip(1e-6)).mean())
            else:
                losses[strength] = float(((found - labels[tried]) ** 2).mean())
        return min(losses, key=lambda strength: losses[strength])

    def _trees(self, store: Any, train: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        import lightgbm as lgb

        from leadline.contenders.boosting import threads_for
        from leadline.contenders.features import matrix

        task, scale = self.store.task, self.store.task.scale(labels)
        settings = {**TREES, **task.objective(), "num_threads": 1}
        data = lgb.Dataset(matrix(store, self.plan, train), task.encode_labels(labels, scale), params=settings,
                           categorical_feature=self.plan.categories)  # fmt: skip
        if self._paying is None and self.threads > 1 and len(train) * sum(self.plan.widths) > FEW_CELLS:
            self._paying = threads_for(settings, data, self.threads, time.perf_counter)
        threads = self._paying or 1
        rounds = ROUNDS if self.classes <= 2 else max(20, 2 * ROUNDS // self.classes)
        late = self.pace.watch(self._a_fit) if self.pace is not None else None
        ends = [] if late is None else [_until(late)]
        booster = lgb.train({**settings, "num_threads": threads}, data, rounds, callbacks=ends)
        raw = np.asarray(booster.predict(matrix(store, self.plan, rows), num_threads=threads))
        return np.asarray(task.from_objective(raw, scale))

    def _linear(
        self, store: Any, train: np.ndarray, labels: np.ndarray, rows: np.ndarray, strength: float
    ) -> np.ndarray:
        from sklearn.linear_model import LogisticRegression, Ridge

        design = Design(store, self.plan, train, self.classes, self._cutters_for(store))
        if self.text and self.classes:
            x, tried = design(store, train), design(store, rows)
            return dual_logistic(x, labels, tried, self.classes, strength, design.are_grams())
        if self.squared:
            return _least_squares(design(store, train), labels, design(store, rows), self.classes)
        if not self.classes:
            x = design(store, train)
            ridge = Ridge(alpha=1 / strength, solver="auto" if isinstance(x, np.ndarray) else "sparse_cg")
            return np.asarray(ridge.fit(x, labels).predict(design(store, rows)))
        with warnings_ignored():  # that it has not converged
            model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(design(store, train), labels)
        scores = np.zeros((len(rows), self.classes), np.float32)
        for start in range(0, len(rows), 8_192):
            part = rows[start : start + 8_192]
            scores[start : start + len(part), model.classes_.astype(int)] = model.predict_proba(design(store, part))
        return scores

    def _cutters_for(self, store: Any) -> dict[str, KeptCutter]:
        """Of the texts that are not hidden."""
        for name, form in zip(self.plan.tensors, self.plan.forms, strict=True):
            if form == View.GRAMS and name not in self._cutters:
                self._cutters[name] = KeptCutter(self.store, name)
        masked = isinstance(store, Masked)
        return {name: cutter for name, cutter in self._cutters.items() if not (masked and store.hides(name))}


def _until(late: Callable[[], bool]) -> Callable[[Any], None]:
    """A callback that ends a training when it is late, not before its first few rounds."""
    from lightgbm.callback import EarlyStopException

    def look(state: Any) -> None:
        if late() and state.iteration + 1 >= FEWEST_ROUNDS:
            raise EarlyStopException(state.iteration, state.evaluation_result_list or [])

    return look


def _least_squares(x: Any, labels: np.ndarray, tried: Any, classes: int) -> np.ndarray:
    """Probabilities [n, classes] for `tried`: ridge regression of each class, its values by one slope to odds.

    Penalty and slope are those by which two thirds of the rows tell most of the other third.
    """
    x, tried = (np.hstack([_plain(each), np.ones((each.shape[0], 1), np.float32)]) for each in (x, tried))
    said = np.eye(classes, dtype=np.float32)[labels]
    mixed = np.random.default_rng(0).permutation(len(x))
    parts = [mixed[len(x) // 3 :], mixed[: len(x) // 3]]
    squares = [(x[part].T @ x[part]).astype(np.float64) for part in parts]
    products = [(x[part].T @ said[part]).astype(np.float64) for part in parts]
    losses = {}
    for ridge in RIDGES:
        values = x[parts[1]] @ _solved(squares[0], products[0], ridge)
        for slope in SLOPES:
            told = _odds(values, slope)[np.arange(len(parts[1])), labels[parts[1]]]
            losses[ridge, slope] = -float(np.log(told.clip(1e-6)).mean())
    ridge, slope = min(losses, key=lambda one: losses[one])
    return _odds(tried @ _solved(squares[0] + squares[1], products[0] + products[1], ridge), slope)


def _plain(x: Any) -> np.ndarray:
    return np.asarray(x if isinstance(x, np.ndarray) else x.toarray())


def _solved(square: np.ndarray, product: np.ndarray, ridge: float) -> np.ndarray:
    return np.asarray(np.linalg.solve(square + ridge * np.eye(len(square)), product), np.float32)


def _odds(values: np.ndarray, slope: float) -> np.ndarray:
    raised = np.exp(slope * (values - values.max(axis=1, keepdims=True)))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def some(rows: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """At most so many of the rows, as a random sample, ascending."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


class Masked:
    """A store in which some columns are missing in every row: what is learned from it knows nothing of them."""

    def __init__(self, store: Store, hidden: Sequence[str]) -> None:
        self._store, self._hidden = store, set(hidden)
        self._made: dict[str, np.ndarray] = {}

    def block(self, name: str) -> Block:
        return self._store.block(name)

    def graph(self, name: str) -> bytes:
        return self._store.graph(name)

    def hides(self, name: str) -> bool:
        """Whether a column of this tensor's block is hidden."""
        return not self._hidden.isdisjoint(self._store.block(name.split(".")[0]).columns)

    def tensor(self, name: str) -> np.ndarray:
        """As of the store, with the columns of the block that are hidden taken out."""
        block = self._store.block(name.split(".")[0])
        places = [place for place, column in enumerate(block.columns) if column in self._hidden]
        if not places:
            return self._store.tensor(name)
        if name not in self._made:
            tensor = np.array(self._store.tensor(name))
            if not KINDS[block.kind].joint:
                tensor[...] = 0
            else:
                wide = tensor.shape[1] // len(block.columns)  # features that a column has
                columns = [place * wide + i for place in places for i in range(wide)]
                tensor[:, columns] = np.nan if tensor.dtype.kind == "f" else 0 if tensor.dtype != np.int64 else NEVER
            self._made[name] = tensor
        return self._made[name]
