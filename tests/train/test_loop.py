"""The loop against a made-up clock: planned, planned again, cut, and stopped by patience."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leadline.core.contender import Progress
from leadline.train.loop import LoopState, Plan, train


class Time:
    """Seconds that pass only where the test lets them."""

    endless = False

    def __init__(self, budget: float) -> None:
        self.now, self.budget = 0.0, budget

    def spent(self) -> float:
        return self.now

    def left(self) -> float:
        return max(0.0, self.budget - self.now)


class Recorder:
    """An optimizer that writes down the share done."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def step(self, done: float) -> None:
        self.shares.append(done)


@pytest.fixture
def run() -> Callable[..., tuple[list[Progress], list[float], Time]]:
    """run(budget, seconds a step, scores, **plan) -> what the loop yielded, the shares, the clock."""

    def go(budget: float, a_step: Any, scores: Any = None, look: float = 0.0, **plan: Any) -> Any:
        clock, optimizer = Time(budget), Recorder()
        settings = {"steps": 100, "most": 100, "checks": 10, "patience": 99, "reserve": 0.0, **plan}

        def step_once() -> None:
            clock.now += a_step(len(optimizer.shares)) if callable(a_step) else a_step

        def evaluate() -> float:
            clock.now += look
            count[0] += 1
            return scores[count[0] - 1] if scores else float(count[0])

        count = [0]
        planned = Plan(**settings)
        at = LoopState.at_first(planned)
        found: Any = train(step_once, optimizer, planned, clock, evaluate, lambda a, b: a > b, at)  # type: ignore[arg-type]
        said = [item for item in found if item.score is not None or item.note is not None]  # not the mere chances
        return said, optimizer.shares, clock

    return go


def _notes(progress: list[Progress]) -> list[str]:
    return [item.note for item in progress if item.note]


def test_all_steps_and_all_checks(run: Any) -> None:
    progress, shares, _ = run(1e9, 1.0)
    assert shares == [i / 100 for i in range(100)]
    assert [item.step for item in progress if item.score is not None] == list(range(10, 101, 10))
    assert _notes(progress) == []


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_last_step_is_always_looked_at(steps: int, run: Any) -> None:
    progress, shares, _ = run(1e9, 1.0, steps=steps, most=steps)
    assert len(shares) == steps and progress[-1].step == steps and progress[-1].score is not None


def test_the_clock_cuts_and_the_cut_is_looked_at(run: Any) -> None:
    """A sudden slowness after the last look at the speed leaves no time for a new plan."""
    progress, shares, clock = run(20.0, lambda step: 0.1 if step < 93 else 9.0)
    assert _notes(progress)[-1] == f"cut by the clock at step {len(shares)} of 100" and len(shares) < 100
    assert progress[-1].score is not None and progress[-1].step == len(shares)


def test_time_is_left_for_what_follows(run: Any) -> None:
    _, _, clock = run(50.0, 1.0, steps=100, most=100, reserve=20.0)
    assert clock.now <= 31.0


def test_slower_steps_than_planned_are_planned_again(run: Any) -> None:
    progress, shares, clock = run(100.0, 2.0)
    assert _notes(progress)[0].startswith("planned again: ") and 45 <= len(shares) <= 50
    assert not any(note.startswith("cut") for note in _notes(progress))
    assert shares[-1] > 0.95 and clock.now <= 100


def test_faster_steps_than_planned_allow_more_of_them(run: Any) -> None:
    progress, shares, _ = run(100.0, 0.5, most=1_000)
    assert 180 <= len(shares) <= 200
    assert len(run(100.0, 0.5, most=120)[1]) == 120


def test_the_share_done_never_falls_in_the_second_half(run: Any) -> None:
    _, shares, _ = run(100.0, lambda step: 1.0 if step < 60 else 0.1, most=1_000)
    assert len(shares) <= 100
    _, shares, clock = run(100.0, lambda step: 0.5 if step < 60 else 2.0)
    late = [share for share in shares if share > 0.5]
    assert late == sorted(late) and clock.now <= 102.5


def test_looking_is_part_of_the_time(run: Any) -> None:
    _, _, clock = run(100.0, 0.9, look=5.0)
    assert clock.now <= 110


def test_patience_stops(run: Any) -> None:
    progress, shares, _ = run(1e9, 1.0, scores=[0.1, 0.5, 0.4, 0.5, 0.3, 0.9, 0.9], patience=3)
    assert len(shares) == 50 and _notes(progress) == ["stopped at step 50: valid stays below its best"]


def test_no_time_at_all_still_gives_a_score(run: Any) -> None:
    progress, shares, _ = run(0.0, 1.0)
    assert len(shares) == 1 and progress[-1].score is not None
