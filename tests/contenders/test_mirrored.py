"""States of pictures and of their mirror images: used where the rows say so, and in the file as they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leadline.contenders import states_design
from leadline.contenders.linear import Search
from leadline.contenders.pretrained import Pretrained
from leadline.core.contender import Clock, Data

SAID = "states are means over a row and its mirror image, as cross-validation chose"


def _lines(count: int, slanted: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with three bright lines; their class is the way they lean, or whether there are any."""
    rng = np.random.default_rng(seed)
    pictures, labels = rng.integers(0, 60, (count, 32, 32, 3)).astype(np.uint8), np.arange(count) % 2
    rows, columns = np.mgrid[:32, :32]
    for picture, label in zip(pictures, labels, strict=True):
        left = label == 0 if slanted else rng.random() < 0.5
        along = (columns - rows if left else columns + rows) + int(rng.integers(0, 12))
        if slanted or label:
            picture[along % 12 < 4] = 220
    return pictures, labels


def _fitted(store: Any, clock: Clock | None = None) -> Any:
    return list(Pretrained().fit(Data(store=store, clock=clock or Clock(300.0), threads=1), 0))[-1]


def test_where_sides_are_classes_pictures_are_not_mirrored(
    prepare: Any, picture_body: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states_design, "FEATURES", 0.0)  # which are of the picture alone
    store = prepare(_lines(120, slanted=True), task="binary").store
    fitted = _fitted(store)
    assert SAID not in fitted.describe and fitted.score > 0.8


def test_mirrored_states_are_in_the_file(
    prepare: Any, picture_body: None, monkeypatch: pytest.MonkeyPatch, check_graph: Any
) -> None:
    monkeypatch.setattr(Search, "better", lambda self, one, two: one.strength >= two.strength)  # the later one
    store = prepare(_lines(120, slanted=False), task="binary").store
    clock = Clock(300.0)
    fitted = _fitted(store, clock)
    assert SAID in fitted.describe
    rows = store.split.test
    check_graph(fitted, store, rows)
    turned = {name: np.ascontiguousarray(store.tensor(name)[rows][:, :, ::-1]) for name in ("image_0",)}
    states = [encoder.session.only({"image_0": each}) for encoder in fitted.bodies.encoders
              for each in (store.tensor("image_0")[rows], turned["image_0"])]  # fmt: skip
    np.testing.assert_allclose(*states, atol=1e-5)
    assert _fitted(store, Clock(300.0, readings=clock.readings)).digest() == fitted.digest()


def test_where_time_is_short_pictures_are_read_once(prepare: Any, picture_body: None) -> None:
    store = prepare(_lines(120, slanted=False), task="binary").store
    assert SAID not in _fitted(store, Clock(0.8)).describe


@pytest.mark.parametrize("folded", [(False, True), (True, False)])
def test_fits_are_compared_on_the_same_rows(
    folded: tuple[bool, bool], prepare: Any, picture_body: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine may leave no time for the folds of either search."""
    folds, calls, better = Search._folds, list(folded), Search.better
    compared = []

    def some(self: Search, labels: np.ndarray) -> Any:
        return folds(self, labels) if not calls or calls.pop(0) else None

    def same(self: Search, one: Any, two: Any) -> bool:
        compared.append(len(one.influence) == len(two.influence))
        return better(self, one, two)

    monkeypatch.setattr(Search, "_folds", some)
    monkeypatch.setattr(Search, "better", same)
    store = prepare(_lines(120, slanted=False), task="binary").store
    assert _fitted(store).score > 0.5
    assert compared and all(compared)
