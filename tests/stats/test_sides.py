"""Which of three sides is best, and how often that is said falsely."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from leadline.core.records import SidePair
from leadline.metrics.metrics import METRICS
from leadline.stats.evaluate_repeats import Known, Scales
from leadline.stats.repeat import Repeat
from leadline.stats.sides import SIDES, best_side, pair_answer, three_sides

ORDER = ("pretrained", "scratch", "classical")


def _pairs(*answers: str) -> list[SidePair]:
    return [
        SidePair(first=a, second=b, contenders=(a, b), gap=0.02, low=0.01, high=0.03, answer=answer)  # type: ignore[arg-type]
        for (a, b), answer in zip(SIDES, answers, strict=True)
    ]


def _repeats(scores: dict[str, float], n: int, count: int, seed: int) -> list[Repeat]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        hits = {name: rng.random(n) < share for name, share in scores.items()}
        answers = {name: np.stack([hit, ~hit], axis=1).astype(np.float32) for name, hit in hits.items()}
        right = {name: float(hit.mean()) for name, hit in hits.items()}
        made.append(
            Repeat(
                number=number, fold=number % 5, seed=number, seconds=1.0, rows=np.arange(n),
                truth=np.zeros(n, np.int64), answers=answers, valid=right, scores=right,
            )
        )  # fmt: skip
    return made


def _scales(undertrained: str | None = None, **known: Known) -> Scales:
    facts = {
        "body": Known(family="deep", cost=1.0, undertrained=undertrained == "body", pretrained=True),
        "cnn": Known(family="deep", cost=1.0, undertrained=undertrained == "cnn"),
        "linear": Known(family="classical", cost=1.0, undertrained=undertrained == "linear"),
    }
    return Scales(known={**facts, **known}, metric=METRICS["accuracy"], seed=0, folds=5, rows=1_000)


def test_a_side_is_best_where_no_other_beats_it() -> None:
    assert best_side(_pairs("first", "first", "unsure")) == "pretrained"
    assert best_side(_pairs("second", "unsure", "first")) == "scratch"
    assert best_side(_pairs("unsure", "second", "second")) == "classical"
    assert best_side(_pairs("first", "unsure", "first")) == "pretrained", "better than one that beats the third"
    assert best_side(_pairs("tie", "first", "first")) == "tie"
    assert best_side(_pairs("tie", "tie", "tie")) == "tie"
    assert best_side(_pairs("unsure", "first", "first")) == "unsure"
    assert best_side(_pairs("first", "unsure", "unsure")) == "unsure"


def test_every_combination_of_answers_has_one_answer() -> None:
    found = {best_side(_pairs(*each)) for each in itertools.product(("first", "second", "tie", "unsure"), repeat=3)}
    assert found == {*ORDER, "tie", "unsure"}


def test_a_side_with_too_little_time_cannot_lose() -> None:
    assert pair_answer(-0.03, -0.01, 0.005, (True, False)) == "unsure"
    assert pair_answer(-0.03, -0.01, 0.005, (False, True)) == "second"
    repeats = _repeats({"body": 0.95, "cnn": 0.6, "linear": 0.8}, 200, 5, 0)
    made = _scales().three_sides(repeats)
    assert made is not None and made.answer == "pretrained"
    short = _scales(undertrained="cnn").three_sides(repeats)
    assert short is not None and [pair.answer for pair in short.pairs] == ["unsure", "first", "unsure"]


def test_the_sentence_says_what_pretraining_brings() -> None:
    made = three_sides(_pairs("first", "first", "unsure"), METRICS["accuracy"])
    assert made.why == (
        "In accuracy, pretraining brings +2.00 points over scratch, trained from scratch (+1.00 to +3.00) and +2.00 "
        "points over classical, classical (+1.00 to +3.00; 95% intervals): pretraining is best."
    )


def test_two_sides_are_not_three() -> None:
    repeats = _repeats({"body": 0.9, "cnn": 0.8, "linear": 0.8}, 100, 1, 0)
    scales = _scales()
    for gone in ("body", "cnn", "linear"):
        known = {name: facts for name, facts in scales.known.items() if name != gone}
        assert replace(scales, known=known).three_sides(repeats) is None


@pytest.mark.parametrize("folds", [1, 10])
def test_sides_that_are_equal_are_seldom_told_apart(folds: int) -> None:
    scales = _scales()
    told = 0
    for seed in range(200):
        made = scales.three_sides(_repeats(dict.fromkeys(("body", "cnn", "linear"), 0.8), 200, folds, seed))
        told += made is not None and made.answer in ORDER
    assert told <= 20, f"{told} of 200, where each of three sides may be best by chance in 2.5%"
