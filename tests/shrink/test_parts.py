"""Every way to make a network smaller answers as it has to: exactly, or within what it rounds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightgbm as lgb
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from leadline.core.kind import View
from leadline.core.tensors import Split
from leadline.graph.builder import Graph
from leadline.graph.packing import pack_constants
from leadline.graph.quantize import Static, dynamic_int8, recurrent
from leadline.graph.rounding import INT4, INT8, Levels
from leadline.graph.runtime import Session
from leadline.graph.trees import ensemble
from leadline.shrink.candidates import Making, candidates
from leadline.shrink.choose import alike, halves, last_proved, rows_of, sequence
from leadline.shrink.compact import compact
from leadline.shrink.more_rows import Longer
from leadline.shrink.tables import half_weights, integer_tables, integer_weights, matrices
from leadline.shrink.trees import fewer_trees, leaves_of, trees_of


@pytest.mark.parametrize(("levels", "width"), [(INT8, 1), (INT8, 64), (INT4, 1), (INT4, 3), (INT4, 64), (INT4, 65)])
def test_integer_tables_answer_within_a_level_of_each_row(levels: Levels, width: int) -> None:
    rng = np.random.default_rng(0)
    table = (rng.normal(size=(500, width)) * 10.0 ** rng.uniform(-3, 2, (500, 1))).astype(np.float32)
    g = Graph("tables")
    x = g.input("x", np.int64, ["N", 3])
    g.output("y", g.op("Gather", g.const(table), x), np.float32, ["N", 3, width])
    rows = rng.integers(0, 500, (40, 3))
    made = integer_tables(g.model(), levels)
    onnx.checker.check_model(made)
    assert made.ByteSize() < (0.5 if levels is INT8 or width < 4 else 0.2) * g.model().ByteSize()
    answers = Session(made)({"x": rows})["y"]
    apart = np.abs(answers - table[rows])
    if levels is INT8 or width == 1:  # single numbers keep 8 bits
        largest = np.abs(table).max(axis=1)[rows][..., None] if width > 1 else np.abs(table).max()
        assert (apart <= largest / 127 * 0.51 + 1e-6).all()
    elif width > 3:
        assert np.mean(apart**2) < 0.02 * np.mean(table[rows] ** 2)
        scales = next(numpy_helper.to_array(each) for each in made.graph.initializer if each.name.endswith(".scale"))
        found = answers / scales.astype(np.float32)[rows]
        assert np.abs(found - found.round()).max() < 1e-3 and found.min() > -8.001 and found.max() < 7.001


def test_a_large_table_of_4_bits_is_widened_row_by_row() -> None:
    """What is read is widened, not the table: its memory stays that of the file."""
    table = np.random.default_rng(0).normal(size=(20_000, 32)).astype(np.float32)
    g = Graph("tables")
    x = g.input("x", np.int64, ["N"])
    g.output("y", g.op("Gather", g.const(table), x), np.float32, ["N", 32])
    made = integer_tables(g.model(), INT4)
    (first,) = (node for node in made.graph.node if node.input[0].endswith(".rows") and node.op_type == "Gather")
    assert first.input[1] == "x"
    for rows in (np.array([0, 19_999]), np.arange(20_000), np.zeros(0, np.int64)):
        answers = Session(made)({"x": rows})["y"]
        assert answers.shape == (len(rows), 32)
        assert np.abs(answers - table[rows]).max(initial=0) < np.abs(table).max()


@pytest.mark.parametrize("four", [False, True])
def test_integer_weights_of_an_odd_number_are_widened_on_loading(four: bool) -> None:
    g, rng = Graph("dense"), np.random.default_rng(0)
    x = g.input("x", np.float32, ["N", 33])
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((33, 29), (29, 31))]
    g.output("y", g.op("MatMul", g.op("Tanh", g.op("MatMul", x, g.const(weights[0]))), g.const(weights[1])),
             np.float32, ["N", 31])  # fmt: skip
    model = g.model()
    names = matrices(model)
    made = integer_weights(model, names, {}, names if four else ())
    rows = {"x": rng.normal(size=(9, 33)).astype(np.float32)}
    right, plain = Session(model)(rows)["y"], Session(made)(rows)["y"]
    assert np.abs(plain - right).mean() < (0.2 if four else 0.02) * right.std()
    pack_constants(made)
    onnx.checker.check_model(made)
    assert np.array_equal(Session(made)(rows)["y"], plain)
    assert ("BitShift" in {node.op_type for node in made.graph.node}) == four


def test_half_weights_answer_within_half_precision_and_leave_what_is_too_large() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(64, 32)).astype(np.float32)
    g = Graph("half")
    x = g.input("x", np.float32, ["N", 64])
    g.output("y", g.op("Add", g.op("MatMul", x, g.const(weights)), g.const(np.full(300, 1e6, np.float32)[:32])),
             np.float32, ["N", 32])  # fmt: skip
    values = rng.normal(size=(5, 64)).astype(np.float32)
    plain, made = (Session(model)({"x": values})["y"] for model in (g.model(), half_weights(g.model())))
    assert 0 < np.abs(plain - made).max() / 1e6 < 1e-6
    huge = Graph("huge")
    x = huge.input("x", np.float32, ["N"])
    huge.output("y", huge.op("Add", x, huge.const(np.full(400, 1e6, np.float32))), np.float32, [400])
    assert half_weights(huge.model()).ByteSize() == huge.model().ByteSize()


def test_a_body_in_int8_is_not_calibrated_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    g = Graph("body")
    x = g.input("x", np.float32, ["N", 3, 8, 8])
    scale, zero = g.const(np.float32(0.05)), g.const(np.uint8(128))
    x = g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero)
    kernels = g.const(rng.normal(size=(64, 3, 3, 3)).astype(np.float32))
    g.output("y", g.op("GlobalAveragePool", g.op("Conv", x, kernels)), np.float32, ["N", 64, 1, 1])
    no_rows: Any = SimpleNamespace(task=SimpleNamespace(generative=False))  # a calibration would ask for some
    making = Making(
        store=no_rows, distance=lambda network: 0.0, doubtful=lambda network: False, seed=0, folder=tmp_path
    )
    assert [each.name for each in candidates(g.model(), making)] == ["compact", "float16", "int8 weights"]


def test_what_is_divided_by_is_no_weight() -> None:
    """Of widths that differ a thousandfold, eight bits would make some zero."""
    g, rng = Graph("bins"), np.random.default_rng(0)
    widths = np.geomspace(1e-9, 1, 32 * 16).reshape(32, 16).astype(np.float32)
    weights = rng.normal(size=(16, 32)).astype(np.float32)
    x = g.op("Div", g.input("x", np.float32, ["N", 32, 16]), g.const(widths))
    g.output("y", g.op("MatMul", x, g.const(weights)), np.float32, ["N", 32, 32])
    model, rows = g.model(), {"x": widths[None] * rng.uniform(0, 1, (4, 32, 16)).astype(np.float32)}
    right = Session(model)(rows)["y"]
    names = matrices(model)
    assert [numpy_helper.to_array(each).shape for each in model.graph.initializer if each.name in names] == [(16, 32)]
    for made in (integer_weights(model, names, {}), half_weights(model)):
        assert made.ByteSize() < model.ByteSize()
        assert np.allclose(Session(made)(rows)["y"], right, atol=0.05 * np.abs(right).max())


def test_dense_layers_are_multiplied_in_dynamic_int8(tmp_path: Path) -> None:
    g, rng = Graph("dense"), np.random.default_rng(0)
    x = g.input("x", np.float32, ["N", 64])
    for _ in range(2):
        weight, bias = rng.normal(size=(64, 64)).astype(np.float32) / 8, rng.normal(size=64).astype(np.float32)
        x = g.op("Relu", g.op("Gemm", x, g.const(weight), g.const(bias), transB=1))
    g.output("y", x, np.float32, ["N", 64])
    model, rows = g.model(), {"x": rng.normal(size=(9, 64)).astype(np.float32)}
    made = dynamic_int8(model, recurrent(model), tmp_path)
    assert sum(node.op_type == "MatMulInteger" for node in made.graph.node) == 2
    assert np.allclose(Session(made)(rows)["y"], Session(model)(rows)["y"], atol=0.2)


def test_rows_behind_a_store_have_views_that_nobody_named(prepare: Any, bars: Any) -> None:
    store = prepare(bars(40)).store
    (block,) = store.blocks
    name = f"{block.name}.{View.DENSE}"
    made = Longer(store, {block.name: store.tensor(block.name)[:5]})
    rows = np.arange(len(store.labels), len(made.labels))
    assert np.allclose(made.tensor(name)[rows], store.tensor(name)[:5], atol=1e-5)


def test_a_rising_table_is_stored_as_ranks_and_answers_the_same() -> None:
    rng = np.random.default_rng(0)
    marked = rng.random(8_192) < 0.05
    table = np.where(marked, marked.cumsum(), 0).astype(np.int32)
    g = Graph("ranks")
    x = g.input("x", np.int64, ["N", 4])
    g.output("y", g.op("Gather", g.const(table), x), np.int32, ["N", 4])
    made = g.model()
    compact(made)
    onnx.checker.check_model(made)
    rows = np.concatenate([np.arange(8_192), rng.integers(0, 8_192, 400)]).reshape(-1, 4)
    assert np.array_equal(Session(made)({"x": rows})["y"], table[rows])
    assert made.ByteSize() < 0.3 * g.model().ByteSize()


@pytest.mark.parametrize("outputs", [1, 3])
def test_fewer_trees_are_the_first_rounds(outputs: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4)).astype(np.float32)
    x[:, 3] = rng.integers(0, 9, 600)
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] + (x[:, 3] % 2) > 0.5)
    settings: dict[str, Any] = {"objective": "multiclass", "num_class": 3} if outputs == 3 else {"objective": "l2"}
    data = lgb.Dataset(x, y, categorical_feature=[3])
    booster = lgb.train({**settings, "verbosity": -1, "min_data_per_group": 5}, data, 12)
    g = Graph("trees")
    raw = ensemble(g, g.input("x", np.float32, ["N", 4]), booster.dump_model(), outputs)
    g.output("y", raw, np.float32, ["N", outputs])
    network = g.model()
    assert trees_of(network) == (12 * outputs, outputs)
    made = fewer_trees(network, 5 * outputs)
    onnx.checker.check_model(made)
    assert trees_of(made) == (5 * outputs, outputs) and leaves_of(made) < leaves_of(network)
    expected = booster.predict(x, num_iteration=5, raw_score=True).reshape(600, outputs)
    assert np.allclose(Session(made)({"x": x})["y"], expected, atol=1e-5)
    assert np.array_equal(Session(fewer_trees(network, 12 * outputs))({"x": x})["y"], Session(network)({"x": x})["y"])


def test_halves_keep_groups_and_the_first_failure_ends_the_tests(tmp_path: Path) -> None:
    group = np.repeat(np.arange(50), 4)
    chooses, judges = halves(200, group, 0, whole=False)
    assert len(chooses) + len(judges) == 200 and not set(group[chooses]) & set(group[judges])
    tested: list[int] = []

    def proved(candidate: tuple[int, float]) -> bool:
        tested.append(candidate[0])
        return candidate[0] != 5

    order = sequence([(9, 0.01), (5, 0.02), (7, 0.3), (2, 0.9)], lambda c: c[0], lambda c: c[1])
    assert last_proved(order, proved) == (9, 0.01) and tested == [9, 5]


def test_calib_rows_choose_where_there_are_some_and_all_test_rows_judge() -> None:
    mixed = np.random.default_rng(0).permutation(2_000)
    train, calib, test, further = (np.sort(part) for part in np.split(mixed, [1_000, 1_300, 1_800]))
    split = Split(train=train, valid=train[:0], calib=calib, test=test)
    found = rows_of(split, further, None, 0, whole=False)
    assert found.part == "calib" and (np.diff(found.rows) > 0).all()
    assert found.rows[found.chooses].tolist() == calib.tolist()
    assert found.rows[found.judges].tolist() == np.sort(np.concatenate([test, further])).tolist()
    few = Split(train=train, valid=train[:0], calib=calib[:20], test=test)
    found = rows_of(few, further, None, 0, whole=False)
    assert found.part == "test" and len(found.chooses) == len(found.judges) == len(test) // 2
    assert np.union1d(found.rows[found.chooses], found.rows[found.judges]).tolist() == test.tolist()


def test_of_equal_evidence_the_nearer_answers_are_tested_first() -> None:
    found = [(900, (0.1, 0.0)), (300, (0.1, 0.02)), (500, (0.1, 0.001)), (400, (0.1, 0.3))]
    assert [size for size, _ in sequence(found, lambda c: c[0], lambda c: c[1])] == [900, 500, 300]


def test_constants_keep_their_values_in_a_compact_file() -> None:
    g = Graph("names")
    x = g.input("x", np.float32, ["N"])
    g.output("y", g.op("Mul", x, g.const(np.float32(3))), np.float32, ["N"])
    made = g.model()
    compact(made)
    assert [float(numpy_helper.to_array(each)) for each in made.graph.initializer] == [3.0]
    assert Session(made)({"x": np.ones(2, np.float32)})["y"].tolist() == [3.0, 3.0]


def test_a_file_hardly_larger_and_much_faster_is_tested_after_the_smaller() -> None:
    files = {"weights": (100.0, 9.0, 0.01), "int8": (105.0, 5.0, 0.02), "half": (200.0, 9.0, 0.005)}
    sizes = dict(zip(files, alike(list(files), lambda f: files[f][0], lambda f: files[f][1]), strict=True))
    order = sequence(list(files), lambda f: sizes[f], lambda f: files[f][2])
    assert order == ["half", "weights", "int8"]
    assert last_proved(order, lambda f: f != "int8") == "weights"  # the smaller one ships where the faster one is worse


@pytest.mark.parametrize("four", [False, True])
def test_what_operators_have_anyway_is_not_stored(four: bool, tmp_path: Path) -> None:
    g, rng = Graph("net"), np.random.default_rng(0)
    x = g.input("x", np.float32, ["N", 4, 6, 6])
    x = g.op("Conv", x, g.const(rng.normal(size=(20, 4, 3, 3)).astype(np.float32)), kernel_shape=[3, 3], group=1,
             pads=[0, 0, 0, 0], strides=[1, 1])  # fmt: skip
    x = g.op("ReduceMax", x, g.const(np.array([2, 3])), keepdims=0, noop_with_empty_axes=0)
    x = g.op("Gemm", x, g.const(rng.normal(size=(20, 30)).astype(np.float32)), alpha=1.0, beta=1.0, transA=0, transB=0)
    g.output("y", x, np.float32, ["N", 30])
    rows = {"x": rng.normal(size=(32, 4, 6, 6)).astype(np.float32)}
    static = Static(g.model(), [rows], tmp_path, by_inputs=True)
    made = static.quantized("minmax", packed=static.packable if four else ())
    before = Session(made)(rows)["y"]
    pack_constants(made)
    compact(made)
    onnx.checker.check_model(made)
    assert np.array_equal(Session(made)(rows)["y"], before)
    stated = {node.op_type: {each.name for each in node.attribute} for node in made.graph.node}
    assert (stated["Conv"], stated["Gemm"], stated["ReduceMax"]) == ({"kernel_shape"}, set(), {"keepdims"})
    conv = next(node for node in made.graph.node if node.op_type == "Conv")
    weights = next(node for node in made.graph.node if conv.input[1] in node.output)
    assert weights.op_type == "DequantizeLinear" and len(weights.input) == 2


def test_fragile_layers_of_4_bits_keep_8(prepare: Any, bars: Any, tmp_path: Path) -> None:
    store = prepare(bars(40)).store
    (block,) = store.blocks
    g, rng, inputs = Graph("pictures"), np.random.default_rng(0), block.shape[-1]
    x = g.op("Cast", g.input(block.name, np.uint8, ["N", *block.shape]), to=onnx.TensorProto.FLOAT)
    x = g.op("Div", g.op("Transpose", x, perm=[0, 3, 1, 2]), g.const(np.float32(64)))
    for outputs in (32, 48, 48):
        weights = rng.normal(size=(outputs, inputs, 3, 3)).astype(np.float32) / (3 * inputs**0.5)
        x = g.op("Relu", g.op("Conv", x, g.const(weights), pads=[1, 1, 1, 1]))
        inputs = outputs
    x = g.op("Softmax", g.op("ReduceMean", x, g.const(np.array([2, 3])), keepdims=0))
    g.output("y", x, np.float32, ["N", 48])
    making = Making(
        store=store, distance=lambda network: 0.0, doubtful=lambda network: True, seed=0, folder=tmp_path
    )  # fmt: skip
    found = {each.name: each for each in candidates(g.model(), making)}
    names = ["int4 weights", "int4 weights, 1 int8", "int4", "int4, 1 int8"]
    assert [name for name in found if "4" in name] == names
    sizes = [found[name].network.ByteSize() for name in (*names[:2], "int8 weights", *names[2:], "int8")]
    assert sizes[:3] == sorted(sizes[:3]) and sizes[3:] == sorted(sizes[3:])
    assert [found[name].integer for name in names] == [False, False, True, True]
    rows = {block.name: np.asarray(store.tensor(block.name)[:20])}
    right = Session(g.model())(rows)["y"]
    apart = [
        np.abs(Session(found[name].network)(rows)["y"] - right).mean() for name in ("int4", "int4, 1 int8", "int8")
    ]
    assert apart == sorted(apart, reverse=True)
