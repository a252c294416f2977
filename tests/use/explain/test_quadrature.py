"""A path's integral adds up with few points where slopes are even, and where they have kinks."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.use.explain.quadrature import NODES, Path, integral


def _of(value: Path) -> tuple[Path, list[int]]:
    """The path, and how many points each call asked for."""
    calls: list[int] = []

    def path(shares: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        calls.append(len(shares))
        return value(shares)

    return path, calls


def _kinked(shares: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sixty units that begin to answer between 0.6 and 0.7, half of them pulling down."""
    at, sign = np.linspace(0.6, 0.7, 60), np.resize([3.0, -2.0], 60)
    active = np.maximum(shares[:, None] - at, 0)
    slopes = (shares[:, None] > at) * sign
    return active @ sign, {"a": slopes[:, :30], "b": slopes[:, 30:]}


def test_an_even_slope_needs_the_first_points_alone() -> None:
    path, calls = _of(lambda s: (s**3, {"x": 3 * s[:, None] ** 2}))
    sums, points = integral(path, (0.0, 1.0), allowed=1e-9, most=1_000, at_once=16)
    assert sums["x"][0] == pytest.approx(1.0, abs=1e-12) and points == 4 * NODES and max(calls) <= 16


def test_kinks_close_together_are_found() -> None:
    path, _ = _of(_kinked)
    end = float(_kinked(np.ones(1))[0][0])
    sums, points = integral(path, (0.0, end), allowed=0.001 * end, most=4_000, at_once=256)
    assert sum(each.sum() for each in sums.values()) == pytest.approx(end, rel=0.001)
    assert points < 1_000
    by_unit = np.resize([3.0, -2.0], 60) * (1 - np.linspace(0.6, 0.7, 60))
    assert np.concatenate([sums["a"], sums["b"]]) == pytest.approx(by_unit, abs=0.01)


def test_a_value_that_jumps_ends_with_what_there_is() -> None:
    path, _ = _of(lambda s: ((s > 0.31).astype(float), {"x": np.zeros((len(s), 1))}))
    sums, points = integral(path, (0.0, 1.0), allowed=0.01, most=2_000, at_once=64)
    assert sums["x"][0] == 0.0 and points <= 2_000
