"""Graphs built by hand, joined, and run."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from leadline.graph.builder import IR_VERSION, OPSETS, Graph, onnx_type
from leadline.graph.runtime import Session


def _affine(name: str, factor: float, shift: float) -> onnx.ModelProto:
    g = Graph(name)
    x = g.input("x", np.float32, ["N"])
    g.output(
        "y", g.op("Add", g.op("Mul", x, g.const(np.float32(factor))), g.const(np.float32(shift))), np.float32, ["N"]
    )
    return g.model({"origin": name})


def test_a_graph_runs_and_keeps_its_metadata() -> None:
    session = Session(_affine("a", 2, 1))
    assert session.inputs == ["x"] and session.outputs == ["y"] and session.metadata == {"origin": "a"}
    assert session({"x": np.array([1, 2], np.float32)})["y"].tolist() == [3, 5]


def test_joined_graphs_are_their_composition_even_of_one_name() -> None:
    g = Graph("a")
    x = g.input("x", np.float32, ["N"])
    first = g.add(_affine("a", 2, 1), {"x": x}, "one")["y"]
    second = g.add(_affine("a", 3, -1), {"x": first}, "two")["y"]
    g.output("y", second, np.float32, ["N"])
    model = g.model()
    assert Session(model)({"x": np.array([0, 5], np.float32)})["y"].tolist() == [2, 32]
    names = [output for node in model.graph.node for output in node.output]
    assert len(names) == len(set(names))


def test_subgraphs_keep_their_references() -> None:
    inner = Graph("branch")
    x = inner.input("x", np.float32, ["N"])
    other = onnx.helper.make_graph(
        [onnx.helper.make_node("Exp", [x], ["exp"])], "then", [], [onnx.helper.make_tensor_value_info("exp", 1, None)]
    )
    same = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", [x], ["neg"])], "else", [], [onnx.helper.make_tensor_value_info("neg", 1, None)]
    )
    many = inner.op("Greater", inner.op("ReduceSum", x, keepdims=0), inner.const(np.float32(0)))
    inner.output("y", inner.op("If", many, then_branch=other, else_branch=same), np.float32, ["N"])
    g = Graph("outer")
    doubled = g.op("Mul", g.input("z", np.float32, ["N"]), g.const(np.float32(2)))
    g.output("y", g.add(inner.model(), {"x": doubled}, "inner")["y"], np.float32, ["N"])
    session = Session(g.model())
    assert session({"z": np.array([3], np.float32)})["y"] == pytest.approx(np.exp(6), rel=1e-5)
    assert session({"z": np.array([-3], np.float32)})["y"].tolist() == [6]


def test_only_the_operator_sets_in_use_are_asked_for() -> None:
    model = _affine("a", 1, 0)
    assert model.ir_version == IR_VERSION
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": OPSETS[""]}


def test_a_wrong_graph_is_refused_when_it_is_made() -> None:
    g = Graph("wrong")
    g.output("y", "nowhere", np.float32, ["N"])
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        g.model()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(np.float32, 1), ("uint8", 2), (np.int32, 6), (np.int64, 7), (np.str_, 8), (object, 8), ("float64", 11)],
)
def test_types(dtype: object, expected: int) -> None:
    assert onnx_type(dtype) == expected
