"""Weights rounded by their inputs give these inputs nearer answers, at levels that the quantiser keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from leadline.graph.builder import Graph
from leadline.graph.quantize import Static
from leadline.graph.rounding import (
    INT4,
    INT8,
    Levels,
    Rounded,
    main_parts,
    put_weights,
    rounded,
    rounded_weights,
    seen_inputs,
)
from leadline.graph.runtime import Session


def _alike(rng: np.random.Generator, rows: int, inputs: int) -> np.ndarray:
    """Inputs that go together, as neighbouring pixels do."""
    return (rng.normal(size=(rows, 1)) + 0.1 * rng.normal(size=(rows, inputs))).astype(np.float32)


@pytest.mark.parametrize("levels", [INT8, INT4], ids=["int8", "int4"])
def test_they_lose_a_tenth_of_what_the_nearest_levels_do(levels: Levels) -> None:
    rng = np.random.default_rng(0)
    weights, x = rng.normal(size=(20, 30)).astype(np.float32), _alike(rng, 1_000, 30)
    weights -= weights.mean(axis=1, keepdims=True)
    found, scale = rounded(weights, x.T @ x, levels)
    assert found.dtype == np.int8 and found.min() >= levels.lowest and found.max() <= levels.highest
    nearest = levels.nearest(weights, scale[:, None]) * scale[:, None]
    lost, alone = (np.mean((x @ (weights - each).T) ** 2) for each in (found * scale[:, None], nearest))
    assert lost < 0.1 * alone


@pytest.mark.parametrize("levels", [INT8, INT4], ids=["int8", "int4"])
def test_weights_that_lie_at_levels_already_stay_what_they_are(levels: Levels) -> None:
    rng = np.random.default_rng(0)
    own = rng.integers(-levels.highest, levels.highest + 1, (20, 60)).astype(np.int8)
    own[:, 7] = -levels.highest
    scale = rng.uniform(0.01, 3, 20).astype(np.float32)
    x = _alike(rng, 500, 60)
    found, made = rounded(own * scale[:, None], x.T @ x, levels)
    assert np.array_equal(found, own) and np.allclose(made, scale, rtol=1e-6)


def test_zero_weights_and_inputs_that_are_always_zero_are_no_trouble() -> None:
    x = _alike(np.random.default_rng(0), 50, 6)
    x[:, 2] = 0
    weights = np.zeros((3, 6), np.float32)
    weights[1] = np.arange(6)
    found, scale = rounded(weights, x.T @ x)
    assert np.allclose(found * scale[:, None], weights, atol=5 / 127)
    for levels in (INT8, INT4):
        found, scale = rounded(weights, np.zeros((6, 6)), levels)
        assert np.isfinite(found * scale[:, None]).all()


def test_small_parts_keep_their_bits() -> None:
    assert main_parts({"stem": 100, "one": 1_000, "two": 1_000, "head": 50}) == ["one", "two"]
    assert main_parts({str(each): 7 for each in range(60)}) == [str(each) for each in range(60)]
    assert main_parts({}) == []


CASES: dict[str, dict[str, Any]] = {
    "plain": {}, "padded": {"pads": [1, 2, 1, 2]}, "strides": {"strides": [2, 1]}, "dilated": {"dilations": [1, 2]},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_convolutions_of_every_form_come_nearer(case: str) -> None:
    rng = np.random.default_rng(0)
    g, pixels = Graph("net"), _alike(rng, 64, 3 * 12 * 12).reshape(64, 3, 12, 12)
    weights = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    g.output("y", g.op("Conv", g.input("x", np.float32, ["N", 3, 12, 12]), g.const(weights), **CASES[case]), np.float32,
             ["N", 8, "H", "W"])  # fmt: skip
    _comes_nearer(g, {"x": pixels}, weights, np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127)


@pytest.mark.parametrize("operator", ["MatMul", "Gemm", "Gemm of columns"])
def test_products_come_nearer(operator: str) -> None:
    rng = np.random.default_rng(0)
    g, turned = Graph("net"), operator == "Gemm of columns"
    weights = rng.normal(size=(8, 40) if turned else (40, 8)).astype(np.float32)
    facts = {"transB": 1} if turned else {}
    hidden = g.op("Abs", g.input("x", np.float32, ["N", 40]))
    g.output("y", g.op(operator.split()[0], hidden, g.const(weights), **facts), np.float32, ["N", 8])
    scale = np.abs(weights).max(axis=1 if turned else 0, keepdims=True) / 127
    _comes_nearer(g, {"x": _alike(rng, 200, 40)}, weights, scale)


def _comes_nearer(g: Graph, rows: dict[str, np.ndarray], weights: np.ndarray, scale: np.ndarray) -> None:
    model = g.model()
    right = Session(model)(rows)["y"]
    made = rounded_weights(model, seen_inputs(model, [node.name for node in model.graph.node], [rows]))
    (name,) = made
    assert made[name].levels.shape == weights.shape and made[name].scale.shape == scale.shape
    nearest = Rounded(levels=(weights / scale).round().astype(np.int8), scale=scale.astype(np.float32))
    apart = []
    for each in (made[name], nearest):
        put_weights(model, {name: each})
        apart.append(float(np.mean((Session(model)(rows)["y"] - right) ** 2)))
    assert apart[0] < 0.5 * apart[1]


def test_a_filter_a_channel_is_left_to_the_quantiser() -> None:
    g = Graph("net")
    x = g.input("x", np.float32, ["N", 4, 8, 8])
    g.output("y", g.op("Conv", x, g.const(np.ones((4, 1, 3, 3), np.float32)), group=4), np.float32, ["N", 4, 6, 6])
    model = g.model()
    rows = {"x": np.ones((2, 4, 8, 8), np.float32)}
    assert seen_inputs(model, [node.name for node in model.graph.node], [rows]) == {}


def test_the_quantiser_keeps_the_levels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    g, x = Graph("net"), _alike(rng, 64, 3 * 12 * 12).reshape(64, 3, 12, 12)
    weights = rng.normal(size=(8, 3, 2, 2)).astype(np.float32)
    weights -= weights.mean(axis=(1, 2, 3), keepdims=True)  # answers differences of pixels alone
    g.output("y", g.op("Conv", g.input("x", np.float32, ["N", 3, 12, 12]), g.const(weights)), np.float32,
             ["N", 8, 11, 11])  # fmt: skip
    right, levels, apart = Session(g.model())({"x": x})["y"], [], []
    for by_inputs in (False, True):
        place = tmp_path / str(by_inputs)
        place.mkdir()
        made = Static(g.model(), [{"x": x}], place, by_inputs).quantized("minmax")
        apart.append(float(np.mean((Session(made)({"x": x})["y"] - right) ** 2)))
        stored = [numpy_helper.to_array(each) for each in made.graph.initializer]
        levels.append(next(each for each in stored if each.shape == weights.shape).astype(float))
    expected = rounded(weights.reshape(8, -1), _products(x))[0].reshape(weights.shape)
    assert np.abs(levels[1] - expected).max() < 1.5  # places are drawn, so a few levels may differ by one
    assert (levels[0] != levels[1]).any() and apart[1] < apart[0]


def _products(x: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3))
    seen = np.moveaxis(windows, 1, 3).reshape(-1, 12).astype(float)
    return np.asarray(seen.T @ seen)
