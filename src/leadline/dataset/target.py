"""Which column to predict, its task, and its labels as numbers.

Enters: a source, its rows, the settings. Leaves: a `Target`: the task, a label a row (class number, bits of several
labels, or value; -1 or NaN where it is unusable), and the rows that are quarantined for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.core.kind import MISSING, present
from leadline.core.note import NO_HEADER, code_of
from leadline.core.task import Task
from leadline.dataset.integer_target import Guess, classes_or_quantity
from leadline.dataset.predefined_split import PARTS
from leadline.kinds import KINDS, number_format, spelling, stated_by
from leadline.kinds.number import written
from leadline.kinds.tags import lists
from leadline.metrics import multilabel
from leadline.readers.part import USUAL_TARGETS, agreed
from leadline.readers.source import BadRow, Source
from leadline.system.errors import TargetError
from leadline.tasks import TASKS, Classification, Multilabel, Regression

YES, NO = ("yes", "true", "1", "y", "t", "ja", "oui", "si", "x"), ("no", "false", "0", "n", "f", "nein", "non", "")
NONE = "None"
ALONE = 0.05  # share of the rows that may be the only one of their class, and are quarantined


def chosen(source: Source, settings: Settings, names: Sequence[str]) -> str:
    """The name of the target: the one in the settings, the source's own, or the only usual one."""
    target = settings.target or source.target
    if target is None:
        usual = [name for name in names if name.lower() in USUAL_TARGETS]
        if len(usual) != 1:
            raise TargetError(f"No target is given{_unnamed(source)}; add --target COLUMN, one of {listing(names)}.")
        target = usual[0]
    if target not in names and not several_of(target, names):
        lacking = [part.strip() for part in target.split(",") if part.strip() not in names]
        raise TargetError(
            f"--target {lacking[0] if lacking else target} is not a column of {source.name}{_unnamed(source)}; columns "
            f"are {listing(names)}."
        )
    return target


