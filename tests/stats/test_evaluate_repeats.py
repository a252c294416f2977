"""Which repeats are weighed, and how."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from leadline.core.records import Measure
from leadline.metrics.metrics import METRICS
from leadline.stats.choice import Choice, ValidAnswers
from leadline.stats.evaluate_repeats import Known, Scales
from leadline.stats.repeat import Repeat
from leadline.stats.sequential import level

FAMILY = {"cnn": "deep", "mlp": "deep", "linear": "classical"}
SCORES = {"cnn": 0.93, "mlp": 0.80, "linear": 0.90}


def _repeat(number: int, scores: dict[str, float], n: int = 200, valid: dict[str, float] | None = None) -> Repeat:
    """Answers whose accuracy is as given, right and wrong at random."""
    rng = np.random.default_rng(number)
    answers = {}
    for name, share in scores.items():
        hits = np.isin(np.arange(n), rng.permutation(n)[: round(share * n)])
        answers[name] = np.stack([hits, ~hits], axis=1).astype(np.float32)
    valid, scores = valid or scores, {name: round(share * n) / n for name, share in scores.items()}
    return Repeat(
        number=number, fold=number % 5, seed=number, seconds=4.0, rows=np.arange(n), truth=np.zeros(n, np.int64),
        answers=answers, valid=valid, scores=scores,
    )  # fmt: skip


def _scales(folds: int = 5, **known: Any) -> Scales:
    facts = {name: Known(family=family, cost=1.0, undertrained=False) for name, family in FAMILY.items()}
    return Scales(known={**facts, **known}, metric=METRICS["accuracy"], seed=0, folds=folds, rows=1_000)


def _name(choice: Choice | None) -> str | None:
    return None if choice is None else choice.name


def _spread(count: int, gap: float = 0.03) -> list[Repeat]:
    wobble = np.random.default_rng(0).normal(0, 0.01, count)
    return [_repeat(k, {"cnn": 0.9 + gap + wobble[k], "mlp": 0.80, "linear": 0.90}) for k in range(count)]


def test_one_round_is_weighed_by_its_rows() -> None:
    made = _scales().verdict(_spread(1))
    assert (made.of, made.by, made.repeats) == ("model", "rows", 1)
    assert _scales(folds=1).verdict(_spread(2)).by == "rows"  # two seeds tell nothing of how seeds differ


def test_two_folds_or_more_are_weighed_as_folds_and_each_by_its_own_best() -> None:
    assert _scales().verdict(_spread(2)).by == "folds"
    repeats = _spread(6)
    made = _scales().verdict(repeats)
    assert (made.of, made.by, made.repeats, made.answer) == ("method", "folds", 6, "deep")
    assert made.gap == pytest.approx(np.mean([one.scores["cnn"] - one.scores["linear"] for one in repeats]))
    # In a repeat whose valid rows prefer the mlp, the mlp stands for deep: nothing saw the fold.
    misled = _repeat(9, {"cnn": 0.99, "mlp": 0.70, "linear": 0.9}, valid={"cnn": 0.5, "mlp": 0.9, "linear": 0.9})
    after = _scales().verdict([*repeats, misled])
    assert after.gap == pytest.approx((6 * made.gap - 0.2) / 7)


def test_seeds_share_their_test_rows() -> None:
    made = _scales(folds=1).verdict(_spread(3))
    assert (made.of, made.by, made.repeats) == ("method", "seeds", 3)


def test_until_sure_looks_now_and_then_and_pays_for_each_look() -> None:
    scales, sure, open_ = _scales(), _spread(12, gap=0.08), _spread(12, gap=0.0)
    looked = [scales.until_sure(sure[:count], ended=False) for count in (1, 2, 3)]
    assert looked[0] is None and looked[1] is None
    third = scales.verdict(sure[:3], level(1))
    assert looked[2] == (third if third.answer != "unsure" else None)
    assert scales.until_sure(sure[:4], ended=False) is None  # no look is due
    fifth = scales.until_sure(sure[:5], ended=False)
    assert fifth is not None and fifth.answer == "deep" and fifth.level == level(2)
    last = scales.until_sure(open_[:8], ended=True)
    assert last is not None and last.level == level(4, last=True) and last.answer == "unsure"
    assert scales.until_sure(open_[:8], ended=False) is None


def test_families_are_looked_into() -> None:
    (made,) = _scales().within(_spread(5))
    assert (made.family, made.first, made.second, made.answer) == ("deep", "cnn", "mlp", "first")


def _valid(count: int, means: dict[str, float], spread: float) -> list[Repeat]:
    """Resampling whose valid scores scatter around these means, and whose test scores are all alike."""
    rng = np.random.default_rng(1)
    return [
        _repeat(k, dict.fromkeys(means, 0.9), valid={name: m + rng.normal(0, spread) for name, m in means.items()})
        for k in range(count)
    ]


def test_what_is_shipped_is_chosen_by_all_rounds_not_by_the_first_ones_few_valid_rows() -> None:
    costs = {"cnn": 90.0, "mlp": 9.0, "linear": 2.0}
    scales = _scales(**{n: Known(family=FAMILY[n], cost=cost, undertrained=False) for n, cost in costs.items()})
    repeats = _valid(10, {"cnn": 0.90, "mlp": 0.80, "linear": 0.91}, 0.01)
    lucky = {"cnn": 0.75, "mlp": 0.9, "linear": 0.8}
    repeats[0] = _repeat(0, dict.fromkeys(costs, 0.9), valid=lucky)
    assert scales.verdict(repeats[:1]).winner == "mlp"  # one repeat knows no better
    assert _name(scales.chosen(repeats, ["cnn", "mlp"])) == "cnn"
    made = scales.verdict(repeats)
    assert (made.winner, made.against) == ("linear", "cnn")


def test_of_near_equal_contenders_the_cheaper_is_shipped_and_only_of_those() -> None:
    costs = {"cnn": 90.0, "mlp": 9.0, "linear": 2.0}
    scales = _scales(**{n: Known(family=FAMILY[n], cost=cost, undertrained=False) for n, cost in costs.items()})
    names = list(costs)
    near = _valid(25, {"cnn": 0.85, "mlp": 0.85, "linear": 0.84}, 0.1)
    assert _name(scales.chosen(near, names)) == "linear"
    assert _name(scales.chosen(_valid(25, {"cnn": 0.85, "mlp": 0.75, "linear": 0.60}, 0.02), names)) == "cnn"
    assert _name(scales.chosen(_valid(25, {"cnn": 0.85, "mlp": 0.85, "linear": 0.60}, 0.02), names)) == "mlp"
    late = [_repeat(k, dict.fromkeys(costs, 0.9) if k else {"mlp": 0.9, "linear": 0.9}) for k in range(5)]
    assert _name(scales.chosen(late, names)) == "linear"  # the cnn has nothing to ship: the first repeat lacks it


def _margins(n: int, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of two classes of n rows; the first one is the truth, and 84% hold it."""
    up = 1 / (1 + np.exp(-3 * (1 + rng.normal(size=n))))
    return np.stack([up, 1 - up], axis=1)


