"""The last phase on train and valid rows: what it changes, what it leaves, and what undoes it."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
import torch

from leadline.contenders import annealing
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Progress
from leadline.dataset.store import Store

TABLES = {"mlp": "table", "cnn": "image", "gpt": "text"}


@pytest.fixture(scope="module")
def stores(mixed: Any, bars: Any, story: Any, prepare: Any) -> dict[str, Store]:
    return {
        "table": prepare(mixed(200), target="y").store,
        "image": prepare(bars(120)).store,
        "text": prepare(story(300), token_unit="character").store,
    }


def _fit(name: str, store: Store, stop: threading.Event | None = None, stop_when: Any = None) -> Any:
    """By passes, where no clock decides; asked to stop at the first progress for which `stop_when` holds."""
    before = torch.get_num_threads()
    data = Data(store=store, clock=Clock(math.inf, stop), threads=1, epochs=2)
    try:
        for item in PORTFOLIO[name].fit(data, 3):
            if not isinstance(item, Progress):
                return item
            if stop is not None and stop_when(item):
                stop.set()
    finally:
        torch.set_num_threads(before)
    raise AssertionError("no Fitted came")


def _without(name: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(annealing.Annealing, "begin", lambda *_: None)
        return _fit(name, store)


@pytest.mark.parametrize("name", TABLES)
def test_the_valid_rows_are_learned_from_and_the_score_is_from_before(
    name: str, stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores[TABLES[name]]
    before, after = _without(name, store, monkeypatch), _fit(name, store)
    assert after.trained_on_valid and not before.trained_on_valid
    assert after.score == before.score and after.digest() != before.digest()
    assert after.describe[-1].endswith("steps on train and valid rows")
    used: list[Any] = []
    with monkeypatch.context() as patch:  # the same phase on train rows alone comes to other weights
        run = __import__(type(PORTFOLIO[name]).__module__, fromlist=["_Run"])._Run
        patch.setattr(run, "_add_valid", lambda self: used.append(self))
        alone = _fit(name, store)
    assert used and alone.digest() not in (after.digest(), before.digest())


@pytest.mark.parametrize("name", TABLES)
def test_a_phase_that_makes_it_worse_is_undone(
    name: str, stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores[TABLES[name]]
    before = _without(name, store, monkeypatch)

    def spoil(self: Any, done: float) -> None:
        """Each rule leaves weights that are no numbers."""
        for rule, _ in self._optimizer.optimizer._rules:
            for p in rule.parameters:
                p.data.fill_(math.nan)
                p.grad = None

    monkeypatch.setattr(annealing._Tail, "step", spoil)
    found = _fit(name, store)
    assert not found.trained_on_valid and found.digest() == before.digest() and found.score == before.score
    assert found.describe[-1] == annealing.WHY_NOT["worse"]


@pytest.mark.parametrize("name", TABLES)
def test_asked_to_stop_there_is_no_phase_or_none_of_it_is_used(
    name: str, stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores[TABLES[name]]
    early = _fit(name, store, threading.Event(), lambda item: item.note == "plan")
    assert not early.trained_on_valid and early.describe[-1] == annealing.WHY_NOT["no time"]
    before = _without(name, store, monkeypatch)

    def within(item: Progress) -> bool:
        return item.state is not None and item.state()["last"] is not None

    late = _fit(name, store, threading.Event(), within)
    assert late.describe[-1] == annealing.WHY_NOT["unfinished"] and not late.trained_on_valid
    assert late.digest() == before.digest()


def test_the_phase_is_short_where_the_budget_is() -> None:
    """A training that needs all of its time keeps a twentieth of it; one that has time to spare takes as many steps
    again as led to its best weights."""
    from leadline.train.loop import LoopState

    class Still:
        endless = False

        def __init__(self, left: float) -> None:
            self._left = left

        def left(self) -> float:
            return self._left

    def steps(left: float) -> int:
        phase = annealing.Annealing()
        at = LoopState(steps=100, next_check=1.0, step=100, best_step=80, training_s=50.0)
        of: Any = annealing.Training(
            step_once=lambda: None, optimizer=None, clock=Still(left), loss=lambda: 1.0, state=dict  # type: ignore[arg-type]
        )  # fmt: skip
        phase.begin(at, of, 1.0)
        return 0 if phase.plan is None else phase.plan.steps

    assert steps(1e9) == 80 and steps(6.0) == 9 and steps(1.0) == steps(0.0) == 0
