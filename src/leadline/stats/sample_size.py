"""What would settle an open question: the fewest rows, folds or seeds that decide it four times in five.

Enters: a `Gap` that was not enough. Leaves: a `Settling`. It is assumed that the true difference is the one that was
seen, that new rows are like these, and that training noise shrinks with the rows as it did in the races that
`few_folds.py` learned from. Then a race with so many times the rows would see a difference around this one, and
put an interval around it that is narrower by what the rows bring, the critical value included. The number is the least
for which the answer is `deep`, `classical` or `tie` with a probability of `CHANCE`. In terms of the normal distribution
that is n ((1.96 + 0.84) s / |d|)^2 for a winner and, near no difference, n ((1.96 + 1.28) s / r)^2 for a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leadline.stats.intervals import Gap, Outlook
from leadline.stats.rule import rule

CHANCE = 0.8  # of an answer with so many rows: the usual power
LIKELY = 0.7  # of one answer, from which on it is named
MOST_TIMES = 1e6  # the rows there are: beyond, a number says nothing
MOST_TRAININGS = 25
OUTCOMES = 200  # of a race that are weighed
CLOSE = 1.01  # the number is found to a hundredth

TRAINING_NOISE = "training_noise"  # no number of test rows takes it away
OUT_OF_REACH = "out_of_reach"  # more than MOST_TIMES the rows there are


@dataclass(frozen=True, kw_only=True)
class Settling:
    """What rows it takes; None: there is no such number, and `reason` has why."""

    rows: int | None = None
    answer: str | None = None  # what it would come to, where that can be predicted
    reason: str | None = None


def rows_to_settle(gap: Gap, rows: int, region: float, level: float) -> Settling:
    """How many rows in all would do, where `rows` did not."""
    few, many = 1.0, 1.0
    while sum(chances(gap.size, gap.after(many), region, level).values()) < CHANCE and many < MOST_TIMES:
        few, many = many, many * 4
    found = chances(gap.size, gap.after(many), region, level)
    if sum(found.values()) < CHANCE:
        return Settling(reason=TRAINING_NOISE if gap.noise > 0.5 else OUT_OF_REACH)
    while many / few > CLOSE:
        middle = math.sqrt(few * many)
        seen = chances(gap.size, gap.after(middle), region, level)
        if sum(seen.values()) < CHANCE:
            few = middle
        else:
            many, found = middle, seen
    answer = max(found, key=lambda name: found[name])
    return Settling(rows=math.ceil(rows * many), answer=answer if found[answer] >= LIKELY else None)


def trainings_to_settle(
    size: float, after: Callable[[int], Outlook], held: int, region: float, level: float
) -> int | None:
    """How many folds or seeds in all would do, more than the `held` ones; None: more than MOST_TRAININGS.

    Args:
        after: what a race over so many would state.
    """
    few, many = held, MOST_TRAININGS
    if many <= few or sum(chances(size, after(many), region, level).values()) < CHANCE:
        return None
    while many - few > 1:
        middle = (few + many) // 2
        if sum(chances(size, after(middle), region, level).values()) < CHANCE:
            few = middle
        else:
            many = middle
    return many


def chances(size: float, after: Outlook, region: float, level: float) -> dict[str, float]:
    """How probable each answer is in such a race, whose true difference is `size`."""
    from scipy.special import ndtri

    low, high = np.quantile(after.draws, [(1 - level) / 2, (1 + level) / 2]) - size
    seen = size + after.error * ndtri((np.arange(OUTCOMES) + 0.5) / OUTCOMES)
    answers = [rule(one + low, one + high, region) for one in seen]
    return {name: answers.count(name) / OUTCOMES for name in ("deep", "classical", "tie")}
