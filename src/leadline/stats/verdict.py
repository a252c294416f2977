"""The verdict: one rule, short enough to read aloud.

[L, U] is the 95% interval of deep minus classical (the best of each by valid; above zero is better for deep) and r the
region of practical equivalence. In order: [L, U] inside [-r, r]: tie. L > 0: deep. U < 0: classical. Else: unsure.
A contender of either family that is undertrained cannot lose for its family: unsure too.
A tie ships the cheaper. Unsure ships the cheaper one where the probability of losing more than r by it is under 20%,
else the best on valid (without valid rows the one that is likelier to be better), or over repeats the cheaper one where
their valid scores lie within one standard error. From one
training the sentence is about this model; from folds, or three seeds, about the method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from leadline.core.records import Answer, Measure, Unit, Verdict, Within
from leadline.metrics.metrics import Metric
from leadline.stats.advice import PLAIN, Advice
from leadline.stats.choice import Choice
from leadline.stats.intervals import LEVEL, Gap, Outlook
from leadline.stats.rule import rule
from leadline.stats.sample_size import TRAINING_NOISE, Settling, rows_to_settle, trainings_to_settle

POINTS = 0.005  # region for accuracy: half a point
RELATIVE = 0.01  # region for other metrics: 1% of the classical score
RISK = 0.2
ALIKE = 2.0  # times a row up to so many times the least are no difference in cost
SHOWS = 0.8416  # standard errors beyond the half-width, from which on a gap shows four times in five


class Costs(Protocol):
    """What tells which of several is cheaper."""

    @property
    def cost(self) -> float: ...
    @property
    def size(self) -> float: ...


R = TypeVar("R", bound=Costs)


@dataclass(frozen=True, kw_only=True)
class FamilyBest:
    """The best of a family by valid."""

    name: str
    cost: float  # microseconds a row
    score: float  # on the test rows; over repeats their mean
    undertrained: bool = False  # the budget left it too little to learn from
    size: float = 0.0  # bytes of what it learned


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How the two were compared, and what more of it would cost."""

    rows: int  # that were tested on
    by: Unit = "rows"  # rows: one training. seeds, folds: so many `repeats` of trainings
    repeats: int = 1
    level: float = LEVEL  # of the interval; higher where several looks were taken
    repeat_s: float | None = None  # seconds of one more repeat
    over: Callable[[int], Outlook] | None = None  # what so many folds or seeds would state, where they can be had
    chosen: Choice | None = None  # of the two, by the valid rows of all repeats


def cheaper(rivals: Sequence[R]) -> R:
    """The one that costs least to run; of those that take at most twice the least time a row, the smallest.

    Times a row are measured on the test rows: a dozen give a rough time, while sizes are the same in every run.
    """
    least = min(rival.cost for rival in rivals)
    return min((rival for rival in rivals if rival.cost <= ALIKE * least), key=lambda rival: (rival.size, rival.cost))


def region_of(metric: Metric, classical: float) -> float:
    """Differences up to this make no practical difference."""
    return POINTS if metric.name == "accuracy" else RELATIVE * abs(classical)


def judge(
    deep: FamilyBest | None, classical: FamilyBest | None, gap: Gap | None, metric: Metric, trial: Trial,
    advice: Advice = PLAIN,
) -> Verdict:  # fmt: skip
    """Apply the rule to the best of each family, whose difference is `gap`."""
    if deep is None or classical is None or gap is None:
        return _alone(deep, classical, advice)
    low, high = gap.interval(trial.level)
    region = region_of(metric, classical.score)
    answer = rule(low, high, region)
    behind, undertrained = deep if gap.size < 0 else classical, None
    if behind.undertrained and answer != "tie":  # losing for want of time says nothing of a family
        answer, undertrained = "unsure", behind
    p_deep, p_classical = gap.above(region), 1 - gap.above(-region)
    winner = _ship(answer, deep, classical, p_deep, p_classical, trial.chosen)
    settling, repeats = Settling(), None
    if answer == "unsure" and undertrained is None:
        settling = rows_to_settle(gap, trial.rows, region, trial.level)
        repeats = _repeats(gap, region, trial)
    shows = (high - low) / 2 + SHOWS * Outlook.of(gap.draws).error
    verdict = Verdict(
        answer=answer, winner=winner.name, against=(classical if winner is deep else deep).name, gap=gap.size, low=low,
        high=high, region=region, p_deep=p_deep, p_same=max(0.0, 1 - p_deep - p_classical), p_classical=p_classical,
        of=gap.of, why="", settle_rows=settling.rows, by=trial.by, repeats=trial.repeats, level=trial.level,
        smallest=None if metric.share and shows >= 1 else shows, settle_repeats=repeats,
        settle_s=None if repeats is None or trial.repeat_s is None else repeats * trial.repeat_s,
        settle_answer=settling.answer, settle_none=settling.reason,
    )  # fmt: skip
    return Verdict(**{**vars(verdict), "why": _why(verdict, deep, classical, winner, metric, undertrained, advice)})


