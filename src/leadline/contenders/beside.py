"""A matrix whose first columns are sparse and whose last are not, as far as a linear model needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Beside:
    """[n, sparse columns + dense columns]. As one sparse matrix it would be multiplied twenty times more slowly."""

    sparse: Any
    dense: np.ndarray  # float32

    @property
    def shape(self) -> tuple[int, int]:
        return self.dense.shape[0], self.sparse.shape[1] + self.dense.shape[1]

    def __matmul__(self, weights: np.ndarray) -> np.ndarray:
        width = self.sparse.shape[1]
        return np.asarray(np.asarray(self.sparse @ weights[:width]) + self.dense @ weights[width:])

    def __getitem__(self, key: tuple[slice, np.ndarray]) -> Any:
        """Some of the sparse columns, by marks of all columns."""
        rows, marks = key
        width = self.sparse.shape[1]
        assert not marks[width:].any()
        return self.sparse[rows, marks[:width]]

    def taken(self, rows: np.ndarray) -> Beside:
        return Beside(sparse=self.sparse[rows], dense=self.dense[rows])

    @property
    def T(self) -> Turned:  # noqa: N802  as matrices have it
        return Turned(of=self)

    def above(self, other: Beside) -> Beside:
        from scipy import sparse

        return Beside(
            sparse=sparse.vstack([self.sparse, other.sparse], format="csr"),
            dense=np.concatenate([self.dense, other.dense]),
        )


@dataclass(frozen=True, kw_only=True)
class Turned:
    """The transpose of such a matrix."""

    of: Beside

    def __matmul__(self, outer: np.ndarray) -> np.ndarray:
        outer = np.ascontiguousarray(outer, dtype=np.float32)
        return np.concatenate([np.asarray(self.of.sparse.T @ outer), self.of.dense.T @ outer])
