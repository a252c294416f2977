"""Build ONNX graphs by hand and join them: the one place that knows the ONNX operator sets.

A kind writes its encode graph with `Graph`, a classical contender its arithmetic; a network arrives as an
exported model. `Graph.add` sets any of them into a larger graph, so that the shipped file is one graph from
decoded value to answer. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

OPSETS = {"": 20, "ai.onnx.ml": 5, "com.microsoft": 1, "ai.onnx.contrib": 1}
IR_VERSION = 10


class Graph:
    """An ONNX graph under construction; values are named by the strings that `op` and `const` return.

    Example:
        >>> g = Graph("double")
        >>> x = g.input("x", np.float32, ["N"])
        >>> g.output("y", g.op("Mul", x, g.const(np.float32(2))), np.float32, ["N"])
        >>> g.model().graph.output[0].name
        'y'
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: dict[str, onnx.ValueInfoProto] = {}
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{self.name}/{stem}_{self._count}"

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """Declare an input; `dtype` is a NumPy type (`np.str_` for strings), `shape` may hold names for free sizes."""
        self._inputs[name] = helper.make_tensor_value_info(name, onnx_type(dtype), list(shape))
        return name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs so far."""
        return tuple(self._inputs)

    def output(self, name: str, value: str, dtype: Any, shape: Sequence[int | str]) -> None:
        """Declare `value` as an output called `name`; where an input has that name, `name_out`."""
        name = name if name not in self._inputs else f"{name}_out"
        self._nodes.append(helper.make_node("Identity", [value], [name], name=self._fresh("output")))
        self._outputs.append(helper.make_tensor_value_info(name, onnx_type(dtype), list(shape)))

    def const(self, array: Any) -> str:
        """A constant tensor; the array's NumPy type is kept."""
        name = self._fresh("const")
        self._constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, op_type: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Add a node and return the name of its output (a list of names where `outputs` > 1)."""
        names = [self._fresh(op_type) for _ in range(outputs)]
        node = helper.make_node(op_type, list(inputs), names, name=names[0], domain=domain, **attributes)
        self._nodes.append(node)
        return names[0] if outputs == 1 else names

    def look(self, queries: str, keys: np.ndarray, values: np.ndarray, otherwise: float) -> str:
        """A hash table: int64 numbers of any shape -> the float32 value of their key."""
        tables = {"keys_tensor": keys, "values_tensor": values, "default_tensor": np.array([otherwise], np.float32)}
        tensors = {name: numpy_helper.from_array(np.asarray(array), name) for name, array in tables.items()}
        return str(self.op("LabelEncoder", queries, domain="ai.onnx.ml", **tensors))

    def table(self, queries: str, keys: np.ndarray, values: np.ndarray, otherwise: int) -> str:
        """A hash table: int64 numbers of any shape -> the int64 value of their key."""
        facts = {"keys_int64s": keys.tolist(), "values_int64s": values.tolist(), "default_int64": otherwise}
        return str(self.op("LabelEncoder", queries, domain="ai.onnx.ml", **facts))

    def add(self, model: onnx.ModelProto, feeds: Mapping[str, str], prefix: str) -> dict[str, str]:
        """Set `model` into this graph, its inputs fed by `feeds`; returns {its output: the name it has here}."""
        inner = compose.add_prefix(model, f"{prefix}/").graph
        for original, value in zip(model.graph.input, inner.input, strict=True):
            # An Identity a feed, rather than renaming: subgraphs inside the model keep their references.
            self._nodes.append(helper.make_node("Identity", [feeds[original.name]], [value.name]))
        self._nodes.extend(inner.node)
        self._constants.extend(inner.initializer)
        return {old.name: new.name for old, new in zip(model.graph.output, inner.output, strict=True)}

    def body(self) -> onnx.GraphProto:
        """The finished graph, as what a `Scan` or `If` of another graph holds; it may read values of that graph."""
        graph = onnx.GraphProto()
        self._fill(graph)
        return graph

    def _fill(self, graph: onnx.GraphProto) -> None:
        """Write it where it is needed: a graph may hold half a gigabyte, and every copy takes its room."""
        graph.name = self.name
        graph.node.extend(self._nodes)
        graph.input.extend(self._inputs.values())
        graph.output.extend(self._outputs)
        graph.initializer.extend(self._constants)

    def model(self, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """The finished model, checked, with `metadata` in its properties."""
        used = domains(self._nodes)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items() if domain in used | {""}]
        model = helper.make_model(
            onnx.GraphProto(), opset_imports=opsets, ir_version=IR_VERSION, producer_name="leadline"
        )  # fmt: skip
        self._fill(model.graph)
        helper.set_model_props(model, dict(metadata or {}))
        onnx.checker.check_model(model)
        return model


def scan(g: Graph, inputs: Sequence[str], row: onnx.GraphProto, name: str, width: int) -> onnx.ModelProto:
    """The model of `g` with the output 'name' float32 [N, width], which `row` makes of one row of each input at a time.

    The row goes in at the end, once: it may have half a gigabyte, which the builder would copy at every step.
    """
    nothing = helper.make_node("Constant", [], [row.output[0].name], value_floats=[0.0])
    empty = onnx.GraphProto(name=row.name, node=[nothing], input=row.input, output=row.output)
    g.output(name, g.op("Scan", *inputs, body=empty, num_scan_inputs=len(inputs)), np.float32, ["N", width])
    model = g.model()
    whole = next(node for node in model.graph.node if node.op_type == "Scan")
    next(each for each in whole.attribute if each.name == "body").g.CopyFrom(row)
    for domain in sorted(domains(row.node) - {each.domain for each in model.opset_import}):
        model.opset_import.append(helper.make_opsetid(domain, OPSETS[domain]))
    return model


def domains(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """The operator sets of some nodes and of the graphs in them."""
    inner = (attribute.g.node for node in nodes for attribute in node.attribute if attribute.HasField("g"))
    return {node.domain for node in nodes}.union(*(domains(each) for each in inner))


def with_outputs(model: onnx.ModelProto, values: Sequence[str]) -> onnx.ModelProto:
    """A copy of a graph that also gives inner values by their names."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    there = {value.name for value in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=value) for value in dict.fromkeys(values) if value not in there)
    return copy


def last_columns(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """The same graph, changed in place: of its one output [N, columns] it gives the last `count` columns."""
    graph = model.graph
    (output,) = graph.output
    node = next(node for node in graph.node if output.name in node.output)
    every, facts = f"{output.name}/every", {"start": [-count], "end": [np.iinfo(np.int64).max], "axis": [1]}
    node.output[list(node.output).index(output.name)] = every
    names = [f"{every}/{name}" for name in facts]
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in zip(names, facts.values(), strict=True)
    )
    graph.node.append(helper.make_node("Slice", [every, *names], [output.name]))
    output.type.tensor_type.shape.dim[1].dim_value = count
    return model


def onnx_type(dtype: Any) -> int:
    """The ONNX element type of a NumPy type; any NumPy string type means an ONNX string."""
    dtype = np.dtype(dtype)
    return int(onnx.TensorProto.STRING if dtype.kind in "UO" else helper.np_dtype_to_tensor_dtype(dtype))
