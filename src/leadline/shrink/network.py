"""The contender alone, taken out of a shipped file: what is quantised, before it is joined to its encode graphs again.

Quantisers fail on strings, and what turns values into tensors has to stay exact. A shipped file joins its parts by name
(ship/assemble.py), so the contender is what lies under its prefix; its inputs are tensors of the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.json_types import whole
from leadline.core.tensors import Tensors
from leadline.graph.builder import IR_VERSION, onnx_type
from leadline.graph.runtime import Session

if TYPE_CHECKING:
    import onnx

__all__ = ["PREFIX", "feeds", "network_of", "scores", "shorten"]

PREFIX = "contender/"
ROWS = 256  # in one call


def network_of(model: onnx.ModelProto, store: Tensors) -> onnx.ModelProto:
    """The graph from tensors of the store to scores; of a language model its step."""
    import onnx
    from onnx import helper

    nodes, inputs, outputs = [], [], []
    for node in (node for node in model.graph.node if _own(node)):
        nodes.append(onnx.NodeProto())
        nodes[-1].CopyFrom(node)
        if node.op_type == "Identity" and not node.input[0].startswith(PREFIX):  # what feeds the contender
            name = node.output[0].removeprefix(PREFIX)
            state = _declared(model.graph.input, name) if store.task.generative else None
            inputs.append(state or _tensor(store, name))  # a column may be called as a tensor is
            nodes[-1].input[0] = name
    read = dict.fromkeys(name for node in model.graph.node if not _own(node) for name in node.input)
    for inner in (name for name in read if name.startswith(PREFIX)):  # what it gives
        name = inner.removeprefix(PREFIX)
        dtype, classes = np.float64 if store.task.numeric else np.float32, len(store.task.classes)
        shape: list[int | str] = ["N", classes] if classes else ["N"]
        declared = _declared(model.graph.output, name) if store.task.generative else None
        outputs.append(declared or helper.make_tensor_value_info(name, onnx_type(dtype), shape))
        nodes.append(helper.make_node("Identity", [inner], [name]))
    constants = [each for each in model.graph.initializer if each.name.startswith(PREFIX)]
    graph = helper.make_graph(nodes, "network", inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=IR_VERSION)
    shorten(made)
    return made


def _own(node: onnx.NodeProto) -> bool:
    return any(name.startswith(PREFIX) for name in node.output)


def _declared(values: Any, name: str) -> onnx.ValueInfoProto | None:
    """An input or output of the whole file: those of a language model's step have the names that they have there."""
    return next((value for value in values if value.name == name), None)


def _tensor(store: Tensors, name: str) -> onnx.ValueInfoProto:
    from onnx import helper

    tensor, padding = store.tensor(name), store.block(name.split(".")[0]).padding
    first = "L" if padding is not None else tensor.shape[1]
    return helper.make_tensor_value_info(name, onnx_type(tensor.dtype), ["N", first, *tensor.shape[2:]])


def shorten(model: onnx.ModelProto) -> None:
    """Short names for what is neither input nor output: names are bytes of the file."""
    kept = {value.name: value.name for value in [*model.graph.input, *model.graph.output]}
    _shorten(model.graph, kept)


def _shorten(graph: onnx.GraphProto, named: dict[str, str]) -> None:
    """By the one dictionary: what lies in a branch may read values outside, and no two values share a name."""

    def short(name: str) -> str:
        return named.setdefault(name, f"v{len(named):x}") if name else ""

    for value in [*graph.input, *graph.output, *graph.initializer]:
        value.name = short(value.name)
    for node in graph.node:
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
        node.name = node.output[0]
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _shorten(attribute.g, named)


def feeds(store: Tensors, names: list[str], rows: np.ndarray, at_once: int = ROWS) -> Iterator[dict[str, np.ndarray]]:
    """Tensors of the rows, some rows at a time; what is filled up at the end is cut to the longest of them."""
    for start in range(0, len(rows), at_once):
        found = {}
        for name in names:
            held, block = store.tensor(name)[rows[start : start + at_once]], store.block(name.split(".")[0])
            if block.padding is not None:
                used = int((held != block.padding).any(axis=0).nonzero()[0].max(initial=0)) + 1
                held = held[:, : max(used, whole(block.settings, "least", 1))]
            found[name] = np.ascontiguousarray(held)
        yield found


def scores(network: onnx.ModelProto, store: Tensors, rows: np.ndarray, threads: int = 1) -> np.ndarray:
    """What a network answers: probabilities float32 [n, classes], or values [n]."""
    session = Session(network, threads)
    parts = [session.only(each) for each in feeds(store, session.inputs, rows)]
    return np.concatenate(parts) if parts else np.zeros((0, max(1, len(store.task.classes))), np.float32)
