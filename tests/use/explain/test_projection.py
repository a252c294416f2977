"""The map of the last layer: by UMAP where it is installed, by principal axes else, and the page says which."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from leadline.report.layers import _map
from leadline.use.explain.projection import projected
from leadline.use.explain.records import Depth, Map


def _depth(found: Map) -> Depth:
    return Depth(
        learned=1, held=len(found.points), score="accuracy", layers=(), filters=None, map=found,
        classes=("a",) * len(found.points), called="row", inputs={},
    )  # fmt: skip


def _groups() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, 1, (40, 6)), rng.normal(9, 1, (40, 6))])


def test_without_umap_a_map_has_the_axes_of_most_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)  # as if it were not there
    rng = np.random.default_rng(2)
    x = rng.normal(size=(100, 6)) * np.array([10, 1, 0.1, 0.1, 0.1, 0.1])
    found = projected(x)
    assert found.shares is not None and found.shares[0] > 0.9 > found.shares[1]
    assert abs(np.corrcoef(found.points[:, 0], x[:, 0])[0, 1]) > 0.99
    assert "principal axes" in _map(_depth(found))


def test_umap_gets_a_seed_and_no_more_neighbours_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class Stand:
        def __init__(self, **settings: Any) -> None:
            seen.update(settings)

        def fit_transform(self, x: np.ndarray) -> np.ndarray:
            return np.asarray(x[:, 1::-1], np.float32)

    monkeypatch.setitem(sys.modules, "umap", module := ModuleType("umap"))
    monkeypatch.setattr(module, "UMAP", Stand, raising=False)
    x = _groups()[:10]
    found = projected(x)
    np.testing.assert_allclose(found.points, x[:, [1, 0]], rtol=1e-6)
    assert found.shares is None and seen["random_state"] is not None and seen["n_neighbors"] < len(x)
    page = _map(_depth(found))
    assert "UMAP" in page and "principal" not in page


def test_a_umap_that_cannot_be_imported_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", ModuleType("umap"))  # without UMAP in it
    with pytest.warns(UserWarning, match=r"umap-learn cannot be imported .*, so the map is by principal axes"):
        assert projected(_groups()).shares is not None


def test_umap_itself_parts_two_groups_and_gives_the_same_twice() -> None:
    pytest.importorskip("umap")
    x = _groups()
    points, again = projected(x).points, projected(x).points
    np.testing.assert_array_equal(points, again)
    ends = points[:40].mean(axis=0), points[40:].mean(axis=0)
    near = np.linalg.norm(points - ends[0], axis=1) < np.linalg.norm(points - ends[1], axis=1)
    assert near[:40].all() and not near[40:].any()
