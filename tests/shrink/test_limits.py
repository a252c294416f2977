"""What few rows can certify is said as it is: the number that is advised is accepted, and no more is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.metrics.metrics import METRICS
from leadline.shrink.limits import MOST_USUAL, USUAL, Limits, ShrinkSettings, Units, at_most, rounded_up
from leadline.stats.noninferiority import Comparison, compare
from leadline.system.errors import LeadlineError

ACCURACY = METRICS["accuracy"]


def _allowed(units: Units, max_drop: str | float | None = None) -> tuple[float, list[str]]:
    return Limits.read(ShrinkSettings(max_drop=max_drop)).drop_allowed(ACCURACY, units)


@pytest.mark.parametrize("count", [1, 6, 10, 57, 61, 80, 97, 180, 251, 599, 612, 1_003, 4_999])
@pytest.mark.parametrize("groups", [False, True])
def test_the_drop_that_is_advised_is_accepted(count: int, groups: bool) -> None:
    units = Units(count=count, groups=groups)
    with pytest.raises(LeadlineError, match="cannot be certified") as refused:
        _allowed(units, 1e-6)
    advised = re.findall(r"certify is (\S+%)", str(refused.value))[0]
    assert ("groups of test rows judge" in str(refused.value)) == groups
    assert _allowed(units, advised)[0] == pytest.approx(float(advised[:-1]) / 100)


def test_no_more_than_a_ceiling_is_allowed_without_being_asked_for() -> None:
    assert _allowed(Units(count=5_000)) == (USUAL, [])
    allowed, said = _allowed(Units(count=100))
    assert USUAL < allowed <= MOST_USUAL and "allowed here in place of 0.5%" in said[0]
    with pytest.raises(
        LeadlineError, match=r"^20 groups of test rows judge, .* more than the 5% .*: --max-drop 1"
    ) as no:
        _allowed(Units(count=20, groups=True))
    advised = re.findall(r"--max-drop (\S+%)", str(no.value))[0]
    assert _allowed(Units(count=20, groups=True), advised)[0] > MOST_USUAL


@pytest.mark.parametrize("count", [80, 600, 900])
def test_where_no_row_may_be_lost_a_sentence_says_what_one_takes(count: int) -> None:
    allowed, said = _allowed(Units(count=count))
    enough = float(re.findall(r"wins none, is not certified: that takes --max-drop (\S+)%", said[-1])[0]) / 100
    truth = np.zeros(count, int)
    full = np.tile([1.0, 0.0], (count, 1))
    small = full.copy()
    small[0] = (0.0, 1.0)
    assert compare(truth, full, full, ACCURACY, allowed).proved
    assert not compare(truth, full, small, ACCURACY, allowed).proved
    assert compare(truth, full, small, ACCURACY, enough).proved
    assert not compare(truth, full, small, ACCURACY, enough - 2e-4).proved


def test_a_bound_that_is_proved_is_never_printed_above_its_limit() -> None:
    rng = np.random.default_rng(0)
    for limit in rng.uniform(0.001, 0.2, 300):
        upper = limit * rng.uniform(0.99, 1.0)
        shown = float(at_most(Comparison(rows=1, drop=0.0, upper=upper, p=0.01, limit=limit))[:-1]) / 100
        assert upper - 1e-9 <= shown <= limit + 1e-8 or limit - upper < 1e-6
        assert rounded_up(limit) >= limit - 1e-9


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"maxdrop": 1}, "Unknown setting 'maxdrop'; settings are distill, max_drop"),
        ({"prefer": ["size"]}, r"--prefer \['size'\] was given, where a text was expected"),
        ({"out": 5}, "--out 5 was given, where a path was expected"),
        ({"max_drop": True}, "--max-drop True was given"),
        ({"max_size": {}}, "--max-size {} was given"),
        ({"distill": [1]}, r"--distill \[1\] was given"),
    ],
)
def test_a_setting_that_is_none_is_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LeadlineError, match=sentence):
        ShrinkSettings.of(settings)


def test_settings_are_read_as_they_are_given_elsewhere() -> None:
    found = ShrinkSettings.of(
        {"out": Path("a") / "b", "max_drop": 0.01, "distill": 5, "max_size": None, "seconds": 3.0}
    )
    assert found.out == str(Path("a") / "b") and Limits.read(found).max_drop == 0.01 and found.distill_seconds == 5
