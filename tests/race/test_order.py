"""Who races first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.race.entry import ContenderRun
from leadline.race.order import LEAST, need, ordered
from leadline.system.slowdown import slowdown


def _entries(*names: str) -> list[ContenderRun]:
    return [ContenderRun(name=name, family=PORTFOLIO[name].family, folder=Path(name)) for name in names]


@pytest.mark.parametrize(
    ("short", "first", "second"),
    [
        (False, ["linear", "boosting", "mlp"], ["cnn"]),
        (True, ["mlp", "linear", "cnn", "boosting"], []),  # what linear and boosting read is not made yet
    ],
)
def test_where_the_time_is_short_both_families_begin(
    short: bool, first: list[str], second: list[str], prepare: Any, bars: Any
) -> None:
    store = prepare(bars(40)).store
    for path in store.path.glob("*.dense.npy"):
        path.unlink()
    found = ordered(_entries("linear", "boosting", "mlp", "cnn"), store, short)
    assert [[entry.name for entry in group] for group in found] == [first, second]


def test_a_further_one_of_a_family_waits_for_more_time_on_a_slow_machine() -> None:
    linear, boosting, mlp = entries = _entries("linear", "boosting", "mlp")
    linear.status = "running"
    assert need(boosting, entries, slow=4.0) == 10.0 and need(boosting, entries, slow=1.0) == LEAST
    assert need(mlp, entries, slow=4.0) == LEAST


def test_how_long_others_took_says_more_than_how_slow_the_machine_was() -> None:
    linear, boosting, _ = entries = _entries("linear", "boosting", "mlp")
    linear.status, linear.began, linear.ended = "finished", 100.0, 105.0
    assert need(boosting, entries, slow=4.0) == 5.0
    linear.ended = 130.0
    assert need(boosting, entries, slow=4.0) == 10.0


def test_in_a_short_race_a_pretrained_body_leads_its_family(prepare: Any, bars: Any) -> None:
    store = prepare(bars(40)).store
    found, _ = ordered(_entries("linear", "mlp", "cnn", "pretrained"), store, True)
    assert {entry.name for entry in found[:2]} == {"linear", "pretrained"}


def test_in_a_short_race_the_first_of_each_family_gets_all_the_time(race: Any) -> None:
    contest, _ = race({"linear": "fine", "boosting": "fine", "mlp": "fine"}, seconds=8.0)
    given = {entry.name: entry.seconds for entry in contest.entries}
    assert given["linear"] == pytest.approx(8.0, abs=2.5) and given["mlp"] == pytest.approx(8.0, abs=2.5)
    plenty, _ = race({"linear": "fine", "boosting": "fine", "mlp": "fine"}, seconds=60.0, folder="plenty")
    assert plenty.entries[0].seconds < 20.0


def test_a_slow_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from leadline.system import slowdown as module

    real = module.time.perf_counter
    assert 1.0 <= slowdown() <= 8.0
    monkeypatch.setattr(module.time, "perf_counter", lambda: 3 * real())
    assert slowdown() >= 2.5


def test_threads_that_share_a_core_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.system.slowdown.most_threads", lambda: 3)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert slowdown(3) > 2.0
    finally:
        os.sched_setaffinity(0, before)
