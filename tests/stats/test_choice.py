"""The best of several contenders by valid rows: by the metric where it tells them apart, else by Brier score."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.core.records import Measure
from leadline.metrics.metrics import METRICS
from leadline.stats.choice import Choice, ValidAnswers, best

ACCURACY = METRICS["accuracy"]


def _answers(margins: np.ndarray) -> np.ndarray:
    """Probabilities of two classes; the true one is class 0, held by this margin of logits [n]."""
    p = 1 / (1 + np.exp(-margins))
    return np.stack([p, 1 - p], axis=1)


def _world(n: int, skill: dict[str, float], seed: int) -> tuple[dict[str, float], ValidAnswers]:
    """Contenders whose margins share most of their noise, as those of one data set do."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=n)
    answers = {name: _answers(2 * (mean + hard + 0.5 * rng.normal(size=n))) for name, mean in skill.items()}
    truth = np.zeros(n, np.int64)
    scores = {name: ACCURACY(truth, each) for name, each in answers.items()}
    return scores, ValidAnswers(truth=truth, answers=answers)


def test_what_the_metric_tells_apart_it_chooses() -> None:
    right = np.where(np.arange(400) < 360, 0.1, -3.0)  # sure of what it has wrong
    wrong = np.where(np.arange(400) < 300, 4.0, -0.1)
    on_valid = ValidAnswers(truth=np.zeros(400, int), answers={"a": _answers(right), "b": _answers(wrong)})
    assert best({"a": 0.9, "b": 0.75}, ACCURACY, on_valid) == Choice(name="a", by=Measure.METRIC)


def test_what_it_does_not_tell_apart_is_chosen_by_brier_score() -> None:
    timid, sure = np.full(100, 0.2), np.full(100, 2.0)
    timid[:10], sure[:11] = -3.0, -0.2  # one row more of a hundred is right, and what is wrong is far off
    on_valid = ValidAnswers(truth=np.zeros(100, int), answers={"a": _answers(timid), "b": _answers(sure)})
    assert best({"a": 0.90, "b": 0.89}, ACCURACY, on_valid) == Choice(name="b", by=Measure.BRIER)


@pytest.mark.parametrize("times", [0.1, 1.0, 8.0])
def test_to_be_too_sure_or_too_timid_costs_nothing(times: float) -> None:
    scores, on_valid = _world(300, {"a": 1.0, "b": 1.1}, seed=3)
    chosen = best(scores, ACCURACY, on_valid)
    logits = np.log(on_valid.answers["b"]) * times
    bold = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert chosen is not None and chosen.by == Measure.BRIER
    assert best(scores, ACCURACY, ValidAnswers(truth=on_valid.truth, answers={**on_valid.answers, "b": bold})) == chosen


def test_the_better_of_two_is_chosen_more_often_than_by_the_metric() -> None:
    by_metric, by_choice = 0, 0
    for seed in range(200):
        scores, on_valid = _world(150, {"a": 1.0, "b": 1.15}, seed)
        choice = best(scores, ACCURACY, on_valid)
        by_choice += choice is not None and choice.name == "b"
        by_metric += scores["b"] > scores["a"]
    assert by_choice >= by_metric + 10


def test_a_metric_that_reads_probabilities_or_values_chooses_alone() -> None:
    scores, on_valid = _world(100, {"a": 1.0, "b": 1.0}, seed=0)
    for name in ("log loss", "auc", "average precision", "rmse"):
        metric = METRICS[name]
        first = "a" if metric.better(1.0, 0.9) else "b"
        assert best({"a": 1.0, "b": 0.9}, metric, on_valid) == Choice(name=first, by=Measure.METRIC)


def test_without_answers_the_metric_chooses_and_without_valid_rows_nobody() -> None:
    assert best({"a": 0.8, "b": 0.81}, ACCURACY, None) == Choice(name="b", by=Measure.METRIC)
    _, on_valid = _world(100, {"a": 1.0}, seed=0)  # b has kept none
    assert best({"a": 0.8, "b": 0.81}, ACCURACY, on_valid) == Choice(name="b", by=Measure.METRIC)
    nothing = float("nan")
    assert best({"a": nothing, "b": nothing}, ACCURACY, None) == Choice(name="a", by=Measure.NO_VALID_ROWS)
    assert best({}, ACCURACY, None) is None
