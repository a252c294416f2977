"""n-grams as columns: the weights of scikit-learn, and the same from the graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from leadline.contenders.grams import Group, _counted
from leadline.graph.builder import Graph
from leadline.graph.runtime import Session

BUCKETS = 60


@pytest.fixture
def numbers() -> np.ndarray:
    """Gram numbers [30, 12], 0 for none; one row has none at all."""
    found = np.random.default_rng(0).zipf(1.6, size=(30, 12)) % BUCKETS
    found[3] = 0
    return found.astype(np.int32)


def test_grams_are_counted_row_by_row(numbers: np.ndarray) -> None:
    counted = _counted(numbers, BUCKETS).toarray()
    for row, found in zip(numbers, counted, strict=True):
        assert {i: int(n) for i, n in enumerate(found) if n} == Counter(int(i) for i in row if i)


def test_weights_are_those_of_sublinear_tf_idf(numbers: np.ndarray) -> None:
    counts = _counted(numbers, BUCKETS)
    group = Group.of(counts, BUCKETS)
    theirs = TfidfTransformer(sublinear_tf=True).fit_transform(counts).toarray()
    np.testing.assert_allclose(group.weighed(counts).toarray(), theirs[:, group.grams], atol=1e-5)


def test_the_commonest_grams_are_columns() -> None:
    counts = sparse.csr_matrix(np.tril(np.ones((5, 5), np.float32)))
    assert Group.of(counts, 9).grams.tolist() == [0, 1, 2, 3, 4]
    assert Group.of(counts, 3).grams.tolist() == [0, 1, 2]
    tied = sparse.csr_matrix(np.array([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0]], np.float32))
    assert Group.of(tied, 2).grams.tolist() == [0]  # of three that one row holds, none goes before another


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_graph_gives_what_the_matrix_gives(numbers: np.ndarray, outputs: int) -> None:
    counts = _counted(numbers, BUCKETS)
    group = Group.of(counts[:10], 20)
    weights = np.random.default_rng(1).normal(size=(len(group.grams), outputs)).astype(np.float32)
    g = Graph("grams")
    g.output("y", group.score(g, g.input("x", np.int32, ["N", "K"]), weights), np.float32, ["N", outputs])
    session = Session(g.model())
    expected = group.weighed(counts) @ weights
    np.testing.assert_allclose(session.only({"x": numbers}), expected, atol=1e-5)
    for row in (0, 3, 7):  # alone, as in a batch
        np.testing.assert_allclose(session.only({"x": numbers[[row]]}), expected[[row]], atol=1e-5)
    assert (session.only({"x": np.zeros((2, 0), np.int32)}) == 0).all()
