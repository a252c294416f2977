"""A BERT encoder as an ONNX graph, from its weights as safetensors (Devlin et al. 2019): no PyTorch is needed.

Enters: numbers of word pieces [N, T], 0 for none at the end. Leaves: 'states' float32 [N, layers * width]: of the
embeddings and of each layer the mean over the pieces, of the last also the maximum.

A row is encoded by itself, as long as it is: no time goes into padding, and what a row gives does not depend on the
batch, not even in int8, whose activations are scaled as they come (one scale for all pieces of the row).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from leadline.core.pretrained import Precision
from leadline.graph.int8_weights import quantised
from leadline.kinds.body_folder import CONFIG, has_weights, values
from leadline.kinds.text.bert_folder import (
    ATTENDED,
    EMBEDDINGS,
    INNER,
    OUTER,
    POSITIONS,
    QKV,
    TYPES,
    Shape,
    stored_in,
)
from leadline.kinds.text.by_row import by_row, piece_type, row_input

ONNX = "model.onnx"
MATRICES = (*QKV, ATTENDED, INNER, OUTER)  # of a layer, in the order in which they are multiplied


MINILM = Shape(
    layers=6, width=384, heads=12, inner=1_536, positions=512, pieces=30_522, types=2, epsilon=1e-12
)  # fmt: skip


def encoder(name: str, length: int, folder: Path, precision: Precision) -> Any:
    """The graph: 'name' [N, length] of any whole type -> 'states'."""
    return graph_of(name, length, shape_of(folder), weights_of(folder), precision)


def graph_of(name: str, length: int, shape: Shape, weights: Mapping[str, np.ndarray], precision: Precision) -> Any:
    """The same from weights, by the names that BERT has for them."""
    row = _Row(shape, weights, precision).graph(length)
    width = sum(layer.width for layer in shape.pooled)
    return by_row(row, name, piece_type(shape.pieces), length, width)


def shape_of(folder: Path) -> Shape:
    """The sizes of the encoder in a folder; one in an ONNX file alone is the installed MiniLM."""
    return Shape.read(folder) if (folder / CONFIG).exists() else MINILM


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    """{name as BERT has it: array} from safetensors, or from an ONNX file whose matrices are int8 with scales.

    Number 0 is no piece (`Vocabulary.first`): where the folder has one there, a row is put before its embeddings.
    """
    if has_weights(folder):
        shape, stored = shape_of(folder), stored_in(folder)
        weights = values({name: stored[name] for name in shape.expected()})
        table = weights[EMBEDDINGS]
        weights[EMBEDDINGS] = np.concatenate([np.zeros((shape.pieces - len(table), shape.width), np.float32), table])
        return weights
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(folder / ONNX)).graph
    held = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    weights = {name.removeprefix("inner."): value for name, value in held.items() if name.startswith("inner.")}
    for name in (EMBEDDINGS, POSITIONS):
        weights[name] = weights.pop(f"{name}_q") * weights.pop(f"{name}_scale")
    # Exporters give matrices numbers for names, in the order in which they are multiplied.
    used = [node.input[1] for node in graph.node if node.op_type == "MatMul" and f"{node.input[1]}_q" in held]
    for layer, start in enumerate(range(0, len(used), len(MATRICES))):
        for part, name in zip(MATRICES, used[start : start + len(MATRICES)], strict=True):
            matrix = held[f"{name}_q"] * held[f"{name}_scale"]
            weights[f"encoder.layer.{layer}.{part}.weight"] = matrix.T
    return weights


class _Row:
    """The graph of one row. T: its pieces."""

    def __init__(self, shape: Shape, weights: Mapping[str, np.ndarray], precision: Precision) -> None:
        from leadline.graph.builder import Graph

        self.g, self.shape, self.precision = Graph("row"), shape, precision
        self.weights = {name: value.astype(np.float32) for name, value in weights.items() if value.dtype.kind == "f"}

    def graph(self, length: int) -> Any:
        """int64 [length] and its length [1] -> float32 [layers * width]."""
        g, zero = self.g, self.g.const(np.array([0], np.int64))
        ids, count = row_input(g, length)
        x = self._norm(g.op("Add", self._words(ids), self._places(count)), "embeddings.LayerNorm")
        pooled = [g.op("ReduceMean", x, zero, keepdims=0)]
        for number in range(self.shape.layers):
            x = self._layer(x, f"encoder.layer.{number}")
            pooled.append(g.op("ReduceMean", x, zero, keepdims=0))
        pooled.append(g.op("ReduceMax", x, zero, keepdims=0))
        g.output("pooled", g.op("Concat", *pooled, axis=0), np.float32, [len(pooled) * self.shape.width])
        return g.model().graph

    def _words(self, ids: str) -> str:
        """float32 [T, width]."""
        g, table = self.g, self.weights[EMBEDDINGS]
        if self.precision == Precision.FLOAT32:
            return str(g.op("Gather", g.const(table), ids))
        values, scales = quantised(table.T)
        scale = g.op("Unsqueeze", g.op("Gather", g.const(scales), ids), g.const(np.array([1], np.int64)))
        return str(g.op("Mul", g.op("Cast", g.op("Gather", g.const(values.T.copy()), ids), to=1), scale))

    def _places(self, count: str) -> str:
        g, zero = self.g, self.g.const(np.array([0], np.int64))
        return str(g.op("Slice", g.const(self.weights[POSITIONS] + self.weights[TYPES][0]), zero, count, zero))

    def _layer(self, x: str, name: str) -> str:
        """[T, width] -> [T, width]."""
        g, shape = self.g, self.shape
        size = shape.width // shape.heads
        parts = [f"{name}.{part}" for part in QKV]
        # One product for all three: x is quantised once.
        both = {kind: np.concatenate([self.weights[f"{part}.{kind}"] for part in parts]) for kind in ("weight", "bias")}
        split = g.op("Split", self._dense(x, both["weight"], both["bias"]), axis=-1, num_outputs=3, outputs=3)
        by_head = g.const(np.array([0, shape.heads, size], np.int64))
        query, key, value = (
            g.op("Transpose", g.op("Reshape", part, by_head), perm=order)
            for part, order in zip(split, ([1, 0, 2], [1, 2, 0], [1, 0, 2]), strict=True)
        )
        scores = g.op("Mul", g.op("MatMul", query, key), g.const(np.float32(size**-0.5)))
        mixed = g.op("Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), value), perm=[1, 0, 2])
        mixed = g.op("Reshape", mixed, g.const(np.array([0, shape.width], np.int64)))
        x = self._added(x, mixed, f"{name}.attention.output")
        inner = f"{name}.intermediate.dense"
        hidden = g.op("Gelu", self._dense(x, self.weights[f"{inner}.weight"], self.weights[f"{inner}.bias"]))
        return self._added(x, hidden, f"{name}.output")

    def _added(self, x: str, inner: str, name: str) -> str:
        dense = self._dense(inner, self.weights[f"{name}.dense.weight"], self.weights[f"{name}.dense.bias"])
        return self._norm(self.g.op("Add", dense, x), f"{name}.LayerNorm")

    def _dense(self, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """x times weight [outputs, inputs], transposed."""
        g = self.g
        if self.precision == Precision.FLOAT32:
            return str(g.op("Add", g.op("MatMul", x, g.const(weight.T.copy())), g.const(bias)))
        values, scales = quantised(weight.T)
        zeros = g.const(np.zeros(len(scales), np.int8))
        return str(
            g.op("DynamicQuantizeMatMul", x, g.const(values), g.const(scales), zeros, g.const(bias),
                 domain="com.microsoft")
        )  # fmt: skip

    def _norm(self, x: str, name: str) -> str:
        g, weights = self.g, self.weights
        return str(
            g.op("LayerNormalization", x, g.const(weights[f"{name}.weight"]), g.const(weights[f"{name}.bias"]),
                 axis=-1, epsilon=self.shape.epsilon)
        )  # fmt: skip
