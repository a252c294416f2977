"""A row's way through a file whose weights are quantised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
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


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is set back on Linux alone")
def test_a_large_file_is_not_copied_many_times(tmp_path: Path) -> None:
    """In a process of its own, of whose memory nothing is there before."""
    side, count = 1_024, 24
    weights = [numpy_helper.from_array(np.full((side, side), k, np.float32) / side, f"w{k}") for k in range(count)]
    nodes = [
        helper.make_node("MatMul", ["x" if k == 0 else f"contender/{k - 1}", f"w{k}"], [f"contender/{k}"])
        for k in range(count)
    ]
    nodes.append(helper.make_node("Identity", [f"contender/{count - 1}"], ["y"]))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, side]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "large", [x], [y], weights)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    before = path.read_bytes()
    code = (
        "import sys, numpy as np, onnxruntime\n"
        "from pathlib import Path\n"
        "from leadline.shrink.stopwatch import _now_mb, _peak_mb\n"
        "from leadline.use.walk import walk\n"
        "held = _now_mb()\n"
        f"steps = walk(sys.argv[1], {{'x': np.ones((1, {side}), np.float32)}})\n"
        "print(len(steps), _peak_mb() - held)\n"
    )
    said = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    steps, most = said.split()
    assert int(steps) == count and float(most) < 2 * len(before) / 1e6
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before
