"""The rule, exactly, and what is shipped by it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from leadline.judge.compare import Gap
from leadline.judge.metrics import METRICS
from leadline.judge.verdict import POINTS, RELATIVE, Rival, Trial, cheaper, judge, rule, within

R = 0.005
UP, DOWN = math.nextafter(R, 1), math.nextafter(R, 0)


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (-R, R, "tie"),
        (0.0, 0.0, "tie"),
        (0.001, R, "tie"),  # deep is surely better, and by nothing that matters
        (-R, -0.001, "tie"),
        (0.001, UP, "deep"),
        (-UP, -0.001, "classical"),
        (math.ulp(0.0), 1.0, "deep"),
        (-1.0, -math.ulp(0.0), "classical"),
        (0.0, UP, "unsure"),
        (-UP, 0.0, "unsure"),
        (-UP, R, "unsure"),
        (-R, UP, "unsure"),
        (-1.0, 1.0, "unsure"),
        (R, 0.01, "deep"),
        (-0.01, -R, "classical"),
    ],
)
def test_the_rule_at_its_edges(low: float, high: float, answer: str) -> None:
    assert rule(low, high, R) == answer


def _rival(name: str, score: float = 0.9, *, valid: float = 0.9, cost: float = 1.0, starved: bool = False) -> Rival:
    return Rival(name=name, valid=valid, cost=cost, score=score, starved=starved)


ROWS = Trial(rows=1_000)


def _pair(gaps: Any, trial: Trial = ROWS, of: str = "model", noise: float = 0.0, **facts: Any) -> Any:
    gaps = np.sort(np.asarray(gaps, float))
    gap = Gap(size=float(gaps.mean()), draws=gaps, of=of, noise=noise)
    deep = _rival("cnn", 0.9 + gap.size, **facts.get("deep", {}))
    return judge(deep, _rival("linear", **facts.get("classical", {})), gap, METRICS["accuracy"], trial)


SPREAD = np.linspace(-1, 1, 2_001)


def test_deep_and_classical_ship_the_winner_whatever_it_costs() -> None:
    won = _pair(0.03 + 0.01 * SPREAD, deep={"cost": 99.0})
    assert (won.answer, won.winner, won.against, won.of, won.settle_rows) == ("deep", "cnn", "linear", "model", None)
    assert won.gap == pytest.approx(0.03) and won.low == pytest.approx(0.0205) and won.high == pytest.approx(0.0395)
    assert (won.p_deep, won.p_same, won.p_classical) == (1.0, 0.0, 0.0)
    assert won.why == (
        "This cnn beats this linear by 3.00 points of accuracy on the sealed test "
        "(95% interval of deep minus classical +2.05 to +3.95)."
    )
    lost = _pair(-0.03 + 0.01 * SPREAD, classical={"cost": 99.0})
    assert (lost.answer, lost.winner, lost.against) == ("classical", "linear", "cnn")


@pytest.mark.parametrize(("deep_cost", "winner"), [(1.0, "cnn"), (3.0, "linear"), (2.0, "linear")])
def test_a_tie_ships_the_cheaper(deep_cost: float, winner: str) -> None:
    made = _pair(0.002 * SPREAD, deep={"cost": deep_cost, "valid": 0.99}, classical={"cost": 2.0})
    assert (made.answer, made.winner, made.p_same) == ("tie", winner, 1.0)
    assert made.why.endswith(f"within 0.50 points either way); {winner} is cheaper to run.")


@pytest.mark.parametrize(
    ("losing", "deep_valid", "winner"),
    [
        (0.19, 0.95, "linear"),  # losing by the cheaper one is unlikely enough
        (0.21, 0.95, "cnn"),  # it is not: the best on valid
        (0.21, 0.85, "linear"),
    ],
)
def test_unsure_ships_the_best_on_valid_or_a_safe_cheaper_one(losing: float, deep_valid: float, winner: str) -> None:
    gaps = np.concatenate([np.full(int(losing * 1_000), 0.02), np.full(1_000 - int(losing * 1_000), -0.004)])
    gaps[-100:] = -0.02
    made = _pair(gaps, deep={"cost": 5.0, "valid": deep_valid}, classical={"cost": 1.0})
    assert made.answer == "unsure" and made.p_deep == pytest.approx(losing) and made.winner == winner


def test_unsure_says_how_many_rows_would_settle_it() -> None:
    made = _pair(0.02 * SPREAD)
    expected = 1_000 * ((made.high - made.low) / 2 / POINTS) ** 2
    assert made.settle_rows == math.ceil(expected)
    assert f"about {made.settle_rows:,} test rows would settle it" in made.why and "too close to call" in made.why


def test_unsure_says_what_would_have_shown_and_what_it_takes() -> None:
    made = _pair(0.02 * SPREAD, Trial(rows=1_000, round_s=7.0, reach=50_000))
    half = (made.high - made.low) / 2
    assert made.smallest == pytest.approx(half * 2.8 / 1.96)
    assert made.settle_rounds == math.ceil(made.settle_rows / 1_000) - 1
    assert made.settle_s == made.settle_rounds * 7.0
    assert f"({made.settle_rounds} more folds, about {made.settle_s:,.0f} s: --until-sure)" in made.why
    few = _pair(1.0 * SPREAD, Trial(rows=10))
    assert few.smallest is None and "any gap could have stayed unseen" in few.why
    assert "a gap under 2.7" in made.why  # points
    far = _pair(0.02 * SPREAD, Trial(rows=1_000, round_s=7.0, reach=5_000))
    assert (far.settle_rounds, far.settle_s) == (None, None) and "--until-sure" not in far.why


def test_noise_between_seeds_is_settled_by_seeds() -> None:
    made = _pair(0.006 * SPREAD, Trial(rows=10_000, by="seeds", rounds=3, round_s=60.0), of="method", noise=0.9)
    assert made.answer == "unsure" and made.settle_rounds == math.ceil(3 * ((made.high - made.low) / 2 / POINTS) ** 2)
    assert "more seeds, about" in made.why and made.why.startswith("Over 3 seeds: cnn scores")


def test_over_rounds_the_sentence_is_about_the_method() -> None:
    made = _pair(0.03 + 0.01 * SPREAD, Trial(rows=1_000, by="folds", rounds=10), of="method")
    assert (made.of, made.by, made.rounds) == ("method", "folds", 10)
    assert made.why == (
        "Over 10 folds: deep beats classical (cnn over linear) by 3.00 points of accuracy "
        "(95% interval of deep minus classical +2.05 to +3.95)."
    )
    looked = _pair(0.03 + 0.01 * SPREAD, Trial(rows=1_000, by="folds", rounds=10, level=0.99), of="method")
    assert "(99% interval" in looked.why and looked.low < made.low


def test_losing_for_want_of_time_says_nothing() -> None:
    made = _pair(-0.03 + 0.01 * SPREAD, deep={"starved": True})
    assert made.answer == "unsure" and "cnn had too little time to learn" in made.why and made.settle_rows is None
    assert _pair(-0.03 + 0.01 * SPREAD, classical={"starved": True}).answer == "classical"
    turned = _pair(0.03 + 0.01 * SPREAD, classical={"starved": True})  # trees that were cut do not lose either
    assert turned.answer == "unsure" and "linear had too little time to learn" in turned.why
    assert _pair(0.03 + 0.01 * SPREAD, deep={"starved": True}).answer == "deep"
    close = _pair(-0.01 + 0.02 * SPREAD, deep={"starved": True})  # more test rows would not settle this, time might
    assert close.answer == "unsure" and "cnn had too little time to learn" in close.why and close.settle_rows is None
    assert "too close to call" in _pair(-0.01 + 0.02 * SPREAD, classical={"starved": True}).why


def test_a_lower_error_is_better() -> None:
    gap = Gap(size=1.0, draws=1 + 0.1 * SPREAD, of="model")
    made = judge(_rival("mlp", 9.0), _rival("boosting", 10.0), gap, METRICS["rmse"], Trial(rows=1_000))
    assert made.answer == "deep" and made.gap == pytest.approx(1.0) and made.region == pytest.approx(10 * RELATIVE)
    assert "of rmse" in made.why and "points" not in made.why


def test_unsure_by_error_ships_the_lower_valid_error() -> None:
    gap = Gap(size=0.0, draws=SPREAD, of="model")
    deep, classical = _rival("mlp", 10.0, valid=9.0, cost=5.0), _rival("boosting", 10.0, valid=10.0)
    assert judge(deep, classical, gap, METRICS["rmse"], Trial(rows=100)).winner == "mlp"


def test_one_family_alone_cannot_be_judged() -> None:
    made = judge(None, _rival("linear"), None, METRICS["accuracy"], Trial(rows=10))
    assert (made.answer, made.winner, made.against, made.gap) == ("unsure", "linear", None, None)
    assert made.why.startswith("No deep contender finished, so deep and classical cannot be compared")
    made = judge(None, None, None, METRICS["accuracy"], Trial(rows=10))
    assert made.winner is None and made.why.startswith("Nothing but the floor finished")


def test_contenders_of_one_family_are_held_against_each_other() -> None:
    gap = Gap(size=0.2, draws=0.2 + 0.01 * SPREAD, of="method")
    made = within("deep", "cnn", "mlp", 0.7, gap, METRICS["accuracy"])
    assert made.answer == "first"
    assert made.why == "cnn is better than mlp (+20.00 points, 95% interval +19.05 to +20.95)"
    lost = within("deep", "mlp", "cnn", 0.6, Gap(size=0.0, draws=0.01 * SPREAD, of="method"), METRICS["accuracy"])
    assert lost.answer == "unsure" and lost.why.startswith("mlp is not shown to be better than cnn")


def test_the_cheaper_is_the_faster_and_among_as_fast_ones_the_smaller() -> None:
    fast, slow, small = (
        Rival(name=name, valid=0.9, cost=cost, score=0.9, size=size)
        for name, cost, size in (("fast", 10.0, 900.0), ("slow", 25.0, 5.0), ("small", 19.0, 100.0))
    )
    assert cheaper([fast, slow]).name == "fast"
    assert cheaper([slow, fast, small]).name == "small"
    tie = _pair(SPREAD * 0.001, deep={"cost": 30.0}, classical={"cost": 20.0})
    assert tie.winner == "linear" and "linear is cheaper to run" in tie.why
