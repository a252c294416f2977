"""Shapley values of the columns of rows, from answers alone.

Sources: Shapley 1953; Štrumbelj & Kononenko 2014; antithetic orders as in Mitchell et al. 2022. Enters: rows, and the
rows that all of them are compared with. Leaves: effects that add up to the margin less its mean over the rows that it
is compared with: exact where the margin is a sum of one term a column, or where all sets of columns can be answered;
else sampled, with the half of a 95% interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leadline.use.explain.records import LEVEL, Margin, Method
from leadline.use.explain.sample import Row
from leadline.use.explain.scorer import Scorer

PAIRS = 8  # of orders of each row, each pair against a row of its own
ADDS_UP = 1e-5  # of the effects of a row: how far an additive margin may be off by rounding
MOST, MOST_JOINT = 3_000, 300_000  # answers for exact values; the second where one costs little


@dataclass(frozen=True, kw_only=True)
class Shapley:
    """Effects float64 [players], half of their 95% intervals (0 where exact), the margin, and the mean margin of the
    rows that it is compared with.
    """

    effects: np.ndarray
    half: np.ndarray
    margin: float
    base: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """Effects of the columns, or groups of columns, of each row.

    Attributes:
        against: rows that all of them are compared with.
        error: of exact effects, how far their sums are from the margins, at most; None where they are no sums of terms.
        rounding: of trees, the same from the sums that the file makes in float32.
        margin: what they are effects on; None: on the margin of the `Scorer`.
    """

    rows: list[Shapley]
    method: Method
    against: int
    error: float | None = None
    rounding: float | None = None
    margin: Margin | None = None


def additive(
    scorer: Scorer, rows: Sequence[Row], places: np.ndarray, outputs: Sequence[int], removed: Sequence[np.ndarray],
    others: Sequence[Row],
) -> Found | None:  # fmt: skip
    """Exact effects where the margin is a sum of one term a column, as of linear models; None where it is not.

    Of such a sum the falls by removing one column at a time, `removed`, add up to the margin less its mean over the
    same `others`. An effect is a column's term less the mean of this term over all rows.

    Args:
        rows: all rows of a sample. places: of those that are explained.
    """
    chosen = np.asarray(outputs)
    margins = scorer.margin(scorer.scores([rows[place] for place in places]), chosen)
    scale = max(float(np.abs(falls).sum()) for falls in removed)
    if len(places) < 2 or len(others) < 2 or _off(scorer, margins, chosen, removed, others) > ADDS_UP * scale:
        return None
    scores = scorer.scores(rows)
    of = {output: scorer.margin(scores, np.full(len(rows), output)) for output in sorted(set(chosen.tolist()))}
    start = int(np.abs(np.stack(list(of.values()))).max(axis=0).argmin())  # where rounding matters least
    answers = scorer.scores({**rows[start], name: row[name]} for name in scorer.columns for row in rows)
    found, error = [], 0.0
    terms = {}
    for output, own in of.items():
        moved = scorer.margin(answers, np.full(len(answers), output)).reshape(len(scorer.columns), len(rows))
        terms[output] = moved - own[start]
    for place, output, margin in zip(places, chosen.tolist(), margins.tolist(), strict=True):
        means = terms[output].mean(axis=1)
        effects, base = terms[output][:, place] - means, float(of[output][start] + means.sum())
        error = max(error, abs(float(effects.sum()) - (margin - base)))
        found.append(Shapley(effects=effects, half=np.zeros(len(effects)), margin=margin, base=base))
    if error > ADDS_UP * scale:
        return None
    return Found(rows=found, method=Method.ADDITIVE, against=len(rows), error=error)


def _off(
    scorer: Scorer, margins: np.ndarray, outputs: np.ndarray, removed: Sequence[np.ndarray], others: Sequence[Row]
) -> float:  # fmt: skip
    """How far the falls are from adding up, at most."""
    scores = scorer.scores(others)
    bases = [scorer.margin(scores, np.full(len(scores), output)).mean() for output in outputs]
    return float(np.abs([falls.sum() for falls in removed] - (margins - bases)).max())


def answers_of_sets(rows: int, players: int, others: int) -> int:
    """The answers that the exact values of so many rows need."""
    return others + rows * (1 + ((1 << players) - 2) * others)


def affordable(rows: int, players: int, others: int, joint: bool) -> bool:
    """Whether exact values of so many rows cost little enough."""
    return answers_of_sets(rows, players, others) <= (MOST_JOINT if joint else MOST)


def of_all_sets(scorer: Scorer, rows: Sequence[Row], outputs: Sequence[int], others: Sequence[Row]) -> Found:
    """Exact Shapley values of each row's columns: each set of them is answered, the rest as each other row has it."""
    names, count = scorer.columns, len(scorer.columns)
    whole = (1 << count) - 1
    sets = [[name for place, name in enumerate(names) if chosen >> place & 1] for chosen in range(1, whole)]

    def changed() -> Iterator[Row]:
        for row in rows:
            for own in sets:
                held = {name: row[name] for name in own}
                yield from ({**other, **held} for other in others)

    chosen = np.asarray(outputs, np.int64)
    margins = scorer.margin(scorer.scores(rows), chosen)
    scores = scorer.scores(others)
    bases = {output: float(scorer.margin(scores, np.full(len(others), output)).mean()) for output in set(outputs)}
    between = scorer.margin(scorer.scores(changed()), np.repeat(chosen, len(sets) * len(others)))
    between = between.reshape(len(rows), len(sets), len(others)).mean(axis=2)
    found = []
    for own, margin, output in zip(between, margins.tolist(), outputs, strict=True):
        values = np.concatenate([[bases[output]], own, [margin]])  # by the bits of the set
        effects = _weighted(values, count)
        found.append(Shapley(effects=effects, half=np.zeros(count), margin=margin, base=bases[output]))
    return Found(rows=found, method=Method.EXACT_SHAPLEY, against=len(others))