def _drawn(seed: int, families: dict[str, str], n: int = 400, valid: int = 100) -> Repeat:
    """One training of contenders of equal risk, whose answers on valid and test rows have nothing in common."""
    rng = np.random.default_rng(seed)
    on_valid, answers = ({name: _margins(rows, rng) for name in families} for rows in (valid, n))
    accuracy, truth = METRICS["accuracy"], np.zeros(valid, np.int64)
    return replace(
        _repeat(seed, dict.fromkeys(families, 0.5), n), answers=answers, fold=None,
        valid={name: accuracy(truth, each) for name, each in on_valid.items()},
        on_valid=ValidAnswers(truth=truth, answers=on_valid),
        scores={name: accuracy(np.zeros(n, np.int64), each) for name, each in answers.items()},
    )  # fmt: skip


def test_a_choice_by_brier_score_names_no_more_winners_among_equals() -> None:
    families = {"cnn": "deep", "mlp": "deep", "linear": "classical", "boosting": "classical"}
    known = {name: Known(family=family, cost=1.0, undertrained=False) for name, family in families.items()}
    scales = replace(_scales(folds=1), known=known)
    drawn = [_drawn(seed, families) for seed in range(100)]
    named = sum(scales.verdict([one]).answer in ("deep", "classical") for one in drawn)
    chosen = [each.by for one in drawn for each in scales.choices([one]) if each.of in ("deep", "classical")]
    assert chosen.count(Measure.BRIER) > 150  # of 200: equals are seldom told apart by the metric
    assert named <= 11  # 5% of 100, and two standard errors and a half


