"""The linear contender on texts: every task, other columns beside them, scripts, lengths, and little of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.contenders.design import Design
from leadline.contenders.features import layout
from leadline.contenders.linear import Linear
from leadline.core.contender import Clock, Data
from leadline.core.note import SAMPLED, Note
from leadline.graph.runtime import Session

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"]
WIDE = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"


def _frame(rows: int, words: Any = WORDS, between: str = " ", long: int = 12) -> tuple[pl.DataFrame, np.ndarray]:
    """Texts, one of them empty, and a number; how many of the first three words each text holds."""
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(words), (rows, long))
    texts = [between.join(words[i] for i in row) for row in picked]
    texts[5] = ""
    held = np.stack([(picked == i).sum(axis=1) for i in range(3)], axis=1)
    held[5] = 0
    return pl.DataFrame({"text": texts, "number": rng.normal(size=rows).round(3)}), held


def _fitted(store: Any, seconds: float = 60.0) -> Any:
    return list(Linear().fit(Data(store=store, clock=Clock(seconds), threads=1), 0))[-1]


def _parity(store: Any, fitted: Any) -> None:
    """The graph answers as the model does, a row alone as in a batch."""
    session, rows = Session(fitted.graph()), np.arange(store.rows)
    feeds = {name: store.tensor(name)[rows] for name in session.inputs}
    expected = fitted.predict(store, rows).reshape(len(rows), -1)
    np.testing.assert_allclose(session(feeds)["scores"].reshape(len(rows), -1), expected, atol=2e-5)
    for row in (0, 5):
        alone = session({name: value[row : row + 1] for name, value in feeds.items()})["scores"]
        np.testing.assert_allclose(alone.reshape(1, -1), expected[row : row + 1], atol=2e-5)


@pytest.mark.parametrize("script", ["words", "characters"])
def test_classes_are_learned_from_words_and_from_characters(script: str, prepare: Any) -> None:
    words, between = (WORDS, " ") if script == "words" else (WIDE, "")
    frame, held = _frame(300, words, between)
    store = prepare(frame.with_columns(label=pl.Series(np.where(held[:, 0] > 0, "yes", "no"))), target="label").store
    fitted = _fitted(store)
    assert fitted.score > 0.85 and fitted.trained_on_valid and "naive Bayes" in " ".join(fitted.describe)
    _parity(store, fitted)


def test_values_are_learned_from_a_text_and_a_number(prepare: Any) -> None:
    frame, held = _frame(300)
    value = held @ [3.0, -2.0, 1.0] + 2 * frame["number"].to_numpy()
    store = prepare(frame.with_columns(value=pl.Series(value.round(3))), target="value").store
    fitted = _fitted(store)
    labels = store.labels[store.split.valid]
    assert fitted.score < 0.6 * float(np.std(labels))
    _parity(store, fitted)


def test_labels_are_learned_from_two_texts(prepare: Any) -> None:
    frame, held = _frame(300)
    second = frame["text"].reverse().alias("other")
    tags = [[f"l{k}" for k in range(3) if row[k]] for row in held]
    store = prepare(frame.with_columns(second, tags=pl.Series(tags)), target="tags").store
    fitted = _fitted(store)
    assert fitted.score > 0.8
    _parity(store, fitted)


def test_two_rows_a_class_and_long_texts_are_enough_to_answer(prepare: Any) -> None:
    frame, _ = _frame(24, long=600)
    store = prepare(frame.with_columns(label=pl.Series([f"k{i % 8}" for i in range(24)])), target="label").store
    fitted = _fitted(store)
    scores = fitted.predict(store, store.split.test)
    assert scores.shape[1] == 8 and np.isfinite(scores).all()
    _parity(store, fitted)


def test_where_time_is_short_a_sample_of_the_rows_is_read(prepare: Any) -> None:
    frame, held = _frame(1_500)
    store = prepare(frame.with_columns(label=pl.Series(np.where(held[:, 0] > 0, "yes", "no"))), target="label").store
    slow = Clock(100.0, readings=[0.0, 25.6, 25.6], place=0)  # a tenth of a second a row
    fitted: Any = list(Linear().fit(Data(store=store, clock=slow, threads=1), 0))[-1]
    notes = [note for note in fitted.describe if isinstance(note, Note) and note.code == SAMPLED]
    assert len(notes) == 1 and "to end in time" in notes[0]


def test_the_more_outputs_the_fewer_grams(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from leadline.contenders import design

    frame, held = _frame(400)
    store = prepare(frame.with_columns(label=pl.Series(np.where(held[:, 0] > 0, "yes", "no"))), target="label").store
    monkeypatch.setattr(design, "MOST_WEIGHTS", 4_000)
    monkeypatch.setattr(design, "FEWEST_GRAMS", 10)
    plan = layout(store, ("grams", "dense"))
    few, many = (Design(store, plan, store.split.train, outputs) for outputs in (20, 1))
    assert few.width("text_0.grams") <= 200 < many.width("text_0.grams")
