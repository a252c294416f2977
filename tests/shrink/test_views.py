"""A teacher answers views of a row as a student sees them, and they teach only where calib rows say that they help."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import leadline as ll
from leadline.contenders.portfolio import PORTFOLIO
from leadline.graph.builder import Graph
from leadline.shrink.teacher import Teacher
from leadline.shrink.views import Views, views_of

CNN: Any = PORTFOLIO["cnn"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, bars: Any) -> Any:
    source = bars(240)
    made = ll.fit(source, only="linear", epochs=1, repeats=1, out=tmp_path_factory.mktemp("runs") / "pictures")
    return made.data(source).store


def _looks_at(store: Any, where: slice) -> Any:
    """A network that answers by how bright some columns of a picture are."""
    (block,) = store.blocks
    high, wide, channels = block.shape
    weight = np.zeros((high, wide, channels, 2), np.float32)
    weight[:, where] = (-0.01, 0.01)
    g = Graph("network")
    x = g.op("Cast", g.input(block.name, np.uint8, ["N", high, wide, channels]), to=1)
    x = g.op("MatMul", g.op("Flatten", x), g.const(weight.reshape(-1, 2) / high))
    g.output("probabilities", g.op("Softmax", x, axis=1), np.float32, ["N", 2])
    return g.model()


def test_views_are_varied_as_batches_of_students_are(store: Any) -> None:
    rows = store.split.train[:40]
    edge = Teacher([_looks_at(store, slice(0, 1))], store)
    seen = Views(edge, CNN, 2, 0).answers(rows)
    assert seen.shape == (40, 2) and np.allclose(seen.sum(axis=1), 1, atol=1e-5)
    assert np.abs(seen - edge.answers(rows)).max() > 1e-3
    nothing = Teacher([_looks_at(store, slice(0, 0))], store)
    assert np.allclose(Views(nothing, CNN, 2, 0).answers(rows), 0.5)


@pytest.mark.parametrize("right", [True, False])
def test_views_teach_where_their_answers_to_calib_rows_are_better(
    store: Any, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    teacher = Teacher([_looks_at(store, slice(0, 0))], store)
    assert views_of(teacher, CNN, 2, 0) is None  # there are no calib rows
    monkeypatch.setattr(store, "split", dataclasses.replace(store.split, calib=store.split.valid))
    monkeypatch.setattr("leadline.shrink.views.FEWEST", 1)
    truth = np.clip(store.labels, 0, 1)
    answers = np.eye(2)[truth if right else 1 - truth] * 0.8 + 0.1
    monkeypatch.setattr(Views, "answers", lambda self, rows: answers[rows])
    assert (views_of(teacher, CNN, 2, 0) is not None) == right
    assert views_of(teacher, CNN, 0, 0) is None and views_of(teacher, None, 2, 0) is None


def test_a_teacher_that_reads_something_else_is_asked_about_the_rows_alone(store: Any) -> None:
    g = Graph("features")
    x = g.input(f"{store.blocks[0].name}.dense", np.float32, ["N", 2])
    g.output("probabilities", g.op("Softmax", x, axis=1), np.float32, ["N", 2])
    views = Views(Teacher([g.model()], store), CNN, 2, 0)
    assert not views.readable and not views.help


def test_values_that_are_varied_are_given_to_a_teacher_as_they_are_stored(store: Any) -> None:
    teacher, (block,) = Teacher([_looks_at(store, slice(0, 4))], store), store.blocks
    pictures = store.tensor(block.name)[:8]
    varied = pictures.astype(np.float32) + 0.2
    assert np.array_equal(teacher.answers_to({block.name: varied}), teacher.answers_to({block.name: pictures}))
