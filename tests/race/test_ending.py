"""Why a race ended: one code, and a sentence with its own figures."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.race.ending import Held, ending

USUAL: dict[str, Any] = {"rounds": 1, "most": 25, "longest": 6.0, "left": 20.0, "budget": 60.0, "fewest": 3}


@pytest.mark.parametrize(
    ("facts", "code", "says"),
    [
        ({"stopped": True}, "stopped", "You stopped it."),
        ({"rounds": 5, "sure": True}, "conclusive", "conclusive after 5 rounds"),
        ({"rounds": 25}, "rounds", "All 25 rounds that pay are done."),
        ({"rounds": 4, "most": 4, "asked": True}, "rounds", "All 4 rounds asked for are done."),
        ({"most": 1, "asked": True}, "one_round", "one round was asked for"),
        ({"most": 1, "budget": None, "left": float("inf")}, "passes", "has made its passes"),
        ({"left": 5.0}, "used", "The time for racing is used up."),
        ({"late": True}, "late", "longer than the 6 s of those before it"),
        ({"families": 1}, "one_family", "within one family"),
        ({"left": 11.0}, "no_room", "the 2 more repeats that tell anything take about 12 s, where 11 s were left."),
        ({"rounds": 4, "left": 5.9, "budget": 50.0}, "no_room", "another repeat takes about 6 s, where 6 s were left."),
    ],
)
def test_the_reason_and_its_sentence(facts: dict[str, Any], code: str, says: str) -> None:
    found = ending(Held(**{**USUAL, **facts}))
    assert found.code == code and says in found.why and found.why.endswith(".")
