"""A trained network: its answers, its bytes, and its graph.

Enters: a network over the tensors of a store, and the scale of the target. Leaves: a `Fitted` (`core/contender.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.bodies import block_of, predict
from leadline.contenders.earlier_network import EarlierNetwork, Taken, save
from leadline.core.contender import Data, digest
from leadline.core.json_types import JsonObject
from leadline.core.kind import Body
from leadline.core.task import Scale
from leadline.core.tensors import Tensors
from leadline.system.process_state import torch_threads

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Learned:
    """How a training ended: what a `Fitted` says of itself, and the mean and deviation of the target."""

    scale: Scale
    score: float
    valid: np.ndarray | None  # answers on the valid rows, from which the score is
    describe: list[str]
    undertrained: bool
    trained_on_valid: bool
    threads: int  # of PyTorch at the end of the training, with which it answers


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a later run can begin from, and what this training took of an earlier one."""

    bodies: Mapping[str, Body]  # by the tensors that they read
    width: int
    earlier: EarlierNetwork | None
    taken: Taken | None


class FittedModule:
    """What every trained network says of itself."""

    def __init__(self, net: Any, learned: Learned) -> None:
        self._net, self._threads, self._scale = net.eval(), learned.threads, learned.scale
        self.score, self.valid, self.describe = learned.score, learned.valid, learned.describe
        self.undertrained, self.trained_on_valid = learned.undertrained, learned.trained_on_valid
        self.params = sum(p.numel() for p in net.parameters())
        self.bytes = sum(t.numel() * t.element_size() for t in net.state_dict().values())

    def digest(self) -> str:
        return digest(*(tensor.numpy() for tensor in self._net.state_dict().values()))


class FittedNet(FittedModule):
    """A trained network over the tensors of a store."""

    def __init__(self, net: Any, data: Data, names: list[str], learned: Learned, kept: Kept) -> None:
        """`names` of the tensors that it reads."""
        super().__init__(net, learned)
        self._store, self._task, self._names, self._kept = data.store, data.task, names, kept

    @property
    def init(self) -> JsonObject | None:
        """What it took of an earlier run's network; None where it began from nothing."""
        earlier, taken = self._kept.earlier, self._kept.taken
        if earlier is None or taken is None or not taken.parameters:
            return None
        return {
            "network": str(earlier.path), "digest": earlier.digest, "parameters": taken.parameters, "of": taken.of,
            "parts": list(taken.parts),
        }  # fmt: skip

    def save(self, path: Path) -> None:
        """Keep its bodies for a later run."""
        save(path, self._net, self._store, self._kept.bodies, self._kept.width)

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        with torch_threads(self._threads):
            raw = predict(self._net, store, self._names, rows)
        return self._task.activate(raw, self._scale)

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
