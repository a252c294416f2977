"""`leadline check`: a source read and examined, with what the textbook expects; nothing is trained.

Enters: what `fit` takes. Leaves: a `Check`: the data as `fit` would see it, what `fit` would refuse, the eligible
contenders, and the expectation. The stages are those of `pipeline.py` up to the split; then a few rows are decoded.
Nothing is written but, by the reading of text, the cache that `fit` reads next. A stage that refuses is asked again
without the setting that is to blame, so that one look finds every mistake.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from leadline.config import SPLIT_BY, Settings, from_mapping
from leadline.contenders.families import FAMILIES
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.kind import Limits, decode_columns, present, share
from leadline.core.task import Task
from leadline.core.tensors import Block, Split
from leadline.dataset.audit import audit, class_counts
from leadline.dataset.quarantine import unusable
from leadline.dataset.split_table import draw
from leadline.dataset.store import Store, described, grouped, unreadable
from leadline.dataset.table import SNIFFED, Column, Table, column_of
from leadline.dataset.table import read as understand
from leadline.kinds import KINDS
from leadline.race.entry import eligible_contenders
from leadline.readers.find import cache_of, find
from leadline.readers.part import counted
from leadline.readers.source import Source
from leadline.results.evidence import columns
from leadline.results.run_folder import command
from leadline.system.errors import LeadlineError
from leadline.system.os_errors import spoken
from leadline.system.resources import machine
from leadline.tasks import TASKS
from leadline.textbook import Expectation, expect

DECODED, FILES = 1_000, 24  # rows that are decoded: of cells, and of files, which cost more
BLAMED = (*SPLIT_BY, "drop", "kind", "task", "only")  # settings that a stage may refuse and do without
SHOWN, WIDEST = 30, 30  # columns, and letters of a name that are printed

Made = TypeVar("Made")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What a source is, what `fit` would make of it, and what the textbook expects.

    What a problem hides is empty or None: without a target there is no task.
    """

    source: str
    rows: dict[str, int]  # by part; 'all' where the source cannot be split
    task: str | None
    target: str | None
    metric: str | None
    classes: dict[str, float] | None  # share of the usable rows, largest first; None of a number or a text corpus
    span: tuple[float, float] | None  # least and greatest value of a number to predict
    columns: list[dict[str, Any]]  # as in result.json
    notes: tuple[str, ...]  # what `fit` would say: left out, rare, set aside
    problems: tuple[str, ...]  # what `fit` would refuse
    contenders: dict[str, list[str]]  # family -> those that are eligible
    expected: Expectation | None
    command: str | None  # to run next; None where `fit` would refuse, or the source has no path

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def check(source: Any, *, test: Any = None, **settings: Any) -> Check:
    """Look at a source as `fit` would, train nothing, and say what the textbook expects.

    Args:
        source: a folder, a file, a frame, arrays (X, y), or the name of a sample.
        test: test rows in the same forms.
        settings: fields of `leadline.config.Settings`, such as `target` or `budget`.

    Raises:
        LeadlineError: where the source cannot be read at all, or a setting is no setting. All else is in `problems`.

    Example:
        >>> found = check("digits", budget="30s")
        >>> found.rows, found.expected.answer, found.problems
        ({'train': 1292, 'valid': 147, 'calib': 0, 'test': 358}, 'deep', ())
    """
    asked = from_mapping({**settings, "test": str(test) if isinstance(test, (str, Path)) else None})
    with spoken(cache=cache_of(asked), out=Path(asked.out or "runs")):
        made = _looked(find(source, test, asked), asked)
    if made.problems or not isinstance(source, (str, Path)):
        return made
    return dataclasses.replace(made, command=command(str(source), asked))