def _repeats(gap: Gap, region: float, trial: Trial) -> int | None:
    """How many more folds or seeds would settle it; None where they would not, or cannot be had."""
    if trial.over is None:
        return None
    needed = trainings_to_settle(gap.size, trial.over, trial.repeats, region, trial.level)
    return None if needed is None else needed - trial.repeats


def _ship(
    answer: str, deep: FamilyBest, classical: FamilyBest, p_deep: float, p_classical: float, chosen: Choice | None
) -> FamilyBest:  # fmt: skip
    if answer == "deep":
        return deep
    if answer == "classical":
        return classical
    least = cheaper((classical, deep))
    if answer == "tie":
        return least
    losing = p_classical if least is deep else p_deep
    if losing < RISK:
        return least
    if chosen is None or chosen.by == Measure.NO_VALID_ROWS:
        return deep if p_deep > p_classical else classical
    return deep if deep.name == chosen.name else classical


def _why(
    verdict: Verdict,
    deep: FamilyBest,
    classical: FamilyBest,
    winner: FamilyBest,
    metric: Metric,
    undertrained: FamilyBest | None,
    advice: Advice,
) -> str:
    gap, low, high, region = verdict.gap, verdict.low, verdict.high, verdict.region
    assert gap is not None and low is not None and high is not None and region is not None
    share = metric.name == "accuracy"

    def say(value: float) -> str:
        return f"{abs(value) * 100:.2f} points" if share else _figure(abs(value))

    level = f"{100 * verdict.level:.3g}%"
    interval = (
        f"{level} interval of deep minus classical {figure(low, share)} to {figure(high, share)}{direction(metric)}"
    )
    scored = f"{deep.name} scores {_score(deep, share)} and {classical.name} {_score(classical, share)} {metric.name}"
    other = classical if winner is deep else deep
    if verdict.answer in ("deep", "classical"):
        by = f"by {say(gap)} of {metric.name}"
        if verdict.of == "method":
            who = f"{verdict.answer} beats {_other(verdict.answer)} ({winner.name} over {other.name})"
            return f"{_over(verdict)}{who} {by} ({interval})."
        return f"This {winner.name} beats this {other.name} {by} on the held-out test ({interval})."
    if verdict.answer == "tie":
        return (
            f"{_over(verdict)}{scored}, the same for practical purposes ({interval}, within {say(region)} either way); "
            f"{winner.name} is {'cheaper to run' if winner.cost <= other.cost else 'smaller, and about as fast'}."
        )
    if undertrained is not None:
        return (
            f"{scored}, but {undertrained.name} had too little time to learn, which says nothing of its family; "
            f"{advice.time}, and until then the choice is {winner.name}."
        )
    power = "no difference is detectable at 80% power"
    if verdict.smallest is not None:
        power = f"the smallest detectable difference at 80% power is {say(verdict.smallest)}"
    return (
        f"{_over(verdict)}{scored}, too close to call with this much data ({interval}; {power}){_settle(verdict)}; "
        f"until then the choice is {winner.name}."
    )


def _over(verdict: Verdict) -> str:
    """What the sentence rests on, where that is more than one training."""
    return "" if verdict.of == "model" else f"Over {verdict.repeats} {verdict.by}: "


