"""Fine-tuning: the graph against PyTorch, what is planned and kept, checkpoints, and a whole run without a network."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import leadline as ll
from leadline.contenders import finetuning, recipes
from leadline.contenders.finetuned import Finetuned
from leadline.contenders.fitted_finetuned import FittedFinetuned
from leadline.contenders.tuned_body import HiddenStates, alike
from leadline.core.contender import Clock, Data, Progress, Transferred
from leadline.core.note import SAMPLED, code_of
from leadline.core.pretrained import Precision
from leadline.graph.runtime import Session
from leadline.kinds.text.bert import encoder
from leadline.kinds.text.trainable import TrainableBert
from leadline.race.entry import eligible_contenders, incapable
from leadline.system.errors import LeadlineError, TooShortError


@pytest.fixture(scope="module")
def store(prepare: Any, messages: Any, tiny_bert: Path) -> Any:
    return prepare(messages(300), target="label", weights=str(tiny_bert)).store


@pytest.fixture
def kept_in_float(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FittedFinetuned, "_rounded", lambda self, data, rows: -1.0)


def _items(store: Any, clock: Clock | None = None, state: Any = None, **settings: Any) -> list[Any]:
    return list(Finetuned().fit(Data(store=store, clock=clock or Clock(60.0), threads=1, **settings), 0, state))


def _answered(fitted: Any, store: Any, rows: np.ndarray) -> np.ndarray:
    """By its graph."""
    session = Session(fitted.graph())
    return session.only({name: np.asarray(store.tensor(name)[rows]) for name in session.inputs})


def test_the_module_gives_what_the_frozen_graph_gives(tiny_bert: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.zeros((20, 24), np.uint8)
    for row in rows:
        length = rng.integers(2, 25)
        row[:length] = rng.integers(2, 60, length)
    body = TrainableBert(tiny_bert).eval()
    expected = Session(encoder("x", 24, tiny_bert, Precision.FLOAT32)).only({"x": rows.astype(np.uint16)})
    for cut in range(body.depth + 1):
        x = torch.from_numpy(rows.astype(np.int64))
        with torch.no_grad():
            found = body.upper(body.lower(x, cut), x, cut)
        np.testing.assert_allclose(found.numpy(), expected[:, -body.width :], atol=2e-5)
    np.testing.assert_array_equal(body.lengths(rows), (rows > 0).sum(axis=1))


@pytest.mark.parametrize("task", ["classes", "values", "labels"])
@pytest.mark.usefixtures("kept_in_float")
def test_the_graph_answers_as_the_trained_network(task: str, prepare: Any, messages: Any, tiny_bert: Path) -> None:
    frame = messages(240)
    spam = (frame["label"] == "spam").to_numpy()
    if task == "values":
        frame = frame.select("text", label=pl.Series(3.0 * spam + np.arange(len(spam)) / 100))
    elif task == "labels":
        tags = [[t for t, yes in (("spam", a), ("odd", n % 2)) if yes] for n, a in enumerate(spam)]
        frame = frame.select("text", label=pl.Series(tags))
    store = prepare(frame, target="label", weights=str(tiny_bert)).store
    fitted = _items(store, Clock(float("inf")), epochs=2)[-1]
    rows, name = store.split.test, Finetuned().inputs(store)[0]
    found = _answered(fitted, store, rows)
    expected = fitted.predict(store, rows)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))
    frozen = Session(encoder(name, store.block("text_0").forms["pieces"][0][0], tiny_bert, Precision.FLOAT32))
    states = frozen.only({name: np.asarray(store.tensor(name)[rows])})
    tuned = Session(fitted._net.body.graph(store.block("text_0"), Precision.FLOAT32, states))
    moved = tuned.only({name: np.asarray(store.tensor(name)[rows])}) - states[:, -fitted._net.body.width :]
    assert np.abs(moved).max() > 1e-3  # the body has learned, not its head alone


def test_it_ships_int8_where_valid_shows_no_loss(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = _items(store, Clock(float("inf")), epochs=1)[-1]
    assert isinstance(fitted, Transferred)
    held: Any = fitted.transfer
    json.dumps(held)
    (body,) = held["bodies"]
    assert body["precision"] == ("int8" if held["int8_gain"] >= 0 else "float32")
    assert held["int8_rows"] > 0 and held["tuned"] == 2 and body["rows_per_s"] == {}  # no clock ran
    rows = store.split.test
    found = _answered(fitted, store, rows)
    np.testing.assert_allclose(found, fitted.predict(store, rows), atol=1e-4)


def test_the_upper_half_comes_first_and_all_layers_follow(store: Any) -> None:
    clock = Clock(120.0)
    items = _items(store, clock)
    plans = [item.facts for item in items[:-1] if item.note == "plan"]
    assert [plan["cut"] for plan in plans] == [1, 0]
    steps = [item.step for item in items if isinstance(item, Progress) and item.score is not None]
    assert steps == sorted(steps) and len(set(steps)) == len(steps)
    again = _items(store, Clock(120.0, readings=clock.readings))[-1]
    assert again.digest() == items[-1].digest()


def test_it_resumes_in_either_phase_to_the_same_weights(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(120.0)
    states: dict[int, tuple[int, Any]] = {}
    for item in Finetuned().fit(Data(store=store, clock=clock, threads=1), 0):
        if isinstance(item, Progress) and item.state is not None:
            state: Any = copy.deepcopy(item.state())
            states[state["cut"]] = clock.place, state
    assert set(states) == {0, 1}
    for place, state in states.values():
        again = _items(store, Clock(120.0, readings=clock.readings, place=place), state)[-1]
        assert again.digest() == item.digest()  # type: ignore[union-attr]


def test_where_time_is_short_only_the_upper_half_is_trained(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "LEAST_WHOLE", 1e9)
    fitted = _items(store)[-1]
    assert fitted.transfer["tuned"] == 1
    assert not any("all layers" in line for line in fitted.describe)


def test_where_memory_is_short_a_sample_of_the_rows_is_kept(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "LEAST_WHOLE", 1e9)
    monkeypatch.setattr(finetuning, "CACHED", 1e-7)
    fitted = _items(store, memory_gb=2.0)[-1]
    notes = [line for line in fitted.describe if code_of(line) == SAMPLED]
    assert len(notes) == 1 and "learned from a random sample of" in notes[0]


def test_hidden_states_come_back_as_long_as_the_longest_row() -> None:
    lengths = np.array([2, 3, 1])
    kept = HiddenStates(np.array([4, 7, 9]), lengths, 2)
    hidden = torch.arange(18.0).view(3, 3, 2)
    kept.keep(np.array([4, 7, 9]), hidden)
    found = kept.of(np.array([9, 4]))
    assert found.shape == (2, 2, 2)
    torch.testing.assert_close(found, torch.stack([torch.stack([hidden[2, 0], torch.zeros(2)]), hidden[0, :2]]))
    assert [places.tolist() for places in alike(lengths, 2)] == [[2, 0], [1]]


def test_lower_layers_learn_more_slowly() -> None:
    layers, head = [torch.nn.Linear(2, 2) for _ in range(3)], torch.nn.Linear(2, 1)
    recipe = recipes.layerwise([list(layer.parameters()) for layer in layers], head, 1e-2, 0.5, 1e-1)
    before = [module.weight.clone() for module in (*layers, head)]
    for module in (*layers, head):
        for p in module.parameters():
            p.grad = torch.ones_like(p)
    with torch.no_grad():
        recipe.step(0.1)
    pairs = zip(before, (*layers, head), strict=True)
    moved = [float((one - module.weight.detach()).abs().mean().detach()) for one, module in pairs]
    np.testing.assert_allclose([moved[1] / moved[0], moved[2] / moved[1]], 2, rtol=0.05)
    assert moved[3] > 5 * moved[2]


def test_it_races_on_one_text_with_a_body_alone(prepare: Any, messages: Any, store: Any, tiny_bert: Path) -> None:
    assert "finetuned" in eligible_contenders(store, None)
    assert "finetuned" not in eligible_contenders(prepare(messages(), target="label").store, None)
    two = messages(240).with_columns(other=pl.col("text").reverse())
    texts = prepare(two, target="label", weights=str(tiny_bert)).store
    assert "finetuned" not in eligible_contenders(texts, None)
    says = "these columns have 2: bert tiny reads 'text' and bert tiny reads 'other'; keep those of one, as with"
    with pytest.raises(LeadlineError, match=f"--only finetuned trains one body further, and {says} --drop other"):
        eligible_contenders(texts, "finetuned")
    for only in ("pretrained,finetuned", "deep,finetuned"):
        names = eligible_contenders(texts, only)
        assert "pretrained" in names and "finetuned" not in names
        (message,) = incapable(texts, only, names)
        assert message.startswith(f"finetuned is left out: it trains one body further, and {says} --drop other")
    assert incapable(texts, None, ["linear"]) == incapable(store, "deep,finetuned", ["finetuned"]) == []


def test_a_short_race_leaves_it_out_with_a_sentence(messages: Any, tiny_bert: Path, tmp_path: Path) -> None:
    run = ll.fit(
        messages(240), target="label", weights=str(tiny_bert), only="linear,bag,finetuned", budget=20,
        out=tmp_path / "run",
        repeats=1,
    )  # fmt: skip
    found = {each["name"]: each for each in run.result["contenders"]}
    assert found["finetuned"]["status"] == "skipped" and found["finetuned"]["code"] == "no_time"
    assert found["linear"]["status"] == "finished"


@pytest.mark.usefixtures("no_network")
def test_a_whole_run_uses_no_network_and_ships_one_file(messages: Any, tiny_bert: Path, tmp_path: Path) -> None:
    frame = messages(240)
    run = ll.fit(
        frame, target="label", weights=str(tiny_bert), only="finetuned", epochs=1, out=tmp_path / "run", repeats=1
    )
    (found,) = [each for each in run.result["contenders"] if each["name"] == "finetuned"]
    assert found["status"] in ("finished", "cut"), found["why"]
    assert run.result["shipped"]["parity"]["decisions_differ"] == 0
    model = ll.Model(run.folder / "model.onnx")
    assert model.contract["bodies"][0]["name"] == "bert tiny" and "bert tiny" in model.contract["licence"]
    assert model.predict(frame[:20]).height == 20
    page = (run.folder / "report.html").read_text()
    assert "What a pretrained body brings" in page and "trained further" in page


def test_without_time_to_learn_and_to_answer_it_is_refused(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "STARVED", 1e5)  # a step of a tiny body takes a millisecond
    with pytest.raises(TooShortError, match=r"^it needs .* s to learn and to answer, and .* s are left$"):
        _items(store, Clock(20.0))
