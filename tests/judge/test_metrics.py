"""Metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, root_mean_squared_error

from leadline.judge.metrics import METRICS


def test_accuracy_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 5, 500), rng.dirichlet(np.ones(5), 500)
    assert METRICS["accuracy"](truth, scores) == accuracy_score(truth, scores.argmax(axis=1))


def test_rmse_agrees_with_scikit_learn() -> None:
    truth, values = np.random.default_rng(0).normal(1e3, 5, (2, 500))
    assert METRICS["rmse"](truth, values) == pytest.approx(root_mean_squared_error(truth, values), rel=1e-12)


def test_which_score_is_better() -> None:
    assert METRICS["accuracy"].better(0.9, 0.8) and not METRICS["accuracy"].better(0.8, 0.8)
    assert METRICS["rmse"].better(1.0, 2.0) and not METRICS["rmse"].better(2.0, 1.0)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_score_is_finish_of_summed_rows_over_summed_weights(name: str) -> None:
    rng = np.random.default_rng(1)
    truth = {"accuracy": rng.integers(0, 2, 40), "bits a byte": rng.integers(1, 9, 40)}.get(name, rng.normal(size=40))
    scores = rng.random((40, 2)) if name == "accuracy" else rng.normal(size=40)
    metric = METRICS[name]
    rows, weights = metric.rows(truth, scores), metric.weights(truth)
    assert rows.shape == weights.shape == (40,)
    assert metric(truth, scores) == float(metric.finish(rows.sum() / weights.sum()))


def test_bits_a_byte_counts_bytes_and_not_rows() -> None:
    assert METRICS["bits a byte"](np.array([1.0, 9.0]), np.array([8.0, 12.0])) == 2.0
