"""The model as a whole: permutation importance of its columns, and how answers depend on the values of one.

Sources: permutation importance, Breiman 2001 and Fisher et al. 2019; partial dependence, Friedman 2001; accumulated
local effects, Apley & Zhu 2020. Enters: rows with or without labels. Leaves: means over rows with intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from leadline.metrics.metrics import LEAST_P
from leadline.use.explain.records import Dependence, Importance, Loss, Mean
from leadline.use.explain.sample import Row
from leadline.use.explain.scorer import Scorer

PERMUTATIONS = 5
POINTS = 16  # of a curve of dependence
DEPENDING = 80  # rows by which it is drawn


def loss_of(scorer: Scorer, labels: np.ndarray | None) -> Loss:
    """By what importance is measured."""
    if labels is None:
        return Loss.CHANGE
    return Loss.ABSOLUTE_ERROR if scorer.task.numeric else Loss.LOG_LOSS


def _losses(scorer: Scorer, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss of each row, float64 [n]; NaN where its label is unknown."""
    if scorer.task.numeric:
        return np.asarray(np.abs(scores[:, 0] - labels))
    if scorer.task.multilabel:
        right = np.where(labels, scores, 1 - scores)
        return np.asarray(-np.log(np.maximum(right, LEAST_P)).mean(axis=1))
    own = scores[np.arange(len(scores)), np.maximum(labels, 0)]
    return np.asarray(np.where(labels >= 0, -np.log(np.maximum(own, LEAST_P)), np.nan))


def importances(
    scorer: Scorer, rows: Sequence[Row], labels: np.ndarray | None, columns: Sequence[str], seed: int = 0
) -> tuple[Importance, ...]:  # fmt: skip
    """The columns, the most important first. Where labels are unknown, by how much answers change."""
    if len(rows) < 3 or len(scorer.columns) < 2:
        return ()
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(rows)) for _ in range(PERMUTATIONS)]

    def changed() -> Iterator[Row]:
        yield from rows
        for column in columns:
            for order in orders:
                yield from ({**row, column: rows[other][column]} for row, other in zip(rows, order, strict=True))

    scores = scorer.scores(changed())
    before, after = scores[: len(rows)], scores[len(rows) :]
    outputs = scorer.chosen(before)
    after = after.reshape(len(columns), PERMUTATIONS, len(rows), -1)
    found = []
    for column, permuted in zip(columns, after, strict=True):
        if labels is None:
            base = scorer.margin(before, outputs)
            rises = np.mean([np.abs(scorer.margin(each, outputs) - base) for each in permuted], axis=0)
        else:
            base = _losses(scorer, before, labels)
            rises = np.mean([_losses(scorer, each, labels) for each in permuted], axis=0) - base
        found.append(Importance(column=column, increase=Mean.of(rises[np.isfinite(rises)])))
    return tuple(sorted(found, key=lambda each: -each.increase.value))


def dependence(scorer: Scorer, rows: Sequence[Row], column: str, output: int) -> Dependence | None:
    """How the margin of one output depends on a column of numbers; None where it has fewer than three values."""
    values = np.array([row[column] for row in rows], np.float64)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return None
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, POINTS)))
    if len(edges) < 3:
        return None
    some = [rows[i] for i in known[np.unique(np.linspace(0, len(known) - 1, DEPENDING).astype(int))]]
    bins = [np.clip(np.searchsorted(edges, float(row[column]), side="left"), 1, len(edges) - 1) for row in some]

    def changed() -> Iterator[Row]:
        for edge in edges:
            yield from ({**row, column: edge} for row in some)
        for row, place in zip(some, bins, strict=True):
            yield {**row, column: edges[place - 1]}
            yield {**row, column: edges[place]}

    scores = scorer.scores(changed())
    margins = scorer.margin(scores, np.full(len(scores), output))
    partial = margins[: len(edges) * len(some)].reshape(len(edges), len(some)).mean(axis=1)
    local = np.diff(margins[len(edges) * len(some) :].reshape(len(some), 2), axis=1)[:, 0]
    at = np.array(bins)
    steps = [local[at == place].mean() if (at == place).any() else 0.0 for place in range(1, len(edges))]
    accumulated = np.concatenate([[0.0], np.cumsum(steps)])
    weights = np.array([(at == place).sum() for place in range(1, len(edges))])
    centre = float(((accumulated[1:] + accumulated[:-1]) / 2) @ weights / weights.sum())
    return Dependence(
        column=column, values=tuple(edges.tolist()), partial=tuple((partial - partial.mean()).tolist()),
        accumulated=tuple((accumulated - centre).tolist()),
    )  # fmt: skip
