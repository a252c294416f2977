"""A contender that only the tests know: softmax regression by plain gradient descent, which can go on from a state."""

from collections.abc import Iterator

import numpy as np
import onnx
from scipy.special import softmax

from leadline.contenders.features import Layout, layout, matrix
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Contender, Data, Fitted, Progress, State, digest
from leadline.core.tensors import Tensors
from leadline.graph.builder import Graph
from leadline.metrics.metrics import METRICS

RATE, STEPS = 0.5, 500  # of a step, and steps a pass


class Descent(Contender):
    name, family, interpretable, export_seconds = "descent", "classical", True, 1.0

    def inputs(self, store: Tensors) -> list[str]:
        return list(layout(store, ("dense",)).tensors) if store.task.classes else []

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        store, split, metric = data.store, data.store.split, METRICS[data.store.task.metric]
        fitted = FittedDescent(layout(store, ("dense",)), data.classes)
        x, truth = fitted.read(store, split.train), np.eye(data.classes)[data.labels(split.train)]
        weights = np.zeros((x.shape[1], data.classes)) if state is None else np.array(state["weights"])
        last = STEPS * (data.epochs or 1)
        for step in range(0 if state is None else state["step"], last):
            weights -= RATE / len(x) * x.T @ (softmax(x @ weights, axis=1) - truth)
            if step % STEPS == STEPS - 1:
                fitted.weights, kept = weights.astype(np.float32), {"weights": weights.tolist()}
                fitted.valid = fitted.predict(store, split.valid)
                fitted.score = metric(data.labels(split.valid), fitted.valid)
                yield Progress(step=step + 1, steps=last, score=fitted.score, state=lambda kept=kept: kept)
        yield fitted


class FittedDescent:
    score, undertrained, trained_on_valid, describe = float("nan"), False, False, ["gradient descent, full batches"]
    valid: np.ndarray | None = None

    def __init__(self, plan: Layout, classes: int) -> None:
        self.plan, self.weights = plan, np.zeros((sum(plan.widths) + 1, classes), np.float32)
        self.params, self.bytes = self.weights.size, self.weights.nbytes

    def read(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return np.pad(np.nan_to_num(matrix(store, self.plan, rows)), ((0, 0), (0, 1)), constant_values=1)

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return np.asarray(softmax(self.read(store, rows) @ self.weights, axis=1))

    def digest(self) -> str:
        return digest(self.weights)

    def graph(self) -> onnx.ModelProto:
        g, read = Graph("descent"), zip(self.plan.tensors, self.plan.widths, strict=True)
        x = g.op("Concat", *(g.input(name, np.float32, ["N", wide]) for name, wide in read), axis=1)
        x = g.op("Where", g.op("IsNaN", x), g.const(np.float32(0)), x)
        raw = g.op("Gemm", x, g.const(self.weights[:-1]), g.const(self.weights[-1]))
        g.output("scores", g.op("Softmax", raw, axis=1), np.float32, ["N", self.weights.shape[1]])
        return g.model()


PORTFOLIO["descent"] = Descent()
