"""Further repeats: as many as there is time for, each with the seconds of the first, none that the clock cut short."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leadline.race import resample as module
from leadline.race.resample import Resampling
from leadline.stats.repeat import Repeat

GIVEN = {"linear": 3.0, "mlp": 9.0}


def _repeat(number: int, seconds: float) -> Repeat:
    return Repeat(
        number=number, fold=None, seed=number, seconds=seconds, rows=np.arange(3), truth=np.zeros(3), answers={},
        valid={}, scores={},
    )  # fmt: skip


class Clock:
    """Time that passes only where a repeat takes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: list[float]) -> None:
        self.now, self.takes = 100.0, iter(takes)
        self.given: list[Mapping[str, float]] = []
        self.stops = False
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(
            module, "repeat_of", lambda race, store, seed, seconds, fold, number: _repeat(number, seconds)
        )

    def start(self, store: Any, seed: int, number: int) -> Any:
        def run(until: float, given: Mapping[str, float]) -> None:
            self.given.append(given)
            took = next(self.takes)
            race.late, race.stopped = self.now + took > until, self.stops
            self.now = min(self.now + took, until)

        race = SimpleNamespace(run=run, late=False, stopped=False, close=lambda: None)
        return race

    def repeats(self) -> Resampling:
        nothing: Any = None
        return Resampling(store=nothing, held=nothing, folds=1, seed=0, stores=nothing, start=self.start)


@pytest.mark.parametrize(
    ("takes", "left", "fewest", "held", "late"),
    [
        ([6.0, 6.0, 6.0], 19.0, 3, 3, False),  # no time for a fourth
        ([6.0], 11.0, 3, 0, False),  # two more would be needed, and there is time for one
        ([6.0, 9.0, 1.0], 23.0, 3, 2, False),  # the longest so far says what the next may take
        ([6.0, 9.0], 13.0, 3, 1, True),  # this one is given up
        ([6.0, 6.2], 11.9, 0, 2, False),  # repeats that were asked for may end a little late
        ([8.0, 2.0, 2.0, 2.0], 14.5, 2, 4, False),  # the first of them started the processes of all
        ([1.0] * 30, 1e3, 3, 24, False),  # as many as pay
    ],
)
def test_the_clock_says_how_many(
    takes: list[float], left: float, fewest: int, held: int, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, takes)
    repeats = clock.repeats()
    found = list(repeats.after(_repeat(0, 6.0), GIVEN, clock.now + left, 25, fewest))
    assert len(found) == held and repeats.late is late and not repeats.stopped
    assert [one.number for one in found] == list(range(1, held + 1))
    assert all(given is GIVEN for given in clock.given)  # each plans as it did in the first repeat


def test_a_round_that_the_user_stops_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, [1.0])
    clock.stops = True
    repeats = clock.repeats()
    assert list(repeats.after(_repeat(0, 1.0), GIVEN, clock.now + 50.0, 25)) == [] and repeats.stopped


def test_those_that_finished_get_their_seconds_again_and_the_others_sit_it_out(race: Any) -> None:
    contest, watched = race({"linear": "fine", "boosting": "fine", "mlp": "crash"})
    again, seen = race(
        {"linear": "fine", "boosting": "fine", "mlp": "fine"}, seconds=30.0, given=contest.given(), folder="again"
    )  # fmt: skip
    first, second = (
        {event["contender"]: event["seconds"] for event in events if event["event"] == "start"}
        for events in (watched, seen)
    )
    assert set(second) == {"linear", "boosting"} and all(second[name] == first[name] for name in second)
    assert {entry.name: entry.code for entry in again.entries} == {
        "linear": None,
        "boosting": None,
        "mlp": "first_repeat",
    }


def test_a_round_whose_time_is_over_is_given_up(race: Any) -> None:
    began = time.monotonic()
    contest, _ = race({"linear": "fine", "boosting": "silent"}, seconds=3.0, given={"linear": 60.0, "boosting": 60.0})
    assert contest.late and time.monotonic() - began < 20
    assert {entry.name: entry.code for entry in contest.entries}["boosting"] == "late"
    assert not any(entry.alive for entry in contest.entries if entry.code == "late")
