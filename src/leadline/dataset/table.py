"""Source -> table: rows with typed columns, the target and the task read from them.

Enters: a `Source`. Leaves: a `Table`, whose rows are those of train, valid and test one after the other.
Nothing is decoded here but the target column (`target.py`); values stay lazy until they are encoded. How a column is
read is decided once, on its train rows: all of them, where a sample cannot tell. Valid and test parts that are written
otherwise are written anew as the train part is (`notation.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.config import COLUMNS, SPLIT_BY, Settings
from leadline.core.kind import MISSING
from leadline.core.task import Task
from leadline.dataset.notation import Reading, readable, readings
from leadline.dataset.plain_numbers import plain_numbers
from leadline.dataset.predefined_split import PARTS, predefined_split
from leadline.dataset.target import Target, chosen, labels_of, listing, several_of, together
from leadline.kinds import CORPUS, FALLBACK, KINDS, PLAIN, Scale, is_corpus
from leadline.kinds.number import PARSES, written
from leadline.kinds.tokens import COLUMN
from leadline.readers.canonical import named
from leadline.readers.part import agreed, called_as
from leadline.readers.source import BadRow, Source
from leadline.system.errors import SourceError
from leadline.system.text import enumerated
from leadline.tasks import TASKS, Language

SNIFFED = 5_000  # rows from which the kind of a column is inferred
MOST_VALUES = 2**22  # values in memory together


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column as inferred: its kind, how its values are decoded, and its role."""

    name: str
    kind: str
    settings: Mapping[str, Any]
    role: str = "input"  # input, target or dropped
    missing: float = 0.0  # share of the values
    unique: int | None = None
    note: str | None = None


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
    group_column: str | None = None  # the column of folds, whose values the rest of the split keeps whole too
    excluded_from_training: np.ndarray | None = None  # row numbers that are tested on, but not learned from
    notes: tuple[str, ...] = ()  # messages about the target

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
    index = "__row"
    while index in columns:
        index += "_"
    keep = pl.col(index).is_in(pl.Series(np.unique(rows).astype(np.uint32)).implode())
    return frame.select(columns).with_row_index(index).filter(keep).drop(index).collect()


def read(source: Source, settings: Settings) -> Table:
    """Infer the table of a source: target, task, and the kind of every column."""
    settings = _composed(settings)
    contracts = _contracts(source, settings)
    frame, part, notes = _joined(source, contracts)
    if is_corpus(source.kinds):
        return _running(source, frame, part, settings)
    if settings.task is not None and TASKS[settings.task].generative:
        raise SourceError(f"--task {settings.task} learns from files of text; {source.name} is a table.")
    names = frame.collect_schema().names()
    for option, column in (("--group", settings.group), ("--time-column", settings.time_column)):
        if column is not None and column not in names:
            raise SourceError(f"{option} {column} is not a column; columns are {listing(names)}.")
    for column in (*settings.drop, *settings.kinds):
        if column not in names:
            raise SourceError(f"{column!r} is not a column of {source.name}; columns are {listing(names)}.")
    target = chosen(source, settings, names)
    several = several_of(target, names)
    if several:
        frame, target = together(source, frame, several)
    predefined = predefined_split(source, frame, part, settings, target)
    read = labels_of(source, frame, predefined.part, target, settings, several)
    unusable = _unusable(source, predefined.part, read)
    wanted = [name for name in names if name not in several]
    columns = _columns(frame, predefined.part, wanted, source, settings, target, predefined.dropped)
    columns = [contracts.get(column.name, column) if column.role == "input" else column for column in columns]
    if several:
        columns.append(Column(name=target, kind=FALLBACK, settings={}, role="target"))
    return Table(
        source=source, frame=frame, part=predefined.part, columns=tuple(columns), task=read.task, labels=read.labels,
        bad=(*source.bad, *predefined.bad, *read.bad), group_column=predefined.group_column,
        notes=(*notes, *unusable, *read.notes),
    )  # fmt: skip


