"""The test rows of a finished run, as an explanation of its model takes them: these rows alone are decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from leadline.dataset.table import Table, take
from leadline.kinds import KINDS
from leadline.metrics.multilabel import unpacked
from leadline.results.run import Run
from leadline.results.run_rows import RunRows
from leadline.use.explain.explain import Effort, check_task, explain
from leadline.use.explain.gradients import graded
from leadline.use.explain.layers import HELD, LEARNED, depth_of
from leadline.use.explain.records import Explanation
from leadline.use.explain.sample import Sample, assembled, choose, context_of
from leadline.use.model import Model

__all__ = ["explain_run", "rows_of", "sample_of"]


def explain_run(
    run: Run, rows: Sequence[int] | None = None, layers: bool = False, gradients: bool | None = None
) -> Explanation:  # fmt: skip
    """Explain the shipped model of a run by its test rows; raises LeadlineError where the data have changed.

    Args:
        gradients: of a network also integrated gradients (default: of a dozen rows or fewer).
    """
    model = run.model
    check_task(model)
    data = RunRows.open(run)
    sample = sample_of(data, model, rows)
    found = explain(model, sample, effort=Effort(gradients=graded(model, gradients, len(sample.shown))))
    if not layers:
        return found
    learned, held = (sample_of(data, model, None, part, count) for part, count in (("train", LEARNED), ("test", HELD)))
    return dataclasses.replace(found, depth=depth_of(model, learned, held))


def sample_of(
    data: RunRows, model: Model, rows: Sequence[int] | None, part: str = "test", context: int | None = None
) -> Sample:  # fmt: skip
    """Rows of a part of the split; `rows` are positions in it, from 0."""
    name = f"the {part} part of {data.run.folder}"
    return rows_of(data.table, data.rows(part), model, rows, context or context_of(model), name)


def rows_of(
    table: Table, places: np.ndarray, model: Model, rows: Sequence[int] | None, context: int, name: str
) -> Sample:  # fmt: skip
    """Rows of a table with all labels; `rows` are positions in `places`, from 0; `context`: others to compare with."""
    numbers, shown = choose(len(places), rows, context, name)
    columns = list(model.contract["inputs"])
    order = np.argsort(places[numbers], kind="stable")  # `take` gives rows in the order of the table
    frame = take(table.frame, places[numbers], columns)[np.argsort(order, kind="stable").tolist()]
    decoded = model.decoded(frame, table.source.root, {})
    bad = {
        place: why
        for column in columns
        if KINDS[model.contract["inputs"][column]["kind"]].variable_shape
        for place, why in decoded[column].bad.items()
    }
    labels, task = np.asarray(table.labels[places[numbers]]), table.task
    labels = unpacked(labels, len(task.classes)).astype(bool) if task.multilabel else labels
    values = {column: decoded[column].values for column in columns}
    return assembled(name, len(places), numbers, values, frame, labels, shown, bad)
