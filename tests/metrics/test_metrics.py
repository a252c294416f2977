"""Metrics against scikit-learn, and influence against leaving rows out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from leadline.metrics.metrics import METRICS
from leadline.system.errors import LeadlineError
from leadline.tasks import Binary, Language, Regression


def _classes(count: int, n: int = 300, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    truth = rng.integers(0, count, n)
    scores = rng.dirichlet(np.ones(count), n) + np.eye(count)[truth] * 0.2
    scores = scores.round(1) + 0.01 if ties else scores
    return truth, scores / scores.sum(axis=1, keepdims=True)


def _reference(name: str, truth: np.ndarray, p: np.ndarray) -> float:
    two, guess = p.shape[1] == 2, p.argmax(axis=1)
    macro: dict[str, Any] = {} if two else {"average": "macro"}
    found = {
        "accuracy": lambda: sk.accuracy_score(truth, guess),
        "balanced accuracy": lambda: sk.balanced_accuracy_score(truth, guess),
        "f1": lambda: sk.f1_score(truth, guess, **macro),
        "auc": lambda: sk.roc_auc_score(truth, p[:, 1] if two else p, multi_class="ovr"),
        "log loss": lambda: sk.log_loss(truth, p),
        "average precision": lambda: sk.average_precision_score(truth, p[:, 1] if two else p),
    }
    return float(found[name]())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", Binary.metrics)
def test_scores_of_classes_agree_with_scikit_learn(name: str, count: int, ties: bool) -> None:
    truth, scores = _classes(count, ties=ties)
    assert METRICS[name](truth, scores) == pytest.approx(_reference(name, truth, scores), rel=1e-9)


def test_scores_of_values_agree_with_scikit_learn() -> None:
    truth, values = np.random.default_rng(0).normal(1e3, 5, (2, 500))
    assert METRICS["rmse"](truth, values) == pytest.approx(sk.root_mean_squared_error(truth, values), rel=1e-12)
    assert METRICS["mae"](truth, values) == pytest.approx(sk.mean_absolute_error(truth, values), rel=1e-12)
    assert METRICS["r2"](truth, values) == pytest.approx(sk.r2_score(truth, values), rel=1e-9)


def test_bits_a_byte_counts_bytes_and_not_rows() -> None:
    assert METRICS["bits a byte"](np.array([1.0, 9.0]), np.array([8.0, 12.0])) == 2.0


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", list(METRICS))
def test_influence_foretells_what_a_row_does(name: str, count: int) -> None:
    """Rows counted twice move the score as their influence says, to first order."""
    metric, rng = METRICS[name], np.random.default_rng(5)
    truth, scores = _classes(count, 4_000)
    if metric.name in Regression.metrics:
        truth, scores = rng.normal(size=(2, 4_000))
    elif metric.name in Language.metrics:
        truth, scores = rng.integers(1, 900, 4_000), rng.random(4_000)
    value, moves = metric.influence(truth, scores)
    assert abs(moves.mean()) < 1e-9 and moves.shape == (4_000,)
    twice = rng.permutation(4_000)[:40]
    after, _ = metric.influence(np.append(truth, truth[twice]), np.concatenate([scores, scores[twice]]))
    assert after - value == pytest.approx(moves[twice].sum() / 4_040, rel=0.1, abs=2e-5)


def test_which_score_is_better() -> None:
    assert METRICS["accuracy"].better(0.9, 0.8) and not METRICS["accuracy"].better(0.8, 0.8)
    assert METRICS["rmse"].better(1.0, 2.0) and not METRICS["rmse"].better(2.0, 1.0)


def test_a_metric_that_does_not_fit_is_named() -> None:
    assert Regression.choose(None) == "rmse" and Binary.choose("AUC") == "auc"
    with pytest.raises(LeadlineError, match="--metric rmse does not fit a binary task; it can be accuracy, balanced"):
        Binary.choose("rmse")
    with pytest.raises(LeadlineError, match="All rows to score are of one class"):
        METRICS["auc"](np.zeros(5, np.int64), np.full((5, 2), 0.5))
