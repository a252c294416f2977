"""Students that read hashed characters: their graph is their arithmetic, and they answer as their teacher does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

import leadline as ll
from leadline.contenders.linear import FittedLinear
from leadline.core.contender import Clock
from leadline.shrink.hashed_students import HashedDesign, hashed_layout, hashed_students
from leadline.shrink.lessons import lesson_of
from leadline.shrink.network import network_of, scores

ROWS = 400
ODD = ["", "ab", "a", "\u00e4\u00f6\u00fc \U0001f600!", "word " * 90, "Free CASH now"]


def _texts(target: Callable[[np.ndarray], pl.Series]) -> pl.DataFrame:
    """Two columns of texts and a number; some texts are odd."""
    rng = np.random.default_rng(0)
    good, bad = ["lovely", "warmly", "superbly"], ["awful", "dreadful", "painful"]
    more = rng.random(ROWS)
    texts = [
        " ".join(rng.choice(good if rng.random() < share else bad) for _ in range(5)) + f" {rng.integers(99)}"
        for share in more
    ]
    places = rng.integers(ROWS, size=len(ODD))
    for place, odd in zip(places, ODD, strict=True):
        texts[place] = odd
    return pl.DataFrame({"said": texts, "also": texts[::-1], "size": rng.normal(size=ROWS), "y": target(more)})


TARGETS: dict[str, Callable[[np.ndarray], pl.Series]] = {
    "two classes": lambda more: pl.Series(np.where(more > 0.5, "up", "down")),
    "three classes": lambda more: pl.Series(np.array(["low", "mid", "high"])[(more * 3).astype(int)]),
    "regression": lambda more: pl.Series(10 * more),
}


@pytest.mark.parametrize("name", TARGETS)
def test_its_graph_gives_what_its_matrix_gives(name: str, prepare: Any) -> None:
    store = prepare(_texts(TARGETS[name]), target="y").store
    plan = hashed_layout(store)
    assert plan is not None and plan.forms.count("grams") == 2 and len(plan.forms) == 3
    design = HashedDesign(store, plan, 1 << 10, store.split.train)
    rng, columns = np.random.default_rng(1), store.task.columns
    width = len(design.are_grams())
    assert int(design.are_grams().sum()) == 2 << 10 and width == (2 << 10) + 1
    weights = rng.normal(size=(width, columns)).astype(np.float32), rng.normal(size=columns).astype(np.float32)
    fitted = FittedLinear(design, weights, store.task, (0.0, 1.0), float("nan"), [])
    rows = np.arange(ROWS)
    assert design(store, rows).shape == (ROWS, width)
    assert np.allclose(fitted.predict(store, rows), scores(fitted.graph(), store, rows), atol=1e-4)
    one = [scores(fitted.graph(), store, rows[place : place + 1])[0] for place in range(20)]  # alone as in a batch
    assert np.allclose(one, fitted.predict(store, rows[:20]), atol=1e-4)


def test_a_table_without_texts_has_none(prepare: Any, mixed: Any) -> None:
    assert hashed_layout(prepare(mixed(200), target="y").store) is None


def test_it_answers_rows_that_it_has_not_seen_as_its_teacher_does(tmp_path: Path) -> None:
    frame = _texts(TARGETS["two classes"]).drop("also", "size")
    run = ll.fit(frame, target="y", only="linear", epochs=1, repeats=1, out=tmp_path / "run")
    data = run.data(frame)
    network = network_of(onnx.load(run.folder / "model.onnx"), data.store)
    lesson, _ = lesson_of(data, network, run.folder, "linear", None, 0.1)
    notes: list[str] = []
    made = list(hashed_students(lesson, 1 << 20, Clock(60.0), notes))
    assert not notes
    assert [student.name for student in made] == ["hashed/131072", "hashed/32768", "hashed/8192"]
    test = data.store.split.test
    teacher = lesson.teacher.answers(test)
    for student in made:
        agree = (scores(student.network, data.store, test).argmax(axis=1) == teacher.argmax(axis=1)).mean()
        assert agree > 0.9, student.name
    assert [*hashed_students(lesson, 1 << 20, Clock(0.0), notes)] == [] and "for hashed/131072" in notes[0]
    found = run.shrink(frame, out=tmp_path / "small", max_drop=0.5, distill="1s")
    names = [row["name"] for row in found.result["frontier"]]
    assert any(name.startswith("hashed/") for name in names), names
    assert not any(name.startswith("hashed/131072 ") for name in names), "it has more bytes than its teacher"
