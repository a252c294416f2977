"""Table + settings -> split: the columns that the user names for it are read here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.core.tensors import Split
from leadline.dataset.split import split, stretches
from leadline.dataset.table import Table
from leadline.kinds import KINDS, PLAIN, Scale
from leadline.metrics.metrics import METRICS
from leadline.system.errors import LeadlineError, SourceError


def draw(table: Table, asked: Settings, fold: int = 0, seed: int | None = None) -> Split:
    """The split of a table; a fold of it, or that of another order (see `split`)."""
    if table.task.generative:
        return stretches(table.part)
    group, time = groups(table, asked), None if asked.time_column is None else _moments(table, asked.time_column)
    labels = table.task.strata(table.labels)
    drawn = split(
        labels, table.part, asked.seed if seed is None else seed, group=group, time=time, fold=fold,
        of=table.source.name,
    )  # fmt: skip
    if fold == 0:
        _check_metric(table, drawn)
    if table.excluded_from_training is None:
        return drawn
    return replace(drawn.without(table.excluded_from_training.tolist()), test=drawn.test)


def _check_metric(table: Table, drawn: Split) -> None:
    """One sentence before anything is trained where a part cannot be scored by the metric."""
    needed = METRICS[table.task.metric].classes_needed
    for name in ("test", "valid"):
        held = np.unique(table.labels[getattr(drawn, name)])
        if len(held) < needed:
            rows = len(getattr(drawn, name))
            raise SourceError(
                f"All {rows:,} {name} rows are {table.task.classes[int(held[0])]!r}, where {table.task.metric} needs "
                f"rows of {needed} classes; give {name} rows of another class, or another --metric, such as accuracy."
            )


def groups(table: Table, asked: Settings) -> np.ndarray | None:
    """What each row belongs to: rows of one group stay together."""
    name = asked.group or table.group_column
    if name is None:
        return None
    return table.frame.select(name).collect().to_series().cast(pl.String).fill_null("").to_numpy()


def _moments(table: Table, name: str) -> np.ndarray:
    """The moment of each row."""
    cells = table.frame.select(name).collect().to_series()
    for kind in KINDS.values():
        if kind.scale is Scale.TEMPORAL and (settings := kind.sniff(cells, None)) is not None:
            return np.asarray(kind.decode(cells, None, settings).values)
    values = np.asarray(KINDS[PLAIN].decode(cells, None, {}).values)
    if not np.isfinite(values).all():
        raise LeadlineError(
            f"--time-column {name} holds cells that are neither numbers nor dates; fix them or choose another."
        )
    return values
