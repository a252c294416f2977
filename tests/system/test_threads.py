"""One thread, unless more show that they pay; and tried again where steps become slow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leadline.system import threads as module
from leadline.system.threads import Threads, pays, timed


def _threads(most: int, seconds: Callable[[int], float]) -> tuple[Threads, list[int]]:
    used: list[int] = []
    return Threads(most, seconds, used.append), used


@pytest.mark.parametrize(("gain", "expected"), [(0.1, 1), (1.0, 1), (1.25, 1), (1.35, 2), (2.0, 2)])
def test_two_threads_must_be_a_third_faster(gain: float, expected: int) -> None:
    threads, used = _threads(2, lambda count: 0.01 if count == 1 else 0.01 / gain)
    threads.begin()
    assert threads.now == expected == used[-1]


def test_twice_as_many_as_long_as_that_pays() -> None:
    threads, _ = _threads(12, lambda count: 0.01 / min(count, 4))
    threads.begin()
    assert threads.now == 4
    all_of_them, _ = _threads(6, lambda count: 0.01 / count)
    all_of_them.begin()
    assert all_of_them.now == 6


def test_one_hiccup_decides_nothing() -> None:
    for hiccup in range(2, 9):
        calls = iter(range(100))
        threads, _ = _threads(2, lambda count, calls=calls, hiccup=hiccup: 0.01 / count + 0.2 * (next(calls) == hiccup))
        threads.begin()
        assert threads.now == 2, hiccup


def test_a_trial_is_short() -> None:
    asked: list[int] = []

    def slow(count: int) -> float:
        asked.append(count)
        return 0.4 * count  # two threads wait for each other

    assert pays(1, 2, slow)[0] is False and len(asked) == 3
    asked.clear()
    assert pays(1, 2, lambda count: asked.append(count) or 1e-4)[0] is False  # type: ignore[func-returns-value]
    assert asked == [1]  # so small a step cannot be shared at all
    assert pays(1, 2, lambda count: float("inf"))[0] is False


@pytest.mark.parametrize(("seconds", "expected", "trials"), [(1.0, 1, 1), (10.0, 2, 5)])
def test_a_long_step_is_tried_where_there_is_time_for_it(seconds: float, expected: int, trials: int) -> None:
    asked: list[int] = []

    def half_as_long(count: int) -> float:
        asked.append(count)
        return 0.6 / count

    threads = Threads(2, half_as_long, lambda count: None)
    threads.begin(seconds)
    assert threads.now == expected and len(asked) <= trials


def test_where_nothing_is_to_be_chosen_nothing_is_tried() -> None:
    def never(count: int) -> float:
        raise AssertionError

    threads, _ = _threads(1, never)
    threads.begin()
    threads.higher()
    for _ in range(100):
        threads.note(1.0)
    assert threads.check() is None and threads.now == 1


def _run(threads: Threads, seconds: float, steps: int) -> list[str]:
    said = []
    for _ in range(steps):
        if (note := threads.check()) is not None:
            said.append(note)
        threads.note(seconds)
    return said


def test_slow_steps_are_a_reason_to_try_again() -> None:
    busy = False
    threads, used = _threads(2, lambda count: 0.01 * (3 * count if busy else 1 / count))
    threads.begin()
    assert _run(threads, 0.005, 60) == [] and threads.now == 2
    busy = True
    assert _run(threads, 0.04, 30) == ["1 thread in place of 2, by a trial beside what else the machine does"]
    assert used[-1] == 1


def test_one_slow_step_is_none() -> None:
    tried: list[int] = []
    threads, _ = _threads(2, lambda count: tried.append(count) or 0.01 / count)  # type: ignore[func-returns-value]
    threads.begin()
    tried.clear()
    for _ in range(20):
        _run(threads, 0.005, 15)
        _run(threads, 0.3, 1)
    assert tried == []


def test_when_the_machine_is_quiet_again_they_come_back() -> None:
    busy = True
    threads, _ = _threads(2, lambda count: 0.01 * (3 * count if busy else 1 / count))
    threads.begin()
    assert threads.now == 1 and _run(threads, 0.01, 2_000) == []  # twenty seconds, and two trials in vain
    busy = False
    assert len(_run(threads, 0.01, 4_000)) == 1 and threads.now == 2


def test_trials_take_a_fiftieth_of_the_time_at_most() -> None:
    spent = 0.0

    def seconds(count: int) -> float:
        nonlocal spent
        spent += 0.02 * count**3
        return 0.02 * count**3

    threads, _ = _threads(2, seconds)
    threads.begin()
    spent = 0.0
    _run(threads, 0.02, 10_000)
    assert 0 < spent < 1.2 * module.SHARE * 200.0


def test_a_state_goes_on_as_if_nothing_had_happened() -> None:
    first, _ = _threads(2, lambda count: 0.01 / count)
    first.begin()
    _run(first, 0.005, 37)
    second, used = _threads(2, lambda count: 0.01 * count)
    second.restore(first.state())
    assert second.now == 2 == used[-1] and second.state() == first.state()
    narrow, _ = _threads(1, lambda count: 0.01)
    narrow.restore(first.state())
    assert narrow.now == 1  # a machine that has fewer


def test_a_block_of_short_steps_is_timed_as_a_whole() -> None:
    now = 0.0

    def step() -> None:
        nonlocal now
        now += 0.001

    assert timed(step, lambda: now) == pytest.approx(0.001) and now >= module.BLOCK_S
