"""Table -> the same table with useless columns dropped, and what was found said in sentences.

A column is dropped when it is constant, when every row has its own value (an identifier), or when nothing can read it.
What is dropped is always said; `--kind COLUMN=KIND` keeps it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.dataset.plain_numbers import AT_ONCE
from leadline.dataset.table import Column, Table
from leadline.kinds import KINDS, Scale
from leadline.kinds.time import SINCE
from leadline.readers.media import listed
from leadline.readers.part import agreed
from leadline.system.errors import SourceError

COUNTED = 1_000_000  # rows; above, distinct values are estimated
MOST_COLUMNS, MOST_CELLS = 64, 2**25  # counted at a time: of thousands of columns at once polars holds a gigabyte


def audit(table: Table, settings: Settings) -> tuple[Table, tuple[str, ...]]:
    """Drop what cannot help; return the table and what to tell the user."""
    if table.task.generative:
        return table, ()
    scalar = [c.name for c in table.columns if not KINDS[c.kind].is_file and c.note is None]
    rows = int((table.part == 0).sum())
    held = table.frame.select(scalar).collect() if table.rows * len(scalar) <= MOST_CELLS // 16 else None
    if held is None:
        unique, missing = _counted(table, scalar, rows)
    else:
        unique, missing = _counted_at_once(_as_values(held.lazy(), table).collect(), table.part == 0)
    fractions = set() if held is None else _with_fractions(held)
    columns, said = [], []
    for column in table.columns:
        if column.name in unique:
            column = dataclasses.replace(column, unique=unique[column.name], missing=missing[column.name])
        column = _judged(column, table, settings, rows, whole=column.name not in fractions)
        if column.role == "dropped":
            said.append(f"Column {column.name!r} is left out: {column.note}.")
        columns.append(column)
    if not any(column.role == "input" for column in columns):
        reasons = listed(f"{column.name!r}: {column.note}" for column in columns if column.role == "dropped")
        reasons = f" ({reasons})" if reasons else ""
        raise SourceError(
            f"No column but the target is left to learn from in {table.source.name}{reasons}; add columns that tell "
            "something, or keep one by --kind COLUMN=KIND."
        )
    said += _written(table) + [*table.notes] + _classes(table) + _crossing(table, settings)
    return dataclasses.replace(table, columns=tuple(columns)), tuple(said)


def _as_values(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Plain numbers as the values that they are, null where there is none: 0.0 and -0.0 are one, 'inf' is missing."""
    schema = frame.collect_schema()
    plain = [
        column.name for column in table.columns if KINDS[column.kind].plain(column.settings) and column.name in schema
    ]
    names = [name for name in plain if schema[name] == pl.String or schema[name].is_float()]
    if not names:
        return frame
    numbers = pl.col(names).cast(pl.Float64, strict=False)
    return frame.with_columns(pl.when(numbers.is_finite()).then(numbers + 0.0))