def _running(source: Source, frame: pl.LazyFrame, part: np.ndarray, settings: Settings) -> Table:
    """The table of a text corpus: each row's label is its number of bytes."""
    for option in (*SPLIT_BY, "drop", "kind"):
        if getattr(settings, option):
            raise SourceError(f"--{option} names a column; {source.name} is a text corpus, which has none.")
    bytes_ = frame.select(pl.col(COLUMN).str.len_bytes()).collect().to_series()
    column = Column(name=COLUMN, kind=CORPUS, settings={"unit": settings.token_unit} if settings.token_unit else {})
    return Table(
        source=source, frame=frame, part=part, columns=(column,), task=Language.of(None, (), settings.metric),
        labels=bytes_.cast(pl.Float64).to_numpy().copy(), bad=source.bad,
    )  # fmt: skip


def _composed(settings: Settings) -> Settings:
    """Settings with the names of columns as `plain` has them."""
    words = {name: getattr(settings, name) for name in COLUMNS}
    words = {name: None if word is None else named(word) for name, word in words.items()}
    kind = tuple(f"{named(column)}={kind}" for column, kind in settings.kinds.items())
    return replace(settings, **words, kind=kind, drop=tuple(map(named, settings.drop)))


def _contracts(source: Source, settings: Settings) -> dict[str, Column]:
    """How the train part's columns are read, where the source has other parts; else none."""
    if source.valid is None and source.test is None:
        return {}
    if is_corpus(source.kinds):
        return {}
    names = source.train.collect_schema().names()
    rows = int(source.train.select(pl.len()).collect().item())
    target = settings.target or source.target or ""
    columns = _columns(source.train, np.zeros(rows, np.uint8), names, source, settings, target, {})
    return {column.name: column for column in columns}


def _joined(source: Source, contracts: Mapping[str, Column]) -> tuple[pl.LazyFrame, np.ndarray, list[str]]:
    """All parts concatenated, the part of every row, and messages."""
    frames, counts, notes = [], [], list[str]()
    types = source.train.collect_schema()
    names = types.names()
    for part, frame in zip(PARTS, (source.train, source.valid, source.test), strict=True):
        if frame is None:
            counts.append(0)
            continue
        frame, renamed = called_as(frame, names)
        notes += [f"Column {old!r} of the {part} part is read as {name!r}." for old, name in renamed.items()]
        there = set(frame.collect_schema().names())  # asked once: of thousands of columns it takes a moment
        if lacking := [name for name in names if name not in there]:
            raise SourceError(
                f"The {part} part of {source.name} lacks column {lacking[0]!r}, which the train part has; add it "
                "there, or check its header."
            )
        if part != "train":
            frame, messages = _as_train(frame, types, contracts, f"the {part} part of {source.name}")
            notes += messages
        frames.append(frame.select(names))
        counts.append(int(frame.select(pl.len()).collect().item()))
    if counts[0] == 0:
        raise SourceError(f"{source.name} holds no rows; give a source with at least some.")
    return _below(frames, source.name), np.repeat(np.arange(3, dtype=np.uint8), counts), notes


def _below(frames: list[pl.LazyFrame], name: str) -> pl.LazyFrame:
    """The parts' frames concatenated. Raises SourceError where the types of a column have no common type."""
    if len(frames) == 1:
        return frames[0]
    schemas = [frame.collect_schema() for frame in frames]
    for column in schemas[0]:
        dtypes = list(dict.fromkeys(schema[column] for schema in schemas))
        # The schemas show whether a common type exists; only the values show whether lists can be cast to it.
        several = any(each.is_nested() for each in dtypes)
        if len(dtypes) == 1 or all(each.is_numeric() for each in dtypes):
            continue
        alone = [
            frame.select(column) if several else pl.LazyFrame(schema={column: each})
            for frame, each in zip(frames, [schema[column] for schema in schemas], strict=True)
        ]
        try:
            pl.concat(alone, how="vertical_relaxed").collect()
        except pl.exceptions.PolarsError as error:
            raise SourceError(
                f"Column {column!r} of {name} holds {enumerated([str(each) for each in dtypes])} in its parts, where "
                f"one type was expected; write them alike, or --drop {column}."
            ) from error
    return pl.concat(frames, how="vertical_relaxed")


