"""The design matrix of a linear model on states of bodies, beside what classical contenders read.

Enters: rows of a store. Leaves: states standardised, or centred and of one length a row, and in either case about as
long as a row of n-grams: one strength of regularisation suits both. The same arithmetic as a graph, with the bodies in
it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.beside import Beside
from leadline.contenders.design import Design, scaled
from leadline.core.tensors import Tensors

if TYPE_CHECKING:
    from leadline.contenders.pretrained import Bodies
    from leadline.graph.builder import Graph

LENGTH = 1.0  # of a row of states, as of a row of n-grams
FEATURES = 0.3  # of that length, for a row of dense features: at the full length they may drown states of few rows
CLIP = 10.0  # standard deviations
SHORTEST = 1e-6  # length of a row before it is brought to one


class StatesDesign:
    """Some columns of the states, after what a classical design gives (none: states alone).

    Where each row has one length, columns weigh as much as they vary, as the body has learned them.
    """

    def __init__(
        self, bodies: Bodies, store: Tensors, train: np.ndarray, columns: np.ndarray, classical: Design | None,
        by_row: bool = False, features: float | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            columns: of the states, that are read.
            by_row: whether states are centred and of one length a row, in place of standardised.
            features: length of a row of dense columns of the classical design (default: `FEATURES`).
        """
        self.bodies, self.columns, self.classical, self.by_row = bodies, columns, classical, by_row
        self._features = FEATURES if features is None else features
        x = bodies(store, train)[:, columns].astype(np.float32)
        self.mean, self.deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
        self.unit = np.float32(LENGTH / math.sqrt(len(columns)))
        self.other: np.float32 | None = None  # by which dense columns of the classical design are multiplied

    @property
    def text(self) -> bool:
        return self.classical is not None and self.classical.text

    def __call__(self, store: Tensors, rows: np.ndarray, exact: bool = False) -> Any:
        x = self.bodies(store, rows, exact)[:, self.columns].astype(np.float32)
        dense = self._of_one_length(x) if self.by_row else self._standardised(x)
        if self.classical is None:
            return dense
        first = self.classical(store, rows)
        if isinstance(first, np.ndarray):
            self.other = np.float32(self._features * LENGTH / math.sqrt(first.shape[1]))
            return np.concatenate([first * self.other, dense], axis=1)
        return Beside(sparse=first, dense=dense)

    def _standardised(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(((x - self.mean) / self.deviation).clip(-CLIP, CLIP) * self.unit)

    def _of_one_length(self, x: np.ndarray) -> np.ndarray:
        x = x - self.mean
        lengths = np.sqrt((x * x).sum(axis=1, keepdims=True))
        return np.asarray(x * (np.float32(LENGTH) / np.maximum(lengths, np.float32(SHORTEST))))

    def are_grams(self) -> np.ndarray:
        grams = np.zeros(0, bool) if self.classical is None else self.classical.are_grams()
        return np.concatenate([grams, np.zeros(len(self.columns), bool)])

    def learned(self) -> list[np.ndarray]:
        held = [] if self.classical is None else self.classical.learned()
        return [*held, self.mean, self.deviation, self.columns]

    def add(self, g: Graph, total: str, weights: np.ndarray) -> str:
        import onnx

        if self.classical is not None:
            first = weights[: -len(self.columns)]
            total = self.classical.add(g, total, first if self.other is None else first * self.other)
        weights = weights[-len(self.columns) :]
        states = []
        for number, encoder in enumerate(self.bodies.encoders):
            reader = encoder.reader
            (value,) = encoder.model.graph.input
            name = reader.tensor
            if name not in g.inputs:
                g.input(name, onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
                        [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim])  # fmt: skip
            states.append(g.add(encoder.model, {value.name: name}, f"body{number}")["states"])
        joined = g.op("Cast", g.op("Cast", g.op("Concat", *states, axis=1), to=10), to=1)
        chosen = g.op("Gather", joined, g.const(self.columns.astype(np.int64)), axis=1)
        if not self.by_row:
            return str(g.op("Add", total, scaled(g, chosen, self.mean, self.deviation, weights * self.unit)))
        x = g.op("Sub", chosen, g.const(self.mean))
        length = g.op("ReduceL2", x, g.const(np.array([1], np.int64)), keepdims=1)
        share = g.op("Div", g.const(np.float32(LENGTH)), g.op("Max", length, g.const(np.float32(SHORTEST))))
        return str(g.op("Add", total, g.op("MatMul", g.op("Mul", x, share), g.const(weights))))
