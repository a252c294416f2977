"""One row's way through a shipped file: what its graph makes of it at every step.

Enters: the file, and one row's decoded values. Leaves: a `Passed` a step: the ends of encode and form graphs, and every
layer of the contender, as the file itself computes them, with no training code loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from leadline.graph.runtime import Session
from leadline.graph.wire import add_outputs, outline
from leadline.system.whole import scratch

__all__ = ["Passed", "walk"]

# What a reader would call a step although it has no weights.
STEPS = {
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Relu", "Gelu", "Tanh", "Sigmoid", "Softmax",
    "TreeEnsemble", "LSTM", "GRU", "LayerNormalization",
}  # fmt: skip

LEARNED = {
    onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Passed:
    """One step: `stage` is encode, form or model; `value` is what came out, with its axis of rows."""

    stage: str
    name: str  # of the block or form, or of the layer's operator
    parameters: int
    value: np.ndarray


def walk(path: str | Path, feeds: Mapping[str, Any]) -> list[Passed]:
    """Run one row through the file, and keep what every step makes of it.

    Example:
        >>> walk("model.onnx", {"x": np.zeros(1)})  # doctest: +SKIP
        [Passed(stage='encode', name='number', parameters=0, value=array([[0.]], dtype=float32)), ...]
    """
    model = outline(Path(path))
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer if _weighs(tensor)}
    steps: list[tuple[str, str, int, str]] = []
    of_row = {value.name for value in model.graph.input}  # what depends on the row: the rest is weights, unpacked
    for node in model.graph.node:
        if not of_row.intersection(node.input):
            sizes |= dict.fromkeys(node.output, max((sizes.get(value, 0) for value in node.input), default=0))
            continue
        of_row.update(node.output)
        stage, _, inside = node.output[0].partition("/") if node.output else ("", "", "")
        kind, _, name = stage.partition(".")
        if kind in ("encode", "form") and "/" not in inside and node.op_type == "Identity" and _ends(node, name):
            steps.append((kind, name, 0, node.output[0]))
        elif stage == "contender":
            weights = sum(sizes.get(value, 0) for value in node.input)
            if weights or node.op_type in STEPS:
                steps.append(("model", node.op_type, weights, node.output[0]))
    outputs = {value.name for value in model.graph.output}
    names = [value for *_, value in steps]
    more = [value for value in names if value not in outputs]
    values = _values(Path(path), feeds, names, more) if steps else {}
    return [
        Passed(stage=stage, name=name, parameters=weights, value=np.asarray(values[value]))
        for stage, name, weights, value in steps
    ]


def _values(path: Path, feeds: Mapping[str, Any], names: list[str], more: list[str]) -> dict[str, np.ndarray]:
    """Values of a file, `more` of them inner ones: of a copy beside it, since a file is read by parts, and bytes in
    memory are copied twice before they are a graph."""
    with scratch(path) as folder:
        copy = folder / path.name
        shutil.copyfile(path, copy)
        add_outputs(copy, more)
        return Session(copy)(feeds, names)


def _ends(node: onnx.NodeProto, name: str) -> bool:
    """Whether a node is the last of an encode graph ('encoded') or of a form's ('X.dense' ends in 'dense')."""
    parts = name.rpartition(".")
    last = str(node.output[0].rpartition("/")[2])
    return last == (parts[2] if parts[1] else "encoded")


def _weighs(tensor: onnx.TensorProto) -> bool:
    """Whether a constant is what a layer has learned, and not a setting."""
    return tensor.data_type in LEARNED and int(np.prod(tensor.dims)) > 1
