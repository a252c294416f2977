"""Sets and intervals hold as many rows as they say, of any data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leadline.stats.conformal import conformal, seen
from leadline.stats.repeat import Repeat
from leadline.stats.uncertainty import certainty


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [100, 1_000])
def test_as_many_are_covered_as_is_stated(coverage: float, rows: int) -> None:
    """Over splits the mean coverage lies between the level and 1 / (n + 1) above it."""
    values, classes = [], []
    for split in range(60):
        rng = np.random.default_rng(split)
        truth = rng.exponential(1, rows + 2_000)
        guess = truth + rng.standard_t(3, len(truth))
        made = conformal(truth[:rows], guess[:rows], coverage)
        assert made is not None
        values.append(seen(made, truth[rows:], guess[rows:])["observed"])
        p = rng.dirichlet(np.full(6, 0.5), rows + 2_000)  # says nothing of the truth
        named = rng.integers(0, 6, len(p))
        made = conformal(named[:rows], p[:rows], coverage)
        assert made is not None
        classes.append(seen(made, named[rows:], p[rows:])["observed"])
    for found in (np.mean(values), np.mean(classes)):
        assert coverage - 0.01 < found < coverage + 1 / (rows + 1) + 0.01


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [60, 1_000])
def test_of_several_labels_as_many_of_a_rows_own_are_held_as_is_stated(coverage: float, rows: int) -> None:
    held = []
    for split in range(80):
        rng = np.random.default_rng(split)
        likely = rng.beta(0.4, 1.2, (rows + 2_000, 5))
        borne = rng.random(likely.shape) < likely
        told = np.clip(likely + rng.normal(0, 0.1, likely.shape), 0, 1).round(2)  # with ties
        made = conformal(borne[:rows], told[:rows], coverage)
        assert made is not None and made.rows == borne[:rows].any(axis=1).sum()
        found = seen(made, borne[rows:], told[rows:])
        assert found["low"] < found["observed"] <= found["high"] + 1e-9
        held.append(found["observed"])
    slack = 3 * np.std(held) / np.sqrt(len(held))
    # Above it by no more than what one row's labels weigh, and those that share the threshold.
    assert coverage - slack < np.mean(held) < coverage + 2 / (rows / 2) + 0.01 + slack


def test_too_few_labels_for_the_level() -> None:
    borne, told = np.zeros((50, 3), bool), np.full((50, 3), 0.5, np.float32)
    assert conformal(borne, told, 0.9) is None
    borne[:12, 1] = True
    assert conformal(borne, told, 0.95) is None and conformal(borne, told, 0.9) is not None


def test_too_few_rows_for_the_level() -> None:
    truth, guess = np.arange(18.0), np.arange(18.0)
    assert conformal(truth, guess, 0.95) is None
    assert conformal(truth, guess, 0.9) is not None


def test_of_a_poor_model_the_sets_are_large_and_of_a_good_one_small() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 4_000)
    sizes = []
    for skill in (0.5, 5.0):
        logits = rng.normal(size=(4_000, 4))
        logits[np.arange(4_000), truth] += skill
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        made = conformal(truth[:2_000], p[:2_000], 0.9)
        assert made is not None
        sizes.append(seen(made, truth[2_000:], p[2_000:])["size"])
    assert sizes[0] > 2 > sizes[1]


class _Entry:
    done, baseline, name = True, False, "mlp"

    def __init__(self, calib: np.ndarray | None) -> None:
        self._calib = calib

    def calib(self) -> np.ndarray | None:
        return self._calib


def _store(calib: int) -> Any:
    class Store:
        labels = np.arange(400) % 2

        class task:
            classes = ("no", "yes")
            multilabel = generative = False

        class split:
            pass

    Store.split.calib = np.arange(calib)  # type: ignore[attr-defined]
    return Store


def _repeats(count: int) -> list[Repeat]:
    answers = np.random.default_rng(0).dirichlet([1, 1], 80)
    return [
        Repeat(
            number=k, fold=k % 5, seed=k, seconds=1.0, rows=np.arange(80), truth=np.arange(80) % 2,
            answers={"mlp": answers}, valid={"mlp": 0.5}, scores={"mlp": 0.5},
        )
        for k in range(count)
    ]  # fmt: skip


def test_it_is_learned_from_calib_rows_or_from_the_other_folds() -> None:
    answers = np.random.default_rng(0).dirichlet([1, 1], 200)
    found = certainty(_store(200), [_Entry(answers)], [], 0, 0.9)["mlp"]
    assert found.calibrator is not None and found.calibrator.rows == 200
    found = certainty(_store(0), [_Entry(None)], _repeats(9), 0, 0.9)["mlp"]
    assert found.calibrator is not None and found.calibrator.rows == 4 * 80  # folds 2 to 5, once each
    found = certainty(_store(0), [_Entry(None)], _repeats(3), 0, 0.9)["mlp"]
    assert found.calibrator is not None and found.calibrator.rows == 2 * 80  # there was no time for the others
    assert certainty(_store(0), [_Entry(None)], _repeats(1), 0, 0.9) == {}
