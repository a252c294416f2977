"""The shipped file against the trained contender, on every test row, from raw cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadline.dataset.store import Store, at_once
from leadline.dataset.table import Table
from leadline.dataset.token_scoring import bits, nats
from leadline.metrics.metrics import LIKELY
from leadline.system.errors import ModelError
from leadline.system.resources import most_threads
from leadline.use.model import Model

TOLERANCE = 1e-4  # of a probability, or of the spread of the target
TIED = 16 * float(np.finfo(np.float32).eps)  # relative: of two classes that lie so close rounding tells which is first


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far the file and the contender are apart."""

    rows: int  # that were compared
    max_difference: float
    decisions_differ: int  # each depends on rounding, or the file would not be shipped; 0 where there are no classes


def check(model: Model, table: Table, store: Store, scores: np.ndarray) -> Parity:
    """Run the file on the raw cells of the test rows; raises `ModelError` where it answers otherwise than `scores`."""
    if store.task.name == "language":
        return _language(model, store, scores)
    rows = store.split.test
    names = list(model.contract["inputs"])
    answers = []
    step = at_once(store.blocks)  # to find some rows among many takes seconds, however few they are
    for start in range(0, len(rows), step):
        frame = table.take(rows[start : start + step], names)
        found, _ = model.answer(frame, table.source.root)
        answers.append(found["probabilities"] if store.task.classes else found["prediction"].astype(np.float64))
    shipped = np.concatenate(answers)
    if shipped.shape != scores.shape:
        raise ModelError(
            f"The exported file gives answers of shape {list(shipped.shape)} where the trained contender gives "
            f"{list(scores.shape)}, so it is not shipped."
        )
    apart = np.abs(shipped - scores)
    flipped = tied = np.zeros(len(rows), bool)
    if store.task.classes:
        apart, limit = apart.max(axis=1), TOLERANCE
        flipped, tied = _decisions(shipped, scores, store.task.several)
    else:
        limit = TOLERANCE * float(np.nanstd(scores) + 1e-12 + 1e-3 * np.nanmean(np.abs(scores)))
    # Not (a <= b) rather than a > b: a NaN must count as a difference.
    wrong = (flipped & ~tied) | ~(apart <= limit)
    if wrong.any():
        shown = ", ".join(str(row + 1) for row in rows[np.flatnonzero(wrong)[:5]])
        raise ModelError(
            f"The exported file answers {int(wrong.sum())} of {len(rows)} test rows otherwise than the trained "
            f"contender (rows {shown}; largest difference {apart.max():.3g}), so it is not shipped."
        )
    return Parity(rows=len(apart), max_difference=float(apart.max()), decisions_differ=int(flipped.sum()))


def _decisions(shipped: np.ndarray, scores: np.ndarray, several: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows [n] whose decision is another one, and those whose decision depends on rounding: no file is to blame."""
    if several:  # of thousands of labels some lie within rounding of the threshold
        other = (shipped >= LIKELY) != (scores >= LIKELY)
        return other.any(axis=1), ~(other & (np.abs(scores - LIKELY) > TOLERANCE)).any(axis=1)
    first = np.partition(scores, -2, axis=1)[:, -2:]
    return shipped.argmax(axis=1) != scores.argmax(axis=1), first[:, 1] - first[:, 0] <= TIED * first[:, 1]


def _language(model: Model, store: Store, scores: np.ndarray) -> Parity:
    """The bits of every test row, by the step in the file."""
    rows, reader = store.split.test, model.reader(most_threads())
    found = bits(store, rows, lambda tokens: nats(tokens, reader.step, reader.initial))
    apart = np.abs(found - scores) / np.maximum(scores, 1.0)
    wrong = ~(apart <= TOLERANCE)
    if wrong.any():
        shown = ", ".join(str(row + 1) for row in rows[np.flatnonzero(wrong)[:5]])
        raise ModelError(
            f"The exported file finds {int(wrong.sum())} of {len(rows)} test rows otherwise likely than the trained "
            f"contender (rows {shown}; largest difference {apart.max():.3g} of its bits), so it is not shipped."
        )
    return Parity(rows=len(apart), max_difference=float(apart.max()), decisions_differ=0)
