"""Rows that linear models are fitted on: all of them, and where they are few, in folds.

Enters: a matrix of rows, their labels, and which columns count n-grams. Leaves: fits from where another stands, and
answers to rows that a fit has not seen. A class of which no row is known keeps a column of weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leadline.contenders.beside import Beside
from leadline.contenders.linear_solver import SQUARED, Problem, Solved, naive_bayes, solve
from leadline.contenders.row_space import RowSpace, worthwhile
from leadline.core.contender import Clock

NEVER = -15.0  # added to the intercept of a class that no row has
PLAIN = 0.0  # share of naive Bayes in the variance of a gram's weight
FOLDS = 5


class Part:
    """Rows to fit on."""

    def __init__(self, x: Any, y: np.ndarray, classes: int, grams: np.ndarray) -> None:
        """
        Args:
            x: float32 [n, columns], sparse or not.
            y: class numbers [n], marks of labels [n, labels], or values [n].
            classes: how many there are; 0 of values.
            grams: bool [columns], those that count n-grams of a text.
        """
        self.x, self.y, self.classes, self.grams = x, y, classes, grams
        self._scales: dict[float, np.ndarray | None] = {PLAIN: None}
        self._spaces: dict[float, RowSpace | None] = {}

    def solve(
        self, strength: float, loss: str, bayes: float, start: Solved | None, clock: Clock, reserve: float = 0.0
    ) -> Solved:  # fmt: skip
        """The fit, from where another stands, until `reserve` seconds are left."""
        x, y = self.x, self.y
        if loss == SQUARED and isinstance(x, np.ndarray):
            return _ridge(x, y, strength)
        known = _known(y, self.classes)
        if known is not None and len(known) < (2 if y.ndim == 1 else 1):
            return _spread(None, x.shape[1], y, known, self.classes)
        inner = y if known is None else np.searchsorted(known, y) if y.ndim == 1 else y[:, known]
        problem = Problem(x=x, y=inner, strength=strength, loss=loss)
        problem = replace(problem, scale=self._weight(problem, bayes))
        space, start = self._space(problem, bayes), _gathered(start, known, y.ndim)
        solved = (space.solve if space else solve)(problem, clock, start, reserve)
        return solved if known is None else _spread(solved, x.shape[1], y, known, self.classes)

    def _space(self, problem: Problem, bayes: float) -> RowSpace | None:
        """The space of its rows, where fits are faster there."""
        if bayes not in self._spaces:
            self._spaces[bayes] = RowSpace(problem) if worthwhile(problem) else None
        return self._spaces[bayes]

    def _weight(self, problem: Problem, bayes: float) -> np.ndarray | None:
        """How large a weight may be: float32 [columns, outputs]."""
        if bayes not in self._scales:
            found = np.ones((len(self.grams), problem.outputs), np.float32)
            ratio = naive_bayes(problem.x[:, self.grams], problem.y, problem.outputs)
            found[self.grams] = np.sqrt(1 - bayes + bayes * ratio**2)
            self._scales[bayes] = found
        return self._scales[bayes]

    def folds(self) -> list[Fold]:
        """Its rows in `FOLDS`, classes evenly."""
        order = np.random.default_rng(0).permutation(len(self.y))
        if self.classes and self.y.ndim == 1:
            order = order[np.argsort(self.y[order], kind="stable")]
        number = np.empty(len(self.y), int)
        number[order] = np.arange(len(self.y)) % FOLDS
        found = []
        for fold in range(FOLDS):
            others, rows = np.flatnonzero(number != fold), np.flatnonzero(number == fold)
            part = Part(taken(self.x, others), self.y[others], self.classes, self.grams)
            found.append(Fold(part=part, rows=rows, x=taken(self.x, rows)))
        return found


@dataclass(kw_only=True)
class Fold:
    """Some rows, and the others, which are fitted on."""

    part: Part
    rows: np.ndarray
    x: Any
    last: Solved | None = None  # where the next fit begins


def answers(x: Any, solved: Solved) -> np.ndarray:
    """Raw values float32 [n, outputs]."""
    raw: np.ndarray = np.asarray(x @ solved.weights) + solved.intercepts
    return raw


def taken(x: Any, rows: np.ndarray) -> Any:
    return x.taken(rows) if isinstance(x, Beside) else x[rows]


def stacked(x: Any, x_valid: Any) -> Any:
    from scipy import sparse

    if isinstance(x, Beside):
        return x.above(x_valid)
    return sparse.vstack([x, x_valid], format="csr") if sparse.issparse(x) else np.concatenate([x, x_valid])


def _ridge(x: np.ndarray, y: np.ndarray, strength: float) -> Solved:
    """Of few columns that are all full, least squares are solved at once."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1.0 / strength).fit(x, y)
    return Solved(
        weights=np.asarray(model.coef_, np.float32).reshape(-1, 1),
        intercepts=np.asarray([model.intercept_], np.float32),
    )


def _known(y: np.ndarray, classes: int) -> np.ndarray | None:
    """Classes that rows have, or labels that some rows have and some have not; None where those are all, or none."""
    if not classes:
        return None
    if y.ndim == 1:
        known = np.unique(y)
    else:
        count = y.sum(axis=0)
        known = np.flatnonzero((count > 0) & (count < len(y)))
    return None if len(known) == classes else known


def _spread(solved: Solved | None, columns: int, y: np.ndarray, known: np.ndarray | None, classes: int) -> Solved:
    """Weights of known classes as of all: a class without a row to learn from is hardly ever predicted.

    A label that all rows have, or none, is predicted by its share alone.
    """
    assert known is not None
    if y.ndim == 2:
        share = (y.sum(axis=0) + 0.5) / (len(y) + 1)
        intercepts = np.log(share / (1 - share)).astype(np.float32)
        weights = np.zeros((columns, classes), np.float32)
        if solved is not None:
            weights[:, known], intercepts[known] = solved.weights, solved.intercepts
    elif classes == 2:  # one column tells both, and one class is known
        weights = np.zeros((columns, 1), np.float32)
        intercepts = np.full(1, NEVER if known[0] == 0 else -NEVER, np.float32)
    else:
        weights = np.zeros((columns, classes), np.float32)
        inner = np.zeros(len(known), np.float32)
        if solved is not None:
            inner, held = solved.intercepts, solved.weights
            if len(known) == 2:
                inner, held = (np.concatenate([np.zeros_like(part), part], axis=-1) for part in (inner, held))
            weights[:, known] = held
        intercepts = np.full(classes, inner.min() + NEVER, np.float32)
        intercepts[known] = inner
    return Solved(
        weights=weights, intercepts=intercepts, iterations=solved.iterations if solved else 0,
        cut=solved.cut if solved else False,
    )  # fmt: skip


def _gathered(start: Solved | None, known: np.ndarray | None, dimensions: int) -> Solved | None:
    """Of all classes those that are known, as the solver has them."""
    if start is None or known is None:
        return start
    parts = [start.weights, start.intercepts]
    if len(known) == 2 and dimensions == 1:
        weights, intercepts = (part[..., known[[1]]] - part[..., known[[0]]] for part in parts)
    else:
        weights, intercepts = (part[..., known] for part in parts)
    return replace(start, weights=weights, intercepts=intercepts)