def _looked(given: Source, asked: Settings) -> Check:
    problems: list[str] = []
    understood, asked = _tried(lambda s: understand(given, s), asked, problems)
    if understood is None:
        return _unread(given, asked, problems)
    whole: Table = understood
    audited, asked = _tried(lambda s: audit(whole, s), asked, problems)
    table, said = audited or (whole, ())
    parts, asked = _tried(lambda s: draw(table, s), asked, problems)
    lost = [{"place": bad.place, "reason": bad.reason} for bad in table.bad]
    if refusal := unusable(lost, table):
        problems.append(refusal)
    notes = [*given.notes, *said, *_aside(lost)]
    names: list[str] = []
    if parts is not None and audited is not None:
        blocks = _decoded(table, parts, asked, problems, notes)
        if blocks is not None:
            able, asked = _tried(lambda s: eligible_contenders(_Sketch(blocks, table.task), s.only), asked, problems)
            names = able or []
    contenders = {family: [n for n in names if PORTFOLIO[n].family == family] for family in FAMILIES if names}
    rows = {"all": table.rows} if parts is None else parts.counts()
    expected = None
    if parts is not None and audited is not None:
        expected = expect(table, rows, machine(), interpretable=asked.interpretable, seconds=asked.seconds)
    return Check(
        source=given.name, rows=rows, task=table.task.name, target=table.task.target, metric=table.task.metric,
        classes=_shares(table), span=_span(table), columns=[dict(column) for column in columns(table)],
        notes=tuple(notes), problems=tuple(problems), contenders=contenders, expected=expected,
        command=None,
    )  # fmt: skip


def _tried(
    stage: Callable[[Settings], Made], asked: Settings, problems: list[str]
) -> tuple[Made | None, Settings]:  # fmt: skip
    """What a stage makes, and the settings without those that it refuses; each refusal becomes a problem."""
    made = _outcome(stage, asked)
    while isinstance(made, LeadlineError):
        refusal = str(made)
        if refusal in problems:
            return None, asked
        problems.append(refusal)
        for fewer in _without(asked):
            made = _outcome(stage, fewer)
            if not isinstance(made, LeadlineError) or str(made) != refusal:
                asked = fewer
                break
        else:
            return None, asked
    return made, asked


def _outcome(stage: Callable[[Settings], Made], asked: Settings) -> Made | LeadlineError:
    try:
        return stage(asked)
    except LeadlineError as error:
        return error


def _without(asked: Settings) -> Iterator[Settings]:
    """The same settings with one of them left out."""
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    for name in BLAMED:
        value: Any = getattr(asked, name)
        if isinstance(value, tuple):
            others: list[Any] = [tuple(other for other in value if other != item) for item in value]
        else:
            others = [defaults[name]] if value != defaults[name] else []
        for other in others:
            changed: dict[str, Any] = {name: other}
            yield dataclasses.replace(asked, **changed)


class _Sketch(Store):
    """A store of no rows: as much of one as contenders look at before they read it."""

    def __init__(self, blocks: list[Block], task: Task) -> None:
        self.blocks, self.task = tuple(blocks), task


