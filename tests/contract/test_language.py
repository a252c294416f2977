"""What every contender that writes promises, and what its file does alone: reads, remembers, and goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Progress
from leadline.dataset.store import Store
from leadline.dataset.token_scoring import bits, nats, stream
from leadline.metrics.metrics import METRICS
from leadline.ship.assemble import assemble
from leadline.ship.parity import check
from leadline.system.errors import ModelError
from leadline.use.generate import generate
from leadline.use.model import Model

CONTENDERS = ("baseline", "ngram", "lstm", "gpt")
UNITS = ("character", "pair")


@pytest.fixture(scope="module", autouse=True)
def _fixed_plan() -> Iterator[None]:
    """A small network, few passes, and a speed that no clock decides: then the seed alone does."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        from leadline.contenders import language_model

        patch.setattr(language_model, "SIZES", ((1, 32),))
        patch.setattr(language_model, "PASSES", 6)
        patch.setattr(language_model, "WINDOW", 32)
        patch.setattr(language_model, "BATCH", 8)
        patch.setattr(language_model._Run, "_seconds_a_step", lambda run: 0.01)
        patch.setattr(language_model._Run, "_seconds_a_row", lambda run: 0.01)
        yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Trained:
    """A contender after its fit, with the file made of it."""

    name: str
    made: Any
    fitted: Any
    progress: list[Progress]
    model: Model

    @property
    def store(self) -> Store:
        return self.made.store  # type: ignore[no-any-return]

    @property
    def scores(self) -> np.ndarray:
        return np.asarray(self.fitted.predict(self.store, self.store.split.test))


def _learn(name: str, store: Store, clock: Clock | None = None) -> list[Any]:
    return list(PORTFOLIO[name].fit(Data(store=store, clock=clock or Clock(500.0), threads=1), 0))


@pytest.fixture(scope="module", params=[(n, u) for n in CONTENDERS for u in UNITS], ids="-".join)
def trained(
    request: pytest.FixtureRequest, story: Any, prepare: Any, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    name, unit = request.param
    made = prepare(story(), token_unit=unit)
    *progress, fitted = _learn(name, made.store)
    path = tmp_path_factory.mktemp("language") / "model.onnx"
    path.write_bytes(assemble(made.store, fitted.graph().SerializeToString(), {"contender": name}))
    return Trained(name, made, fitted, progress, Model(path))


def test_every_contender_that_writes_is_here(prepare: Any, story: Any) -> None:
    store = prepare(story()).store
    assert [name for name, contender in PORTFOLIO.items() if contender.inputs(store)] == list(CONTENDERS)


def test_a_fit_is_progress_and_then_the_fitted(trained: Trained) -> None:
    assert all(isinstance(item, Progress) for item in trained.progress)
    scores = [item.score for item in trained.progress if item.score is not None]
    assert np.isfinite([*scores, trained.fitted.score]).all() and (scores or trained.name == "baseline")
    assert trained.fitted.params > 0 and trained.fitted.bytes > 0 and trained.fitted.describe
    assert trained.fitted.trained_on_valid is True


def test_it_learns_and_its_bits_are_finite(trained: Trained) -> None:
    store, scores = trained.store, trained.scores
    assert scores.shape == (len(store.split.test),) and np.isfinite(scores).all() and scores.min() >= 0
    metric, truth = METRICS["bits a byte"], trained.made.table.labels[store.split.test]
    floor = metric(truth, _learn("baseline", store)[-1].predict(store, store.split.test))
    assert trained.name == "baseline" or metric(truth, scores) < 0.6 * floor


def test_the_same_seed_gives_the_same_result(trained: Trained) -> None:
    again = _learn(trained.name, trained.store)[-1]
    np.testing.assert_array_equal(again.predict(trained.store, trained.store.split.test), trained.scores)
    assert again.score == trained.fitted.score


def test_the_file_reads_as_the_contender(trained: Trained) -> None:
    parity = check(trained.model, trained.made.table, trained.store, trained.scores)
    assert parity.rows == len(trained.store.split.test) and parity.max_difference < 1e-4
    with pytest.raises(ModelError, match="finds 1 of .* test rows otherwise likely"):
        wrong = trained.scores.copy()
        wrong[0] *= 1.01
        check(trained.model, trained.made.table, trained.store, wrong)


def test_odds_are_odds(trained: Trained) -> None:
    reader = trained.model.reader()
    log_odds, _ = reader.step(np.zeros((2, 3), np.int64), reader.initial(2))
    assert log_odds.dtype == np.float32 and log_odds.shape == (2, 3, len(trained.model.contract["vocabulary"]))
    np.testing.assert_allclose(np.exp(log_odds).sum(axis=2), 1, atol=1e-4)


def test_chunk_by_chunk_and_text_by_text_is_as_all_at_once(trained: Trained) -> None:
    reader, tokens = trained.model.reader(), stream(trained.store, trained.store.split.test)[0][:150]
    whole, _ = reader.step(tokens[None], reader.initial(1))
    state, parts = reader.initial(1), []
    for part in np.split(tokens, [1, 2, 40, 41, 120]):
        odds, state = reader.step(part[None], state)
        parts.append(odds)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-4)
    three, _ = reader.step(np.stack([tokens, tokens[::-1], tokens]), reader.initial(3))
    np.testing.assert_allclose(three[[0, 2]], whole.repeat(2, axis=0), atol=1e-4)


