"""Schedules stay within [0, 1], begin and end where they should, and know the share done alone."""

from __future__ import annotations

import pytest

from leadline.train.schedule import SCHEDULES, chosen

SHARES = [i / 1000 for i in range(1000)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_shares_that_change_without_a_jump(name: str) -> None:
    factors = [SCHEDULES[name](done) for done in SHARES]
    assert all(0 < factor <= 1 for factor in factors) and max(factors) > 0.999
    assert max(abs(a - b) for a, b in zip(factors, factors[1:], strict=False)) < 0.011


@pytest.mark.parametrize("name", set(SCHEDULES) - {"constant"})
def test_rates_end_near_nothing(name: str) -> None:
    assert SCHEDULES[name](0.9999) < 1e-3


def test_trapezoid_stays_at_its_peak() -> None:
    assert all(SCHEDULES["trapezoid"](done) == 1.0 for done in SHARES if 0.1 < done < 0.8)


def test_a_function_of_ones_own() -> None:
    assert chosen(lambda done: 0.5)(0.1) == 0.5
