"""Rows of a source as the file takes them: those to explain, and others to compare them with.

Enters: a model and a source. Leaves: a `Sample`. Only these rows are decoded.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.parts import Layout
from leadline.dataset.table import take
from leadline.dataset.target import several_of, together
from leadline.kinds import KINDS
from leadline.readers.source import Source
from leadline.system.errors import ModelError, SourceError
from leadline.use.explain.labels import labels_of
from leadline.use.input_check import Watch
from leadline.use.predict import readable_parts, source_to_predict

if TYPE_CHECKING:
    from leadline.use.model import Model

Row = Mapping[str, Any]  # decoded values by column
SHOWN, CONTEXT, CONTEXT_JOINT = 12, 60, 300  # rows that are explained, and compared with, where nobody says how many


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
        called: what a row is called: a row of a source, or a test row of a run.
        origins: int64 [n], numbers of the same rows in the source, from 0, where `numbers` counts those of a part.
    """

    name: str
    total: int
    numbers: np.ndarray
    rows: tuple[Row, ...]
    written: pl.DataFrame
    labels: np.ndarray | None
    shown: np.ndarray
    called: str = "row"
    origins: np.ndarray | None = None

    def subset(self, places: np.ndarray) -> Sample:
        """The rows at some places."""
        return replace(
            self, numbers=self.numbers[places], rows=tuple(self.rows[i] for i in places),
            written=self.written[places.tolist()], labels=None if self.labels is None else self.labels[places],
            shown=np.flatnonzero(np.isin(places, self.shown)),
            origins=None if self.origins is None else self.origins[places],
        )  # fmt: skip

    def chosen(self, count: int) -> np.ndarray:
        """Positions of so many rows, the ones to explain first, the others evenly over the source."""
        others = np.setdiff1d(np.arange(len(self.rows)), self.shown)
        more = others[spread(len(others), max(0, count - len(self.shown)))]
        return np.sort(np.concatenate([self.shown[:count], more]))


class NoRowError(SourceError):
    """There is no such row. `first` is what the first row is called: 0, and on the command line 1."""

    def __init__(self, name: str, row: int, total: int) -> None:
        super().__init__(name)
        self.name, self.row, self.total = name, row, total
        self.first, self.more = 0, ""

    def __str__(self) -> str:
        first, last = self.first, self.total - 1 + self.first
        there = f"its only row is row {first}" if self.total == 1 else f"its rows are {first} to {last:,}"
        self.args = (f"{self.name} has no row {self.row + first:,}; {there}{self.more}.",)
        return super().__str__()


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
    wanted = spread(total, SHOWN).tolist() if rows is None else _numbers(rows)
    if not wanted:
        raise SourceError(f"no rows of {name} are chosen to be explained; choose at least one.")
    beyond = [row for row in wanted if not 0 <= row < total]
    if beyond:
        raise NoRowError(name, beyond[0], total)
    shown = np.array(wanted, np.int64)
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
    frames, decoded, start, watch = [], [], 0, Watch(model.contract["inputs"])
    for part, count, ways in parts:
        here = numbers[(numbers >= start) & (numbers < start + count)] - start
        labelled = _labelled(part, target, columns)
        if len(here):
            frame = take(part, here, [*columns, *labelled])
            frames.append(_with_labels(given, frame, str(target), labelled))
            decoded.append(model.decoded(frame, given.root, ways))
            watch.numbers = here + start
            for name in columns:
                if not KINDS[model.contract["inputs"][name]["kind"]].variable_shape:
                    watch.note(name, decoded[-1][name], 0)
        start += count
    for sentence in watch.messages():
        warnings.warn(sentence, stacklevel=2)
    frame = pl.concat(frames, how="vertical_relaxed")
    labels = labels_of(frame[target], model.task) if target in frame.columns and target not in columns else None
    values = {name: [value for each in decoded for value in plain_values(each[name].values)] for name in columns}
    bad: dict[int, str] = {}
    at = 0
    for each, part_frame in zip(decoded, frames, strict=True):
        for name in columns:
            if KINDS[model.contract["inputs"][name]["kind"]].variable_shape:
                bad |= {at + place: why for place, why in each[name].bad.items()}
        at += len(part_frame)
    return assembled(given.name, total, numbers, values, frame.select(columns), labels, shown, bad)


def plain_values(values: Any) -> Any:
    """Decoded values of one column; numbers as Python's own, of which NumPy makes arrays several times as fast."""
    numbers = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "fiub"
    return values.tolist() if numbers else values


def _labelled(part: pl.LazyFrame, target: str | None, columns: Sequence[str]) -> Sequence[str]:
    """The column of the target, or those of one that several make; none where they are not there."""
    names = [name for name in part.collect_schema().names() if name not in columns]
    if target is None or target in names:
        return () if target is None else (target,)
    return several_of(target, names)


def _with_labels(source: Source, frame: pl.DataFrame, target: str, labelled: Sequence[str]) -> pl.DataFrame:
    """A frame with one column of the target, empty where there is none."""
    if not labelled:
        return frame.with_columns(pl.lit(None, pl.String).alias(target))
    if len(labelled) == 1:
        return frame
    made, name = together(source, frame.lazy(), labelled)
    return made.rename({name: target}).drop(labelled).collect()


def alone(model: Model, sample: Sample) -> str | None:
    """Why nothing can be said of a sample of one row, which would be compared with itself; None where it can."""
    inputs = model.contract["inputs"]
    if len(sample.rows) > 1:
        return None
    parts = [
        each.layout
        for name, facts in inputs.items()
        for each in KINDS[facts["kind"]].parts(sample.rows[0][name], facts["decode"])
    ]
    if len(inputs) == 1 and any(layout is not Layout.WHOLE for layout in parts):
        return None
    return (
        f"{sample.name} has this one row, and the effect of a column is found by comparing a row with others: give a "
        "table of more rows, and choose this one by --row N."
    )


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


def _numbers(rows: Sequence[int]) -> list[int]:
    try:
        return sorted({index(row) for row in rows})
    except TypeError:
        raise SourceError(
            f"rows {rows!r} were given, where whole numbers from 0 were expected, as in [0, 5]."
        ) from None