def test_text_is_read_as_its_tokens(trained: Trained) -> None:
    reader, text = trained.model.reader(), "The fox eats tea."
    tokens, _ = _tokens(trained, text)
    want, _ = reader.step(tokens[None], reader.initial(1))
    found, _ = reader.step(np.zeros((1, 0), np.int64), reader.initial(1), text)
    np.testing.assert_allclose(found, want, atol=1e-5)


def _tokens(trained: Trained, text: str) -> tuple[np.ndarray, None]:
    from leadline.graph.runtime import Session

    (block,) = trained.store.blocks
    return Session(trained.store.graph(block.name)).only({"text": np.array([text], object)})[0].astype(np.int64), None


def test_a_token_tells_of_those_before_it_alone(trained: Trained) -> None:
    reader, tokens = trained.model.reader(), stream(trained.store, trained.store.split.test)[0][:60].copy()
    before, _ = reader.step(tokens[None], reader.initial(1))
    tokens[40:] = tokens[0]
    after, _ = reader.step(tokens[None], reader.initial(1))
    np.testing.assert_allclose(after[:, :40], before[:, :40], atol=1e-5)


@pytest.mark.parametrize("name", CONTENDERS)
def test_the_sealed_text_is_not_learned_from(name: str, prepare: Any, story: Any, tmp_path: Path) -> None:
    text = story().read_text()
    other = tmp_path / "story.txt"
    known = int(len(text) * 0.95)  # within the test
    other.write_text(text[:known] + text[known:].translate(str.maketrans("aeiou", "uoiea")))
    one, two = (prepare(path).store for path in (story(), other))
    rows = one.split.valid[:-1]
    np.testing.assert_array_equal(one.split.valid, two.split.valid)
    a, b = (_learn(name, store)[-1].predict(store, rows) for store in (one, two))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", CONTENDERS)
@pytest.mark.parametrize("why", ["no time", "asked to stop"])
def test_without_time_it_still_ends_with_something(name: str, why: str, prepare: Any, story: Any) -> None:
    store = prepare(story()).store
    stop = threading.Event()
    if why == "asked to stop":
        stop.set()
    began = time.monotonic()
    fitted = _learn(name, store, Clock(0.0 if why == "no time" else 500.0, stop))[-1]
    assert np.isfinite(fitted.predict(store, store.split.test)).all() and np.isfinite(fitted.score)
    assert time.monotonic() - began < 6


def test_it_writes_the_same_for_the_same_seed_with_the_cache_and_without(trained: Trained) -> None:
    def write(**settings: Any) -> str:
        return "".join(generate(trained.model, "The ", length=60, **settings))

    text = write(seed=3)
    assert text == write(seed=3) == write(seed=3, cache=False) and text != write(seed=4)
    assert trained.name == "baseline" or any(word in text for word in ("fox", "crow", "aunt", "cheese", "tea"))
    assert write(temperature=0) == write(temperature=0, seed=9) == write(top_k=1) == write(top_p=1e-9)
    assert "".join(generate(trained.model, "", length=5)) and "".join(generate(trained.model, "ж日\x00", length=5))
    assert "".join(generate(trained.model, "The ", length=0)) == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0, where 0 or more was expected"),
        ({"top_k": 0}, "top_k is 0, where 1 or more"), ({"top_p": 1.5}, "top_p is 1.5, where above 0 and at most 1"),
        ({"length": -1}, "length is -1, where 0 or more"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused(trained: Trained, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        list(generate(trained.model, "a", **settings))


def test_a_writer_does_not_predict_and_a_predictor_does_not_write(trained: Trained) -> None:
    with pytest.raises(ModelError, match="writes text, and predicts no column; use `leadline generate`"):
        trained.model.predict({"text": np.array(["a"])})


@pytest.mark.parametrize("size", [1, 30, 5_000, 9_001])
def test_reading_in_stretches_is_reading(size: int) -> None:
    """`nats` hands every token to the step once, after those before it: shown by a step that only adds up."""
    tokens = np.random.default_rng(0).integers(1, 5, size)

    def step(ids: np.ndarray, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        odds = np.zeros((*ids.shape, 5), np.float32)
        odds[np.arange(len(ids))[:, None], np.arange(ids.shape[1]), (ids * 2 + 1) % 5] = -1.0  # told by the last token
        return odds, state

    previous = np.concatenate([[0], tokens[:-1]])
    want = (tokens == (previous * 2 + 1) % 5).astype(float)
    np.testing.assert_array_equal(nats(tokens, step, lambda lanes: ()), want)


def test_an_unknown_character_costs_its_spelling(prepare: Any, story: Any) -> None:
    store = prepare(story(), token_unit="character").store
    rows = store.split.test
    plain = bits(store, rows, lambda tokens: np.ones(len(tokens)))
    held = store.tensor(store.blocks[0].name)
    assert (held[rows] > 0).sum() == stream(store, rows)[1].sum()
    np.testing.assert_allclose(plain, stream(store, rows)[1] / np.log(2))
