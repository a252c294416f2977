"""The readable machine: it answers as InterpretML itself does, ends in its time, and comes out the same again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.contenders.ebm import Ebm, FittedEbm, tables
from leadline.contenders.features import layout, matrix
from leadline.core.contender import Clock, Data
from leadline.graph.runtime import Session


def _feeds(store: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(store.tensor(name)[rows]) for name in Ebm().inputs(store)}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_tables_answer_as_interpret_itself(prepare: Callable[..., Any], mixed: Callable[..., Any], task: str) -> None:
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    store = prepare(mixed(400, task), target="y").store
    plan, classes = layout(store, ("codes", "dense")), len(store.task.classes)
    kinds = ["nominal" if c in plan.categories else "continuous" for c in range(sum(plan.widths))]
    make = ExplainableBoostingRegressor if classes == 0 else ExplainableBoostingClassifier
    machine = make(feature_types=kinds, outer_bags=2, max_rounds=60, interactions=0 if classes > 2 else 3, n_jobs=1)
    x, y = matrix(store, plan, store.split.train), np.asarray(store.labels[store.split.train])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine.fit(x, y)
        test = matrix(store, plan, store.split.test)
        theirs = machine.predict(test) if classes == 0 else machine.predict_proba(test)
    fitted = FittedEbm(tables(machine, plan, classes), plan, store.task, (0.0, 1.0), [])
    assert np.allclose(fitted.predict(store, store.split.test), theirs, atol=1e-5)
    shipped = Session(fitted.graph().SerializeToString())(_feeds(store, store.split.test))["scores"]
    assert np.allclose(shipped, theirs, atol=1e-4)


def test_every_bin_edge_falls_the_same_way_in_the_file(prepare: Callable[..., Any], mixed: Callable[..., Any]) -> None:
    store = prepare(mixed(400), target="y").store
    *_, fitted = Ebm().fit(Data(store=store, clock=Clock(4.0), threads=1), 0)
    assert isinstance(fitted, FittedEbm)
    session = Session(fitted.graph().SerializeToString())
    feeds = _feeds(store, store.split.train)
    cuts = np.float32([c for levels in fitted._tables.bins for c in levels[0]])
    edges = np.concatenate([cuts, np.nextafter(cuts, np.float32(np.inf)), np.nextafter(cuts, np.float32(-np.inf))])
    name = next(name for name in feeds if name == "number")
    width = feeds[name].shape[1]
    columns = {
        key: np.repeat(value[:1], len(edges), 0) if key != name else np.repeat(edges[:, None], width, 1)
        for key, value in feeds.items()
    }

    class Edges:
        def tensor(self, key: str) -> np.ndarray:
            return columns[key]

    expected = fitted.predict(Edges(), np.arange(len(edges)))  # type: ignore[arg-type]
    assert np.allclose(session(columns)["scores"], expected, atol=1e-5)


def test_words_of_lists_are_read_and_the_file_answers_the_same(prepare: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    held = rng.random((600, 4)) < 0.4
    words = [[word for word, has in zip(("pool", "garden", "lift", "view"), row, strict=True) if has] for row in held]
    label = np.where(held[:, 1] ^ (rng.random(600) < 0.1), "dear", "cheap")
    frame = pl.DataFrame({"has": words, "rooms": rng.integers(1, 6, 600), "label": label})
    store = prepare(frame, kind=["has=list"]).store
    assert {block.kind for block in store.blocks} == {"list", "number"}
    *_, fitted = Ebm().fit(Data(store=store, clock=Clock(6.0), threads=1), 0)
    assert isinstance(fitted, FittedEbm) and fitted.score > 0.8
    answers = fitted.predict(store, store.split.test)
    shipped = Session(fitted.graph().SerializeToString())(_feeds(store, store.split.test))["scores"]
    assert np.allclose(shipped, answers, atol=1e-5)


def test_it_ends_in_its_time_and_comes_out_the_same(prepare: Callable[..., Any], mixed: Callable[..., Any]) -> None:
    store = prepare(mixed(6_000), target="y").store
    list(Ebm().fit(Data(store=store, clock=Clock(0.5), threads=1), 0))  # imports
    clock, began = Clock(6.0), time.monotonic()
    *_, first = Ebm().fit(Data(store=store, clock=clock, threads=1), 0)
    assert time.monotonic() - began < 9.0
    *_, second = Ebm().fit(Data(store=store, clock=Clock(6.0, readings=clock.readings), threads=1), 0)
    *_, other = Ebm().fit(Data(store=store, clock=Clock(6.0, readings=clock.readings), threads=1), 1)
    assert first.digest() == second.digest() != other.digest()  # type: ignore[union-attr]
    assert first.score > 0.9  # type: ignore[union-attr]


def test_it_keeps_out_of_what_it_cannot_read(prepare: Callable[..., Any], messages: Callable[..., Any]) -> None:
    assert Ebm().inputs(prepare(messages(), target="label").store) == []
