"""Products with weights, and tables of embeddings, in int8: activations are scaled as they come.

Enters: a network that reads 'ids'. Leaves: the same with int8 weights, a scale a column of a matrix and a row of a
table; what is no product with weights stays float32. One node of ONNX Runtime scales, multiplies and adds the bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

LIMIT = 127  # of a symmetric int8


def quantised(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 [inputs, outputs] and a scale a column."""
    scales = np.maximum(np.abs(matrix).max(axis=0) / LIMIT, 1e-12).astype(np.float32)
    return np.round(matrix / scales).clip(-LIMIT, LIMIT).astype(np.int8), scales


def to_int8_weights(network: onnx.ModelProto, ids: str) -> None:
    """Products with weights, and tables that `ids` looks up, become int8: in place, since a copy takes its room."""
    import onnx
    from onnx import helper, numpy_helper

    from leadline.graph.builder import OPSETS

    graph = network.graph
    held = {each.name: each for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT}
    parts: dict[str, tuple[str, ...]] = {}

    def stored(weights: str, along: str) -> tuple[str, ...]:
        """Names of the int8 values, the scales and the zeros of a weight that is read along an axis."""
        if (key := f"{weights}/{along}") not in parts:
            matrix = numpy_helper.to_array(held[weights])
            values, scales = quantised(matrix.T if along != "columns" else matrix)
            values = np.ascontiguousarray(values.T) if along == "rows" else values
            arrays = {"int8": values, "scales": scales, "zeros": np.zeros(len(scales), np.int8)}
            graph.initializer.extend(numpy_helper.from_array(each, f"{key}/{name}") for name, each in arrays.items())
            parts[key] = tuple(f"{key}/{name}" for name in arrays)
        return parts[key]

    nodes = []
    for node in graph.node:
        out, kind = node.output[0], _kind(node, held, ids)
        if kind == "table":
            values, scales, _ = stored(node.input[0], "rows")
            axes = f"{out}/axes"
            graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), axes))
            nodes += [
                helper.make_node("Gather", [values, ids], [f"{out}/int8"]),
                helper.make_node("Cast", [f"{out}/int8"], [f"{out}/float"], to=onnx.TensorProto.FLOAT),
                helper.make_node("Gather", [scales, ids], [f"{out}/scale"]),
                helper.make_node("Unsqueeze", [f"{out}/scale", axes], [f"{out}/scales"]),
                helper.make_node("Mul", [f"{out}/float", f"{out}/scales"], [out]),
            ]
        elif kind:
            bias = list(node.input[2:3])
            inputs = [node.input[0], *stored(node.input[1], kind), *bias]
            nodes.append(helper.make_node("DynamicQuantizeMatMul", inputs, [out], domain="com.microsoft"))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if not any(each.domain == "com.microsoft" for each in network.opset_import):
        network.opset_import.append(helper.make_opsetid("com.microsoft", OPSETS["com.microsoft"]))


def _kind(node: onnx.NodeProto, held: dict[str, onnx.TensorProto], ids: str) -> str:
    """How a node reads weights: as a 'table', by 'columns', or as the 'transposed' matrix; '' where it is left."""
    if node.op_type == "Gather" and node.input[0] in held and node.input[1] == ids:
        return "table" if len(held[node.input[0]].dims) == 2 and not _facts(node).get("axis", 0) else ""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in held or len(held[node.input[1]].dims) != 2:
        return ""
    facts = _facts(node)
    if facts.get("alpha", 1.0) != 1.0 or facts.get("beta", 1.0) != 1.0 or facts.get("transA", 0):
        return ""
    bias = node.input[2] if len(node.input) > 2 else None
    if bias is not None and (bias not in held or len(held[bias].dims) != 1):
        return ""
    return "transposed" if facts.get("transB", 0) else "columns"


def _facts(node: onnx.NodeProto) -> dict[str, float]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
