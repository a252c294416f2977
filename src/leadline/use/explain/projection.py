"""Rows in two dimensions: by UMAP where umap-learn is installed, else on the two principal axes.

Sources: Jolliffe 2002, 'Principal Component Analysis'; McInnes, Healy & Melville 2018, 'UMAP'. Enters: features
[n, features]. Leaves: a `Map`. UMAP keeps neighbours together; how far apart groups lie says little.
"""

from __future__ import annotations

import warnings

import numpy as np

from leadline.system.process_state import warnings_ignored
from leadline.use.explain.records import Map

NEIGHBOURS = 15  # of a row, of which UMAP makes its graph: the library's default
SEED = 0

__all__ = ["projected"]


def projected(x: np.ndarray) -> Map:
    """The map of rows float64 [n, features]; warns where umap-learn is installed and cannot be used.

    >>> projected(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 1e-3]])).points.shape
    (3, 2)
    """
    try:
        with warnings_ignored():
            from umap import UMAP
    except ModuleNotFoundError as error:
        if error.name == "umap":
            return principal(x)
        return _instead(x, error)
    except ImportError as error:
        return _instead(x, error)
    with warnings_ignored():
        chart = UMAP(n_components=2, n_neighbors=min(NEIGHBOURS, len(x) - 1), random_state=SEED, n_jobs=1)
        points = np.asarray(chart.fit_transform(x), np.float64)
    return Map(points=points, shares=None)


def _instead(x: np.ndarray, error: ImportError) -> Map:
    warnings.warn(f"umap-learn cannot be imported ({error}), so the map is by principal axes.", stacklevel=3)
    return principal(x)


def principal(x: np.ndarray) -> Map:
    """Rows on the two axes of most variance."""
    x = x - x.mean(axis=0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    total = float((s**2).sum()) or 1.0
    points = np.zeros((len(x), 2))
    points[:, : min(2, len(s))] = (u * s)[:, :2]
    shares = [*(float(value) for value in (s**2 / total)[:2]), 0.0]
    return Map(points=points, shares=(shares[0], shares[1]))
