"""Answers for many changed rows: batches on the shipped graph, side by side on the cores of the process.

Enters: rows of decoded values. Leaves: for one output of each row, its probability or value ('chance'), and its margin,
in which effects add up: the log odds of a class against all others, or the value itself.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.kinds import KINDS
from leadline.system.resources import most_threads
from leadline.use.explain.sample import Row, is_joint

if TYPE_CHECKING:
    from leadline.use.model import Model

BATCH, BATCH_JOINT = 64, 4_096  # rows of one call
BYTES = 64e6  # of decoded values in one call, at most
LEAST = 1e-30  # of a probability, in its logarithm
LEAST_ALONE = 1e-7  # the same, where only its complement says what the others have


class OutOfTimeError(Exception):
    """The moment has come by which an explanation had to end."""


class Scorer:
    """Scores of decoded rows, until a monotonic moment; after it OutOfTimeError is raised."""

    def __init__(self, model: Model, until: float = math.inf) -> None:
        self.model, self.task, self.until = model, model.task, until
        self.columns: list[str] = list(model.contract["inputs"])
        inputs = model.contract["inputs"]
        self._types: dict[str, Any] = {
            name: object if facts["dtype"] == "str" else np.dtype(facts["dtype"]) for name, facts in inputs.items()
        }
        one = len(self.columns) == 1  # of whose value `itemgetter` makes no tuple
        self._values: Any = (lambda row: (row[self.columns[0]],)) if one else itemgetter(*self.columns)
        self._free = [name for name in self.columns if KINDS[inputs[name]["kind"]].variable_shape]
        self._batch = BATCH_JOINT if is_joint(model) else BATCH
        self.calls = 0  # rows that were answered

    def scores(self, rows: Iterable[Row]) -> np.ndarray:
        """Scores float64 [n, outputs] of rows, which may be given one by one."""
        found: list[np.ndarray] = []
        waiting: deque[Future[np.ndarray]] = deque()
        with ThreadPoolExecutor(most_threads()) as pool:
            for batch in self._batches(iter(rows)):
                if time.monotonic() > self.until:
                    pool.shutdown(cancel_futures=True)
                    raise OutOfTimeError
                self.calls += len(batch)
                waiting.append(pool.submit(self._answer, batch))
                if len(waiting) > 2 * most_threads():
                    found.append(waiting.popleft().result())
            found += [each.result() for each in waiting]
        return np.concatenate(found) if found else np.zeros((0, max(1, len(self.task.classes))))

    def _batches(self, rows: Iterator[Row]) -> Iterator[list[Row]]:
        while batch := list(islice(rows, 1)):
            size = sum(batch[0][name].nbytes for name in self._free) or 1
            yield batch + list(islice(rows, max(1, min(self._batch, int(BYTES / size))) - 1))

    def _answer(self, rows: list[Row]) -> np.ndarray:
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(tuple(row[name].shape for name in self._free), []).append(place)
        out = np.zeros((len(rows), max(1, len(self.task.classes))))
        for places in groups.values():
            feeds = {}
            by_column = zip(*(self._values(rows[place]) for place in places), strict=True)
            for name, values in zip(self.columns, by_column, strict=True):
                if self._types[name] is object:
                    feeds[name] = np.array(values, object)
                else:
                    feeds[name] = np.asarray(values, self._types[name])
            found = np.asarray(self.model.run(feeds)[self.task.scores_role], np.float64)
            out[places] = found.reshape(len(places), -1)
        return out

    def chosen(self, scores: np.ndarray) -> np.ndarray:
        """The output that is explained of each row, int64 [n]: the likeliest class or label, or the value."""
        return np.asarray(scores.argmax(axis=1))

    def chance(self, scores: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Probabilities, or values, float64 [n]."""
        return np.asarray(scores[np.arange(len(scores)), outputs])

    def margin(self, scores: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Log odds, or values, float64 [n]."""
        own = self.chance(scores, outputs)
        if self.task.numeric:
            return own
        if self.task.multilabel:
            own = np.clip(own, LEAST_ALONE, 1 - LEAST_ALONE)
            return np.asarray(np.log(own) - np.log1p(-own))
        # The others' sum is exact where the probability itself is 1 but for rounding.
        others = scores.sum(axis=1, where=np.arange(scores.shape[1]) != outputs[:, None])
        return np.asarray(np.log(np.maximum(own, LEAST)) - np.log(np.maximum(others, LEAST)))
