"""What layers have learned is measured on rows that the probes did not see."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.tasks import Binary, Regression
from leadline.use.explain.layers import _grid, _mean, _probe, _targets

TASK = Binary(target="y", classes=("no", "yes"), metric="accuracy")


def test_a_probe_finds_what_is_linear_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 30))
    linear, product = (x[:, 3] > 0).astype(int), (x[:, 3] * x[:, 4] > 0).astype(int)
    for labels, low, high in ((linear, 0.9, 1.0), (product, 0.3, 0.68)):
        y = _targets(TASK, labels)
        assert low <= _probe(TASK, x[:300], x[300:], y[:300], y[300:]).mean() <= high
    noise = _probe(TASK, x[:40], x[300:], _targets(TASK, linear[:40]), _targets(TASK, 1 - linear[300:]))
    assert noise.mean() < 0.5  # labels of held-out rows are not seen


def test_a_probe_of_values_is_measured_by_r2_and_unknown_labels_are_left_out() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 5))
    task = Regression(target="y", classes=(), metric="rmse")
    y = _targets(task, 3 * x[:, 0] + 10)
    assert _probe(task, x[:150], x[150:], y[:150], y[150:]).mean() == pytest.approx(1, abs=0.01)
    assert np.isnan(_targets(TASK, np.array([0, -1]))).any(axis=1).tolist() == [False, True]


def test_maps_of_any_size_become_grids_of_one_size() -> None:
    for shape in ((3, 8, 40, 40), (3, 8, 61, 40), (3, 8, 5, 4)):
        assert _grid(np.ones(shape, np.float32)).shape == (3, 8, 8, 8)
    assert _grid(np.ones((2, 600), np.float32)).shape == (2, 600)
    parts = _grid(np.arange(16, dtype=np.float32).reshape(1, 1, 16))
    assert parts.mean() == pytest.approx(7.5)


def test_a_probe_that_is_always_right_has_an_interval() -> None:
    found = _mean(TASK, np.ones(47))
    assert found.value == found.high == 1 and 0.9 < found.low < 0.95
    half = _mean(TASK, np.resize([0.0, 1.0], 48))
    assert 0.35 < half.low < 0.4 and 0.6 < half.high < 0.65
    values = _mean(Regression(target="y", classes=(), metric="rmse"), np.array([1.0, 0.99, 1.0, 0.7]))
    assert values.high == 1.0