def _as_train(
    frame: pl.LazyFrame, types: pl.Schema, contracts: Mapping[str, Column], part: str
) -> tuple[pl.LazyFrame, list[str]]:  # fmt: skip
    """A part in the notation of the train part. Raises SourceError where no value of a column can be read."""
    schema = frame.collect_schema()
    anew, notes = list[pl.Series](), list[str]()
    columns: dict[str, tuple[str, Mapping[str, Any]]] = {
        name: (PLAIN if column.role == "target" else column.kind, column.settings)
        for name, column in contracts.items()
        if column.role == "input" or (column.role == "target" and "decimal" in column.settings)
    }
    for name, (kind, how) in columns.items():
        alike = schema[name] == types[name] or (schema[name].is_numeric() and types[name].is_numeric())
        if not alike and not readable(schema[name], kind, how) and schema[name] not in (pl.Null, pl.String):
            raise SourceError(
                f"Column {name!r} of {part} holds {schema[name]}, which cannot be read as {kind}, as the train part's "
                f"{types[name]} is; write them alike, or --drop {name}."
            )
    read = readings(frame, columns)
    for name, (kind, how) in columns.items():
        reading = read.get(name)
        if reading is not None and reading.known and not reading.read:
            raise SourceError(
                f"Column {name!r} of {part} holds values such as {reading.example!r}, none of which can be read as "
                f"{kind}, as in the train part; write them alike, or --drop {name}."
            )
        own = reading or Reading(settings=how, known=0, read=0)
        if own.says:
            notes.append(f"In {part}, {own.says}")
        alike = schema[name] == types[name] or (schema[name].is_numeric() and types[name].is_numeric())
        if own.says or not alike:
            values = frame.select(name).collect()[name]
            anew.append(KINDS[kind].rewritten(values, own.settings, types[name], how))
    return (frame.with_columns(anew) if anew else frame), notes


def _unusable(source: Source, part: np.ndarray, read: Target) -> list[str]:
    """Messages about predefined valid and test rows whose target cannot be used. Raises SourceError where none can:
    a predefined part is never replaced by a random one.
    """
    usable = np.isfinite(read.labels) if read.labels.dtype.kind == "f" else read.labels >= 0
    messages = []
    for number, name in enumerate(PARTS[1:], start=1):
        rows = part == number
        count = int((rows & ~usable).sum())
        if not count:
            continue
        places = {f"{source.name} row {row + 1}" for row in np.flatnonzero(rows & ~usable)}
        first = next((f"{bad.place}: {bad.reason}" for bad in read.bad if bad.place in places), "the target is unknown")
        if count == rows.sum():
            raise SourceError(
                f"None of the {count:,} predefined {name} rows of {source.name} can be used, such as {first}; write "
                "the target there as in the train part, or leave that part out."
            )
        many = agreed(count, "1", "{}")
        messages.append(f"Of {int(rows.sum()):,} predefined {name} rows {many} cannot be used, such as {first}.")
    return messages