def _counted(table: Table, names: list[str], rows: int) -> tuple[dict[str, int], dict[str, float]]:
    """Distinct values and the share of missing cells, by column, over train rows; some columns at a time."""
    train = _as_values(table.frame, table).filter(pl.Series(table.part == 0))
    distinct = pl.Expr.approx_n_unique if table.rows > COUNTED else pl.Expr.n_unique
    unique: dict[str, int] = {}
    missing: dict[str, float] = {}
    step = max(1, min(MOST_COLUMNS, MOST_CELLS // max(1, table.rows)))
    for start in range(0, len(names), step):
        some = names[start : start + step]
        stats = train.select(
            *[distinct(pl.col(name).drop_nulls()).alias(f"{i}u") for i, name in enumerate(some)],
            *[pl.col(name).null_count().alias(f"{i}n") for i, name in enumerate(some)],
        ).collect().row(0, named=True)  # fmt: skip
        unique |= {name: int(stats[f"{i}u"]) for i, name in enumerate(some)}
        missing |= {name: int(stats[f"{i}n"]) / rows for i, name in enumerate(some)}
    return unique, missing


def _counted_at_once(held: pl.DataFrame, train: np.ndarray) -> tuple[dict[str, int], dict[str, float]]:
    """The same of a table in memory: to open a file of thousands of columns for each of them takes seconds."""
    rows = held.filter(pl.Series(train))
    nothing = rows.null_count().row(0)
    different = rows.select(pl.all().n_unique()).row(0)
    unique = {name: count - (nulls > 0) for name, count, nulls in zip(rows.columns, different, nothing, strict=True)}
    return unique, {name: nulls / max(1, len(rows)) for name, nulls in zip(rows.columns, nothing, strict=True)}


def _with_fractions(held: pl.DataFrame) -> set[str]:
    """Columns that hold a number with a fraction: they count nothing."""
    found: set[str] = set()
    names = [name for name, dtype in held.schema.items() if dtype == pl.String or dtype.is_float()]
    for start in range(0, len(names), AT_ONCE):
        numbers = held.select(pl.col(names[start : start + AT_ONCE]).cast(pl.Float64, strict=False))
        broken = numbers.select((pl.all() != pl.all().round()).any()).row(0)
        found |= {name for name, yes in zip(numbers.columns, broken, strict=True) if yes}
    return found


def _judged(column: Column, table: Table, settings: Settings, rows: int, whole: bool) -> Column:
    if column.role != "input" or column.name in settings.kinds or column.unique is None:
        return column
    note, scale = None, KINDS[column.kind].scale
    if column.name == settings.group or (
        column.name == settings.time_column and scale in (Scale.NOMINAL, Scale.NUMERIC)
    ):
        note = "it defines the split"
    elif column.unique == 0:
        note = "it is empty in every row"
    elif column.unique == 1 and column.missing == 0:
        note = "it holds one value in every row"
    elif rows >= 20 and column.unique >= 0.99 * rows * (1 - column.missing) and column.missing < 0.01:
        if scale is Scale.NOMINAL:
            note = "nearly every row has its own value, as an identifier has"
        elif scale is Scale.NUMERIC and whole and _counts_up(table, column.name):
            note = "it counts the rows, as an identifier does"
    return column if note is None else dataclasses.replace(column, role="dropped", note=note)


def _counts_up(table: Table, name: str, different: bool = False) -> bool:
    """Whole numbers that fill a range with hardly a gap; where it is asked, nearly all of them `different`."""
    values = table.frame.select(pl.col(name).cast(pl.Float64, strict=False)).collect().to_series().drop_nulls()
    known = values.to_numpy()
    if not len(known) or not np.array_equal(known, np.round(known)):
        return False
    if different and (len(known) < 20 or len(np.unique(known)) < 0.99 * len(known)):
        return False
    return bool(known.max() - known.min() < 1.05 * len(known))


def _written(table: Table) -> list[str]:
    """How numbers are read that people wrote for people: 1.234 alone could mean either."""
    signs = {".": "point", ",": "comma"}
    found: dict[str, list[str]] = {}
    for column in table.columns:
        form = column.settings.get("format")
        if column.role == "input" and form in SINCE:
            found.setdefault(f"Numbers are read as times, in {form}, in {{}}.", []).append(repr(column.name))
        read = KINDS[column.kind].scale is Scale.NUMERIC or (column.role == "target" and table.task.numeric)
        if column.role == "dropped" or not read:
            continue
        how, name = column.settings, repr(column.name)
        if "decimal" in how:
            found.setdefault(f"Numbers with a decimal {signs[how['decimal']]} are read in {{}}.", []).append(name)
        if "unit" in how:
            found.setdefault(f"Numbers are read without their unit {how['unit']!r} in {{}}.", []).append(name)
        if "bounds" in how:
            found.setdefault("Bounds such as <5 are read as the number itself in {}.", []).append(name)
        if "clock" in how:
            found.setdefault("Times of day or durations are read as seconds in {}.", []).append(name)
    return [said.replace("{}", listed(names)) for said, names in found.items()]


def _crossing(table: Table, settings: Settings) -> list[str]:
    """A warning where a split that is stated parts what --group keeps together."""
    if settings.group is None or not (table.part == 2).any():
        return []
    cells = table.frame.select(settings.group).collect().to_series()
    seen, tested = (cells.filter(pl.Series(table.part == part)).drop_nulls().unique() for part in (0, 2))
    both = seen.filter(seen.is_in(tested.implode()))
    if not len(both):
        return []
    return [
        f"{agreed(len(both), '1 value', '{} values')} of {settings.group!r}, such as {both.sort()[0]!r}, "
        f"{'is' if len(both) == 1 else 'are'} in train and in the stated test."
    ]


def class_counts(table: Table, rows: np.ndarray) -> np.ndarray:
    """Rows of each class among those of `rows`, booleans [n], that are usable; one may be of several classes."""
    return table.task.support(table.labels[rows & (table.labels >= 0)])


def _classes(table: Table) -> list[str]:
    """A warning where classes are rare, or far from equal."""
    if table.task.numeric:
        name = str(table.task.target)
        if any(c.name == name for c in table.columns) and _counts_up(table, name, different=True):
            return [f"The target {name!r} counts the rows, as an identifier does; is it what is to be told?"]
        return []
    said = _alike(table)
    counts = class_counts(table, table.part == 0)
    rare = [table.task.classes[i] for i in np.flatnonzero(counts < 10)]
    if rare:
        have = "class has" if len(rare) == 1 else "classes have"
        return [*said, f"{len(rare):,} {have} fewer than 10 rows, such as {rare[0]!r}."]
    if table.task.multilabel:
        return said
    share = counts.max() / counts.sum()
    if share > 0.9:
        largest = table.task.classes[int(counts.argmax())]
        most = f"{share:.1%} of the rows are {largest!r}"
        if table.task.metric != "accuracy":
            return [*said, f"{most}."]
        other = "auc" if len(table.task.classes) == 2 else "balanced-accuracy"
        return [*said, f"{most}: accuracy says little about the rest; --metric {other} asks how well they are told."]
    return said


def _alike(table: Table) -> list[str]:
    """A warning where classes are the same word written otherwise, or are days."""
    words: dict[str, list[str]] = {}
    for name in table.task.classes:
        words.setdefault(" ".join(name.casefold().split()), []).append(name)
    said = []
    if same := [names for names in words.values() if len(names) > 1]:
        said.append(f"Classes are kept apart that differ in spaces or large letters alone, such as {listed(same[0])}.")
    moments = [kind for kind in KINDS.values() if kind.scale is Scale.TEMPORAL]
    if len(table.task.classes) > 2 and any(each.sniff(pl.Series(table.task.classes), None) for each in moments):
        said.append(
            f"Days or times in {table.task.target!r} are taken for classes; where later means more, write them as "
            "numbers, such as days since the first."
        )
    return said
