"""A fine-tuned body: its answers, its bytes, and its graph.

Enters: a trained network over the tensor of a body. Leaves: a `Fitted` (`core/contender.py`), whose graph is that of
the frozen body with the weights that were learned: in int8 where valid shows no loss, else in float32. In float32 the
answers are PyTorch's, and the shipped file is compared with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.contenders.fitted_network import FittedModule, Learned
from leadline.contenders.states import Reader, in_parts
from leadline.contenders.tuned_body import answers
from leadline.core.contender import Data
from leadline.core.json_types import Json, JsonObject
from leadline.core.pretrained import Precision
from leadline.core.tensors import Tensors
from leadline.graph.runtime import Session
from leadline.metrics.metrics import METRICS
from leadline.system.process_state import torch_threads

if TYPE_CHECKING:
    import onnx

    from leadline.contenders.tuned_body import TunedBody

COMPARED = 512  # valid rows by which int8 is compared with float32


class FittedFinetuned(FittedModule):
    """A body and its head, with weights that were learned here."""

    uncounted_s = 0.0

    def __init__(self, net: TunedBody, data: Data, reader: Reader, learned: Learned, tuned: int) -> None:
        """`tuned`: layers that were trained."""
        super().__init__(net, learned)
        self._rates: dict[str, Json] = {}  # precision -> rows a second
        self._task, self._reader, self._workers = data.task, reader, data.threads
        self._session: Session | None = None  # that answers, where it does so in int8
        body, gain, rows = reader.found.body, None, data.store.split.valid[:COMPARED]
        if Precision.INT8 in body.precisions and data.clock.left() > 0:
            gain = self._rounded(data, rows)
        self.precision = Precision.FLOAT32 if self._session is None else Precision.INT8
        self.describe.append(f"ships in {self.precision}")
        self.bytes = self.graph().ByteSize()
        entry: dict[str, Json] = {
            "block": reader.block.name, "name": body.name, "package": body.package, "licence": body.licence,
            "source": body.source, "paper": body.paper, "digest": reader.found.facts["digest"],
            "precision": str(self.precision), "rows_per_s": self._rates,
        }  # fmt: skip
        self.transfer: JsonObject = {
            "bodies": [entry], "tuned": tuned, "both": self.score, "body_alone": None, "features_alone": None,
            "layers": [], "int8_gain": gain, "int8_rows": 0 if gain is None else len(rows),
        }  # fmt: skip

    def _rounded(self, data: Data, rows: np.ndarray) -> float:
        """What int8 costs on some valid rows; where it costs nothing, the network answers so from here on."""
        metric, truth, scores = METRICS[data.task.metric], data.labels(rows), []
        for precision in (Precision.FLOAT32, Precision.INT8):
            self._session = Session(self._graph(precision)) if precision == Precision.INT8 else None
            began = data.clock.spent()
            scores.append(metric(truth, self.predict(data.store, rows)))
            self._rates[str(precision)] = len(rows) / max(1e-9, data.clock.spent() - began)
        gain = metric.sign * (scores[1] - scores[0])
        if gain < 0:
            self._session = None
        return float(gain)

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        tensor = store.tensor(self._reader.tensor)
        if self._session is not None:
            return np.concatenate(in_parts(self._session, np.asarray(tensor[rows]), self._workers))
        with torch_threads(self._threads):
            return self._task.activate(answers(self._net, tensor, rows), self._scale)

    def graph(self) -> onnx.ModelProto:
        return self._graph(self.precision)

    def _graph(self, precision: Precision) -> onnx.ModelProto:
        from leadline.graph.builder import Graph

        g, body, block = Graph("finetuned"), self._net.body.graph(self._reader.block, precision), self._reader.block
        view = self._reader.found.body.view
        shape, dtype = (block.shape, block.dtype) if view is None else block.forms[view]
        rows = g.input(self._reader.tensor, dtype, ["N", *shape])
        states = g.add(body, {self._reader.tensor: rows}, "body")["states"]
        weight, bias = (part.detach().numpy() for part in (self._net.head.weight, self._net.head.bias))
        raw = g.op("Add", g.op("MatMul", states, g.const(weight.T.copy())), g.const(bias))
        self._task.head(g, raw, self._scale, self._task.output_width)
        return g.model()