def _decoded(
    table: Table, parts: Split, asked: Settings, problems: list[str], notes: list[str]
) -> list[Block] | None:  # fmt: skip
    """The blocks as fitted on a few train rows; None where these could not be decoded."""
    costly = any(KINDS[column.kind].costly for column in table.inputs)
    rows = parts.train[:: max(1, len(parts.train) // (FILES if costly else DECODED))]
    frame = table.take(rows, [column.name for column in table.inputs])
    bad: dict[int, str] = {}
    blocks = []
    for name, block_columns in grouped(table.inputs):
        kind = KINDS[block_columns[0].kind]
        ways = {column.name: column.settings for column in block_columns}
        found = decode_columns(kind, frame, table.source.root, ways)
        decoded = [found[column.name] for column in block_columns]
        bad |= {int(rows[place]): why for found in decoded for place, why in found.bad.items()}
        if len(bad) < len(rows):
            blocks.append(_fitted(name, block_columns, [found.values for found in decoded], len(rows), asked))
    if refusal := unreadable(bad, len(rows)):
        problems.append(refusal)
        return None
    if bad:
        first = min(bad)
        notes.append(
            f"{len(bad):,} of {counted(len(rows), 'row')} examined would be quarantined: row {first + 1}: {bad[first]}."
        )
    return blocks


def _fitted(name: str, block_columns: list[Column], samples: list[Any], rows: int, asked: Settings) -> Block:
    limits = Limits(rows=rows, seconds=min(asked.seconds, 1e6), columns=tuple(c.name for c in block_columns))
    fit = KINDS[block_columns[0].kind].fit(samples, block_columns[0].settings, limits)
    return described(name, block_columns, fit)


def _unread(given: Source, asked: Settings, problems: list[str]) -> Check:
    """What can be said of a source whose target is not known: its columns, any of which may be the target."""
    rows = {"all": int(given.train.select(pl.len()).collect().item())}
    sample = given.train.head(SNIFFED).collect()
    asked = dataclasses.replace(asked, kind=(), drop=())

    def told(name: str) -> Column | None:
        return _tried(lambda s: column_of(name, sample[name], given, s, "", None), asked, problems)[0]

    found = []
    for name in sample.columns:
        column = told(name)
        found.append({
            "name": name, "kind": column.kind if column else None, "role": "input",
            "missing": share(present(sample[name]).is_null()), "unique": None, "note": column.note if column else None,
        })  # fmt: skip
    return Check(
        source=given.name, rows=rows, task=None, target=None, metric=None, classes=None, span=None, columns=found,
        notes=given.notes, problems=tuple(problems), contenders={}, expected=None, command=None,
    )  # fmt: skip


def _aside(lost: list[dict[str, str]]) -> list[str]:
    if not lost:
        return []
    many = "1 row" if len(lost) == 1 else f"{len(lost):,} rows"
    return [f"{many} would be quarantined, such as {lost[0]['place']}: {lost[0]['reason']}."]


def _shares(table: Table) -> dict[str, float] | None:
    if not table.task.classes:
        return None
    counts = class_counts(table, np.ones(table.rows, bool))
    order = np.argsort(-counts, kind="stable")
    total = (table.labels >= 0).sum() if table.task.multilabel else counts.sum()
    return {table.task.classes[i]: float(counts[i] / total) for i in order}


def _span(table: Table) -> tuple[float, float] | None:
    if not table.task.numeric:
        return None
    return float(np.nanmin(table.labels)), float(np.nanmax(table.labels))


def _lines(found: Check) -> Iterator[str]:
    """What the terminal shows."""
    rows = ", ".join(f"{count:,} {part}" for part, count in found.rows.items() if count and part != "all")
    total = sum(found.rows.values())
    yield f"{found.source}: {counted(total, 'row')}" + (f" ({rows})" if rows else "")
    if found.task is not None:
        yield TASKS[found.task].asks(found.target, found.metric, found.span or found.classes or {})
    if found.columns and (found.task is None or not TASKS[found.task].generative):
        yield "columns"
        yield from _columns(found.columns)
    if found.notes:
        yield "fit would say"
        yield from (f"  {note}" for note in found.notes)
    if found.problems:
        yield "fit would refuse this"
        yield from (f"  {problem}" for problem in found.problems)
    if found.contenders:
        deep, classical = (", ".join(found.contenders[family]) or "none" for family in FAMILIES[:2])
        yield f"eligible contenders: {deep} (deep) against {classical} (classical)"
    if found.expected is not None:
        yield f"\n{found.expected.why}"
        for reason in found.expected.reasons:
            yield f"  {reason.points_to:10}  {reason.found} ({reason.source})"
        yield "That is a rule of thumb; only a run measures it on these rows."
    if found.command is not None:
        yield f"\nnext  {found.command}"


def _columns(listed: list[dict[str, Any]]) -> Iterator[str]:
    shown = listed[:SHOWN]
    wide = min(WIDEST, max(len(column["name"]) for column in shown))
    for column in shown:
        kind = column["kind"] if column["role"] == "input" else column["role"]
        told = [f"{column['missing']:.1%} missing"] if column["missing"] else []
        about = "about " if column.get("estimated") else ""
        told += [f"{about}{column['unique']:,} distinct"] if column["unique"] is not None else []
        told += [column["note"]] if column["note"] else []
        yield f"  {column['name'][:WIDEST]:{wide}}  {kind or '':8}  {'; '.join(told)}".rstrip()
    if len(listed) > SHOWN:
        yield f"  and {len(listed) - SHOWN:,} more"