def _columns(
    frame: pl.LazyFrame, part: np.ndarray, names: Sequence[str], source: Source, settings: Settings, target: str,
    dropped: Mapping[str, str],
) -> list[Column]:  # fmt: skip
    """Every column, inferred from a sample of its train rows, and settled by all of them where a sample may mislead."""
    rows = np.flatnonzero(part == 0)
    sample = take(frame, rows[:: max(1, len(rows) // SNIFFED)], names)
    fixed_kinds = {*settings.kinds, *source.kinds}
    plain = plain_numbers(sample) - fixed_kinds - {target, *dropped, *settings.drop}
    columns = {
        name: Column(name=name, kind=PLAIN, settings={})
        if name in plain
        else column_of(name, sample[name], source, settings, target, dropped.get(name))
        for name in names
    }
    if len(sample) == len(rows):
        return list(columns.values())
    text = [name for name in names if sample[name].dtype == pl.String and columns[name].role == "input"]
    settled = [name for name in text if KINDS[columns[name].kind].settled_by_all]
    numbers = [name for name in settled if KINDS[columns[name].kind].plain(columns[name].settings)]
    surely = _surely_numbers(frame, part, numbers)
    train = frame.filter(pl.Series(part == 0))
    for some in _some([name for name in settled if name not in surely], len(part)):
        for values in train.select(some).collect().get_columns():
            name = values.name
            how = KINDS[columns[name].kind].sniff(values, source.root)
            if how is not None:
                columns[name] = replace(columns[name], settings=how)
            elif name not in fixed_kinds:
                columns[name] = column_of(name, values, source, settings, target, None)
    return list(columns.values())


def _some(names: Sequence[str], rows: int) -> Iterator[Sequence[str]]:
    """Names in groups whose values fit into memory together: to open a wide file for each column takes seconds."""
    step = max(1, MOST_VALUES // max(1, rows))
    return (names[start : start + step] for start in range(0, len(names), step))


def _surely_numbers(frame: pl.LazyFrame, part: np.ndarray, names: Sequence[str]) -> set[str]:
    """Columns of text of which nearly all values are plain numbers; some columns at a time."""
    numeric: set[str] = set()
    train = frame.filter(pl.Series(part == 0))
    for some in _some(names, len(part)):
        shares = train.select(
            (pl.col(name).cast(pl.Float64, strict=False).count() / (pl.col(name).count() - _marks(name))).alias(name)
            for name in some
        )
        numeric |= {name for name, share in shares.collect().row(0, named=True).items() if share >= PARSES}
    return numeric


def _marks(name: str) -> pl.Expr:
    """How many values are a word for 'missing'; NaN counts as a number."""
    return pl.col(name).is_in([word for word in MISSING if word.lower() != "nan"]).sum()


def column_of(
    name: str, values: pl.Series, source: Source, settings: Settings, target: str, split: str | None
) -> Column:  # fmt: skip
    """A column inferred from a sample of its values; `split` says why a column that defines the split is no input."""
    if name == target:  # its settings say only how its numbers are written, for the audit to tell
        return Column(name=name, kind=FALLBACK, settings=written(values) or {}, role="target")
    if split is not None or name in settings.drop:
        return Column(name=name, kind=FALLBACK, settings={}, role="dropped", note=split or "left out as asked")
    fixed_kind = settings.kinds.get(name) or source.kinds.get(name)
    if fixed_kind and KINDS[fixed_kind].scale is Scale.TEMPORAL:
        values = values.alias(fixed_kind)  # the user says what the name of the column may not
    for kind in [fixed_kind] if fixed_kind else list(KINDS):
        how = KINDS[kind].sniff(values, source.root)
        if how is not None and KINDS[kind].is_file and values.dtype == pl.String:
            _check_files(name, values, source.root)
        if how is not None or (fixed_kind and KINDS[kind].by_word):
            return Column(name=name, kind=kind, settings=how or {})
    if fixed_kind:
        raise SourceError(
            f"Column {name!r} holds {_type_in_words(values.dtype)}, which cannot be read as {fixed_kind}."
        )
    empty = values.dtype == pl.Null
    note = "it is empty in every row" if empty else f"it holds {_type_in_words(values.dtype)}, which no kind reads"
    return Column(name=name, kind=FALLBACK, settings={}, role="dropped", note=note)


def _type_in_words(dtype: pl.DataType) -> str:
    """A type in plain words."""
    if isinstance(dtype, pl.List | pl.Array):
        inner = dtype.inner() if isinstance(dtype.inner, type) else dtype.inner
        what = "objects" if isinstance(inner, pl.Struct) else "numbers" if inner.is_numeric() else "words"
        return f"lists of {what}" if not inner.is_nested() or what == "objects" else "lists of lists"
    if dtype == pl.Binary:
        return "bytes that are neither an image nor audio"
    return "strings" if dtype == pl.String else f"values of type {dtype}"


def _check_files(name: str, values: pl.Series, root: Path | None) -> None:
    """One error where no file exists, in place of one for every row."""
    paths = values.drop_nulls().to_list()
    folder = Path() if root is None else root
    if paths and not any(os.path.isfile(folder / path) for path in paths):
        where = "here" if root is None else f"in {root.resolve().name}/"
        raise SourceError(
            f"None of the files that column {name!r} names, such as {paths[0]}, is {where} or in an archive beside the "
            f"table; put them there, or --drop {name}."
        )
