"""A linear model beside a network: its share, and the same arithmetic in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from leadline.contenders.blend import SHARES, BlendSearch, widened
from leadline.core.contender import Clock, Data
from leadline.graph.builder import Graph
from leadline.graph.runtime import Session


def _second(data: Data) -> BlendSearch:
    found = BlendSearch(data, 0, 0.0)
    assert list(found.tried())
    return found


def test_valid_gives_it_a_share_where_the_network_knows_less(prepare: Any, messages: Any) -> None:
    store = prepare(messages(300), target="label").store
    data = Data(store=store, clock=Clock(300.0), threads=1)
    truth = data.labels(store.split.valid)
    sure = np.eye(2, dtype=np.float32)[truth] * 40
    second = _second(data)
    blend, answers, score = second.weighed(sure)
    assert blend is None and score == 1.0 and answers is sure
    blend, answers, score = _second(data).weighed(np.zeros_like(sure))
    assert blend is not None and blend.share == max(SHARES)
    assert score == second.score > 0.8 and (answers.argmax(axis=1) == truth).mean() == score

    rows = store.split.test
    g = Graph("sum")
    raw = g.input("network", np.float32, ["N", 2])
    g.output("raw", blend.add(g, raw, 2), np.float32, ["N", 2])
    session = Session(g.model())
    feeds = {name: np.asarray(store.tensor(name)[rows]) for name in session.inputs if name != "network"}
    network = np.random.default_rng(0).normal(size=(len(rows), 2)).astype(np.float32)
    found = session.only({**feeds, "network": network})
    np.testing.assert_allclose(found, network + blend.raw(store, rows, 2), atol=1e-4)


def test_one_column_tells_two_classes_apart() -> None:
    np.testing.assert_array_equal(widened(np.array([[3.0]]), 2), [[0.0, 3.0]])
    np.testing.assert_array_equal(widened(np.ones((1, 3)), 3), np.ones((1, 3)))
