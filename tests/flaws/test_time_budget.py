"""The look at flaws ends in time on a slow machine, says what it left out, and is repeated from what its clock said."""

import math
import time
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.core.contender import Clock
from leadline.flaws.probe import FEWEST_ROUNDS, Probe
from leadline.flaws.time_budget import OVER, Pace

PARTS = ("leaks", "groups", "labels")


class Machine:
    """A clock of its own, so that a test does not wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def _go(machine: Machine, clock: Clock, slowness: float) -> tuple[list[float], list[str]]:
    pace, given = Pace(clock, 100.0), []
    for name in PARTS:
        given.append(pace.part(0.4, name))
        machine.now += given[-1] * slowness
    return given, pace.left_out


def test_on_a_quiet_machine_every_part_gets_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _go(Machine(monkeypatch), Clock(100.0), 0.5) == ([4.0, 4.0, 4.0], [])


def test_a_slow_machine_gives_later_parts_less_and_leaves_out_what_there_is_no_time_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    given, left_out = _go(machine, Clock(100.0), 2.0)
    assert given[0] > given[1] > 0
    assert machine.now - 1_000.0 <= 1.5 * OVER * 10.0
    given, left_out = _go(machine, Clock(100.0), 5.0)
    assert (given[1:], left_out) == ([0.0, 0.0], ["groups", "labels"])


def test_a_run_that_is_late_looks_for_less_long(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = Clock(100.0)
    machine.now += 90.0
    assert Pace(clock, 100.0).seconds == pytest.approx(2.0)


def test_a_repetition_is_given_the_same_at_any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = Clock(100.0)
    first = _go(machine, clock, 3.0)
    again = _go(machine, Clock(100.0, readings=clock.readings), 0.1)
    assert again == first


def test_without_a_budget_nothing_hangs_on_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    given, left_out = _go(machine, Clock(math.inf), 50.0)
    assert (len(set(given)), left_out) == (1, [])


def test_what_learns_in_rounds_ends_when_its_seconds_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    pace = Pace(Clock(100.0), 100.0)
    late = pace.watch(2.0)
    assert not late()
    machine.now += 2.1
    assert late()
    assert not Pace(Clock(math.inf), 100.0).watch(0.0)()


def test_trees_of_the_probe_end_early_on_a_slow_machine(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    made = prepare(pl.DataFrame({f"x{i}": x[:, i] for i in range(3)} | {"y": np.where(x[:, 0] > 0, "a", "b")}))
    rows = np.arange(400)
    quick = Probe(made.store, 1).answers(rows, made.table.labels, rows)
    machine = Machine(monkeypatch)
    clock = Clock(100.0)
    probe = Probe(made.store, 1, Pace(clock, 100.0))
    probe.most_rows(1.0, 5)
    before = len(clock.readings)
    monkeypatch.setattr(time, "monotonic", lambda: setattr(machine, "now", machine.now + 0.1) or machine.now)
    slow = probe.answers(rows, made.table.labels, rows)
    assert FEWEST_ROUNDS <= len(clock.readings) - before <= FEWEST_ROUNDS + 2
    assert np.abs(slow - 0.5).mean() < np.abs(quick - 0.5).mean(), "fewer rounds are less sure"
    again = Probe(made.store, 1, Pace(Clock(100.0, readings=clock.readings), 100.0))
    again.most_rows(1.0, 5)
    monkeypatch.setattr(time, "monotonic", lambda: machine.now)
    assert np.array_equal(again.answers(rows, made.table.labels, rows), slow), "a repetition ends where the first did"


def test_a_slow_machine_is_known_from_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    pace = Pace(Clock(100.0), 100.0)
    pace.part(0.5)
    machine.now += 3.0
    assert pace.slowness(1.0) == pytest.approx(2.7)
    assert pace.slowness(1.0) == 1.0


def test_what_is_no_part_of_the_look_costs_it_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    pace = Pace(Clock(100.0), 100.0)
    given = pace.part(0.4)
    machine.now += given
    with pace.paused():
        machine.now += 30.0  # the rows are encoded again
    assert pace.part(0.4, "labels") == pytest.approx(given) and pace.left_out == []
