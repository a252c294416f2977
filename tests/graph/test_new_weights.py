"""Other weights in a graph as it was written: which are found, and which cannot be told apart."""

from __future__ import annotations

import numpy as np
import onnx

from leadline.graph.builder import Graph, last_columns
from leadline.graph.new_weights import with_weights
from leadline.graph.runtime import Session

DRAW = np.random.default_rng(0)
MATRIX, BIAS, TABLE = (DRAW.normal(size=shape).astype(np.float32) for shape in ((3, 4), (3,), (5, 4)))
ONES = np.ones(3, np.float32)


def _graph() -> onnx.ModelProto:
    """A table, then a matrix as exporters write it, transposed; what comes out is scaled by ones."""
    g = Graph("net")
    x = g.op("Gather", g.const(TABLE), g.input("ids", np.int64, ["N"]))
    y = g.op("Add", g.op("MatMul", x, g.const(MATRIX.T.copy())), g.const(BIAS))
    g.output("y", g.op("Mul", y, g.const(ONES)), np.float32, ["N", 3])
    return g.model()


def test_weights_are_found_by_what_they_were() -> None:
    matrix, bias, ids = 2 * MATRIX, BIAS + 1, np.array([4, 0])
    model = with_weights(_graph(), [(TABLE, TABLE), (MATRIX, matrix), (BIAS, bias), (ONES, ONES)])
    assert model is not None
    np.testing.assert_allclose(Session(model).only({"ids": ids}), TABLE[ids] @ matrix.T + bias, rtol=1e-5)


def test_what_cannot_be_told_from_the_rest_is_not_put_in() -> None:
    assert with_weights(_graph(), [(MATRIX + 1, MATRIX)]) is None  # it is not there
    assert with_weights(_graph(), [(ONES, 2 * ONES)]) is None  # ones may stand for anything
    assert with_weights(_graph(), [(BIAS, BIAS), (BIAS, BIAS + 1)]) is None  # one in the graph, two in the network
    assert with_weights(_graph(), [(MATRIX + 1, MATRIX + 1)]) is not None  # it has not changed


def test_a_graph_gives_its_last_columns() -> None:
    ids = np.array([1, 2, 3])
    every = Session(_graph()).only({"ids": ids})
    model = last_columns(_graph(), 2)
    onnx.checker.check_model(model)
    np.testing.assert_array_equal(Session(model).only({"ids": ids}), every[:, -2:])
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 2
