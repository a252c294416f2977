"""The shipped file against the trained contender, on every test row, from raw values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadline.dataset.store import Store, at_once
from leadline.dataset.table import Table
from leadline.dataset.token_scoring import bits, nats
from leadline.system.errors import ModelError
from leadline.system.resources import most_threads
from leadline.use.model import Model

TOLERANCE = 1e-4  # of a probability, or of the spread of the target


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far the file and the contender are apart."""

    rows: int  # that were compared
    max_difference: float
    decisions_differ: int  # each depends on rounding, or the file would not be shipped; 0 where there are no classes


def check(model: Model, table: Table, store: Store, scores: np.ndarray) -> Parity:
    """Run the file on the raw test rows; raises `ModelError` where its answers differ from `scores`."""
    if store.task.generative:
        return _language(model, table, store, scores)
    rows = store.split.test
    shipped = answered(model, table, store, rows)
    if shipped.shape != scores.shape:
        raise ModelError(
            f"The exported file gives answers of shape {list(shipped.shape)} where the trained contender gives "
            f"{list(scores.shape)}, so it is not shipped."
        )
    apart, limit = np.abs(shipped - scores).reshape(len(rows), -1).max(axis=1), TOLERANCE * store.task.unit(scores)
    flipped, tied = store.task.flips(shipped, scores), store.task.tied(shipped, scores, TOLERANCE)
    # Not (a <= b) rather than a > b: a NaN must count as a difference.
    wrong = (flipped & ~tied) | ~(apart <= limit)
    if wrong.any():
        shown = ", ".join(str(row + 1) for row in rows[np.flatnonzero(wrong)[:5]])
        raise ModelError(
            f"The exported file answers {int(wrong.sum())} of {len(rows)} test rows differently from the trained "
            f"contender (rows {shown}; largest difference {apart.max():.3g}), so it is not shipped."
        )
    return Parity(rows=len(apart), max_difference=float(apart.max()), decisions_differ=int(flipped.sum()))


def answered(model: Model, table: Table, store: Store, rows: np.ndarray) -> np.ndarray:
    """What the file answers the raw values of some rows, rising: probabilities [n, classes], values [n] or bits [n]."""
    return decoded(model, table, store, rows)[0]


def decoded(model: Model, table: Table, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, and which rows could be read, bool [n]."""
    if store.task.generative:
        reader = model.reader(most_threads())
        return bits(store, rows, lambda tokens: nats(tokens, reader.step, reader.initial)), np.ones(len(rows), bool)
    names = list(model.contract["inputs"])
    answers, read = [], np.ones(len(rows), bool)
    step = at_once(store.blocks)  # to find some rows among many takes seconds, however few they are
    for start in range(0, len(rows), step):
        frame = table.take(rows[start : start + step], names)
        found, bad = model.answer(frame, table.source.root)
        answers.append(found[store.task.scores_role])
        read[[start + place for place in bad]] = False
    return np.concatenate(answers), read


def _language(model: Model, table: Table, store: Store, scores: np.ndarray) -> Parity:
    """The bits of every test row, by the step in the file."""
    rows = store.split.test
    found = answered(model, table, store, rows)
    apart = np.abs(found - scores) / np.maximum(scores, 1.0)
    wrong = ~(apart <= TOLERANCE)
    if wrong.any():
        shown = ", ".join(str(row + 1) for row in rows[np.flatnonzero(wrong)[:5]])
        raise ModelError(
            f"The exported file finds {int(wrong.sum())} of {len(rows)} test rows otherwise likely than the trained "
            f"contender (rows {shown}; largest difference {apart.max():.3g} of its bits), so it is not shipped."
        )
    return Parity(rows=len(apart), max_difference=float(apart.max()), decisions_differ=0)
