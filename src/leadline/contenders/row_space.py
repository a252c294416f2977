"""Few rows of many columns, as few columns: a linear model is fitted ten times faster, and is the same.

The weights that a penalty of their squares leaves are a sum of the rows, so the model can be fitted on the coordinates
of the rows in the space that they span, of which there are no more than rows (Hastie & Tibshirani 2004, 'Efficient
quadratic regularization for expression arrays'). Enters: a matrix, sparse or not. Leaves: coordinates [n, at most n],
and the weights of the matrix that weights of these stand for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from leadline.contenders.beside import Beside
from leadline.contenders.linear_solver import Problem, Solved, solve
from leadline.core.contender import Clock

MOST_ROWS = 1_000  # the eigenvectors of more take longer than they save
DENSE = 4.0  # products of a dense matrix in the time of one of a sparse one
NEGLIGIBLE = 1e-9  # of the largest eigenvalue: what float32 rounds away


class RowSpace:
    """The space that the rows of a problem span; its scale is one column, or none."""

    def __init__(self, problem: Problem) -> None:
        self._scale = problem.scale
        self._rows = problem.x if self._scale is None else _scaled(problem.x, self._scale[:, 0])
        values, vectors = np.linalg.eigh(_gram(self._rows))
        kept = values > NEGLIGIBLE * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        self.coordinates = (vectors * np.sqrt(values)).astype(np.float32)
        self._back = (vectors / np.sqrt(values)).astype(np.float32)

    def solve(self, problem: Problem, clock: Clock, start: Solved | None, reserve: float) -> Solved:
        """As `linear_solver.solve`, of the whole problem."""
        if start is not None:  # what of it lies in the space
            along = self._back.T @ np.asarray(problem.x @ start.weights)
            start = replace(start, weights=along)
        inner = solve(replace(problem, x=self.coordinates, scale=None), clock, start, reserve)
        weights = np.asarray(self._rows.T @ (self._back @ inner.weights))
        return replace(inner, weights=weights if self._scale is None else weights * self._scale)


def worthwhile(problem: Problem) -> bool:
    """Whether a problem is solved faster in the space of its rows."""
    rows, columns = problem.x.shape
    if rows > min(MOST_ROWS, columns) or (problem.scale is not None and problem.scale.shape[1] > 1):
        return False
    return bool(rows**2 < DENSE * (_filled(problem.x) + columns))


def _filled(x: Any) -> int:
    """Numbers that are held."""
    if isinstance(x, Beside):
        return _filled(x.sparse) + x.dense.size
    return int(x.size if isinstance(x, np.ndarray) else x.nnz)


def _scaled(x: Any, scale: np.ndarray) -> Any:
    from scipy import sparse

    if isinstance(x, Beside):
        width = x.sparse.shape[1]
        return Beside(sparse=_scaled(x.sparse, scale[:width]), dense=x.dense * scale[width:])
    return x * scale if isinstance(x, np.ndarray) else x @ sparse.diags(scale)


def _gram(x: Any) -> np.ndarray:
    """Products of all pairs of rows, float64 [n, n]."""
    if isinstance(x, Beside):
        total: np.ndarray = _gram(x.sparse) + _gram(x.dense)
        return total
    wide: Any = x.astype(np.float64)
    products = wide @ wide.T
    return np.asarray(products if isinstance(x, np.ndarray) else products.toarray())
