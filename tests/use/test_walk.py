"""A row's way through a file whose weights are quantised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from leadline.use.walk import walk


def test_weights_that_are_unpacked_are_no_steps_and_count_where_they_are_used(tmp_path: Path) -> None:
    weights = np.arange(6, dtype=np.int8).reshape(2, 3)
    constants = {"w": weights, "scale": np.float32(0.5), "zero": np.int8(0)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["contender/w"]),
        helper.make_node("MatMul", ["x", "contender/w"], ["contender/product"]),
        helper.make_node("Identity", ["contender/product"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    (step,) = walk(path, {"x": np.ones((1, 2), np.float32)})
    assert (step.name, step.parameters) == ("MatMul", 6)
    np.testing.assert_allclose(step.value, weights.sum(axis=0)[None] * 0.5)
