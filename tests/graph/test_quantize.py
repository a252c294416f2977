"""Static int8 leaves float32 what lies before the first product that it changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from leadline.graph.builder import Graph
from leadline.graph.folding import fold
from leadline.graph.quantize import Static
from leadline.graph.runtime import Session
from leadline.graph.spectra import short_transforms
from leadline.kinds.audio.frames import EPS, MELS, Frames

FRAMES = Frames(rate=8_000, size=256, hop=128)


@pytest.fixture
def static(tmp_path: Path) -> tuple[Static, dict[str, np.ndarray]]:
    """A network for sounds with two products, the quietest a thousand times as quiet as the loudest; and its rows."""
    g, half, rng = Graph("sounds"), FRAMES.size // 2 + 1, np.random.default_rng(0)
    x = g.input("x", np.float32, ["N", 1, 4_096])
    spectra = g.op("Conv", x, g.const(FRAMES.basis()[:, None]), strides=[FRAMES.hop])
    ends, one = ((0, half), (half, 2 * half)), g.const(np.array([1]))
    parts = [g.op("Slice", spectra, g.const(np.array([a])), g.const(np.array([b])), one, one) for a, b in ends]
    power = g.op("Transpose", g.op("Add", *(g.op("Mul", part, part) for part in parts)), perm=[0, 2, 1])
    bands = g.op("MatMul", power, g.const(FRAMES.mels()))
    level = g.op("Log", g.op("Add", bands, g.const(np.float32(EPS))))
    weights = [rng.normal(size=(MELS, n)).astype(np.float32) / 8 for n in (MELS, 4)]
    hidden = g.op("Relu", g.op("MatMul", level, g.const(weights[0])))
    g.output("y", g.op("MatMul", hidden, g.const(weights[1])), np.float32, ["N", "T", 4])
    loud = (10.0 ** np.linspace(1, 4, 32))[:, None, None]
    rows = {"x": (rng.normal(size=(32, 1, 4_096)) * loud).astype(np.float32)}
    return Static(g.model(), [rows], tmp_path), rows


def test_a_fourier_transform_and_its_bands_are_no_weights(static: tuple[Static, dict[str, np.ndarray]]) -> None:
    made, _ = static
    assert len(made.weighed) == 2  # products; what comes before them stays float32 whatever is asked for
    assert all(node.op_type == "MatMul" for node in made.quantized("minmax").graph.node if node.name in made.weighed)


def test_what_comes_before_the_first_int8_product_stays_float32(static: tuple[Static, dict[str, np.ndarray]]) -> None:
    made, rows = static
    whole = made.quantized("minmax")
    scaled = {name for node in whole.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    before = list(whole.graph.node[: [n.op_type for n in whole.graph.node].index("Log")])
    assert not any(scaled.intersection(node.input) for node in before if node.op_type in ("Add", "MatMul", "Conv"))
    right = Session(made._model)(rows)["y"]
    assert np.abs(Session(whole)(rows)["y"] - right).mean() < 0.05 * right.std()  # 8 bits do not hold loud and quiet


def test_a_quantised_network_takes_short_transforms(static: tuple[Static, dict[str, np.ndarray]]) -> None:
    made, rows = static
    long = made.quantized("minmax")
    right, size = Session(long)(rows)["y"], long.ByteSize()
    short_transforms(long)
    assert long.ByteSize() < 0.5 * size
    assert np.abs(Session(long)(rows)["y"] - right).mean() < 1e-2 * right.std()


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("gain", [1.0, -1.0])
def test_a_norm_behind_a_maximum_and_the_scale_of_pixels_become_weights(gain: float, line: bool) -> None:
    g, rng = Graph("pictures"), np.random.default_rng(0)
    x = g.op("Cast", g.input("x", np.uint8, ["N", 8, 8, 3]), to=1)
    pixels = 8 if line else 1  # that are scaled by one constant
    mean, scale = (g.const(np.array(each * pixels, np.float32)) for each in ([120, 110, 90], [0.02, 0.016, 0.018]))
    if line:
        x = g.op("Reshape", x, g.const(np.array([-1, 8, 24])))
    x = g.op("Mul", g.op("Sub", x, mean), scale)
    if line:
        x = g.op("Reshape", x, g.const(np.array([-1, 8, 8, 3])))
    x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    x = g.op("Conv", x, g.const(rng.normal(size=(8, 3, 2, 2)).astype(np.float32)), kernel_shape=[2, 2])
    x = g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    stated = [np.full(8, gain), rng.normal(size=8), rng.normal(size=8), rng.uniform(0.5, 2, 8)]
    x = g.op("BatchNormalization", x, *(g.const(each.astype(np.float32)) for each in stated))
    g.output("y", x, np.float32, ["N", 8, 3, 3])
    model, rows = g.model(), {"x": rng.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)}
    right = Session(model)(rows)["y"]
    fold(model)
    kinds = [node.op_type for node in model.graph.node]
    assert "Mul" not in kinds and ("BatchNormalization" in kinds) == (gain < 0)  # the largest would be the smallest
    assert np.allclose(Session(model)(rows)["y"], right, atol=1e-4)


def test_a_constant_that_differs_along_a_line_stays() -> None:
    g, rng = Graph("pictures"), np.random.default_rng(0)
    x = g.op("Cast", g.input("x", np.uint8, ["N", 4, 12]), to=1)
    mean, scale = (g.const(rng.uniform(1, 2, 12).astype(np.float32)) for _ in range(2))
    x = g.op("Reshape", g.op("Mul", g.op("Sub", x, mean), scale), g.const(np.array([-1, 4, 4, 3])))
    x = g.op("Conv", g.op("Transpose", x, perm=[0, 3, 1, 2]), g.const(np.ones((2, 3, 2, 2), np.float32)))
    g.output("y", x, np.float32, ["N", 2, 3, 3])
    model = g.model()
    fold(model)
    assert "Mul" in [node.op_type for node in model.graph.node]


def test_a_maximum_before_a_relu_is_taken_in_int8(tmp_path: Path) -> None:
    g, rng = Graph("pooled"), np.random.default_rng(0)
    x = g.input("x", np.float32, ["N", 4, 8, 8])
    for _ in range(2):
        x = g.op("Conv", x, g.const(rng.normal(size=(4, 4, 3, 3)).astype(np.float32) / 6), pads=[1, 1, 1, 1])
        x = g.op("Relu", g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    g.output("y", x, np.float32, ["N", 4, 2, 2])
    model, rows = g.model(), {"x": rng.normal(size=(64, 4, 8, 8)).astype(np.float32)}
    right = Session(model)(rows)["y"]
    made = Static(g.model(), [rows], tmp_path).quantized("minmax")
    assert np.abs(Session(made)(rows)["y"] - right).mean() < 0.05 * right.std()
    scales = {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}
    for pool in [node for node in made.graph.node if node.op_type == "MaxPool"]:
        before = next(node for node in made.graph.node if pool.input[0] in node.output)
        after = next(node for node in made.graph.node if pool.output[0] in node.input)
        assert (before.op_type, after.op_type) == ("DequantizeLinear", "QuantizeLinear")
        assert [scales[each] for each in before.input[1:]] == [scales[each] for each in after.input[1:]]
    fold(model)
    assert np.allclose(Session(model)(rows)["y"], right, atol=1e-6)


def test_activations_and_masks_between_int8_values_are_int8(tmp_path: Path) -> None:
    g, rng = Graph("masked"), np.random.default_rng(0)
    x, own = g.input("x", np.float32, ["N", 4, 6, 6]), g.input("own", np.int64, ["N", 1, 1, 1])
    mask = g.op("Cast", g.op("Less", g.const(np.arange(6)[None, None, :, None]), own), to=1)
    for last in (False, True):
        x = g.op("Conv", x, g.const(rng.normal(size=(4, 4, 3, 3)).astype(np.float32) / 6), pads=[1, 1, 1, 1])
        if not last:
            x = g.op("Mul", g.op("Gelu", x, approximate="tanh"), mask)
    g.output("y", x, np.float32, ["N", 4, 6, 6])
    rows = {"x": rng.normal(size=(64, 4, 6, 6)).astype(np.float32), "own": rng.integers(1, 7, (64, 1, 1, 1))}
    made = Static(g.model(), [rows], tmp_path).quantized("minmax")
    assert "Gelu" not in {node.op_type for node in made.graph.node}
    right, answer = Session(g.model())(rows)["y"], Session(made)(rows)["y"]
    assert np.abs(answer - right).mean() < 0.05 * right.std()
    hidden = np.arange(6)[None, None, :, None] > rows["own"]  # what no filter of three rows can see
    assert np.abs(answer[np.broadcast_to(hidden, answer.shape)]).max() == 0


def test_a_bias_may_be_a_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    g, rng = Graph("dense"), np.random.default_rng(0)
    x = g.input("x", np.float32, ["N", 16])
    for width in (16, 4):
        weights = g.const(rng.normal(size=(16, width)).astype(np.float32) / 4)
        x = g.op("Add", g.op("MatMul", x, weights), g.const(rng.normal(size=(1, width)).astype(np.float32)))
    g.output("y", x, np.float32, ["N", 4])
    rows = {"x": rng.normal(size=(64, 16)).astype(np.float32)}
    made = Static(g.model(), [rows], tmp_path).quantized("minmax")
    right = Session(g.model())(rows)["y"]
    assert np.abs(Session(made)(rows)["y"] - right).max() < 0.05 * np.abs(right).max()
    assert not caplog.records  # the quantiser's advice is for who calls it
