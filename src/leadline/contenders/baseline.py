"""The baseline: what an answer without looking at the row scores. Class shares, the mean, or shares of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from leadline.contenders.families import BASELINE
from leadline.contenders.ngram import unigram
from leadline.core.contender import Contender, Data, Fitted, Progress, State, digest
from leadline.core.tensors import Tensors
from leadline.metrics.metrics import METRICS

if TYPE_CHECKING:
    import onnx


class Baseline(Contender):
    name = family = BASELINE
    formerly = "floor"
    baseline = True
    needs_valid = False

    def inputs(self, store: Tensors) -> list[str]:
        return [store.blocks[0].name]

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        if data.task.generative:
            yield unigram(data.store)
            return
        split = data.store.split
        before = FittedBaseline(data.store, data.task.constant(data.labels(split.train)))
        both = np.concatenate([split.train, split.valid])
        fitted = FittedBaseline(data.store, data.task.constant(data.labels(both)))
        fitted.trained_on_valid = bool(len(split.valid))
        if len(split.valid):
            truth, answers = data.labels(split.valid), before.predict(data.store, split.valid)
            fitted.score = METRICS[data.store.task.metric](truth, answers)
        yield fitted


class FittedBaseline:
    """One answer for every row."""

    score, undertrained, trained_on_valid = float("nan"), False, True
    valid: np.ndarray | None = None

    def __init__(self, store: Tensors, answer: np.ndarray) -> None:
        self._answer = answer.astype(np.float32) if answer.ndim else answer.astype(np.float64)
        self._tensor, self._shape, self._dtype = store.blocks[0].name, store.blocks[0].shape, store.blocks[0].dtype
        self.params, self.bytes = answer.size, self._answer.nbytes
        self.describe = [
            "the class shares of the train and valid rows" if answer.ndim else "the mean of the train and valid rows"
        ]

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self._answer, (len(rows), *self._answer.shape)).copy()

    def digest(self) -> str:
        return digest(self._answer)

    def graph(self) -> onnx.ModelProto:
        from leadline.graph.builder import Graph

        g = Graph("baseline")
        x = g.input(self._tensor, self._dtype, ["N", *self._shape])
        count = g.op("Shape", x, start=0, end=1)
        shape = g.op("Concat", count, g.const(np.array(self._answer.shape, np.int64)), axis=0)
        expanded = g.op("Expand", g.const(self._answer), shape)
        g.output("scores", expanded, self._answer.dtype, ["N", *self._answer.shape])
        return g.model()
