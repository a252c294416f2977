"""A fine-tuned body: its answers, its bytes, and its graph.

Enters: a trained network over the tensor of a body, and perhaps a linear model beside it. Leaves: a `Fitted`
(`core/contender.py`), whose graph is that of the frozen body with the weights that were learned: in int8 where valid
shows no loss, else in float32. In float32 the answers are PyTorch's, and the shipped file is compared with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.contenders.blend import Blend
from leadline.contenders.fitted_network import FittedModule, Learned
from leadline.contenders.states import Reader, in_parts
from leadline.core.contender import Data, digest
from leadline.core.json_types import JsonObject
from leadline.core.pretrained import Precision
from leadline.core.tensors import Tensors
from leadline.graph.runtime import Session
from leadline.metrics.metrics import METRICS
from leadline.system.process_state import torch_threads

if TYPE_CHECKING:
    import onnx

    from leadline.contenders.tuned_body import TunedBody
    from leadline.graph.builder import Graph

COMPARED = 512  # valid rows by which int8 is compared with float32


class FittedFinetuned(FittedModule):
    """A body and its head, with weights that were learned here."""

    @property
    def uncounted_s(self) -> float:
        return 0.0 if self._blend is None else self._blend.uncounted_s

    def __init__(
        self,
        net: TunedBody,
        data: Data,
        reader: Reader,
        learned: Learned,
        blend: Blend | None,
        transfer: JsonObject,
    ) -> None:
        """`transfer`: what valid says, as far as the training knows it."""
        super().__init__(net, learned)
        self._task, self._reader, self._workers, self._blend = data.task, reader, data.threads, blend
        self._session: Session | None = None  # of the network, where it answers in int8
        self._rates: dict[str, float] = {}  # precision -> rows a second
        self._calibration = reader.calibration(data.store)
        self._int8: onnx.ModelProto | None = None
        body, gain, rows = reader.found.body, None, data.store.split.valid[:COMPARED]
        if Precision.INT8 in body.precisions and data.clock.left() > 0:
            gain = self._rounded(data, rows)
        self.precision = Precision.FLOAT32 if self._session is None else Precision.INT8
        self.describe.append(f"ships in {self.precision}")
        self.bytes = self.graph().ByteSize()
        entry = reader.facts(self.precision, self._rates)
        compared = 0 if gain is None else len(rows)
        self.transfer = {"bodies": [entry], "layers": [], **transfer, "int8_gain": gain, "int8_rows": compared}

    def _rounded(self, data: Data, rows: np.ndarray) -> float:
        """What int8 brings on some valid rows; where it costs nothing, the network answers so from here on."""
        metric, truth, scores = METRICS[data.task.metric], data.labels(rows), []
        for precision in (Precision.FLOAT32, Precision.INT8):
            self._session = Session(self._network(precision)) if precision == Precision.INT8 else None
            began = data.clock.spent()
            scores.append(metric(truth, self.predict(data.store, rows)))
            if (spent := data.clock.spent() - began) > 0:  # without a budget no clock runs
                self._rates[str(precision)] = len(rows) / spent
        gain = metric.sign * (scores[1] - scores[0])
        if gain < 0:
            self._session = None
        return float(gain)

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        from leadline.contenders.tuned_body import answers  # imports PyTorch

        tensor = store.tensor(self._reader.tensor)
        if self._session is not None:
            raw = np.concatenate(in_parts(self._session, np.asarray(tensor[rows]), self._workers))
        else:
            with torch_threads(self._threads):
                raw = answers(self._net, tensor, rows) * np.float32(self._share)
        if self._blend is not None:
            raw = raw + self._blend.raw(store, rows, raw.shape[1])
        return self._task.activate(raw, self._scale)

    @property
    def _share(self) -> float:
        """Of the network in the answer."""
        return 1.0 if self._blend is None else 1 - self._blend.share

    def digest(self) -> str:
        learned = [] if self._blend is None else self._blend.learned()
        return digest(super().digest().encode(), str(self.precision).encode(), *learned)

    def graph(self) -> onnx.ModelProto:
        from leadline.graph.builder import Graph

        g, width, network = Graph("finetuned"), self._task.output_width, self._network(self.precision)
        raw = g.add(network, {self._reader.tensor: self._rows(g)}, "network")["raw"]
        if self._blend is not None:
            raw = self._blend.add(g, raw, width)
        self._task.head(g, raw, self._scale, width)
        return g.model()

    def _network(self, precision: Precision) -> onnx.ModelProto:
        """The tensor -> 'raw' [N, outputs], times the share of the network."""
        from leadline.graph.builder import Graph

        g, body = Graph("tuned"), self._states(precision)
        states = g.add(body, {self._reader.tensor: self._rows(g)}, "body")["states"]
        (weight, bias), share = self._net.linear(), np.float32(self._share)
        raw = g.op("Add", g.op("MatMul", states, g.const(weight * share)), g.const(bias * share))
        g.output("raw", raw, np.float32, ["N", len(bias)])
        return g.model()

    def _states(self, precision: Precision) -> onnx.ModelProto:
        """The body; in int8, which takes seconds to make, once."""
        model: onnx.ModelProto | None = self._int8 if precision == Precision.INT8 else None
        if model is None:
            model = self._net.body.graph(self._reader.block, precision, self._calibration)
            self._int8 = model if precision == Precision.INT8 else self._int8
        return model

    def _rows(self, g: Graph) -> str:
        """The input of a graph."""
        block, view = self._reader.block, self._reader.found.body.view
        shape, dtype = (block.shape, block.dtype) if view is None else block.forms[view]
        first = ["L"] if view is None and block.padding is not None else shape[:1]
        return g.input(self._reader.tensor, dtype, ["N", *first, *shape[1:]])
