"""A clock whose run was killed: it has the seconds that are left, and a replay of its readings has them too."""

from __future__ import annotations

import math
import time

import pytest

from leadline.core.contender import Clock


def _read(clock: Clock, times: int) -> list[float]:
    return [clock.left() for _ in range(times)]


def test_a_resumed_clock_has_what_is_left_and_forgets_what_it_does_not_repeat() -> None:
    first = Clock(30.0, readings=[1.0, 4.0, 9.0])
    before = _read(first, 2)
    assert before == [29.0, 26.0]
    resumed = Clock(30.0, readings=first.readings, place=2, left=5.0)
    (after,) = _read(resumed, 1)
    assert after == pytest.approx(5.0, abs=0.5) and 4.0 <= resumed.readings[-1] < 4.5
    assert list(resumed.readings[:3]) == [1.0, 4.0, -9.0] and resumed.place == 4
    again = Clock(30.0, readings=resumed.readings)
    assert _read(again, 3) == [*before, after] and again.place == 4
    later = Clock(30.0, readings=resumed.readings, place=resumed.place)  # a second time, from a later checkpoint
    assert later.left() == pytest.approx(after, abs=0.5)


def test_one_that_starts_again_has_what_is_left_alone() -> None:
    clock = Clock(30.0, readings=[1.0, 2.0, math.inf], place=0, left=3.0)
    assert clock.left() == pytest.approx(3.0, abs=0.5)
    assert clock.readings[0] == -3.0 and len(clock.readings) == 2
    time.sleep(0.01)
    assert Clock(30.0, readings=clock.readings).left() == 3.0 - clock.readings[1]


def test_what_is_left_counts_from_the_start_of_the_process() -> None:
    clock = Clock(30.0, readings=[8.0], place=1, left=5.0, began=time.monotonic() - 2.0)
    assert clock.left() == pytest.approx(3.0, abs=0.5) and clock.spent() == pytest.approx(10.0, abs=0.5)
