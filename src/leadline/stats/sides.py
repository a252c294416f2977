"""Three sides of a run: classical, deep from scratch, and pretrained. Which of them is best?

Enters: the interval of each pair of sides. Leaves: the one answer. A side is best where it is better than each of the
others; each of these comparisons has its own 95% interval, and since all must agree, no correction is needed: an
intersection-union test (Berger 1982, Multiparameter hypothesis testing and acceptance sampling). A side is also best
where it is better than one that is better than the third.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from leadline.core.records import Side, SidePair, ThreeSides
from leadline.metrics.metrics import Metric
from leadline.stats.rule import rule
from leadline.stats.verdict import direction, figure

SIDES: tuple[tuple[Side, Side], ...] = (
    (Side.PRETRAINED, Side.SCRATCH), (Side.PRETRAINED, Side.CLASSICAL), (Side.SCRATCH, Side.CLASSICAL),
)  # fmt: skip
WORDS: dict[Side, str] = {
    Side.CLASSICAL: "a classical model", Side.SCRATCH: "deep learning from scratch", Side.PRETRAINED: "pretraining",
}  # fmt: skip
PairAnswer = Literal["first", "second", "tie", "unsure"]
ANSWERS: dict[str, PairAnswer] = {"deep": "first", "classical": "second", "tie": "tie", "unsure": "unsure"}


def pair_answer(low: float, high: float, region: float, undertrained: tuple[bool, bool]) -> PairAnswer:
    """The rule of the verdict for the interval of first minus second; a side that is undertrained cannot lose.

    >>> pair_answer(0.01, 0.03, 0.005, (False, False)), pair_answer(0.01, 0.03, 0.005, (False, True))
    ('first', 'unsure')
    """
    answer = ANSWERS[rule(low, high, region)]
    loser = {"first": 1, "second": 0}.get(answer)
    return "unsure" if loser is not None and undertrained[loser] else answer


def best_side(pairs: Sequence[SidePair]) -> Side | Literal["tie", "unsure"]:
    """The side that no other beats, where it beats all others or is the same as those that none beats either."""
    sides = {side for pair in pairs for side in (pair.first, pair.second)}
    beaten = {pair.second for pair in pairs if pair.answer == "first"}
    beaten |= {pair.first for pair in pairs if pair.answer == "second"}
    left = sides - beaten
    if len(left) == 1:
        return next(iter(left))
    alike = [pair.answer == "tie" for pair in pairs if {pair.first, pair.second} <= left]
    return "tie" if alike and all(alike) else "unsure"


def three_sides(pairs: Sequence[SidePair], metric: Metric) -> ThreeSides:
    """The answer, and a sentence that says what pretraining brought."""
    answer = best_side(pairs)
    share = metric.name == "accuracy"
    unit = " points" if share else ""

    def over(pair: SidePair, what: str) -> str:
        low, high = figure(pair.low, share), figure(pair.high, share)
        return f"{figure(pair.gap, share)}{unit} over {pair.contenders[1]}, {what} ({low} to {high}"

    found = {(pair.first, pair.second): pair for pair in pairs}
    scratch = over(found[Side.PRETRAINED, Side.SCRATCH], "trained from scratch")
    classical = over(found[Side.PRETRAINED, Side.CLASSICAL], "classical")
    ends: dict[Side | Literal["tie", "unsure"], str] = {
        "tie": "the sides that are not beaten are the same for practical purposes",
        "unsure": "which side is best is not settled",
        **{side: f"{words} is best" for side, words in WORDS.items()},
    }
    measured = f"In {metric.name}{direction(metric)}, pretraining brings {scratch}) and {classical}; 95% intervals)"
    why = f"{measured}: {ends[answer]}."
    return ThreeSides(answer=answer, pairs=list(pairs), why=why)
