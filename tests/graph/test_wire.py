"""Fields of a file are read in place, and its graph without what its weights hold."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from leadline.graph.runtime import Session
from leadline.graph.wire import GRAPH, add_outputs, fields, mentions, outline


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """x -> inner = x w -> y = inner + b, with weights as bytes and as lists of numbers, and metadata."""
    initializers = [
        numpy_helper.from_array(np.ones((300, 3_000), np.float32), "w"),
        helper.make_tensor("b", TensorProto.FLOAT, [3_000], [0.5] * 3_000),
        helper.make_tensor("words", TensorProto.STRING, [2], [b"one", b"two"]),
        helper.make_tensor("none", TensorProto.INT64, [0], []),
        helper.make_tensor("scalar", TensorProto.INT64, [], [7]),
    ]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["inner"]), helper.make_node("Add", ["inner", "b"], ["y"])]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])
        for name, width in (("x", 300), ("y", 3_000))
    )
    graph = helper.make_graph(nodes, "small", [x], [y], initializers, doc_string="a graph")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"key": "a word"})
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_an_outline_is_the_graph_without_values(path: Path) -> None:
    whole, found = onnx.load(path).graph, outline(path).graph
    for tensor in whole.initializer:
        for name in ("raw_data", "float_data", "int64_data", "string_data"):
            tensor.ClearField(name)
    assert found == whole and len(found.initializer) == 5


def test_values_are_not_copied(path: Path) -> None:
    outline(path)  # imports
    tracemalloc.start()
    outline(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 0.05 * path.stat().st_size


def test_parts_of_a_graph_are_merged(path: Path) -> None:
    whole = outline(path).graph
    add_outputs(path, ["inner"])
    found = outline(path).graph
    assert [value.name for value in found.output] == ["y", "inner"]
    del found.output[1]
    assert found == whole and found == outline(path).graph.__class__.FromString(whole.SerializeToString())


def test_added_outputs_are_given(path: Path) -> None:
    add_outputs(path, ["inner"])
    found = Session(path)({"x": np.ones((2, 300), np.float32)})
    np.testing.assert_allclose(found["inner"], 300.0)
    np.testing.assert_allclose(found["y"], 300.5)


def test_every_byte_is_in_one_field(path: Path) -> None:
    data = path.read_bytes()
    found = list(fields(data))
    assert [each.begin for each in found] == [0, *(each.end for each in found[:-1])] and found[-1].end == len(data)
    graph = next(each for each in found if each.number == GRAPH)
    assert onnx.GraphProto.FromString(data[graph.start : graph.end]) == onnx.load(path).graph


def test_numbers_of_fixed_size_are_passed_over() -> None:
    data = bytes([9, *range(8), 21, *range(4), 24, 5])
    assert [(each.number, each.end - each.start) for each in fields(data)] == [(1, 8), (2, 4), (3, 1)]


def test_a_word_is_found_in_a_file(path: Path) -> None:
    assert mentions(path, b"a word") and not mentions(path, b"another word")
