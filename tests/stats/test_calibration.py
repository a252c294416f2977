"""Calibration makes probabilities honest, changes no answer, and is the same in the file."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.stats import calibration
from leadline.stats.calibration import Calibrator, calibrator, expected_error, reliability, summary


def _answers(classes: int, n: int = 4_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers drawn from probabilities that are what they say."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.4), n)
    truth = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return truth, p


def _sharpened(p: np.ndarray, power: float) -> np.ndarray:
    made = np.maximum(p, 1e-9) ** power
    return made / made.sum(axis=1, keepdims=True)


def _squeezed(p: np.ndarray) -> np.ndarray:
    """Timid in the middle and bold at the ends: no temperature fixes it."""
    made = 0.5 + 4 * (p - 0.5) ** 3
    made = np.clip(made, 1e-3, None)
    return made / made.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("power", [0.5, 2.0])
def test_a_temperature_is_found(classes: int, power: float) -> None:
    truth, p = _answers(classes)
    found = calibrator(truth, _sharpened(p, power), 0)
    fresh, its = _answers(classes, seed=1)
    told = summary(found, fresh, _sharpened(its, power))
    assert found.method != "none" and told["log_loss"][1] < told["log_loss"][0]
    assert told["ece"][1] < 0.5 * told["ece"][0]
    if found.method == "temperature":
        assert found.temperature == pytest.approx(power, rel=0.15)


def test_what_no_temperature_mends_is_mapped() -> None:
    truth, p = _answers(2)
    assert calibrator(truth, _squeezed(p), 0).method == "isotonic"


def test_honest_probabilities_stay_as_they_are() -> None:
    truth, p = _answers(3)
    found = calibrator(truth, p, 0)
    assert found.method == "none" and "left as they are" in found.describe
    np.testing.assert_array_equal(found(p), p.astype(np.float32))
    assert calibrator(truth[:20], _sharpened(p, 3.0)[:20], 0).method == "none"  # too few to learn from


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_no_answer_changes_and_the_file_says_the_same(classes: int, method: str) -> None:

    truth, p = _answers(classes, 2_000)
    p = _sharpened(p, 2.0)
    found: Calibrator = getattr(calibration, f"_{method}")(truth, p)
    p = p.astype(np.float32)
    after = found(p)
    np.testing.assert_array_equal(after.argmax(axis=1), p.argmax(axis=1))
    np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-5)
    # The order of the classes that are likely at all stays too.
    likely = np.where(p > 1e-4, p, 0)
    np.testing.assert_array_equal(
        np.argsort(likely, axis=1)[:, -2:], np.argsort(np.where(p > 1e-4, after, 0), axis=1)[:, -2:]
    )
    g = Graph("calibrator")
    g.output("after", found.onnx(g, g.input("p", np.float32, ["N", classes])), np.float32, ["N", classes])
    (shipped,) = Session(g.model().SerializeToString())({"p": p}).values()
    np.testing.assert_allclose(shipped, after, atol=2e-5)
    np.testing.assert_array_equal(shipped.argmax(axis=1), after.argmax(axis=1))


def test_of_very_many_classes_some_rows_are_enough() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(1_000, 0.02), 3_000)
    truth = (p.cumsum(axis=1) > rng.random((3_000, 1))).argmax(axis=1)
    found = calibrator(truth, _sharpened(p, 2.0), 0)
    assert found.method != "none" and found.rows == 1_000


def test_the_error_is_that_of_its_definition() -> None:
    sure = np.repeat([0.6, 0.9], 3_000)
    right = np.concatenate([np.arange(3_000) < 1_800, np.arange(3_000) < 2_100])
    scores = np.stack([sure, 1 - sure], axis=1)
    truth = np.where(right, 0, 1)
    curve = reliability(truth, scores, bins=2)
    assert curve == [(pytest.approx(0.6), 0.6, 3_000), (pytest.approx(0.9), 0.7, 3_000)]
    even = np.random.default_rng(0).permutation(6_000)
    assert expected_error(truth[even], scores[even]) == pytest.approx(0.1, abs=0.01)
