"""What contenders promise of running again: the same clock gives the same bytes, and so does any of their states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Progress
from leadline.dataset.store import Store
from leadline.system import threads
from leadline.train.checkpoint import Checkpoints

TABLES = ("mixed", "regression", "text", "image", "audio", "tokens")


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def stores(
    mixed: Any, messages: Any, bars: Any, tones: Any, story: Any, prepare: Any, tiny_bert: Path
) -> dict[str, Store]:  # fmt: skip
    return {
        "mixed": prepare(mixed(200), target="y").store,
        "regression": prepare(mixed(200, task="regression"), target="y").store,
        "text": prepare(messages(160), target="label", weights=str(tiny_bert)).store,
        "image": prepare(bars(120)).store,
        "audio": prepare(tones(60), target="label").store,
        "tokens": prepare(story(400), token_unit="character").store,
    }


def _able(name: str, stores: dict[str, Store]) -> dict[str, Store]:
    """The tables that a contender can learn from."""
    found = {table: store for table, store in stores.items() if PORTFOLIO[name].inputs(store)}
    assert found, "a new contender has no table here"
    return found


def _learn(name: str, data: Data, state: Any = None, watch: Callable[[Progress], None] | None = None) -> Any:
    for item in PORTFOLIO[name].fit(data, 3, state):
        if not isinstance(item, Progress):
            return item
        if watch is not None:
            watch(item)
    raise AssertionError("no Fitted came")


@pytest.mark.parametrize("name", PORTFOLIO)
def test_the_same_clock_gives_the_same_bytes(name: str, stores: dict[str, Store]) -> None:
    for table, store in _able(name, stores).items():
        notes: list[str] = []
        clock = Clock(3.0)
        data = Data(store=store, clock=clock, threads=1)
        first = _learn(name, data, watch=lambda item, said=notes: said.append(item.note))  # type: ignore[misc]
        told: list[str] = []
        again = Clock(3.0, readings=clock.readings)
        data = Data(store=store, clock=again, threads=1)
        second = _learn(name, data, watch=lambda item, said=told: said.append(item.note))  # type: ignore[misc]
        assert first.digest() == second.digest() and first.score == second.score, table
        assert [note for note in notes if note] == [note for note in told if note], table
        assert again.place == len(clock.readings), f"{table}: it read the clock less often than the first time"


@pytest.mark.parametrize(("name", "table"), [("cnn", "image"), ("gpt", "tokens"), ("boosting", "mixed")])
def test_the_same_clock_gives_the_same_threads_and_bytes(
    name: str, table: str, stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many threads pay is told by the clock, also in the middle of a training, so it comes out again."""
    monkeypatch.setattr(threads, "WAIT", 0.3)
    monkeypatch.setattr(threads, "SHARE", 0.5)
    monkeypatch.setattr(threads, "SHORT", 0.0)
    told: list[list[Any]] = []

    def learn(clock: Clock) -> Any:
        told.append([])
        data = Data(store=stores[table], clock=clock, threads=2)
        return _learn(name, data, watch=lambda item: told[-1].append((item.step, item.note, dict(item.facts))))

    clock = Clock(3.0)
    first = learn(clock)
    again = Clock(3.0, readings=clock.readings)
    second = learn(again)
    assert first.digest() == second.digest() and told[0] == told[1] and first.describe == second.describe
    assert again.place == len(clock.readings)


# One whose body stays frozen keeps the body's states in the cache, and starts again.
TRAINED = [name for name, contender in PORTFOLIO.items() if contender.family == "deep" and not contender.pretrained]


@pytest.mark.parametrize("name", TRAINED)
def test_every_state_goes_on_to_the_same_bytes(name: str, stores: dict[str, Store], tmp_path: Path) -> None:
    """By epochs, where no clock decides anything; from a state that went to disk and back."""
    for table, store in _able(name, stores).items():
        kept: list[Checkpoints] = []

        def keep(item: Progress, kept: list[Checkpoints] = kept, place: Path = tmp_path / table) -> None:
            if item.state is not None:
                kept.append(Checkpoints(place / str(len(kept))))
                kept[-1].save(item.step, item.state())

        data = Data(store=store, clock=Clock(math.inf), threads=1, epochs=2)
        whole = _learn(name, data, watch=keep)
        assert len(kept) >= 2
        for checkpoints in (kept[0], kept[-1]):
            torch.manual_seed(99)  # whatever the process has drawn before
            gone_on = _learn(name, data, checkpoints.newest())
            assert gone_on.digest() == whole.digest() and gone_on.score == whole.score, table
            assert gone_on.describe == whole.describe
