"""The verdict: one rule, short enough to read aloud.

[L, U] is the 95% interval of deep minus classical (the best of each by valid; above zero is better for deep) and r the
region of practical equivalence. In order: [L, U] inside [-r, r]: tie. L > 0: deep. U < 0: classical. Else: unsure.
A contender that the budget left too few passes over its rows to learn cannot lose for its family: unsure too.
A tie ships the cheaper. Unsure ships the best on valid, or the cheaper one where the probability of losing more than r
by it is under 20%.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from leadline.judge.compare import LEVEL, Scored
from leadline.judge.metrics import Metric

POINTS = 0.005  # region for shares such as accuracy: half a point
RELATIVE = 0.01  # region for other metrics: 1% of the classical score
RISK = 0.2


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The best of a family by valid."""

    name: str
    valid: float
    cost: float  # microseconds a row
    scored: Scored
    starved: bool = False  # the budget left it too little to learn from


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to use, and the evidence for it. Gaps are deep minus classical, above zero where deep is better."""

    answer: str  # deep, classical, tie or unsure
    winner: str | None  # the contender to ship
    against: str | None
    gap: float | None
    low: float | None
    high: float | None
    region: float | None
    p_deep: float | None
    p_same: float | None
    p_classical: float | None
    of: str  # 'model': one training seed
    why: str
    settle_rows: int | None  # test rows that would settle an unsure answer


def judge(deep: Rival | None, classical: Rival | None, metric: Metric, rows: int) -> Verdict:
    """Apply the rule to the best of each family."""
    if deep is None or classical is None:
        return _alone(deep or classical)
    sign = 1.0 if metric.higher_is_better else -1.0
    gaps = sign * (deep.scored.resampled - classical.scored.resampled)
    gap = sign * (deep.scored.score - classical.scored.score)
    tail = (1 - LEVEL) / 2
    low, high = (float(x) for x in np.quantile(gaps, [tail, 1 - tail]))
    region = POINTS if metric.name == "accuracy" else RELATIVE * abs(classical.scored.score)
    answer = rule(low, high, region)
    starved = next(
        (r for r, lost in ((deep, answer == "classical"), (classical, answer == "deep")) if r.starved and lost), None
    )
    if starved is not None:  # losing for want of time says nothing of a family
        answer = "unsure"
    p_deep, p_classical = float((gaps > region).mean()), float((gaps < -region).mean())
    winner = _ship(answer, deep, classical, p_deep, p_classical, metric)
    settle = None
    if answer == "unsure" and starved is None and region > 0:
        settle = math.ceil(rows * ((high - low) / 2 / region) ** 2)
    return Verdict(
        answer=answer, winner=winner.name, against=(classical if winner is deep else deep).name, gap=gap, low=low,
        high=high, region=region, p_deep=p_deep, p_same=1 - p_deep - p_classical, p_classical=p_classical, of="model",
        why=_why(answer, deep, classical, winner, (gap, low, high, region), metric, settle, starved),
        settle_rows=settle,
    )  # fmt: skip


def rule(low: float, high: float, region: float) -> str:
    """The answer for the interval [low, high] of deep minus classical."""
    if -region <= low and high <= region:
        return "tie"
    if low > 0:
        return "deep"
    if high < 0:
        return "classical"
    return "unsure"


def _ship(answer: str, deep: Rival, classical: Rival, p_deep: float, p_classical: float, metric: Metric) -> Rival:
    if answer == "deep":
        return deep
    if answer == "classical":
        return classical
    cheaper = deep if deep.cost < classical.cost else classical
    if answer == "tie":
        return cheaper
    losing = p_classical if cheaper is deep else p_deep
    if losing < RISK:
        return cheaper
    return deep if metric.better(deep.valid, classical.valid) else classical


def _why(
    answer: str, deep: Rival, classical: Rival, winner: Rival, numbers: tuple[float, float, float, float],
    metric: Metric, settle: int | None, starved: Rival | None,
) -> str:  # fmt: skip
    gap, low, high, region = numbers
    share = metric.name == "accuracy"

    def say(value: float) -> str:
        return f"{abs(value) * 100:.2f} points" if share else f"{abs(value):,.4g}"

    interval = f"95% interval of deep minus classical {_signed(low, share)} to {_signed(high, share)}"
    scored = f"{deep.name} scores {_score(deep, share)} and {classical.name} {_score(classical, share)} {metric.name}"
    if answer in ("deep", "classical"):
        other = classical if winner is deep else deep
        lead = f"This {winner.name} beats this {other.name} by {say(gap)} of {metric.name}"
        return f"{lead} on the sealed test ({interval})."
    if answer == "tie":
        return (
            f"{scored}, the same for practical purposes ({interval}, within {say(region)} either way); "
            f"{winner.name} is cheaper to run."
        )
    if starved is not None:
        return (
            f"{scored}, but {starved.name} had too little time to learn, which says nothing of its family; "
            f"give a larger budget, and until then {winner.name} is shipped."
        )
    rows = f"about {settle:,} test rows would settle it, and " if settle else ""
    return f"{scored}, too close to call with this much data ({interval}); {rows}until then {winner.name} is shipped."


def _score(rival: Rival, share: bool) -> str:
    return f"{rival.scored.score:.2%}" if share else f"{rival.scored.score:,.5g}"


def _signed(value: float, share: bool) -> str:
    return f"{value * 100:+.2f}" if share else f"{value:+,.4g}"


def _alone(rival: Rival | None) -> Verdict:
    found = f"Only {rival.name} finished" if rival else "Nothing but the floor finished"
    return Verdict(
        answer="unsure", winner=rival.name if rival else None, against=None, gap=None, low=None, high=None, region=None,
        p_deep=None, p_same=None, p_classical=None, of="model", settle_rows=None,
        why=f"{found}, so deep and classical cannot be compared; give more time, or race both.",
    )  # fmt: skip
