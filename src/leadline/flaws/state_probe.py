"""Suspect labels by pretrained states: a linear model on states of the pretrained bodies at hand, beside the probe.

Enters: out-of-fold answers of the probe, and the seconds that the search for flaws has left. Leaves: answers of both
together, where the rows' states can be had in that time and both are more probable than the probe alone; else the
probe's. States are kept by content (`contenders/states.py`): a contender that reads them later computes none again, and
a second search finds them there. Each model is fitted by itself, and the answer is the mean of their log odds: on 6,920
texts of which a twentieth had wrong labels, 43% and 53% of these were found among suspects of which half were wrong,
where the probe alone found 34% and 20% (two draws).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from leadline.contenders.states import Encoder, Reader, readers
from leadline.flaws.probe import ITERATIONS, MOST_CLASSES, some
from leadline.system.process_state import warnings_ignored
from leadline.system.resources import give_back

if TYPE_CHECKING:
    from leadline.dataset.store import Store
    from leadline.flaws.time_budget import Pace

STRENGTH = 1.0  # C, of states whose rows have length one
CLIP = 10.0  # standard deviations
LEAST_S = 4.0  # seconds that a body needs to be loaded, and a few rows
A_ROW = 6e-3  # seconds of a row of a body, where no clock may say
A_VALUE = 1.5e-9  # seconds a value of a state, pass and class
TIMED = 4  # calls after which it is known how long all rows take
FITTED = 0.4  # share of the seconds, at most, that the models of all folds may take
FEWEST = 200  # rows that one of them learns from


class StateProbe:
    """Answers from states, each row's by a model that has not learned from it."""

    def __init__(self, store: Store, threads: int, pace: Pace | None) -> None:
        """`pace` bounds how long it may take; without one, it takes what it takes."""
        self._store, self._threads, self._pace = store, threads, pace
        self.classes = len(store.task.classes)
        self._readers = readers(store) if 0 < self.classes <= MOST_CLASSES else []

    def answers(
        self, rows: np.ndarray, labels: np.ndarray, fold: np.ndarray, known: np.ndarray, seconds: float
    ) -> np.ndarray | None:  # fmt: skip
        """Probabilities float32 [n, classes] for `rows`; None without a body, or where they take longer.

        Args:
            labels: class numbers [n], of which only those of `known` [n] are read.
            fold: the number of each row's fold [n].
        """
        if not self._readers or seconds < LEAST_S:
            return None
        width = sum(len(_upper(reader)) for reader in self._readers)
        outputs = self.classes if self.classes > 2 else 1
        folds = len(np.unique(fold))
        a_row = A_VALUE * width * ITERATIONS * outputs
        train = int(min(len(rows), FITTED * seconds / (folds * a_row)))
        endless = self._pace is not None and self._pace.endless
        if train < FEWEST or (endless and len(rows) * A_ROW > seconds):
            return None
        x = self._states(rows, seconds - folds * a_row * train)
        give_back()  # the bodies
        return None if x is None else _crossed(x, labels, fold, known, self.classes, train)

    def _states(self, rows: np.ndarray, seconds: float) -> np.ndarray | None:
        """float32 [n, columns] of the upper layers of every body, rows of length one about; None where it is late."""
        late = self._pace.watch(seconds) if self._pace is not None else lambda: False
        spent = self._pace.timer() if self._pace is not None else lambda: 0.0
        parts = []
        for reader in self._readers:
            precision = reader.found.body.precisions[0]
            encoder, columns = Encoder(reader, self._store, precision, self._threads), _upper(reader)
            found: list[np.ndarray] = []
            warm, taken = 0.0, 0
            for states, _ in encoder.states(self._store, rows):
                found.append(states[:, columns])
                taken += len(states)
                if len(found) == 1:
                    warm = spent()  # what comes first takes longer
                elif len(found) == TIMED:
                    a_row = (spent() - warm) / (taken - len(found[0]))
                    if a_row * (len(rows) - taken) > seconds - spent():
                        return None
                if late():
                    return None
            parts.append(np.concatenate(found).astype(np.float32))
        x = np.concatenate(parts, axis=1)
        x = ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)).clip(-CLIP, CLIP)
        return np.asarray(x / np.float32(x.shape[1] ** 0.5))


def _upper(reader: Reader) -> np.ndarray:
    """Columns of the upper half of a body's layers."""
    ends = np.cumsum([0, *(layer.width for layer in reader.layers)])
    return np.arange(ends[(len(reader.layers) - 1) // 2], ends[-1])


def _crossed(
    x: np.ndarray, labels: np.ndarray, fold: np.ndarray, known: np.ndarray, classes: int, most: int
) -> np.ndarray:  # fmt: skip
    from sklearn.linear_model import LogisticRegression

    found = np.zeros((len(x), classes), np.float32)
    for number in np.unique(fold):
        tried = fold == number
        train = some(np.flatnonzero(~tried & known), most, seed=int(number))
        if len(np.unique(labels[train])) < 2:
            found[tried] = 1 / classes
            continue
        with warnings_ignored():  # that it has not converged
            model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS).fit(x[train], labels[train])
        answers = np.zeros((int(tried.sum()), classes), np.float32)
        answers[:, model.classes_.astype(int)] = model.predict_proba(x[tried])
        found[tried] = answers
    return found


def joined(predictions: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the log odds of some answers [n, classes], as probabilities.

    >>> joined([np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])]).round(2)
    array([[0.75, 0.25]])
    """
    raw = np.mean([np.log(each.clip(1e-6)) for each in predictions], axis=0)
    odds = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def surprise(answers: np.ndarray, labels: np.ndarray) -> float:
    """Mean log loss of class numbers [n]."""
    return -float(np.log(answers[np.arange(len(labels)), labels].clip(1e-6)).mean())
