"""Advice fits how a run was started and what became of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leadline.metrics.metrics import METRICS
from leadline.stats.advice import Advice, enough, missing
from leadline.stats.intervals import Gap
from leadline.stats.uncertainty import doubts
from leadline.stats.verdict import FamilyBest, Trial, judge
from leadline.tasks import Binary

LINEAR = FamilyBest(name="linear", cost=1.0, score=0.9)
MLP = FamilyBest(name="mlp", cost=1.0, score=0.8, undertrained=True)


def _ran(family: str, code: str | None, enough_s: int | None = None) -> Any:
    return SimpleNamespace(family=family, done=code is None, code=code, enough_s=enough_s)


@pytest.mark.parametrize(
    ("advice", "says", "not_says"),
    [
        ({"missing": {"deep": "absent"}, "only": True}, "leave out --only to race both", "time|budget"),
        ({"missing": {"deep": "absent"}}, "no deep contender reads such columns", "time|budget|only"),
        ({"missing": {"deep": "no_time"}}, "give a larger budget", "only|memory"),
        (
            {"missing": {"deep": "no_time"}, "enough": {"deep": 20}},
            "--budget 20s has time for one",
            "only|memory|larger",
        ),
        ({"missing": {"deep": "memory"}}, "raise --memory", "budget|only"),
        ({"missing": {"deep": "failed"}}, "the report says what went wrong", "budget|only"),
        ({"missing": {"deep": "failed"}, "passes": True}, "the report says what went wrong", "budget|passes"),
        ({"missing": {"deep": "no_time"}, "stopped": True}, "let the race run to its end", "budget"),
    ],
)
def test_a_family_of_which_nobody_finished(advice: dict[str, Any], says: str, not_says: str) -> None:
    why = judge(None, LINEAR, None, METRICS["accuracy"], Trial(rows=100), Advice(**advice)).why
    assert f"cannot be compared: {says}; until then the choice is linear." in why
    assert not any(word in why for word in not_says.split("|"))


@pytest.mark.parametrize(
    ("passes", "says"), [(False, "give a larger budget, and until"), (True, "give more passes (--epochs), and until")]
)
def test_one_that_learned_too_little(passes: bool, says: str) -> None:
    gap = Gap(size=-0.1, draws=np.linspace(-0.12, -0.08, 99), of="model")
    why = judge(MLP, LINEAR, gap, METRICS["accuracy"], Trial(rows=100), Advice(passes=passes)).why
    assert says in why and ("budget" in why) is not passes


@pytest.mark.parametrize(
    ("advice", "says"),
    [
        ({}, "Add rows, or a larger budget, which races on folds."),
        ({"folds": False}, "Add rows."),  # a stated test, or --time-column
        ({"passes": True}, "Add rows, or --repeats 5."),
        ({"repeats": 1}, "Add rows, or --repeats 5."),
        ({"repeats": 10, "passes": True}, "Add rows."),
    ],
)
def test_no_rows_to_calibrate_on(advice: dict[str, Any], says: str) -> None:
    store: Any = SimpleNamespace(task=Binary(target="y", classes=("a", "b"), metric="accuracy"))
    (said,) = doubts(store, {"linear": np.zeros(3)}, {}, Advice(**advice))
    assert said.endswith(says)


def test_why_a_family_is_missing_is_told_by_codes() -> None:
    linear = _ran("classical", None)
    assert missing([linear]) == {"deep": "absent"}
    assert missing([linear, _ran("deep", "crashed"), _ran("deep", "overran")]) == {"deep": "no_time"}
    assert missing([linear, _ran("deep", "memory")]) == {"deep": "memory"}
    assert missing([linear, _ran("deep", "error")]) == {"deep": "failed"}
    assert missing([linear, _ran("deep", None), _ran("deep", "no_time")]) == {}


def test_the_least_budget_that_has_time_for_one_of_a_family_is_known() -> None:
    entries = [
        _ran("classical", None, 30),
        _ran("deep", "no_time", 40),
        _ran("deep", "no_time", 20),
        _ran("deep", "error"),
    ]
    assert enough(entries) == {"deep": 20}
    assert enough([*entries, _ran("deep", None)]) == enough([_ran("deep", "no_time"), _ran("deep", "memory")]) == {}
