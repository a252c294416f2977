"""A graph computed by PyTorch gives what ONNX Runtime does, for every network of the portfolio."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from leadline.contenders import deep
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.graph.builder import Graph
from leadline.graph.packing import pack_constants
from leadline.graph.runtime import Session
from leadline.graph.torch_import import Interpreter
from leadline.shrink.tables import integer_weights, matrices
from leadline.system.errors import ModelError

NETWORKS = [
    ("mlp", "mixed"), ("mlp", "waves"), ("mlp", "bars"), ("cnn", "bars"), ("cnn", "waves"), ("cnn", "tones"),
    ("crnn", "tones"), ("bag", "messages"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep._Run, "_seconds_a_step", lambda self, count: 1.0)


@pytest.mark.parametrize(("name", "table"), NETWORKS, ids=lambda each: each)
def test_a_network_gives_the_same(name: str, table: str, request: pytest.FixtureRequest, prepare: Any) -> None:
    make = request.getfixturevalue(table)
    source: Any = {"mixed": lambda: make(200), "bars": lambda: make(80, 12), "waves": make, "tones": lambda: make(40),
                   "messages": lambda: make(120)}[table]()  # fmt: skip
    made = prepare(source, **({"target": "y"} if table == "mixed" else {} if table == "bars" else {"target": "label"}))
    store = made.store
    data = Data(store=store, clock=Clock(float("inf")), threads=1, epochs=1)
    fitted = list(PORTFOLIO[name].fit(data, 0))[-1]
    file = fitted.graph()  # type: ignore[union-attr]
    rows = store.split.test[:7]
    feeds = {value.name: np.asarray(store.tensor(value.name)[rows]) for value in file.graph.input}
    graph = onnx.ModelProto()
    graph.CopyFrom(file)
    graph.graph.output.append(onnx.ValueInfoProto(name="net/raw"))
    expected = Session(graph.SerializeToString())(feeds)["net/raw"]
    interpreter = Interpreter(file.graph, list(feeds), "net/raw")
    with torch.no_grad():
        found = interpreter({key: torch.from_numpy(value) for key, value in feeds.items()}, {})["net/raw"]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4 * max(1.0, float(np.abs(expected).max())))
    assert expected.std() > 0


def test_an_operator_that_is_not_known_is_refused() -> None:
    node = onnx.helper.make_node("Einsum", ["x"], ["y"], equation="ii")
    with pytest.raises(ModelError, match="the operator Einsum of the graph has no gradient here"):
        Interpreter(onnx.helper.make_graph([node], "g", [], []), ["x"], "y")


def test_a_value_that_does_not_follow_is_refused() -> None:
    node = onnx.helper.make_node("Add", ["x", "z"], ["y"])
    with pytest.raises(ModelError, match="'z' of the graph does not follow from x"):
        Interpreter(onnx.helper.make_graph([node], "g", [], []), ["x"], "y")


def test_towards_some_values_nothing_else_is_computed() -> None:
    """A table beside a network of sounds is read without the sounds."""
    nodes = [("Neg", ["x"], "a"), ("Exp", ["z"], "b"), ("Abs", ["a"], "c"), ("Add", ["c", "b"], "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node(kind, ins, [out]) for kind, ins, out in nodes], "g", [], [])
    whole = Interpreter(graph, ["x", "z"], "y")
    part = whole.towards(["c"])
    assert [outputs for _, _, outputs, _ in part.nodes] == [["a"], ["c"]] and len(whole.nodes) == 4
    x = torch.tensor([1.0, -2.0])
    torch.testing.assert_close(part({"x": x}, {})["c"], whole({"x": x, "z": x}, {})["c"])


def test_weights_of_4_bits_are_widened_alike() -> None:
    g, rng = Graph("dense"), np.random.default_rng(0)
    weights = rng.normal(size=(33, 29)).astype(np.float32)
    g.output("y", g.op("MatMul", g.input("x", np.float32, ["N", 33]), g.const(weights)), np.float32, ["N", 29])
    model = g.model()
    made = integer_weights(model, matrices(model), {}, matrices(model))
    pack_constants(made)
    rows = {"x": rng.normal(size=(4, 33)).astype(np.float32)}
    expected = Session(made)(rows)["y"]
    found = Interpreter(made.graph, ["x"], "y")({name: torch.from_numpy(each) for name, each in rows.items()}, {})["y"]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
