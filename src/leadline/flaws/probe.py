"""A quick learner that flaws are looked for and priced with: the linear contender, or trees where all is numbers.

Settings are fixed, so that what it finds does not hang on the clock. Columns can be hidden from it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from leadline.contenders.features import layout
from leadline.contenders.linear import Design
from leadline.data.store import Store
from leadline.kinds import KINDS
from leadline.kinds.time import NEVER

ROUNDS, ITERATIONS = 80, 60
TREES = {
    "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 30, "lambda_l2": 5.0, "cat_smooth": 20.0, "seed": 0,
    "verbose": -1, "force_col_wise": True, "deterministic": True,
}  # fmt: skip
STRENGTH = {"bag": 3.0, "codes": 1.0, "dense": 0.01}  # C of the linear probe, by the first form that it reads
FEW_CELLS = 500_000  # trees on fewer are grown by one thread: two would wait for each other
MOST_CLASSES = 60
A_CELL = {"trees": 1e-8, "dense": 1e-9, "bag": 1.5e-9}  # seconds a cell, round (or pass) and class


class Probe:
    """Fit on some rows, answer others."""

    def __init__(self, store: Any, threads: int) -> None:
        self.store, self.threads = store, threads
        self.classes = len(store.task.classes)
        kinds = {block.kind for block in store.blocks}
        self.trees = kinds <= {"number", "category", "time"}
        self.plan = layout(store, ("codes", "dense") if self.trees else ("codes", "bag", "dense"))
        self.name = "trees" if self.trees else "a linear model"

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
        """Rows that one fit may have, where so many fits are to take so long."""
        kind = "trees" if self.trees else "bag" if "bag" in self.plan.forms else "dense"
        steps = ROUNDS if self.trees else ITERATIONS
        outputs = self.classes if self.classes > 2 else 1
        a_row = A_CELL[kind] * sum(self.plan.widths) * steps * outputs
        return int(seconds / max(1, fits) / a_row)

    def answers(
        self, train: np.ndarray, labels: np.ndarray, rows: np.ndarray, hidden: Sequence[str] = ()
    ) -> np.ndarray:
        """Probabilities [n, classes] float32, or values [n], for `rows`, learned from `train` with its labels."""
        store = Masked(self.store, hidden) if hidden else self.store
        return self._trees(store, train, labels, rows) if self.trees else self._linear(store, train, labels, rows)

    def _trees(self, store: Any, train: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        import lightgbm as lgb

        from leadline.contenders.features import matrix

        goal: dict[str, Any] = {"objective": "regression"}
        mean, spread = (0.0, 1.0) if self.classes else (float(labels.mean()), float(labels.std()) or 1.0)
        if self.classes:
            goal = (
                {"objective": "binary"} if self.classes == 2 else {"objective": "multiclass", "num_class": self.classes}
            )
        data = lgb.Dataset(matrix(store, self.plan, train), (labels - mean) / spread,
                           categorical_feature=self.plan.categories)  # fmt: skip
        threads = self.threads if len(train) * sum(self.plan.widths) > FEW_CELLS else 1
        rounds = ROUNDS if self.classes <= 2 else max(20, 2 * ROUNDS // self.classes)
        booster = lgb.train({**TREES, **goal, "num_threads": threads}, data, rounds)
        raw = np.asarray(booster.predict(matrix(store, self.plan, rows)))
        if not self.classes:
            return np.asarray(raw * spread + mean)
        return np.asarray(np.stack([1 - raw, raw], axis=1) if self.classes == 2 else raw, np.float32)

    def _linear(self, store: Any, train: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, Ridge

        design = Design(store, self.plan, train)
        strength = next(strength for form, strength in STRENGTH.items() if form in self.plan.forms)
        if not self.classes:
            sparse = "bag" in self.plan.forms or "codes" in self.plan.forms
            ridge = Ridge(alpha=1 / strength, solver="sparse_cg" if sparse else "auto").fit(
                design(store, train), labels
            )
            return np.asarray(ridge.predict(design(store, rows)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(design(store, train), labels)
        scores = np.zeros((len(rows), self.classes), np.float32)
        for start in range(0, len(rows), 8_192):
            part = rows[start : start + 8_192]
            scores[start : start + len(part), model.classes_.astype(int)] = model.predict_proba(design(store, part))
        return scores


class Masked:
    """A store in which some columns are missing in every row: what is learned from it knows nothing of them."""

    def __init__(self, store: Store, hidden: Sequence[str]) -> None:
        self._store, self._hidden = store, set(hidden)
        self._made: dict[str, np.ndarray] = {}

    def tensor(self, name: str) -> np.ndarray:
        """As of the store, with the columns of the block that are hidden taken out."""
        block = next(b for b in self._store.blocks if name in (b.name, *(f"{b.name}.{form}" for form in b.forms)))
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
