"""Static int8 leaves float32 what lies before the first product that it changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadline.graph.builder import Graph
from leadline.graph.quantize import Static
from leadline.graph.runtime import Session
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


def test_a_fourier_transform_is_no_weight(static: tuple[Static, dict[str, np.ndarray]]) -> None:
    made, _ = static
    assert len(made.weighed) == 3  # products; the convolution stays float32 whatever is asked for
    assert all(node.op_type == "MatMul" for node in made.quantized("minmax").graph.node if node.name in made.weighed)


def test_what_comes_before_the_first_int8_product_stays_float32(static: tuple[Static, dict[str, np.ndarray]]) -> None:
    made, rows = static
    late = made.quantized("minmax", made.weighed[1:])
    whole = made.quantized("minmax")
    scaled = {name for node in late.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    before = list(late.graph.node[: [n.op_type for n in late.graph.node].index("Log")])
    assert not any(scaled.intersection(node.input) for node in before if node.op_type in ("Add", "MatMul", "Conv"))
    right = Session(made._model)(rows)["y"]
    apart = [float(np.abs(Session(each)(rows)["y"] - right).mean()) for each in (late, whole)]
    assert apart[0] < 0.1 * apart[1]  # 8 bits do not hold powers of quiet and loud sounds


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