def test_who_stands_for_a_side_is_stated_with_what_chose_it() -> None:
    scales = _scales(pre=Known(family="deep", cost=1.0, undertrained=False, pretrained=True))
    told = scales.choices([_repeat(0, {**SCORES, "pre": 0.97})])
    assert [(each.of, each.contender, each.by) for each in told] == [
        ("classical", "linear", "metric"), ("deep", "pre", "metric"), ("scratch", "cnn", "metric"),
        ("pretrained", "pre", "metric"),
    ]  # fmt: skip
    costs = {"cnn": 90.0, "mlp": 9.0, "linear": 2.0}
    scales = _scales(**{n: Known(family=FAMILY[n], cost=cost, undertrained=False) for n, cost in costs.items()})
    near = _valid(25, {"cnn": 0.85, "mlp": 0.85, "linear": 0.84}, 0.1)
    assert [(each.of, each.by) for each in scales.choices(near)] == [
        ("classical", "metric"), ("deep", "cost"), ("scratch", "cost"),
    ]  # fmt: skip


def test_a_family_that_did_not_finish_leaves_it_open() -> None:
    made = _scales().verdict([_repeat(0, {"linear": 0.9})])
    assert made.answer == "unsure" and made.gap is None and made.winner == "linear"


def test_few_groups_that_differ_name_no_winner_among_equals() -> None:
    rng = np.random.default_rng(0)
    named = 0
    for seed in range(60):
        group = np.repeat(np.arange(3), 60)
        answers = {}
        for name in ("cnn", "linear"):
            hits = (
                rng.random(180) < np.clip(0.7 + 0.2 * rng.normal(size=3), 0, 1)[group]
            )  # groups suit one or the other
            answers[name] = np.stack([hits, ~hits], axis=1).astype(float)
        one = replace(_repeat(seed, dict.fromkeys(answers, 0.9)), answers=answers, rows=np.arange(180))
        one = replace(one, truth=np.zeros(180, np.int64))
        named += replace(_scales(), group=group).verdict([one]).answer in ("deep", "classical")
    assert named <= 6  # rows taken for independent name one in half of these races


def test_rows_of_one_group_are_one_in_every_fold() -> None:
    repeats = [_repeat(k, {"cnn": 0.9, "mlp": 0.8, "linear": 0.85}) for k in range(3)]
    names = np.arange(1_000) // 20
    for one in repeats:  # whole groups are right or wrong
        for name, answers in one.answers.items():
            hits = np.repeat(np.random.default_rng(len(name) + one.number).random(10) < 0.8, 20)
            answers[:] = np.stack([hits, ~hits], axis=1)
    repeats = [replace(one, rows=np.arange(200) + 200 * k) for k, one in enumerate(repeats)]
    alone, grouped = _scales().verdict(repeats), replace(_scales(), group=names).verdict(repeats)
    assert alone.low is not None and grouped.low is not None and alone.high is not None and grouped.high is not None
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)  # ten groups of twenty rows
