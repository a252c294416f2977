"""Why a race ended: one code, and a sentence with its own figures."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.race.ending import RaceSummary, ending

USUAL: dict[str, Any] = {"repeats": 1, "most": 25, "expected": 6.0, "left": 20.0, "budget": 60.0, "fewest": 3}


@pytest.mark.parametrize(
    ("facts", "code", "says"),
    [
        ({"stopped": True}, "stopped", "You stopped it."),
        ({"repeats": 5, "sure": True}, "conclusive", "conclusive after 5 repeats"),
        ({"repeats": 25}, "repeats", "All 25 repeats are done, as many as are useful."),
        ({"repeats": 4, "most": 4, "requested": True}, "repeats", "All 4 repeats are done."),
        ({"most": 1, "requested": True}, "one_repeat", "--repeats 1 allows no other race"),
        ({"most": 1, "budget": None, "left": float("inf")}, "passes", "has made its passes"),
        ({"left": 5.0}, "used", "The time for racing is used up."),
        ({"late": True}, "late", "longer than the 6 s that were expected"),
        ({"families": 1}, "one_family", "where there is only one"),
        ({"left": 11.0}, "no_room", "still needs take about 12 s, where 11 s were left."),
        ({"repeats": 4, "left": 5.9, "budget": 50.0}, "no_room", "another repeat takes about 6 s, where 6 s were"),
    ],
)
def test_the_reason_and_its_sentence(facts: dict[str, Any], code: str, says: str) -> None:
    found = ending(RaceSummary(**{**USUAL, **facts}))
    assert found.code == code and says in found.why and found.why.endswith(".")
