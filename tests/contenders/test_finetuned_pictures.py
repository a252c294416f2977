"""Fine-tuning of a body of pictures: the module against the frozen graph, hidden states, replay, and the file."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import leadline as ll
from leadline.contenders.finetuned import Finetuned
from leadline.contenders.states import readers
from leadline.core.contender import Clock, Data, Progress
from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds.image.pretrained import LITE0, efficientnet, published
from leadline.kinds.image.trainable import TrainableEfficientNet
from leadline.race.entry import eligible_contenders


@pytest.fixture
def store(prepare: Any, bars: Any, picture_body: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    rates = dataclasses.replace(TrainableEfficientNet.rates, passes=1)
    monkeypatch.setattr(TrainableEfficientNet, "rates", rates)
    return prepare(bars(40, 32), task="binary").store


def _items(store: Any, clock: Clock | None = None, state: Any = None, **settings: Any) -> list[Any]:
    return list(Finetuned().fit(Data(store=store, clock=clock or Clock(60.0), threads=1, **settings), 0, state))


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 40, 1), (160, 120, 3)])
def test_the_module_gives_what_the_frozen_graph_gives(shape: tuple[int, int, int], lite0_package: Path) -> None:
    facts: dict[str, Any] = dict(zip(("height", "width", "channels"), shape, strict=True))
    block = Block(
        name="x", kind="image", columns=("x",), decode={}, shape=shape, dtype="uint8", settings=facts, forms={}
    )
    pictures = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    expected = Session(efficientnet(published(lite0_package / LITE0), "x", shape)).only({"x": pictures})
    body = TrainableEfficientNet(lite0_package / LITE0, block)
    for cut in (0, 1, 4, body.depth // 2, 10):
        x = torch.from_numpy(pictures)
        with torch.no_grad():
            hidden = body.lower(x, cut)
            found = body.upper(hidden, x, cut).numpy()
        places, width = body.hidden(body.lengths(pictures), cut)
        assert hidden.shape[2] == width and (places == hidden.shape[1]).all() and len(places) == len(pictures)
        np.testing.assert_allclose(found, expected[:, -body.width :], atol=5e-3 * np.abs(expected).max())
    graph = Session(body.graph(block, Precision.FLOAT32, pictures)).only({"x": pictures})
    np.testing.assert_allclose(graph, expected[:, -body.width :], atol=1e-4 * np.abs(expected).max())


def test_it_learns_and_its_graph_answers_as_it_does(store: Any) -> None:
    fitted = _items(store, Clock(float("inf")), epochs=1)[-1]
    rows, (reader,) = store.split.test, readers(store)
    session = Session(fitted.graph())
    found = session.only({name: np.asarray(store.tensor(name)[rows]) for name in session.inputs})
    np.testing.assert_allclose(found, fitted.predict(store, rows), atol=1e-4)
    before = fitted._net.body.__class__(reader.found.folder, reader.block)
    moved = [float((one - two).detach().abs().max()) for one, two in
             zip(before.parameters(), fitted._net.body.parameters(), strict=True)]  # fmt: skip
    assert min(moved) > 0  # every layer has learned, not the head alone
    assert any("mirrored left to right" in line for line in fitted.describe)


def test_the_upper_half_comes_first_then_all_layers_and_it_resumes_to_the_same_weights(store: Any) -> None:
    clock = Clock(120.0)
    states: dict[int, tuple[int, Any]] = {}
    plans = []
    for item in Finetuned().fit(Data(store=store, clock=clock, threads=1), 0):
        if isinstance(item, Progress):
            plans += [item.facts["cut"]] if item.note == "plan" else []
            if item.state is not None:
                state: Any = copy.deepcopy(item.state())
                states[state["cut"]] = clock.place, state
    assert plans == [8, 0] and set(states) == {8, 0}
    for place, state in states.values():
        again = _items(store, Clock(120.0, readings=clock.readings, place=place), state)[-1]
        assert again.digest() == item.digest()  # type: ignore[union-attr]


def test_a_race_that_has_no_time_for_it_leaves_it_out(store: Any) -> None:
    assert "finetuned" in eligible_contenders(store, None)
    assert Finetuned().seconds_needed(store) > 15
    many = Finetuned().seconds_needed(store)
    assert many < 30  # few pictures are few steps


@pytest.mark.usefixtures("no_network", "picture_body")
def test_a_whole_run_uses_no_network_and_ships_one_file(bars: Any, tmp_path: Path) -> None:
    pictures, labels = bars(40, 32)
    run = ll.fit((pictures, labels), task="binary", only="finetuned", epochs=1, out=tmp_path / "run", repeats=1)
    (found,) = [each for each in run.result["contenders"] if each["name"] == "finetuned"]
    assert found["status"] in ("finished", "cut"), found["why"]
    assert run.result["shipped"]["parity"]["decisions_differ"] == 0
    model = ll.Model(run.folder / "model.onnx")
    assert model.contract["bodies"][0]["name"] == "EfficientNet-Lite0"
    assert "trained further" in (run.folder / "report.html").read_text()
