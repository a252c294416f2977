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


def draw(table: Table, settings: Settings, fold: int = 0, seed: int | None = None) -> Split:
    """The split of a table; a fold of it, or that of another order (see `split`)."""
    if table.task.generative:
        return stretches(table.part)
    group = groups(table, settings)
    time = None if settings.time_column is None else _moments(table, settings.time_column)
    labels = table.task.strata(table.labels)
    parts = split(
        labels, table.part, settings.seed if seed is None else seed, group=group, time=time, fold=fold,
        of=table.source.name,
    )  # fmt: skip
    if fold == 0:
        _check_metric(table, parts)
    if table.excluded_from_training is None:
        return parts
    return replace(parts.without(table.excluded_from_training.tolist()), test=parts.test)


def _check_metric(table: Table, parts: Split) -> None:
    """One sentence before anything is trained where a part cannot be scored by the metric."""
    needed = METRICS[table.task.metric].classes_needed
    for name in ("test", "valid"):
        classes = np.unique(table.labels[getattr(parts, name)])
        rows = len(getattr(parts, name))
        if rows and len(classes) < needed:
            raise SourceError(
                f"All {rows:,} {name} rows are {table.task.classes[int(classes[0])]!r}, where {table.task.metric} "
                f"needs rows of {needed} classes; give {name} rows of another class, or another --metric."
            )


def groups(table: Table, settings: Settings) -> np.ndarray | None:
    """The group of each row: rows of one group stay together."""
    name = settings.group or table.group_column
    if name is None:
        return None
    return table.frame.select(name).collect().to_series().cast(pl.String).fill_null("").to_numpy()


def _moments(table: Table, name: str) -> np.ndarray:
    """The time of each row."""
    column = table.frame.select(name).collect().to_series()
    for kind in KINDS.values():
        if kind.scale is Scale.TEMPORAL and (settings := kind.sniff(column, None)) is not None:
            return np.asarray(kind.decode(column, None, settings).values)
    values = np.asarray(KINDS[PLAIN].decode(column, None, {}).values)
    if not np.isfinite(values).all():
        raise LeadlineError(
            f"--time-column {name} holds values that are neither numbers nor dates; fix them or choose another."
        )
    return values