def _settle(verdict: Verdict) -> str:
    """What would settle it, and what that assumes."""
    more = ""
    if verdict.settle_repeats is not None:
        seconds = "" if verdict.settle_s is None else f", about {verdict.settle_s:,.0f} s"
        what = ("seed" if verdict.by == "seeds" else "fold") + ("s" if verdict.settle_repeats > 1 else "")
        more = f"{verdict.settle_repeats} more {what}{seconds}: --repeats {verdict.repeats + verdict.settle_repeats}"
    if verdict.settle_rows is None and not more:
        reasons = {TRAINING_NOISE: "; more test rows would not settle it, since trainings differ more than rows do"}
        return reasons.get(verdict.settle_none or "", "; no number of rows within reach would settle it")
    if verdict.settle_rows is not None:
        of = "rows in all" if verdict.by == "folds" else "test rows"
        more = f"about {verdict.settle_rows:,} {of} would settle it" + (f" ({more})" if more else "")
    else:
        more = f"{more} would settle it"
    as_ = "" if verdict.settle_answer is None else f" as {verdict.settle_answer!r}"
    return f"; if the gap stays as it is, {more}{as_} in four runs of five"


def _other(answer: str) -> str:
    return "classical" if answer == "deep" else "deep"


def _score(rival: FamilyBest, share: bool) -> str:
    return f"{rival.score:.2%}" if share else _figure(rival.score, 5)


def direction(metric: Metric) -> str:
    """What a signed difference needs to be understood where lower scores are better."""
    return "" if metric.higher_is_better else ", counted so that more is better"


def figure(value: float, share: bool) -> str:
    """A difference with its sign, in points where the metric is a share."""
    return f"{value * 100:+.2f}" if share else ("+" if value >= 0 else "") + _figure(value)


def _figure(value: float, digits: int = 4) -> str:
    """So many digits, and no exponent where a number can be read without one.

    >>> _figure(-11380.4), _figure(0.012345), _figure(43880.62, 5)
    ('-11,380', '0.01235', '43,881')
    """
    whole = 10 ** (digits - 1) <= abs(value) < 1e12
    return f"{value:,.0f}" if whole else f"{value:,.{digits}g}"


def _alone(deep: FamilyBest | None, classical: FamilyBest | None, advice: Advice) -> Verdict:
    rival = deep or classical
    lost = "deep" if deep is None else "classical"
    found = f"No {'classical' if deep else 'deep'} contender finished" if rival else "Nothing but the baseline finished"
    until = f"; until then the choice is {rival.name}" if rival else ""
    return Verdict(
        answer="unsure", winner=rival.name if rival else None, against=None, gap=None, low=None, high=None, region=None,
        p_deep=None, p_same=None, p_classical=None, of="model", settle_rows=None,
        why=f"{found}, so deep and classical cannot be compared: {advice.both(lost)}{until}.",
    )  # fmt: skip


SIDES: dict[Answer, Literal["first", "second", "tie", "unsure"]] = {
    "deep": "first", "classical": "second", "tie": "tie", "unsure": "unsure",
}  # fmt: skip


def within(family: str, first: str, second: str, score: float, gap: Gap, metric: Metric) -> Within:
    """How the best of a family by valid stands to another one of it, which has this score."""
    low, high = gap.interval()
    answer = SIDES[rule(low, high, region_of(metric, score))]
    share = metric.name == "accuracy"
    words = {
        "first": f"{first} is better than {second}", "second": f"{second} is better than {first}",
        "tie": f"{first} and {second} are the same for practical purposes",
        "unsure": f"{first} is not shown to be better than {second}",
    }  # fmt: skip
    unit = " points" if share else ""
    size, least, most = (-gap.size, -high, -low) if answer == "second" else (gap.size, low, high)
    interval = (
        f"{figure(size, share)}{unit}, 95% interval {figure(least, share)} to {figure(most, share)}{direction(metric)}"
    )
    return Within(
        family=family, first=first, second=second, gap=gap.size, low=low, high=high, answer=answer,
        why=f"{words[answer]} ({interval})",
    )  # fmt: skip
