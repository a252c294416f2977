"""The teacher is the model of the run, or the mean with other contenders where that answers calib rows better."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

from leadline.graph.builder import Graph
from leadline.shrink.teacher import Teacher, teacher_of

ROWS = 8_000  # from 5,000 train rows on a run has calib rows


@pytest.fixture(scope="module")
def store(prepare: Callable[..., Any]) -> Any:
    """Rows whose class is the sign of a sum of two columns; a third says nothing."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, 3))
    frame = pl.DataFrame(values, schema=["a", "b", "c"])
    return prepare(frame.with_columns(y=pl.Series(np.where(values[:, 0] + values[:, 1] > 0, "yes", "no")))).store


def _reads(store: Any, column: int) -> onnx.ModelProto:
    """A network that answers by one column alone."""
    (name,) = [block.name for block in store.blocks]
    tensor = store.tensor(name)
    weight = np.zeros((tensor.shape[1], 2), np.float32)
    weight[column] = (-3.0, 3.0)
    g = Graph("network")
    x = g.input(name, tensor.dtype, ["N", tensor.shape[1]])
    g.output("probabilities", g.op("Softmax", g.op("MatMul", x, g.const(weight)), axis=1), np.float32, ["N", 2])
    return g.model()


def _run(folder: Path, networks: dict[str, onnx.ModelProto]) -> Path:
    for name, network in networks.items():
        place = folder / "contenders" / name
        place.mkdir(parents=True)
        onnx.save(network, str(place / "graph.onnx"))
    return folder


def test_contenders_that_make_the_mean_better_teach_too(store: Any, tmp_path: Path) -> None:
    assert store.task.classes == ("no", "yes") and len(store.split.calib) >= 200
    one, other, noise = (_reads(store, column) for column in range(3))
    run = _run(tmp_path, {"mlp": one, "linear": other, "tree": noise, "baseline": noise})
    teacher, name = teacher_of(one, store, run, "mlp")
    assert name == "mlp and linear" and len(teacher) == 2
    rows = store.split.valid
    right = [float((each.answers(rows).argmax(axis=1) == store.labels[rows]).mean())
             for each in (teacher, Teacher([one], store))]  # fmt: skip
    assert right[0] > right[1] + 0.1


def test_the_model_teaches_alone_where_no_other_makes_it_better(store: Any, tmp_path: Path) -> None:
    one, noise = _reads(store, 0), _reads(store, 2)
    teacher, name = teacher_of(one, store, _run(tmp_path, {"mlp": one, "tree": noise}), "mlp")
    assert name == "mlp" and len(teacher) == 1
