"""Shapley values of the columns of rows, from answers alone.

Source: Štrumbelj & Kononenko 2014; antithetic orders as in Mitchell et al. 2022. Enters: rows, and others to take
values from. Leaves: effects that add up, of each order exactly, to the margin less that of the row it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leadline.use.explain.records import Method
from leadline.use.explain.sample import Row
from leadline.use.explain.scorer import Scorer

PAIRS = 8  # of orders of each row
ADDS_UP = 1e-5  # of the effects of a row: how far an additive margin may be off by rounding


@dataclass(frozen=True, kw_only=True)
class Shapley:
    """Effects float64 [players] with their standard errors, the margin, and the mean margin of the other rows."""

    effects: np.ndarray
    errors: np.ndarray
    margin: float
    base: float


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Effects of each row's columns that are no samples.

    `error`: how far their sums are from the margins, at most; `rounding`: of trees, from the sums that the file makes
    in float32.
    """

    rows: list[Shapley]
    error: float
    rounding: float | None
    method: Method


def additive(
    scorer: Scorer, rows: Sequence[Row], outputs: Sequence[int], removed: Sequence[np.ndarray], others: Sequence[Row]
) -> Exact | None:
    """Exact effects where the margin is a sum of one term a column, as of linear models; None where it is not.

    Of such a sum the falls by removing one column at a time add up to the margin less its mean over the other rows;
    they are the Shapley values then.
    """
    margins = scorer.margin(scorer.scores(rows), np.asarray(outputs))
    found, error = [], 0.0
    scores = scorer.scores(others)
    for margin, output, falls in zip(margins, outputs, removed, strict=True):
        base = float(scorer.margin(scores, np.full(len(scores), output)).mean())
        error = max(error, abs(float(falls.sum()) - (float(margin) - base)))
        found.append(Shapley(effects=falls, errors=np.zeros(len(falls)), margin=float(margin), base=base))
    scale = max(float(np.abs(falls).sum()) for falls in removed)
    exact = len(rows) > 1 and len(others) > 1 and error <= ADDS_UP * scale
    return Exact(rows=found, error=error, rounding=None, method=Method.ADDITIVE) if exact else None


def shapley(
    scorer: Scorer, rows: Sequence[Row], outputs: Sequence[int], groups: Sequence[Sequence[Sequence[str]]],
    others: Sequence[Row], pairs: int = PAIRS, seed: int = 0,
) -> list[Shapley]:  # fmt: skip
    """Sampled Shapley values of each row's groups of columns.

    A pair of orders, one the reverse of the other, compares a row with one other row: players join in that order.
    """
    rng = np.random.default_rng(seed)
    plans: list[list[tuple[np.ndarray, int]]] = []
    for own in groups:
        plan = []
        for _ in range(pairs):
            order, other = rng.permutation(len(own)), int(rng.integers(len(others)))
            plan += [(order, other), (order[::-1], other)]
        plans.append(plan)

    def walks() -> Iterator[Row]:
        for row, own, plan in zip(rows, groups, plans, strict=True):
            for order, other in plan:
                now = dict(others[other])
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
        for place, (order, _) in enumerate(plan):
            added[place, order] = np.diff(steps[place])
        means = added.reshape(-1, 2, len(own)).mean(axis=1)  # of each pair
        errors = means.std(axis=0, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.full(len(own), np.nan)
        found.append(
            Shapley(
                effects=means.mean(axis=0), errors=errors, margin=float(steps[0, -1]), base=float(steps[:, 0].mean())
            )
        )
    return found
