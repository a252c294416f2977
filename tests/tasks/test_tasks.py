"""What every task promises; the parameters come from `TASKS`, so a new one is held to this page without a new line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.config import Settings
from leadline.core.task import Task
from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.metrics.metrics import METRICS
from leadline.system.errors import LeadlineError
from leadline.tasks import TASKS, Binary, Classification, Multiclass, Multilabel, task_of

SUPERVISED = [name for name, kind in TASKS.items() if not kind.generative]
SCALE = (3.0, 2.0)


def _task(name: str) -> Task:
    """A task of so many classes as it may have."""
    kind = TASKS[name]
    classes = () if kind.numeric or kind.generative else ("a", "b") if kind is Binary else ("a", "b", "c")
    return kind(target="y", classes=classes, metric=kind.choose(None))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_comes_back_from_what_files_keep(name: str) -> None:
    task = _task(name)
    assert task_of(task.as_dict()) == task and type(task_of(task.as_dict())) is TASKS[name] and task.name == name


def test_an_unknown_task_is_one_sentence() -> None:
    with pytest.raises(LeadlineError, match="The task 'count' is not known to this Leadline, which knows binary"):
        task_of({"name": "count", "classes": []})


def test_every_metric_fits_a_task_and_every_task_has_known_ones() -> None:
    assert {metric for kind in TASKS.values() for metric in kind.metrics} == set(METRICS)


def test_the_help_of_the_option_names_every_task() -> None:
    help_text = Settings.__dataclass_fields__["task"].metadata["help"]
    assert all(name in help_text for name in TASKS)


def test_the_number_of_classes_decides_between_binary_and_multiclass() -> None:
    assert type(Classification.of("y", ("a", "b"), None)) is Binary
    assert type(Binary.of("y", ("a", "b", "c"), None)) is Multiclass
    assert type(Multilabel.of("y", ("a", "b"), None)) is Multilabel


@pytest.mark.parametrize("name", SUPERVISED)
@pytest.mark.parametrize("width", ["output_width", "columns"])
def test_the_head_of_a_graph_is_the_activation(name: str, width: str) -> None:
    task = _task(name)
    wide = getattr(task, width)
    raw = np.random.default_rng(0).normal(size=(40, wide)).astype(np.float32)
    g = Graph("head")
    task.head(g, g.input("raw", np.float32, ["N", wide]), SCALE, wide)
    told = Session(g.model()).only({"raw": raw})
    scores = task.activate(raw, SCALE)
    assert told.dtype == scores.dtype and told.shape == scores.shape
    np.testing.assert_allclose(told, scores, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_network_that_follows_the_loss_gives_the_labels_back(name: str) -> None:
    """The loss of encoded labels is least where the activation gives the labels: a gradient step goes there."""
    task, rng = _task(name), np.random.default_rng(0)
    labels = rng.integers(0, max(1, len(task.classes)), 50) if task.classes else rng.normal(size=50)
    y = torch.from_numpy(task.encode_labels(labels, SCALE))
    out = torch.zeros((50, task.output_width), dtype=torch.float64 if task.numeric else torch.float32)
    out.requires_grad_()
    each = task.loss(out, y, 0.0, each=True)
    assert each.shape == (50,) and each.mean().item() == pytest.approx(task.loss(out, y, 0.0).item(), rel=1e-5)
    each.sum().backward()  # type: ignore[no-untyped-call]
    assert out.grad is not None
    with torch.no_grad():
        before, after = (task.activate((out - step * out.grad).numpy(), SCALE) for step in (0.0, 0.5))
    if task.numeric:
        np.testing.assert_allclose(after, labels)  # the minimum of a parabola
    else:
        assert not task.flips(after, _ideal(task, labels)).any() and task.flips(before, _ideal(task, labels)).any()


def _ideal(task: Task, labels: np.ndarray) -> np.ndarray:
    """Scores that are sure of the truth."""
    if task.numeric:
        return labels
    marks = task.encode_labels(labels, SCALE)
    return marks if marks.ndim == 2 else np.eye(len(task.classes), dtype=np.float32)[labels]
