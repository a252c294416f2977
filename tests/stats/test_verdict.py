"""The rule, exactly, and what is shipped by it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from leadline.core.records import Measure
from leadline.metrics.metrics import METRICS
from leadline.stats.choice import Choice
from leadline.stats.intervals import Gap, Outlook
from leadline.stats.rule import rule
from leadline.stats.verdict import POINTS, RELATIVE, FamilyBest, Trial, cheaper, judge, within

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


def _rival(name: str, score: float = 0.9, *, cost: float = 1.0, undertrained: bool = False) -> FamilyBest:
    return FamilyBest(name=name, cost=cost, score=score, undertrained=undertrained)


ROWS = Trial(rows=1_000)


def _pair(gaps: Any, trial: Trial = ROWS, of: str = "model", noise: float = 0.0, **facts: Any) -> Any:
    gaps = np.sort(np.asarray(gaps, float))
    gap = Gap(size=float(gaps.mean()), draws=gaps, of=of, noise=noise)
    deep = _rival("cnn", 0.9 + gap.size, **facts.get("deep", {}))
    return judge(deep, _rival("linear", **facts.get("classical", {})), gap, METRICS["accuracy"], trial)


SPREAD = np.linspace(-1, 1, 2_001)
NORMAL = np.sort(stats.norm.ppf((np.arange(4_000) + 0.5) / 4_000))


def test_deep_and_classical_ship_the_winner_whatever_it_costs() -> None:
    won = _pair(0.03 + 0.01 * SPREAD, deep={"cost": 99.0})
    assert (won.answer, won.winner, won.against, won.of, won.settle_rows) == ("deep", "cnn", "linear", "model", None)
    assert won.gap == pytest.approx(0.03) and won.low == pytest.approx(0.0205) and won.high == pytest.approx(0.0395)
    assert (won.p_deep, won.p_same, won.p_classical) == (1.0, 0.0, 0.0)
    assert won.why == (
        "This cnn beats this linear by 3.00 points of accuracy on the held-out test "
        "(95% interval of deep minus classical +2.05 to +3.95)."
    )
    lost = _pair(-0.03 + 0.01 * SPREAD, classical={"cost": 99.0})
    assert (lost.answer, lost.winner, lost.against) == ("classical", "linear", "cnn")


@pytest.mark.parametrize(("deep_cost", "winner"), [(1.0, "cnn"), (3.0, "linear"), (2.0, "linear")])
def test_a_tie_ships_the_cheaper(deep_cost: float, winner: str) -> None:
    made = _pair(0.002 * SPREAD, deep={"cost": deep_cost}, classical={"cost": 2.0})
    assert (made.answer, made.winner, made.p_same) == ("tie", winner, 1.0)
    assert made.why.endswith(f"within 0.50 points either way); {winner} is cheaper to run.")


@pytest.mark.parametrize(
    ("losing", "chosen", "winner"),
    [
        (0.19, "cnn", "linear"),  # losing by the cheaper one is unlikely enough
        (0.21, "cnn", "cnn"),  # it is not: the best on valid
        (0.21, "linear", "linear"),
    ],
)
def test_unsure_ships_the_best_on_valid_or_a_safe_cheaper_one(losing: float, chosen: str, winner: str) -> None:
    gaps = np.concatenate([np.full(int(losing * 1_000), 0.02), np.full(1_000 - int(losing * 1_000), -0.004)])
    gaps[-100:] = -0.02
    trial = Trial(rows=1_000, chosen=Choice(name=chosen, by=Measure.BRIER))
    made = _pair(gaps, trial, deep={"cost": 5.0}, classical={"cost": 1.0})
    assert made.answer == "unsure" and made.p_deep == pytest.approx(losing) and made.winner == winner


def test_unsure_says_how_many_rows_would_settle_it() -> None:
    made = _pair(NORMAL / 100)  # no gap, known to 1 point: a tie, which misses the region on either side
    assert made.settle_rows == pytest.approx(1_000 * ((1.96 + 1.28) * 0.01 / POINTS) ** 2, rel=0.1)
    assert made.settle_answer == "tie" and made.settle_none is None and "too close to call" in made.why
    assert (
        f"if the gap stays as it is, about {made.settle_rows:,} test rows would settle it as 'tie' in four runs of five"
    ) in made.why


def test_a_gap_that_is_there_is_settled_by_far_fewer_rows_than_a_tie_would_take() -> None:
    made = _pair(0.135 + 0.10 * NORMAL, Trial(rows=150))
    assert made.settle_rows == pytest.approx(150 * ((1.96 + 0.84) * 0.10 / 0.135) ** 2, rel=0.03)  # not 200,000
    assert made.settle_answer == "deep"
    lost = _pair(-0.135 + 0.10 * NORMAL, Trial(rows=150, by="folds", repeats=3), of="method")
    assert lost.settle_answer == "classical" and f"about {lost.settle_rows:,} rows in all would settle it" in lost.why
    small = _pair(0.004 + 0.01 * NORMAL)  # inside the region, and nearer to its edge than to zero: a tie now and then
    assert small.settle_rows == pytest.approx(1_000 * (2.8 * 0.01 / 0.004) ** 2, rel=0.25)
    inside = _pair(0.001 + 0.01 * NORMAL)
    assert inside.settle_answer == "tie"
    assert inside.settle_rows == pytest.approx(1_000 * (2.8 * 0.01 / 0.004) ** 2, rel=0.2)  # the far edge matters too


def test_where_no_rows_settle_it_the_reason_is_a_code() -> None:
    gap = Gap(size=0.0, draws=0.1 * NORMAL, of="model")
    nothing = judge(_rival("mlp", 0.0), _rival("boosting", 0.0), gap, METRICS["rmse"], ROWS)
    assert (nothing.settle_rows, nothing.settle_none) == (None, "out_of_reach")  # no region, and no gap
    assert "no number of rows within reach would settle it" in nothing.why
    seeds = Gap(
        size=0.01,
        draws=0.01 + 0.02 * NORMAL,
        of="method",
        noise=0.9,
        more=lambda rows, n: Outlook.of(0.01 + 0.02 * NORMAL),
    )
    trial = Trial(rows=1_000, by="seeds", repeats=3)
    noisy = judge(_rival("cnn", 0.91), _rival("linear"), seeds, METRICS["accuracy"], trial)
    assert (noisy.settle_rows, noisy.settle_none) == (None, "training_noise")
    assert "trainings differ more than rows do" in noisy.why


def test_unsure_says_what_would_have_shown_and_what_it_takes() -> None:
    def over(folds: int) -> Outlook:
        return Outlook.of(0.02 + 0.02 * NORMAL / math.sqrt(folds))

    made = _pair(0.02 + 0.02 * NORMAL, Trial(rows=1_000, repeat_s=7.0, over=over))
    assert made.smallest == pytest.approx(0.02 * 2.8, rel=0.01)
    assert made.settle_repeats == 7 and made.settle_s == 49.0  # 2.8 squared is 7.8: eight in all
    assert "(7 more folds, about 49 s: --repeats 8)" in made.why
    few = _pair(1.0 * SPREAD, Trial(rows=10))
    assert few.smallest is None and "no difference is detectable at 80% power" in few.why
    assert "at 80% power is 5.6" in made.why  # points
    draws = 0.002 + 0.02 * NORMAL
    far = _pair(draws, Trial(rows=1_000, repeat_s=7.0, over=lambda n: Outlook.of(draws)))
    assert (far.settle_repeats, far.settle_s) == (None, None) and "--repeats" not in far.why


def test_noise_between_seeds_is_settled_by_seeds() -> None:
    def over(seeds: int) -> Outlook:
        return Outlook.of(0.02 + 0.02 * NORMAL * math.sqrt(3 / seeds))

    seeds = Gap(size=0.02, draws=over(3).draws, of="method", noise=0.9, more=lambda rows, n: over(n or 3))
    trial = Trial(rows=10_000, by="seeds", repeats=3, repeat_s=60.0, over=over)
    made = judge(_rival("cnn", 0.92), _rival("linear"), seeds, METRICS["accuracy"], trial)
    assert made.answer == "unsure" and made.settle_repeats == math.ceil(3 * 2.8**2) - 3 and made.settle_rows is None
    assert "21 more seeds, about 1,260 s: --repeats 24 would settle it in four runs of five" in made.why
    assert made.why.startswith("Over 3 seeds: cnn scores")


def test_over_rounds_the_sentence_is_about_the_method() -> None:
    made = _pair(0.03 + 0.01 * SPREAD, Trial(rows=1_000, by="folds", repeats=10), of="method")
    assert (made.of, made.by, made.repeats) == ("method", "folds", 10)
    assert made.why == (
        "Over 10 folds: deep beats classical (cnn over linear) by 3.00 points of accuracy "
        "(95% interval of deep minus classical +2.05 to +3.95)."
    )
    looked = _pair(0.03 + 0.01 * SPREAD, Trial(rows=1_000, by="folds", repeats=10, level=0.99), of="method")
    assert "(99% interval" in looked.why and looked.low < made.low


def test_losing_for_want_of_time_says_nothing() -> None:
    made = _pair(-0.03 + 0.01 * SPREAD, deep={"undertrained": True})
    assert made.answer == "unsure" and "cnn had too little time to learn" in made.why and made.settle_rows is None
    assert _pair(-0.03 + 0.01 * SPREAD, classical={"undertrained": True}).answer == "classical"
    turned = _pair(0.03 + 0.01 * SPREAD, classical={"undertrained": True})  # trees that were cut do not lose either
    assert turned.answer == "unsure" and "linear had too little time to learn" in turned.why
    assert _pair(0.03 + 0.01 * SPREAD, deep={"undertrained": True}).answer == "deep"
    close = _pair(
        -0.01 + 0.02 * SPREAD, deep={"undertrained": True}
    )  # more test rows would not settle this, time might
    assert close.answer == "unsure" and "cnn had too little time to learn" in close.why and close.settle_rows is None
    assert "too close to call" in _pair(-0.01 + 0.02 * SPREAD, classical={"undertrained": True}).why


def test_a_lower_error_is_better() -> None:
    gap = Gap(size=1.0, draws=1 + 0.1 * SPREAD, of="model")
    made = judge(_rival("mlp", 9.0), _rival("boosting", 10.0), gap, METRICS["rmse"], Trial(rows=1_000))
    assert made.answer == "deep" and made.gap == pytest.approx(1.0) and made.region == pytest.approx(10 * RELATIVE)
    assert "of rmse" in made.why and "points" not in made.why
    assert made.why.endswith("counted so that more is better).")


def test_without_valid_rows_unsure_ships_the_one_that_is_likelier_to_be_better() -> None:
    nothing = Choice(name="cnn", by=Measure.NO_VALID_ROWS)
    for shift, winner in ((0.1, "cnn"), (-0.1, "linear")):
        for chosen in (nothing, None):
            trial = Trial(rows=100, chosen=chosen)
            made = _pair(shift + SPREAD, trial, deep={"cost": 5.0 if shift > 0 else 1.0}, classical={"cost": 3.0})
            assert made.answer == "unsure" and made.winner == winner


def test_one_family_alone_cannot_be_judged() -> None:
    made = judge(None, _rival("linear"), None, METRICS["accuracy"], Trial(rows=10))
    assert (made.answer, made.winner, made.against, made.gap) == ("unsure", "linear", None, None)
    assert made.why.startswith("No deep contender finished, so deep and classical cannot be compared")
    made = judge(None, None, None, METRICS["accuracy"], Trial(rows=10))
    assert made.winner is None and made.why.startswith("Nothing but the baseline finished")


def test_contenders_of_one_family_are_held_against_each_other() -> None:
    gap = Gap(size=0.2, draws=0.2 + 0.01 * SPREAD, of="method")
    made = within("deep", "cnn", "mlp", 0.7, gap, METRICS["accuracy"])
    assert made.answer == "first"
    assert made.why == "cnn is better than mlp (+20.00 points, 95% interval +19.05 to +20.95)"
    lost = within("deep", "mlp", "cnn", 0.6, Gap(size=0.0, draws=0.01 * SPREAD, of="method"), METRICS["accuracy"])
    assert lost.answer == "unsure" and lost.why.startswith("mlp is not shown to be better than cnn")


def test_the_cheaper_is_the_faster_and_among_as_fast_ones_the_smaller() -> None:
    fast, slow, small = (
        FamilyBest(name=name, cost=cost, score=0.9, size=size)
        for name, cost, size in (("fast", 10.0, 900.0), ("slow", 25.0, 5.0), ("small", 19.0, 100.0))
    )
    assert cheaper([fast, slow]).name == "fast"
    assert cheaper([slow, fast, small]).name == "small"
    tie = _pair(SPREAD * 0.001, deep={"cost": 30.0}, classical={"cost": 20.0})
    assert tie.winner == "linear" and "linear is cheaper to run" in tie.why
