"""What contenders promise of running again: the same clock gives the same bytes, and so does any of their states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from leadline.contenders.contender import Clock, Data, Progress
from leadline.contenders.portfolio import PORTFOLIO
from leadline.data.store import Store
from leadline.train.checkpoint import Checkpoints

TABLES = ("mixed", "regression", "text", "image", "audio", "tokens")


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def stores(mixed: Any, messages: Any, bars: Any, tones: Any, story: Any, prepare: Any) -> dict[str, Store]:
    return {
        "mixed": prepare(mixed(200), target="y").store,
        "regression": prepare(mixed(200, task="regression"), target="y").store,
        "text": prepare(messages(160), target="label").store,
        "image": prepare(bars(120)).store,
        "audio": prepare(tones(60), target="label").store,
        "tokens": prepare(story(400), unit="character").store,
    }


def _able() -> list[tuple[str, str]]:
    """(contender, table): the tables that each was made for."""
    made_for = {
        "linear": TABLES[:5], "boosting": ("mixed", "regression", "image"), "mlp": ("mixed", "regression"),
        "bag": ("text",), "cnn": ("image", "audio"), "crnn": ("audio",), "ngram": ("tokens",), "gpt": ("tokens",),
        "lstm": ("tokens",), "floor": TABLES,
    }  # fmt: skip
    assert made_for.keys() == PORTFOLIO.keys(), "a new contender has no table here"
    return [(name, table) for name, tables in made_for.items() for table in tables]


def _learn(name: str, data: Data, state: Any = None, watch: Callable[[Progress], None] | None = None) -> Any:
    for item in PORTFOLIO[name].fit(data, 3, state):
        if not isinstance(item, Progress):
            return item
        if watch is not None:
            watch(item)
    raise AssertionError("no Fitted came")


@pytest.mark.parametrize(("name", "table"), _able())
def test_the_same_clock_gives_the_same_bytes(name: str, table: str, stores: dict[str, Store]) -> None:
    notes: list[list[str]] = [[], []]

    def noting(place: int) -> Callable[[Progress], None]:
        return lambda item: notes[place].append(item.note) if item.note else None

    clock = Clock(4.0)
    first = _learn(name, Data(store=stores[table], clock=clock, threads=1), watch=noting(0))
    again = Clock(4.0, readings=clock.readings)
    second = _learn(name, Data(store=stores[table], clock=again, threads=1), watch=noting(1))
    assert first.digest() == second.digest() and first.score == second.score and notes[0] == notes[1]
    assert again.place == len(clock.readings), "it read the clock less often than the first time"


@pytest.mark.parametrize(("name", "table"), [pair for pair in _able() if PORTFOLIO[pair[0]].family == "deep"])
def test_every_state_goes_on_to_the_same_bytes(name: str, table: str, stores: dict[str, Store], tmp_path: Path) -> None:
    """By epochs, where no clock decides anything; from a state that went to disk and back."""
    kept: list[Checkpoints] = []

    def keep(item: Progress) -> None:
        if item.state is not None:
            kept.append(Checkpoints(tmp_path / str(len(kept))))
            kept[-1].save(item.step, item.state())

    data = Data(store=stores[table], clock=Clock(math.inf), threads=1, epochs=2)
    whole = _learn(name, data, watch=keep)
    assert len(kept) >= 2
    for checkpoints in (kept[0], kept[len(kept) // 2], kept[-1]):
        torch.manual_seed(99)  # whatever the process has drawn before
        gone_on = _learn(name, data, checkpoints.newest())
        assert gone_on.digest() == whole.digest() and gone_on.score == whole.score
        assert gone_on.describe == whole.describe
