"""A trained network: its answers, its bytes, and its graph.

Enters: a network over the tensors of a store, and the scale of the target. Leaves: a `Fitted` (`core/contender.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.bodies import block_of, predict
from leadline.core.contender import Data, digest
from leadline.core.task import Scale
from leadline.core.tensors import Tensors

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Learned:
    """How a training ended: what a `Fitted` says of itself, and the mean and deviation of the target."""

    scale: Scale
    score: float
    describe: list[str]
    undertrained: bool
    trained_on_valid: bool


class FittedNet:
    """A trained network."""

    def __init__(self, net: Any, data: Data, names: list[str], learned: Learned) -> None:
        """`names` of the tensors that it reads."""
        self._net, self._store, self._names, self._scale = net.eval(), data.store, names, learned.scale
        self._task = data.task
        self.score, self.describe = learned.score, learned.describe
        self.undertrained, self.trained_on_valid = learned.undertrained, learned.trained_on_valid
        self.params = sum(p.numel() for p in net.parameters())
        self.bytes = sum(t.numel() * t.element_size() for t in net.state_dict().values())

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return self._task.activate(predict(self._net, store, self._names, rows), self._scale)

    def digest(self) -> str:
        return digest(*(tensor.numpy() for tensor in self._net.state_dict().values()))

    def graph(self) -> onnx.ModelProto:
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
        self._task.head(g, raw, self._scale, self._task.output_width)
        return g.model()
