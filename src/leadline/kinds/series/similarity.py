"""Which series are nearly the same: nearest ones as vectors, whatever their level and their size."""

from __future__ import annotations

import numpy as np

from leadline.core.kind import Rows
from leadline.kinds import neighbors


def pairs(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """([pairs, 2] positions of series that are nearly one; 0 for each)."""
    vectors = np.nan_to_num(rows.tensor[rows.places].reshape(len(rows.places), -1).astype(np.float32))
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    found = neighbors.pairs(*neighbors.nearest([vectors]))
    return found, np.zeros(len(found))
