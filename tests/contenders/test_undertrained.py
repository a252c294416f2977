"""Every family says whether it was undertrained: cut by the clock while it still improved."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.contenders import ebm, linear
from leadline.contenders.boosting import Boosting, _Look, _Trial
from leadline.contenders.ebm import Ebm
from leadline.contenders.linear import Linear
from leadline.contenders.ngram import Ngram
from leadline.core.contender import Clock, Data
from leadline.metrics.metrics import METRICS


class Slow(Clock):
    """A clock that each reading moves on by a fixed time."""

    def __init__(self, seconds: float, a_reading: float) -> None:
        super().__init__(seconds)
        self._now, self._each = 0.0, a_reading

    def _read(self, stopped: bool) -> float:
        self._now += self._each
        return self._now


@pytest.fixture(scope="module")
def hard(prepare: Any) -> Any:
    """Classes that a few steps do not tell apart: of columns that go together."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 1)) + 0.05 * rng.normal(size=(900, 12))
    y = np.where(x[:, 0] - x[:, 1] + 0.3 * (x[:, 2] - x[:, 3]) + 0.01 * rng.normal(size=900) > 0, "a", "b")
    return prepare(pl.DataFrame({f"x{i}": x[:, i] for i in range(12)} | {"y": y}), target="y").store


def _fit(contender: Any, store: Any, clock: Clock) -> Any:
    return list(contender.fit(Data(store=store, clock=clock, threads=1), 0))[-1]


def test_linear(hard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _fit(Linear(), hard, Clock(100.0))
    assert not whole.undertrained and whole.trained_on_valid
    monkeypatch.setattr(linear, "NOTHING", 1e-9)
    cut = _fit(Linear(), hard, Clock(1e-9))
    assert cut.undertrained and not cut.trained_on_valid
    assert any("too little time to learn" in line for line in cut.describe)
    assert any("no time was left to fit it again" in line for line in cut.describe)


def test_boosting(hard: Any) -> None:
    whole = _fit(Boosting(), hard, Clock(100.0))
    assert not whole.undertrained and whole.trained_on_valid
    cut = _fit(Boosting(), hard, Slow(30.0, 0.5))  # as if each round took a second or two
    assert cut.undertrained and any("too little time to learn" in line for line in cut.describe)


@pytest.mark.parametrize(
    ("losses", "undertrained"),
    [
        ([0.69, 0.6], True),  # a round or two say nothing
        ([1.0 - 0.02 * k for k in range(20)], True), ([0.5 + 0.5 * 0.5**k for k in range(20)], False),
        ([*[0.5] * 12, *[0.4] * 4], True), ([*[0.5] * 12, *[0.51] * 4], False),
    ],
)  # fmt: skip
def test_a_trial_that_was_cut_is_undertrained_while_its_loss_falls(losses: list[float], undertrained: bool) -> None:
    trial = _Trial(None, {}, 0.0)  # type: ignore[arg-type]
    trial.rounds = 5 * len(losses)
    trial.looks = [_Look(round=5 * k + 1, score=1 - loss, error=0.0, loss=loss) for k, loss in enumerate(losses)]
    trial._lowest_round = trial.rounds
    assert trial.undertrained(METRICS["accuracy"]) is undertrained
    trial.full = True
    assert not trial.undertrained(METRICS["accuracy"])


def test_ngram(story: Any, prepare: Any) -> None:
    store = prepare(story(300), token_unit="character").store
    whole, cut = _fit(Ngram(), store, Clock(100.0)), _fit(Ngram(), store, Slow(10.0, 3.0))
    assert not whole.undertrained and whole.trained_on_valid
    assert cut.undertrained and not cut.trained_on_valid and "a higher order was not tried" in " ".join(cut.describe)


def test_glassbox(mixed: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("interpret")
    monkeypatch.setattr(ebm, "BAGS", 1)
    store = prepare(mixed(200), target="y").store
    whole, cut = _fit(Ebm(), store, Clock(200.0)), _fit(Ebm(), store, Clock(1e-6))
    assert not whole.undertrained and whole.trained_on_valid and "fitted again" in whole.describe[-1]
    assert cut.undertrained and not cut.trained_on_valid
