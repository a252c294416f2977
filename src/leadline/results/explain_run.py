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
from leadline.system.errors import SourceError
from leadline.use.explain.explain import Effort, check_task, explain
from leadline.use.explain.gradients import graded
from leadline.use.explain.layers import HELD, LEARNED, check_layers, depth_of
from leadline.use.explain.records import Explanation
from leadline.use.explain.sample import NoRowError, Sample, alone, assembled, choose, context_of, plain_values
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
    if (why := alone(model, sample)) is not None:
        raise SourceError(why)
    if layers:
        parts = [sample_of(data, model, None, part, count) for part, count in (("train", LEARNED), ("test", HELD))]
        check_layers(model, *parts)
    found = explain(model, sample, effort=Effort(gradients=graded(model, gradients, len(sample.shown))))
    return dataclasses.replace(found, depth=depth_of(model, *parts)) if layers else found


def sample_of(
    data: RunRows, model: Model, rows: Sequence[int] | None, part: str = "test", context: int | None = None
) -> Sample:  # fmt: skip
    """Rows of a part of the split; `rows` are positions in it, from 0."""
    name = f"the {part} part of {data.run.folder}"
    try:
        found = rows_of(data.table, data.rows(part), model, rows, context or context_of(model), name)
    except NoRowError as error:
        error.more = "; to choose a row by its number in a source, name the source as well"
        raise
    return dataclasses.replace(found, called=f"{part} row")


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
    values = {column: plain_values(decoded[column].values) for column in columns}
    found = assembled(name, len(places), numbers, values, frame, labels, shown, bad)
    return dataclasses.replace(found, called="test row", origins=places[found.numbers])
