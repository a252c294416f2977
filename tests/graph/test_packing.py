"""Levels of 4 bits are stored two to a byte and widened exactly; the runtime does so as it loads a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from leadline.graph.builder import Graph
from leadline.graph.packing import HIGHEST, LOWEST, pack_constants, packed
from leadline.graph.quantize import Static
from leadline.graph.runtime import Session


@pytest.mark.parametrize("shapes", [[(16, 17)], [(17, 17)], [(16, 17), (5, 3, 19), (300,)]])
def test_constants_of_any_number_are_widened_exactly(shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(LOWEST, HIGHEST + 1, shape).astype(np.int8) for shape in shapes]
    g = Graph("levels")
    x = g.input("x", np.float32, ["N"])
    for place, array in enumerate(arrays):
        wide = g.op("Cast", g.const(array), to=onnx.TensorProto.FLOAT)
        g.output(f"y{place}", g.op("Mul", wide, g.op("ReduceSum", x, keepdims=0)), np.float32, array.shape)
    model = g.model()
    pack_constants(model)
    onnx.checker.check_model(model)
    (stored,) = (numpy_helper.to_array(each) for each in model.graph.initializer if each.data_type == 2 and each.dims)
    assert stored.size == (sum(array.size for array in arrays) + 1) // 2
    made = Session(model)({"x": np.ones(1, np.float32)})
    assert all(np.array_equal(made[f"y{place}"], array) for place, array in enumerate(arrays))


def test_what_has_more_bits_or_is_small_stays_as_it_is() -> None:
    g = Graph("levels")
    x = g.input("x", np.float32, ["N"])
    for place, array in enumerate((np.full((20, 20), HIGHEST + 1, np.int8), np.ones((15, 17), np.int8))):
        wide = g.op("Cast", g.const(array), to=onnx.TensorProto.FLOAT)
        g.output(f"y{place}", g.op("Mul", wide, g.op("ReduceSum", x, keepdims=0)), np.float32, array.shape)
    model = g.model()
    pack_constants(model)
    assert model == g.model()


@pytest.mark.parametrize("columns", [1, 2, 5, 8])
def test_rows_are_packed_apart(columns: int) -> None:
    levels = np.random.default_rng(0).integers(LOWEST, HIGHEST + 1, (9, columns)).astype(np.int8)
    stored = packed(levels)
    assert stored.dtype == np.uint8 and stored.shape == (9, (columns + 1) // 2)
    wide = np.concatenate([stored & 15, stored >> 4], axis=1)[:, :columns].astype(int) + LOWEST
    assert np.array_equal(wide, levels)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Static, dict[str, np.ndarray]]:
    """A network of three convolutions, the first of them small, and its rows."""
    g, rng = Graph("pictures"), np.random.default_rng(0)
    x, inputs = g.input("x", np.float32, ["N", 3, 8, 8]), 3
    for outputs in (16, 17, 24):
        weights = rng.normal(size=(outputs, inputs, 3, 3)).astype(np.float32) / (3 * inputs**0.5)
        x = g.op("Relu", g.op("Conv", x, g.const(weights), g.const(np.zeros(outputs, np.float32)), pads=[1, 1, 1, 1]))
        inputs = outputs
    g.output("y", x, np.float32, ["N", 24, 8, 8])
    rows = {"x": rng.normal(size=(64, 3, 8, 8)).astype(np.float32)}
    return Static(g.model(), [rows], tmp_path, by_inputs=True), rows


def test_packed_weights_are_multiplied_in_int8(pictures: tuple[Static, dict[str, np.ndarray]], tmp_path: Path) -> None:
    static, rows = pictures
    assert len(static.packable) == 2  # the first one would save little
    plain = static.quantized("minmax", packed=static.packable)
    made = plain.__class__()
    made.CopyFrom(plain)
    pack_constants(made)
    onnx.checker.check_model(made)
    assert plain.ByteSize() - made.ByteSize() > 1_500  # of 3,080 weights
    answers = [Session(each)(rows)["y"] for each in (plain, made)]
    assert np.array_equal(*answers)
    right = Session(static._model)(rows)["y"]
    assert np.abs(answers[1] - right).mean() < 0.1 * right.std()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "loaded.onnx")).graph.node]
    assert kinds.count("QLinearConv") == 3
    assert not {"BitwiseAnd", "BitShift", "Concat", "Cast", "Sub", "Split", "Reshape", "Conv"}.intersection(kinds)


def test_int8_and_packed_weights_lie_side_by_side(pictures: tuple[Static, dict[str, np.ndarray]]) -> None:
    static, rows = pictures
    right, apart = Session(static._model)(rows)["y"], []
    for count in range(3):
        made = static.quantized("minmax", packed=static.packable[:count])
        levels = [numpy_helper.to_array(each) for each in made.graph.initializer if each.data_type == 3]
        few = [each for each in levels if each.ndim == 4 and each.min() >= LOWEST and each.max() <= HIGHEST]
        assert len(few) == count
        apart.append(float(np.mean((Session(made)(rows)["y"] - right) ** 2)))
    assert apart == sorted(apart)
