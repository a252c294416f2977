"""An activation in int8: GELU as a value times a logistic function of it, both of which the runtime has for 8 bits.

The runtime has no GELU for 8 bits, so a quantised network would widen every value between two convolutions, compute,
and round it again, which takes as long as the convolutions. x * sigmoid(1.702 x) differs from it by 0.02 at most
(Hendrycks and Gimpel 2016), about half a step of 8 bits. What a mask hides behind it is multiplied in 8 bits too.
Enters: a quantised graph (QDQ). Leaves: the same graph, changed in place, its nodes in no order.

    dequantise ─► gelu ─► (x mask) ─► quantise
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["gelu_in_int8"]

SLOPE = 1.702  # of the logistic function
LEVELS = 256
TRUTHS = ("Less", "Greater", "Equal", "Not", "And", "Or", "LessOrEqual", "GreaterOrEqual")


def gelu_in_int8(model: onnx.ModelProto) -> None:
    """Write every GELU between int8 values, and the mask behind it, in operators that have int8 kernels."""
    graph = model.graph
    for name in [node.output[0] for node in graph.node if node.op_type == "Gelu"]:
        _rewrite(graph, name)
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:  # of a value that is widened for its shape alone
        while node.op_type == "Shape" and node.input[0] in made and made[node.input[0]].op_type == "DequantizeLinear":
            node.input[0] = made[node.input[0]].input[0]


def _rewrite(graph: onnx.GraphProto, name: str) -> None:
    made = {name: node for node in graph.node for name in node.output}
    gelu = made[name]
    wide = made.get(gelu.input[0])
    mask: onnx.NodeProto | None = None
    reader = _only_reader(graph, gelu)
    if reader is not None and reader.op_type == "Mul" and _is_truth(made, _other(reader, name)):
        mask, reader = reader, _only_reader(graph, reader)
    if wide is None or wide.op_type != "DequantizeLinear" or reader is None or reader.op_type != "QuantizeLinear":
        return
    (scale, zero), steeper = reader.input[1:3], f"{name}.steeper"
    _add_constants(graph, {
        steeper: _constant(graph, wide.input[1]) * np.float32(SLOPE), f"{name}.level": np.float32(1 / LEVELS),
        f"{name}.one": np.float32(1), f"{name}.zero": np.uint8(0),
    })  # fmt: skip
    share = [f"{name}.level", f"{name}.zero"]
    nodes = [
        _node("DequantizeLinear", [wide.input[0], steeper, wide.input[2]], f"{name}.steep"),
        _node("Sigmoid", [f"{name}.steep"], f"{name}.share"),
        *_rounded(f"{name}.share", share, f"{name}.gate"),
        _node("Mul", [gelu.input[0], f"{name}.gate"], f"{name}.whole" if mask is not None else name),
    ]
    if mask is not None:
        truth = _other(mask, name)
        nodes += [
            *_rounded(f"{name}.whole", [scale, zero], f"{name}.bare"),
            *_rounded(truth, [f"{name}.one", f"{name}.zero"], f"{name}.mask"),
            _node("Mul", [f"{name}.bare", f"{name}.mask"], mask.output[0]),
        ]
    for node in (gelu, mask):
        if node is not None:
            graph.node.remove(node)
    graph.node.extend(nodes)


def _rounded(value: str, scale: Sequence[str], name: str) -> list[onnx.NodeProto]:
    """A value in 8 bits and back."""
    return [
        _node("QuantizeLinear", [value, *scale], f"{name}.int8"),
        _node("DequantizeLinear", [f"{name}.int8", *scale], name),
    ]


def _node(kind: str, inputs: Sequence[str], output: str) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node(kind, list(inputs), [output], name=output)


def _only_reader(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.NodeProto | None:
    readers = [each for each in graph.node if node.output[0] in each.input]
    return readers[0] if len(readers) == 1 else None


def _other(product: onnx.NodeProto, name: str) -> str:
    """What a product multiplies a value by."""
    return str(product.input[1] if product.input[0] == name else product.input[0])


def _is_truth(made: dict[str, onnx.NodeProto], name: str) -> bool:
    """Whether a value is 0 or 1: a comparison, with axes added."""
    node = made.get(name)
    while node is not None and node.op_type in ("Cast", "Unsqueeze"):
        node = made.get(node.input[0])
    return node is not None and node.op_type in TRUTHS


def _constant(graph: onnx.GraphProto, name: str) -> Any:
    from onnx import numpy_helper

    return next(numpy_helper.to_array(each) for each in graph.initializer if each.name == name)


def _add_constants(graph: onnx.GraphProto, values: dict[str, Any]) -> None:
    from onnx import numpy_helper

    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())
