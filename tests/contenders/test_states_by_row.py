"""How states are read is chosen by the rows: scaled by row, alone, or with features that weigh more; so is the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leadline.contenders.linear import Search
from leadline.contenders.pretrained import Pretrained
from leadline.core.contender import Clock, Data

SAID = "each row of states is scaled to one length, as cross-validation chose"


def _pictures(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and in half of it a bright square."""
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 60, (count, 32, 32, 3)).astype(np.uint8), np.arange(count) % 2
    pictures[labels == 1, 8:20, 8:20] = 220
    return pictures, labels


def _fitted(store: Any, clock: Clock | None = None) -> Any:
    return list(Pretrained().fit(Data(store=store, clock=clock or Clock(300.0), threads=1), 0))[-1]


def test_the_file_scales_them_alike(
    prepare: Any, picture_body: None, monkeypatch: pytest.MonkeyPatch, check_graph: Any
) -> None:
    monkeypatch.setattr(Search, "better", lambda self, one, two: one.strength >= two.strength)  # the later one
    store, clock = prepare(_pictures(), task="binary").store, Clock(300.0)
    fitted = _fitted(store, clock)
    assert SAID in fitted.describe
    rows = store.split.test
    check_graph(fitted, store, rows)
    design = fitted._design
    states = design(store, rows)[:, -len(design.columns) :]
    np.testing.assert_allclose(np.linalg.norm(states, axis=1), 1, atol=1e-5)
    assert _fitted(store, Clock(300.0, readings=clock.readings)).digest() == fitted.digest()


def test_they_are_standardised_where_that_is_better(
    prepare: Any, picture_body: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Search, "better", lambda self, one, two: False)
    store = prepare(_pictures(), task="binary").store
    fitted = _fitted(store)
    assert SAID not in fitted.describe and not fitted._design.by_row


def test_features_that_answer_weigh_more(prepare: Any, picture_body: None, check_graph: Any) -> None:
    """The brightness of a picture is one of the features; states that nobody trained are noise."""
    rng = np.random.default_rng(0)
    bright = rng.uniform(40, 200, 160)
    pictures = (bright[:, None, None, None] + rng.integers(-30, 30, (160, 32, 32, 3))).astype(np.uint8)
    store = prepare((pictures, bright), task="regression").store
    fitted = _fitted(store)
    assert "features weigh 10 times as much, as cross-validation chose" in fitted.describe
    check_graph(fitted, store, store.split.test)
    assert fitted.score < 0.5 * fitted.transfer["body_alone"]


def test_rows_of_no_length_stay_numbers(prepare: Any, picture_body: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Search, "better", lambda self, one, two: one.strength >= two.strength)
    store = prepare(_pictures(), task="binary").store
    fitted = _fitted(store)
    design = fitted._design
    design.mean = fitted.bodies(store, store.split.test[:1])[0, design.columns].astype(np.float32)
    assert np.isfinite(fitted.predict(store, store.split.test[:2])).all()
