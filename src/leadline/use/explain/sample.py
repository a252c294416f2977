"""Rows of a source as the file takes them: those to explain, and others to compare them with.

Enters: a model and a source. Leaves: a `Sample`. Only these rows are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.task import Task
from leadline.dataset.table import take
from leadline.kinds import KINDS
from leadline.system.errors import ModelError, SourceError
from leadline.use.predict import readable_parts, source_to_predict

if TYPE_CHECKING:
    from leadline.use.model import Model

Row = Mapping[str, Any]  # decoded values by column
SHOWN, CONTEXT, CONTEXT_JOINT = 12, 60, 300  # rows that are explained, and compared with, where nobody says how many
LABELLED = 0.9  # share of the rows whose label must be readable


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Decoded rows, in the order of the source.

    Attributes:
        name: of the source. total: its rows.
        numbers: int64 [n], row numbers from 0.
        rows: [n], decoded values.
        written: the same rows as they are written.
        labels: class numbers int64 [n] (-1: unknown), labels bool [n, classes] or values float64 [n]; None: the source
            does not have the target.
        shown: int64, positions in these of the rows to explain.
    """

    name: str
    total: int
    numbers: np.ndarray
    rows: tuple[Row, ...]
    written: pl.DataFrame
    labels: np.ndarray | None
    shown: np.ndarray

    def subset(self, places: np.ndarray) -> Sample:
        """The rows at some places."""
        return replace(
            self, numbers=self.numbers[places], rows=tuple(self.rows[i] for i in places),
            written=self.written[places.tolist()], labels=None if self.labels is None else self.labels[places],
            shown=np.flatnonzero(np.isin(places, self.shown)),
        )  # fmt: skip

    def chosen(self, count: int) -> np.ndarray:
        """Positions of so many rows, the ones to explain first, the others evenly over the source."""
        others = np.setdiff1d(np.arange(len(self.rows)), self.shown)
        more = others[spread(len(others), max(0, count - len(self.shown)))]
        return np.sort(np.concatenate([self.shown[:count], more]))


def in_a_line(value: Any, most: int = 60) -> str:
    """A value as it is written, for one line: of a list of numbers its first ones, and how many there are.

    >>> in_a_line([0.5, 1.25, 3.0, 4.0]), in_a_line(["a", "b"]), in_a_line(1234.5), in_a_line(None)
    ('0.5, 1.25, … (4)', 'a|b', '1,234.5', 'missing')
    """
    if value is None:
        return "missing"
    if isinstance(value, (bytes, dict)):  # a packed file
        return ""
    if isinstance(value, (pl.Series, np.ndarray, list, tuple)):
        items = list(value)
        if all(isinstance(each, str) for each in items):
            return "|".join(items)[:most] or "none"
        return f"{', '.join(in_a_line(each) for each in items[:2])}, … ({len(items):,})"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)[:most]


def spread(total: int, count: int) -> np.ndarray:
    """At most `count` numbers below `total`, evenly over them."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)) if total else np.arange(0)


def choose(total: int, rows: Sequence[int] | None, context: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(row numbers of the sample, those of them to explain). Raises SourceError where there is no such row.

    Args:
        context: rows to compare with.
    """
    if not total:
        raise SourceError(f"{name} has no rows to explain.")
    shown = spread(total, SHOWN) if rows is None else _numbers(rows)
    if len(shown) == 0:
        raise SourceError(f"no rows of {name} are chosen to be explained; choose at least one.")
    beyond = shown[(shown < 0) | (shown >= total)]
    if len(beyond):
        there = "its only row is row 1" if total == 1 else f"its rows are 1 to {total:,}"
        raise SourceError(f"{name} has no row {int(beyond[0]) + 1:,}; {there}.")
    return np.union1d(shown, spread(total, context)), shown


def context_of(model: Model) -> int:
    """How many rows the explained ones are compared with."""
    return CONTEXT_JOINT if is_joint(model) else CONTEXT


def is_joint(model: Model) -> bool:
    """Whether every input is a number, a word or the like, so that answers cost little."""
    return all(KINDS[facts["kind"]].joint for facts in model.contract["inputs"].values())