def several_of(target: str, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of a target that names several, with commas; none where it names one."""
    parts = tuple(dict.fromkeys(part.strip() for part in target.split(",")))
    return parts if target not in names and len(parts) > 1 and set(parts) <= set(names) else ()


def together(source: Source, frame: pl.LazyFrame, several: Sequence[str]) -> tuple[pl.LazyFrame, str]:
    """Columns of yes and no as one column of lists: the names of the positive ones; missing where any is.

    In a column of nothing but yes, empty means no.
    """
    values = frame.select(several).collect()
    marks = []
    for name in several:
        words = present(spelling.spelled(values[name]).str.to_lowercase())
        known = set(words.drop_nulls().unique().to_list())
        if not known <= {*YES, *NO}:
            raise TargetError(
                f"Column {name!r} of {source.name} holds {sorted(known - {*YES, *NO})[0]!r}; several targets at once "
                "must be columns of yes and no, or 0 and 1; fit one column at a time."
            )
        marks.append(words.is_in(YES) if known & set(NO) else words.is_in(YES).fill_null(False))
    whole = [all(row) for row in zip(*(mark.is_not_null().to_list() for mark in marks), strict=True)]
    indicator = np.stack([mark.fill_null(False).to_numpy() for mark in marks], axis=1)
    label_rows = multilabel.named(indicator, several)
    lists = [row if whole[place] else None for place, row in enumerate(label_rows)]
    column = pl.Series(", ".join(several), lists, dtype=pl.List(pl.String))
    return frame.with_columns(column), column.name


def _unnamed(source: Source) -> str:
    """Why column names were made up, where they were."""
    return next((f" ({note})" for note in source.notes if code_of(note) == NO_HEADER), "")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target as it was read: the fields of a `Table` that depend on it alone."""

    task: Task
    labels: np.ndarray
    bad: list[BadRow]
    notes: tuple[str, ...] = ()


def labels_of(
    source: Source, frame: pl.LazyFrame, part: np.ndarray, target: str, settings: Settings, several: Sequence[str]
) -> Target:
    """The labels of all rows, and the task that they make."""
    column = frame.select(target).collect().to_series()
    fixed_task = None if settings.task is None else TASKS[settings.task]
    as_lists, nested = fixed_task is not None and fixed_task.multilabel, column.dtype.is_nested()
    if column.dtype == pl.Binary:
        raise TargetError(
            f"Column {target!r} holds bytes, where a class or a number a row was expected; decode them, or choose "
            "another --target."
        )
    if as_lists or (fixed_task is None and (nested or _numbers(present(column).drop_nulls()) is None)):
        label_lists = lists(column, as_lists)
        if label_lists is not None:
            kind = fixed_task or Multilabel
            return _labelled(
                source, label_lists, part, target, kind, settings.metric, several, not as_lists and not nested
            )
    if as_lists:
        fixed_task = Classification  # no value holds several labels
    if nested:
        raise TargetError(
            f"Column {target!r} holds {column.dtype}, where one class or number a row was expected, or lists of labels "
            "as text; write it so, or choose another --target."
        )
    notes: list[str] = []
    if column.dtype == pl.String:
        column, notes = _present(source, column, part, target, settings)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    train = column.filter(pl.Series(part == 0))
    known = train.drop_nulls()
    if not len(known):
        raise TargetError(f"Column {target!r} is empty in every row; choose another --target.")
    if known.n_unique() == 1:
        raise TargetError(
            f"Column {target!r} is {known[0]!r} in every row; a target must vary; choose another --target, or add "
            "rows of another value."
        )
    bad = [
        BadRow(place=f"{source.name} row {row + 1}", reason=missing(target))
        for row in np.flatnonzero(column.is_null().to_numpy() & (part < len(PARTS)))
    ]
    numbers = _numbers(known)
    guess = _guess(numbers, source, settings, target)
    kind = fixed_task or (Classification if guess.classes else Regression)
    if guess.note is not None and fixed_task is None:
        notes.append(guess.note)
    if kind.numeric:
        if numbers is None:
            raise TargetError(f"Column {target!r} holds text such as {known[0]!r}; --task {kind.name} needs numbers.")
        values = as_numbers(column, known).fill_null(float("nan")).to_numpy().copy()
        values[~kind.usable(values)] = np.nan
        for row in np.flatnonzero(np.isnan(values) & column.is_not_null().to_numpy() & (part < len(PARTS))):
            reason = f"the target {target!r} is {column[int(row)]!r}, which is {kind.unusable}"
            bad.append(BadRow(place=f"{source.name} row {row + 1}", reason=reason))
        return Target(task=kind.of(target, (), settings.metric), labels=values, bad=bad, notes=tuple(notes))
    words = _named(column, part)
    return _classified(source, words, part, target, kind, settings, bad, notes)


def _classified(
    source: Source, words: pl.Series, part: np.ndarray, target: str, kind: type[Task], settings: Settings,
    bad: list[BadRow], notes: Sequence[str],
) -> Target:  # fmt: skip
    """One class a row; `bad` and `notes` are those of the target so far."""
    tested = words.filter(pl.Series(part == PARTS.index("test"))).drop_nulls().unique().to_list()
    alone = _alone(words.filter(pl.Series(part == 0)), tested)
    bad += [
        BadRow(place=f"{source.name} row {row + 1}", reason=f"class {words[int(row)]!r} has this row alone")
        for row in np.flatnonzero(words.is_in(alone).fill_null(False).to_numpy() & (part < len(PARTS)))
    ]
    words = words.set(words.is_in(alone).fill_null(False), None)
    classes = _classes(words.filter(pl.Series(part == 0)), target, tested=bool(tested))
    numbered = words.replace_strict({c: i for i, c in enumerate(classes)}, default=-1, return_dtype=pl.Int64)
    labels = numbered.fill_null(-1).to_numpy().copy()
    labels[words.is_null().to_numpy()] = -1
    for row in np.flatnonzero((labels < 0) & words.is_not_null().to_numpy() & (part < len(PARTS))):
        bad.append(BadRow(place=f"{source.name} row {row + 1}", reason=f"class {words[int(row)]!r} is not in train"))
    return Target(task=kind.of(target, classes, settings.metric), labels=labels, bad=bad, notes=tuple(notes))


def _present(
    source: Source, column: pl.Series, part: np.ndarray, target: str, settings: Settings
) -> tuple[pl.Series, list[str]]:  # fmt: skip
    """Text without words for 'missing', and messages about it.

    A class may be called 'None' or 'NA': only an empty value is missing, unless the rest are numbers. Where these are
    classes, 'None' is one as well if that many rows hold it: no program writes it for an unknown number.
    """
    plain = column.str.strip_chars()
    column = plain.set(plain == "", None)
    known = present(column)
    numbers = _numbers(known.filter(pl.Series(part == 0)).drop_nulls())
    if numbers is None:
        return column, []
    counts = column.filter(column.is_in(MISSING) & pl.Series(part < len(PARTS))).alias("word").value_counts(sort=True)
    words = dict(zip(counts["word"].to_list(), counts["count"].to_list(), strict=True))
    as_classes = None if settings.task is None else not TASKS[settings.task].numeric
    classes = _guess(numbers, source, settings, target).classes if as_classes is None else as_classes
    if classes and words.get(NONE, 0) > ALONE * len(column):
        return known.zip_with((column != NONE).fill_null(True), column), [
            f"{words[NONE]:,} rows of {target!r} hold {NONE!r}, which is read as a class; empty values are missing."
        ]
    read_as_missing = {word: count for word, count in words.items() if count > ALONE * len(column)}
    return known, [
        f"{count:,} of {len(column):,} rows of {target!r} hold {word!r}, which is read as missing: they are left out; "
        "where it is a class, give it another name."
        for word, count in read_as_missing.items()
    ]


def _labelled(
    source: Source, label_lists: pl.Series, part: np.ndarray, target: str, kind: type[Task], metric: str | None,
    columns: Sequence[str], inferred: bool,
) -> Target:  # fmt: skip
    """Multilabel: the commonest labels of train, in their natural order; an empty list is a row without labels.

    Args:
        lists: lists of labels, null where the target is missing.
        columns: the columns that name the labels, if they do.
        inferred: the user did not ask for several labels a row.
    """
    counted = (
        label_lists.filter(pl.Series(part == 0)).explode().drop_nulls().alias("label").value_counts().sort("label")
    )
    if never := [name for name in columns if name not in counted["label"]]:
        raise TargetError(f"Column {never[0]!r} has no positive row in the train part; leave it out of --target.")
    if len(counted) < 2:
        raise TargetError(
            f"Column {target!r} holds {'one label' if len(counted) else 'no label'}, where at least two were expected; "
            "choose another --target."
        )
    frequent = counted.sort("count", descending=True, maintain_order=True)["label"].to_list()
    frequent, rest = sorted(frequent[: multilabel.MOST], key=_natural), frequent[multilabel.MOST :]
    indicator = np.stack([label_lists.list.contains(label).fill_null(False).to_numpy() for label in frequent], axis=1)
    labels = multilabel.packed(indicator)
    if len(np.unique(labels[part == 0])) == 1:
        raise TargetError(f"Column {target!r} holds the same labels in every row; a target must vary.")
    reasons = dict.fromkeys(np.flatnonzero(label_lists.is_null().to_numpy()).tolist(), missing(target))
    strange = label_lists.list.set_difference([*frequent, *rest])
    for row in np.flatnonzero((strange.list.len() > 0).fill_null(False).to_numpy()):
        reasons[int(row)] = f"label {strange[int(row)][0]!r} is not in train"
    labels[list(reasons)] = -1
    bad = [
        BadRow(place=f"{source.name} row {row + 1}", reason=reason)
        for row, reason in sorted(reasons.items())
        if part[row] < len(PARTS)
    ]
    notes = []
    if inferred:
        notes.append(
            f"Values of {target!r} are read as several labels each, such as {frequent[0]!r} and {frequent[1]!r}; "
            "--task multiclass reads each as one class."
        )
    if rest:
        others = f"{rest[0]!r} is" if len(rest) == 1 else f"the others, such as {rest[0]!r}, are"
        notes.append(
            f"The {multilabel.MOST} most frequent of {len(counted):,} labels are predicted; {others} left out."
        )
    if none := int((labels[part == 0] == 0).sum()):
        notes.append(f"{agreed(none, '1 row has', '{} rows have')} no label; having none is learned too.")
    return Target(task=kind.of(target, frequent, metric), labels=labels, bad=bad, notes=tuple(notes))


def missing(target: str | None) -> str:
    """Why a row without a target is quarantined: there may be any number of these."""
    return f"the target {target!r} is missing"


def _numbers(values: pl.Series) -> pl.Series | None:
    """The target as numbers, where nearly all of it reads so."""
    if values.dtype == pl.Boolean:
        return None
    numbers = as_numbers(values, values)
    return numbers if len(values) and numbers.null_count() <= 0.02 * len(values) else None


def as_numbers(values: pl.Series, train_values: pl.Series) -> pl.Series:
    """Values as float64, null where they are none; their notation is inferred from `train_values`, those of train."""
    how = written(train_values) or {}
    if values.dtype == pl.String and how:
        return number_format.read(values, how)
    return values.cast(pl.Float64, strict=False)


def _guess(numbers: pl.Series | None, source: Source, settings: Settings, target: str) -> Guess:
    """Whether the target is classes, inferred from its values in train, its name, and what the rows are."""
    if numbers is None:
        return Guess(True)
    types = source.train.collect_schema().dtypes()
    kinds = [*source.kinds.values(), *(kind for dtype in types if (kind := stated_by(dtype)))]
    media = any(KINDS[kind].is_file for kind in kinds)
    in_folders = media and source.train.collect_schema().get(target) == pl.String
    named = settings.target is not None or source.target is None or in_folders
    return classes_or_quantity(numbers.drop_nulls(), target, named=named, media=media)


def _named(values: pl.Series, part: np.ndarray) -> pl.Series:
    """The class of each row, spelled in one way: 1, 1.0 and "1" are one, and so are True and TRUE.

    Numbers that are spelled in one way in the train part keep that, such as 02139 or 0.50, however they are spelled
    elsewhere.
    """
    words = spelling.spelled(values)
    train = words.filter(pl.Series(part == 0)).drop_nulls()
    how = spelling.infer(train)
    if not how or "boolean" in how:
        return spelling.read(words, how)
    known = train.unique()
    numbers = {float(word): word for word in known.to_list()}
    others = words.filter(~words.is_in(known.implode())).drop_nulls().unique().to_list()
    spellings = {word: numbers[value] for word in others if (value := _number(word)) in numbers}
    spellings |= {spelling.TRUE: "1", spelling.FALSE: "0"} if set(known) == {"0", "1"} else {}
    return words.replace(spellings) if spellings else words


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _alone(words: pl.Series, tested: list[str]) -> list[str]:
    """Classes of one train row, and of no predefined test row: nothing can be learned of them and tested too.

    None where fewer than two others are left.
    """
    counts = words.drop_nulls().alias("class").value_counts()  # a column may itself be called count
    single = counts.filter((pl.col("count") == 1) & ~pl.col("class").is_in(tested))["class"].to_list()
    return single if len(counts) - len(single) >= 2 and len(single) <= ALONE * len(words) else []


def _classes(words: pl.Series, target: str, tested: bool) -> tuple[str, ...]:
    """Their names, of train rows; `tested`: there are predefined test rows."""
    counted = words.drop_nulls().alias("class").value_counts(sort=True)
    counts = dict(zip(counted["class"].to_list(), counted["count"].to_list(), strict=True))
    if len(counts) > max(50, sum(counts.values()) // 3):
        raise TargetError(
            f"Column {target!r} has {len(counts):,} different values in {sum(counts.values()):,} rows, too many for "
            "classes; choose another --target, or --task regression for numbers."
        )
    single = [value for value, count in counts.items() if count == 1]
    if single and not tested:
        row = int((words == single[0]).arg_true()[0]) + 1
        raise TargetError(
            f"Class {single[0]!r} of column {target!r} has one row (row {row}); give it at least two rows, or rows to "
            "test on (--test), or take that row out."
        )
    return tuple(sorted(counts, key=_natural))


def _natural(text: str) -> tuple[int, float, str]:
    """Numbers before words, numbers by size."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def listing(names: Sequence[str]) -> str:
    """The first twelve names, and how many more there are."""
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