def _weighted(values: np.ndarray, players: int) -> np.ndarray:
    """Shapley values float64 [players] of the values of all sets, float64 [2 ** players], by the bits of the set."""
    sets = np.arange(len(values))
    sizes = np.array([chosen.bit_count() for chosen in sets.tolist()])
    of_size = [math.factorial(s) * math.factorial(players - s - 1) / math.factorial(players) for s in range(players)]
    found = np.zeros(players)
    for player in range(players):
        without = sets[sets >> player & 1 == 0]
        found[player] = np.array(of_size)[sizes[without]] @ (values[without | 1 << player] - values[without])
    return found


def sampled(
    scorer: Scorer, rows: Sequence[Row], outputs: Sequence[int], groups: Sequence[Sequence[Sequence[str]]],
    others: Sequence[Row], seed: int = 0,
) -> Found:  # fmt: skip
    """Sampled Shapley values of each row's groups of columns.

    A pair of orders, one the reverse of the other, compares a row with one of the others: players join in that order.
    These others are the same for every row, so that effects of rows can be compared.
    """
    rng = np.random.default_rng(seed)
    compared = [others[place] for place in np.resize(rng.permutation(len(others)), PAIRS).tolist()]
    plans = []
    for own in groups:
        orders = [rng.permutation(len(own)) for _ in compared]
        plans.append([way for order in orders for way in (order, order[::-1])])

    def walks() -> Iterator[Row]:
        for row, own, plan in zip(rows, groups, plans, strict=True):
            for step, order in enumerate(plan):
                now = dict(compared[step // 2])
                yield dict(now)
                for player in order:
                    now |= {name: row[name] for name in own[player]}
                    yield dict(now)

    counts = [len(plan) * (len(own) + 1) for own, plan in zip(groups, plans, strict=True)]
    scores = scorer.scores(walks())
    margins = scorer.margin(scores, np.repeat(np.asarray(outputs, np.int64), counts))
    found, at = [], 0
    for own, plan, count in zip(groups, plans, counts, strict=True):
        steps = margins[at : at + count].reshape(len(plan), len(own) + 1)
        at += count
        added = np.zeros((len(plan), len(own)))
        for place, order in enumerate(plan):
            added[place, order] = np.diff(steps[place])
        pairs = added.reshape(PAIRS, 2, len(own)).mean(axis=1)
        margin, base = float(steps[0, -1]), float(steps[:, 0].mean())
        found.append(Shapley(effects=pairs.mean(axis=0), half=_half(pairs), margin=margin, base=base))
    return Found(rows=found, method=Method.SHAPLEY, against=min(PAIRS, len(others)))


def _half(values: np.ndarray) -> np.ndarray:
    """Half of the 95% intervals of the means of [n, players], by Student's t."""
    from scipy.special import stdtrit

    n = len(values)
    return np.asarray(stdtrit(n - 1, 0.5 + LEVEL / 2) * values.std(axis=0, ddof=1) / np.sqrt(n))
