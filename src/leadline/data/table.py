"""Source -> table: rows with typed columns, the target and the task read from them.

Enters: a `Source`. Leaves: a `Table`, whose rows are those of train, valid and test one after the other.
Nothing is decoded here but the target column; cells stay lazy until they are encoded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.data import marks
from leadline.data.media import MEDIA
from leadline.data.part import USUAL_TARGETS
from leadline.data.source import BadRow, Source
from leadline.data.stated import PARTS, stated_split
from leadline.errors import SourceError, TargetError
from leadline.judge.metrics import choose
from leadline.kinds import KINDS, figures
from leadline.kinds.kind import present

SNIFFED = 5_000  # rows by which the kind of a column is told
YES, NO = ("yes", "true", "1", "y", "t", "ja", "oui", "si", "x"), ("no", "false", "0", "n", "f", "nein", "non", "")
ALONE = 0.05  # share of the rows that may be the only one of their class, and are set aside
MOST_CLASSES = 20  # more distinct whole numbers than this are a quantity


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column as understood: its kind, how its cells are decoded, and what part it plays."""

    name: str
    kind: str
    settings: Mapping[str, Any]
    role: str = "input"  # input, target or dropped
    missing: float = 0.0  # share of the cells
    unique: int | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the target asks. `classes` is empty for regression."""

    name: str  # binary, multiclass, multilabel, regression or language
    target: str | None  # None: the next token of a running text
    classes: tuple[str, ...]
    metric: str  # what is scored, stops and selects

    @property
    def several(self) -> bool:
        """Whether a row may bear several of the classes, or none."""
        return self.name == "multilabel"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows in source order, typed columns, and the target as numbers: class, `marks` of several, or value.

    -1 or NaN: unusable.
    """

    source: Source
    frame: pl.LazyFrame
    part: np.ndarray  # uint8 [rows], position in PARTS; 3: in none
    columns: tuple[Column, ...]
    task: Task
    labels: np.ndarray  # int64 or float64 [rows]
    bad: tuple[BadRow, ...]
    whole: str | None = None  # the column of folds, whose values the rest of the split keeps whole too
    doubtful: np.ndarray | None = None  # row numbers that are tested on, but not learned from
    notes: tuple[str, ...] = ()  # what is to be said of how the target was read

    @property
    def rows(self) -> int:
        return len(self.part)

    @property
    def inputs(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == "input")

    def take(self, rows: np.ndarray, columns: Sequence[str]) -> pl.DataFrame:
        """The given rows, in rising order."""
        return take(self.frame, rows, columns)

    def batches(self, columns: Sequence[str], size: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """(first row, frame of up to `size` rows), over all rows."""
        wanted = self.frame.select(columns)
        for start in range(0, self.rows, size):
            yield start, wanted.slice(start, size).collect()


def take(frame: pl.LazyFrame, rows: np.ndarray, columns: Sequence[str]) -> pl.DataFrame:
    """The given row numbers of a lazy frame, in rising order, without collecting the rest."""
    keep = pl.col("__row").is_in(pl.Series(np.unique(rows).astype(np.uint32)).implode())
    return frame.select(columns).with_row_index("__row").filter(keep).drop("__row").collect()


def read(source: Source, settings: Settings) -> Table:
    """Understand a source: target, task, and the kind of every column."""
    frame, part = _joined(source)
    if "tokens" in source.kinds.values():
        return _running(source, frame, part, settings)
    if settings.task == "language":
        raise SourceError(f"--task language learns from files of text; {source.name} is a table.")
    names = frame.collect_schema().names()
    for option in ("group", "time"):
        column = getattr(settings, option)
        if column is not None and column not in names:
            raise SourceError(f"--{option} {column} is not a column; columns are {_listed(names)}.")
    for column in (*settings.drop, *settings.kinds):
        if column not in names:
            raise SourceError(f"{column!r} is not a column of {source.name}; columns are {_listed(names)}.")
    target = _target(source, settings, names)
    several = _several(target, names)
    if several:
        frame, target = _together(source, frame, several)
    said = stated_split(source, frame, part, settings, target)
    read = _labels(source, frame, said.part, target, settings, several)
    rows = np.flatnonzero(said.part == 0)
    sample = take(frame, rows[:: max(1, len(rows) // SNIFFED)], names)
    columns = [
        column_of(name, sample[name], source, settings, target, said.dropped.get(name))
        for name in names
        if name not in several
    ]
    if several:
        columns.append(Column(name=target, kind="category", settings={}, role="target"))
    return Table(
        source=source, frame=frame, part=said.part, columns=tuple(columns), task=read.task, labels=read.labels,
        bad=(*source.bad, *said.bad, *read.bad), whole=said.whole, notes=read.notes,
    )  # fmt: skip


def _running(source: Source, frame: pl.LazyFrame, part: np.ndarray, settings: Settings) -> Table:
    """The table of a running text: each row's label is the bytes that are to be foretold in it."""
    for option in ("group", "time", "split", "drop", "kind"):
        if getattr(settings, option):
            raise SourceError(f"--{option} names a column; {source.name} is running text, which has none.")
    bytes_ = frame.select(pl.col("text").str.len_bytes()).collect().to_series()
    column = Column(name="text", kind="tokens", settings={"unit": settings.unit} if settings.unit else {})
    return Table(
        source=source, frame=frame, part=part, columns=(column,), task=_task("language", None, (), settings),
        labels=bytes_.cast(pl.Float64).to_numpy().copy(), bad=source.bad,
    )  # fmt: skip


def _joined(source: Source) -> tuple[pl.LazyFrame, np.ndarray]:
    """All parts one under the other, and the part of every row."""
    frames, counts = [], []
    names = source.train.collect_schema().names()
    for part, frame in zip(PARTS, (source.train, source.valid, source.test), strict=True):
        if frame is None:
            counts.append(0)
            continue
        if lacking := [name for name in names if name not in frame.collect_schema().names()]:
            raise SourceError(
                f"The {part} part of {source.name} lacks column {lacking[0]!r}, which the train part has; add it "
                "there, or check its header."
            )
        frames.append(frame.select(names))
        counts.append(int(frame.select(pl.len()).collect().item()))
    if counts[0] == 0:
        raise SourceError(f"{source.name} holds no rows; give a source with at least some.")
    joined = frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical_relaxed")
    return joined, np.repeat(np.arange(3, dtype=np.uint8), counts)


def _target(source: Source, settings: Settings, names: Sequence[str]) -> str:
    target = settings.target or source.target
    if target is None:
        usual = [name for name in names if name.lower() in USUAL_TARGETS]
        if len(usual) != 1:
            raise TargetError(f"No target is given{_unnamed(source)}; add --target COLUMN, one of {_listed(names)}.")
        target = usual[0]
    if target not in names and not _several(target, names):
        lacking = [part.strip() for part in target.split(",") if part.strip() not in names]
        raise TargetError(
            f"--target {lacking[0] if lacking else target} is not a column of {source.name}{_unnamed(source)}; columns "
            f"are {_listed(names)}."
        )
    return target


def _several(target: str, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of a target that names several, with commas; none where it names one."""
    parts = tuple(dict.fromkeys(part.strip() for part in target.split(",")))
    return parts if target not in names and len(parts) > 1 and set(parts) <= set(names) else ()


def _together(source: Source, frame: pl.LazyFrame, several: Sequence[str]) -> tuple[pl.LazyFrame, str]:
    """Columns of yes and no as one column of lists: the names of those that say yes; missing where any is.

    In a column that holds yes alone, what is empty is no.
    """
    cells = frame.select(several).collect()
    said = []
    for name in several:
        words = _words(cells[name].cast(pl.Int64) if cells[name].dtype == pl.Boolean else cells[name])
        words = present(words.str.to_lowercase())
        known = set(words.drop_nulls().unique().to_list())
        if not known <= {*YES, *NO}:
            raise TargetError(
                f"Column {name!r} of {source.name} holds {sorted(known - {*YES, *NO})[0]!r}; several targets at once "
                "must be columns of yes and no, or 0 and 1; fit one column at a time."
            )
        said.append(words.is_in(YES) if known & set(NO) else words.is_in(YES).fill_null(False))
    whole = [all(row) for row in zip(*(mark.is_not_null().to_list() for mark in said), strict=True)]
    borne = np.stack([mark.fill_null(False).to_numpy() for mark in said], axis=1)
    told = marks.named(borne, several)
    lists = [row if whole[place] else None for place, row in enumerate(told)]
    column = pl.Series(", ".join(several), lists, dtype=pl.List(pl.String))
    return frame.with_columns(column), column.name


def _unnamed(source: Source) -> str:
    """Why columns are called what no file calls them, where that is so."""
    return next((f" ({note})" for note in source.notes if "has no header line" in note), "")


@dataclass(frozen=True, kw_only=True)
class _Target:
    """The target as it was read: the fields of a `Table` that hang on it alone."""

    task: Task
    labels: np.ndarray
    bad: list[BadRow]
    notes: tuple[str, ...] = ()


def _labels(
    source: Source, frame: pl.LazyFrame, part: np.ndarray, target: str, settings: Settings, several: Sequence[str]
) -> _Target:
    cells = frame.select(target).collect().to_series()
    asked, nested = settings.task == "multilabel", cells.dtype.is_nested()
    if asked or (settings.task is None and (nested or _numbers(present(cells).drop_nulls()) is None)):
        held = marks.lists(cells, asked)
        if held is not None:
            return _labelled(source, held, part, target, settings, several, told=not asked and not nested)
    if nested:
        raise TargetError(
            f"Column {target!r} holds {cells.dtype}, where one class or number a row was expected, or lists of labels "
            "as text; write it so, or choose another --target."
        )
    if cells.dtype == pl.String:
        # A class may be called 'None' or 'NA': only an empty cell is missing, unless the rest are numbers.
        plain = cells.str.strip_chars()
        cells = plain.set(plain == "", None)
        if _numbers(present(cells).drop_nulls()) is not None:
            cells = present(cells)
    if cells.dtype.is_float():
        cells = cells.fill_nan(None)
    train = cells.filter(pl.Series(part == 0))
    kept = train.drop_nulls()
    if not len(kept):
        raise TargetError(f"Column {target!r} is empty in every row; choose another --target.")
    if kept.n_unique() == 1:
        raise TargetError(
            f"Column {target!r} is {kept[0]!r} in every row; a target must vary; choose another --target, or add "
            "rows of another value."
        )
    bad = [
        BadRow(place=f"{source.name} row {row + 1}", reason=f"the target {target!r} is missing")
        for row in np.flatnonzero(cells.is_null().to_numpy() & (part < len(PARTS)))
    ]
    numbers = _numbers(kept)
    name = settings.task or _told(kept, numbers)
    if name == "regression":
        if numbers is None:
            raise TargetError(f"Column {target!r} holds text such as {kept[0]!r}; --task regression needs numbers.")
        values = _as_numbers(cells, kept).fill_null(float("nan")).to_numpy().copy()
        values[~np.isfinite(values)] = np.nan
        return _Target(task=_task(name, target, (), settings), labels=values, bad=bad)
    words = _words(cells)
    alone = _alone(words.filter(pl.Series(part == 0)))
    bad += [
        BadRow(place=f"{source.name} row {row + 1}", reason=f"class {words[int(row)]!r} has this row alone")
        for row in np.flatnonzero(words.is_in(alone).fill_null(False).to_numpy() & (part < len(PARTS)))
    ]
    words = words.set(words.is_in(alone).fill_null(False), None)
    classes = _classes(words.filter(pl.Series(part == 0)), target, name)
    numbered = words.replace_strict({c: i for i, c in enumerate(classes)}, default=-1, return_dtype=pl.Int64)
    labels = numbered.fill_null(-1).to_numpy().copy()
    labels[words.is_null().to_numpy()] = -1
    for row in np.flatnonzero((labels < 0) & words.is_not_null().to_numpy() & (part < len(PARTS))):
        bad.append(BadRow(place=f"{source.name} row {row + 1}", reason=f"class {words[int(row)]!r} is not in train"))
    task = _task("binary" if len(classes) == 2 else "multiclass", target, classes, settings)
    return _Target(task=task, labels=labels, bad=bad)


def _labelled(
    source: Source, cells: pl.Series, part: np.ndarray, target: str, settings: Settings, several: Sequence[str],
    told: bool,
) -> _Target:  # fmt: skip
    """Several labels a row: the commonest of train, in their natural order; an empty list is a row that bears none.

    Args:
        cells: lists of labels, null where the target is missing.
        several: the columns that the labels are the names of, if they are.
        told: nobody said that the cells hold lists.
    """
    counted = cells.filter(pl.Series(part == 0)).explode().drop_nulls().value_counts().sort(target)
    if never := [name for name in several if name not in counted[target]]:
        raise TargetError(f"Column {never[0]!r} never says yes in the rows to learn from; leave it out of --target.")
    if len(counted) < 2:
        raise TargetError(
            f"Column {target!r} holds {len(counted)} label, where at least two were expected; choose another --target."
        )
    kept = counted.sort("count", descending=True, maintain_order=True)[target].to_list()
    kept, rest = sorted(kept[: marks.MOST], key=_natural), kept[marks.MOST :]
    borne = np.stack([cells.list.contains(label).fill_null(False).to_numpy() for label in kept], axis=1)
    labels = marks.packed(borne)
    if len(np.unique(labels[part == 0])) == 1:
        raise TargetError(f"Column {target!r} holds the same labels in every row; a target must vary.")
    reasons = dict.fromkeys(np.flatnonzero(cells.is_null().to_numpy()).tolist(), f"the target {target!r} is missing")
    strange = cells.list.set_difference([*kept, *rest])
    for row in np.flatnonzero((strange.list.len() > 0).fill_null(False).to_numpy()):
        reasons[int(row)] = f"label {strange[int(row)][0]!r} is not in train"
    labels[list(reasons)] = -1
    bad = [
        BadRow(place=f"{source.name} row {row + 1}", reason=reason)
        for row, reason in sorted(reasons.items())
        if part[row] < len(PARTS)
    ]
    notes = []
    if told:
        notes.append(
            f"Cells of {target!r} are read as several labels each, such as {kept[0]!r} and {kept[1]!r}; "
            "--task multiclass takes each for one class."
        )
    if rest:
        notes.append(
            f"Of {len(counted):,} labels the {marks.MOST} commonest are told; the others, such as {rest[0]!r}, are "
            "left out."
        )
    if none := int((labels[part == 0] == 0).sum()):
        notes.append(f"{none:,} rows bear no label; that is learned too.")
    return _Target(task=_task("multilabel", target, tuple(kept), settings), labels=labels, bad=bad, notes=tuple(notes))


def _task(name: str, target: str | None, classes: tuple[str, ...], settings: Settings) -> Task:
    return Task(name=name, target=target, classes=classes, metric=choose(settings.metric, name))


def _numbers(kept: pl.Series) -> pl.Series | None:
    """The target as numbers, where nearly all of it reads so."""
    if kept.dtype == pl.Boolean:
        return None
    numbers = _as_numbers(kept, kept)
    return numbers if len(kept) and numbers.null_count() <= 0.02 * len(kept) else None


def _as_numbers(cells: pl.Series, kept: pl.Series) -> pl.Series:
    """Cells as float64, null where they are none; `kept` are those of train, by which the decimal sign is told."""
    how = KINDS["number"].sniff(kept, None) or {}
    if cells.dtype == pl.String and "decimal" in how:
        return figures.read(cells, how["decimal"])
    return cells.cast(pl.Float64, strict=False)


def _told(kept: pl.Series, numbers: pl.Series | None) -> str:
    if numbers is None:
        return "multiclass"
    known = numbers.drop_nulls()
    whole = bool((known == known.round()).all())
    few = known.n_unique() <= (MOST_CLASSES if whole else 2) and known.n_unique() <= max(2, len(known) // 3)
    return "multiclass" if few else "regression"


def _words(cells: pl.Series) -> pl.Series:
    if cells.dtype.is_float() and bool((cells.drop_nulls() == cells.drop_nulls().round()).all()):
        cells = cells.cast(pl.Int64)
    return cells.cast(pl.String)


def _alone(words: pl.Series) -> list[str]:
    """Classes of one row: nothing can be learned of them and tested too. None where fewer than two others are left."""
    counts = words.drop_nulls().value_counts()
    single = counts.filter(pl.col("count") == 1)[words.name].to_list()
    return single if len(counts) - len(single) >= 2 and len(single) <= ALONE * len(words) else []


def _classes(words: pl.Series, target: str, task: str) -> tuple[str, ...]:
    counted = words.drop_nulls().value_counts(sort=True)
    counts = dict(zip(counted[words.name].to_list(), counted["count"].to_list(), strict=True))
    if len(counts) > max(50, sum(counts.values()) // 3):
        raise TargetError(
            f"Column {target!r} has {len(counts):,} different values in {sum(counts.values()):,} rows, too many for "
            "classes; choose another --target, or --task regression for numbers."
        )
    if single := [value for value, count in counts.items() if count == 1]:
        row = int((words == single[0]).arg_true()[0]) + 1
        raise TargetError(
            f"Class {single[0]!r} of column {target!r} has one row (row {row}); "
            "give it at least two rows, or take that row out."
        )
    return tuple(sorted(counts, key=_natural))


def _natural(text: str) -> tuple[int, float, str]:
    """Numbers before words, numbers by size."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def column_of(
    name: str, cells: pl.Series, source: Source, settings: Settings, target: str, split: str | None
) -> Column:  # fmt: skip
    """A column told by a sample of its cells; `split` says why a column that states the split is no input."""
    if name == target:  # its settings say only how its numbers are written, for the audit to tell
        return Column(name=name, kind="category", settings=KINDS["number"].sniff(cells, None) or {}, role="target")
    if split is not None or name in settings.drop:
        return Column(name=name, kind="category", settings={}, role="dropped", note=split or "left out as asked")
    stated = settings.kinds.get(name) or source.kinds.get(name)
    for kind in [stated] if stated else list(KINDS):
        how = KINDS[kind].sniff(cells, source.root)
        if how is not None and kind in MEDIA and cells.dtype == pl.String:
            _check_files(name, cells, source.root)
        if how is not None or (stated and kind not in (*MEDIA, "time")):
            return Column(name=name, kind=kind, settings=how or {})
    if stated:
        raise SourceError(f"Column {name!r} holds {cells.dtype}, which cannot be read as {stated}.")
    note = f"holds {cells.dtype}, which no kind reads"
    return Column(name=name, kind="category", settings={}, role="dropped", note=note)


def _check_files(name: str, cells: pl.Series, root: Path | None) -> None:
    """One sentence where no file is there, in place of one for every row."""
    paths = cells.drop_nulls().to_list()
    folder = Path() if root is None else root
    if paths and not any(os.path.isfile(folder / path) for path in paths):
        where = "here" if root is None else f"in {root.resolve().name}/"
        raise SourceError(
            f"None of the files that column {name!r} names, such as {paths[0]}, is {where} or in an archive beside the "
            f"table; put them there, or --drop {name}."
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