def read_sample(
    model: Model, source: Any, rows: Sequence[int] | None, cache: Path, context: int | None = None
) -> Sample:  # fmt: skip
    """Rows of a source.

    Args:
        rows: numbers of those to explain, from 0 (default: a dozen, evenly over the source).
        context: rows to compare with (default: by what an answer costs).

    Raises:
        LeadlineError: where there is no such row, a column is missing, or a row to explain cannot be decoded.
    """
    given = source_to_predict(source, model, cache)
    parts = list(readable_parts(model, given))
    total = sum(count for _, count, _ in parts)
    numbers, shown = choose(total, rows, context or context_of(model), given.name)
    columns, target = list(model.contract["inputs"]), model.contract["target"]
    frames, decoded, start = [], [], 0
    for part, count, ways in parts:
        here = numbers[(numbers >= start) & (numbers < start + count)] - start
        extra = [target] if target is not None and target in part.collect_schema() and target not in columns else []
        if len(here):
            frame = take(part, here, [*columns, *extra])
            frames.append(frame if extra else frame.with_columns(pl.lit(None, pl.String).alias(str(target))))
            decoded.append(model.decoded(frame, given.root, ways))
        start += count
    frame = pl.concat(frames, how="vertical_relaxed")
    labels = labels_of(frame[target], model.task) if target in frame.columns and target not in columns else None
    values = {name: [value for each in decoded for value in each[name].values] for name in columns}
    bad: dict[int, str] = {}
    at = 0
    for each, part_frame in zip(decoded, frames, strict=True):
        for name in columns:
            if KINDS[model.contract["inputs"][name]["kind"]].variable_shape:
                bad |= {at + place: why for place, why in each[name].bad.items()}
        at += len(part_frame)
    return assembled(given.name, total, numbers, values, frame.select(columns), labels, shown, bad)


def assembled(
    name: str, total: int, numbers: np.ndarray, values: Mapping[str, Any], written: pl.DataFrame,
    labels: np.ndarray | None, shown: np.ndarray, bad: Mapping[int, str],
) -> Sample:  # fmt: skip
    """A sample without the rows that cannot be decoded, of which none may be one to explain."""
    for place, why in bad.items():
        if numbers[place] in shown:
            raise ModelError(f"row {int(numbers[place]) + 1:,} of {name} cannot be explained: {why}.")
    good = np.array([place for place in range(len(numbers)) if place not in bad], np.int64)
    rows = tuple({column: held[place] for column, held in values.items()} for place in good.tolist())
    return Sample(
        name=name, total=total, numbers=numbers[good], rows=rows, written=written[good.tolist()],
        labels=None if labels is None else labels[good], shown=np.flatnonzero(np.isin(numbers[good], shown)),
    )  # fmt: skip


def labels_of(cells: pl.Series, task: Task) -> np.ndarray | None:
    """Labels as a column of the target has them; None where most of them cannot be read as this task's."""
    if cells.null_count() == len(cells):
        return None
    if task.numeric:
        values = cells.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        return values if np.isfinite(values).mean() >= LABELLED else None
    numbers = {name: i for i, name in enumerate(task.classes)}
    if task.multilabel:
        lists = cells.to_list() if cells.dtype.is_nested() else [(cell or "").split("|") for cell in cells.to_list()]
        marks = np.zeros((len(cells), len(task.classes)), bool)
        for row, words in enumerate(lists):
            for word in words or ():
                if (place := numbers.get(str(word).strip())) is not None:
                    marks[row, place] = True
        return marks if marks.any() else None
    words = cells.cast(pl.String).str.strip_chars().to_list()
    found = np.array([numbers.get(word, -1) if word is not None else -1 for word in words], np.int64)
    return found if (found >= 0).mean() >= LABELLED else None


def _numbers(rows: Sequence[int]) -> np.ndarray:
    try:
        return np.unique(np.array([index(row) for row in rows], np.int64))
    except TypeError:
        raise SourceError(
            f"rows {rows!r} were given, where whole numbers from 0 were expected, as in [0, 5]."
        ) from None
