"""A trained network: its answers, its bytes, and its graph.

Enters: a network over the tensors of a store, and the scale of the target. Leaves: a `Fitted` (`contender.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.bodies import block_of, predict
from leadline.core.contender import Data, digest
from leadline.core.tensors import Tensors

if TYPE_CHECKING:
    import onnx


def finish(raw: np.ndarray, classes: int, scale: tuple[float, float], several: bool) -> np.ndarray:
    """Outputs to probabilities [n, classes], or to values [n] in the target's unit."""
    if several:
        return np.asarray(1 / (1 + np.exp(-raw)), np.float32)
    if not classes:
        return np.asarray(raw[:, 0].astype(np.float64) * scale[1] + scale[0])
    odds = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """How a training ended: what a `Fitted` says of itself, and the mean and deviation of the target."""

    scale: tuple[float, float]
    score: float
    describe: list[str]
    undertrained: bool
    trained_on_valid: bool


class FittedNet:
    """A trained network."""

    def __init__(self, net: Any, data: Data, names: list[str], learned: Learned) -> None:
        """`names` of the tensors that it reads."""
        self._net, self._store, self._names, self._scale = net.eval(), data.store, names, learned.scale
        self._classes, self._several = data.classes, data.several
        self.score, self.describe = learned.score, learned.describe
        self.starved, self.trained_on_valid = learned.undertrained, learned.trained_on_valid
        self.params = sum(p.numel() for p in net.parameters())
        self.bytes = sum(t.numel() * t.element_size() for t in net.state_dict().values())

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return finish(predict(self._net, store, self._names, rows), self._classes, self._scale, self._several)

    def digest(self) -> str:
        return digest(*(tensor.numpy() for tensor in self._net.state_dict().values()))

    def graph(self) -> onnx.ModelProto:
        from leadline.contenders.features import values
        from leadline.graph.builder import Graph
        from leadline.graph.torch_export import export

        two = self._store.split.train[:2]
        samples = {name: np.ascontiguousarray(self._store.tensor(name)[two]) for name in self._names}
        unequal = {name for name in samples if block_of(self._store, name).padding is not None}
        inner = export(self._net, samples, unequal)
        g = Graph("network")
        feeds = {
            name: g.input(name, sample.dtype, ["N", "L" if name in unequal else sample.shape[1], *sample.shape[2:]])
            for name, sample in samples.items()
        }  # fmt: skip
        raw = g.add(inner, feeds, "net")["raw"]
        if self._classes:
            squash = g.op("Sigmoid", raw) if self._several else g.op("Softmax", raw, axis=1)
            g.output("scores", squash, np.float32, ["N", self._classes])
        else:
            values(g, raw, self._scale)
        return g.model()
