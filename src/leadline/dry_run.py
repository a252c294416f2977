"""`leadline check`: read and examine a source, and say what the textbook expects; nothing is trained.

Enters: what `fit` takes. Leaves: a `Check`: the data as `fit` would see it, what `fit` would refuse, the eligible
contenders, and the expectation. The stages are those of `pipeline.py` up to the split; then a few rows are decoded.
Nothing is written except the cache of converted text, which `fit` reads next. A stage that refuses runs again without
the setting that is to blame, so that one check reports every mistake.
"""

from __future__ import annotations

import dataclasses
import math
import os
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
from leadline.dataset.table import read as infer_table
from leadline.kinds import KINDS
from leadline.kinds.weights import NO_BODY, VARIABLE, find_body, lacking, unused, verify
from leadline.race.affordable import Affordable, taken_as
from leadline.race.entry import ContenderRun, eligible_contenders, incapable
from leadline.race.finalization_time import reserve, seconds_to_check
from leadline.race.init import check_init
from leadline.race.order import ordered
from leadline.race.repeats import plan
from leadline.readers.find import cache_of, find
from leadline.readers.part import counted
from leadline.readers.source import Source
from leadline.results.evidence import columns
from leadline.results.run_folder import command
from leadline.system.arguments import checked
from leadline.system.errors import LeadlineError
from leadline.system.os_errors import spoken
from leadline.system.resources import machine, most_threads
from leadline.system.slowdown import slowdown
from leadline.tasks import TASKS
from leadline.textbook import Expectation, expect

BEFORE_S, BEFORE = 3.0, 0.12  # seconds before a race, alone, and a share of the budget
LONGER, LONGEST = 1.05, 1e6  # times a budget that the next one that is tried is, and seconds of the last
DECODED, FILES = 1_000, 24  # rows that are decoded: of values, and of files, which cost more
BLAMED = (
    *SPLIT_BY,
    "drop",
    "kind",
    "task",
    "only",
    "weights",
    "init",
)  # settings that a stage may refuse and run without
SHOWN, WIDEST = 30, 30  # columns, and letters of a name that are printed

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What a source holds, how `fit` would read it, and what the textbook expects.

    Fields that a problem hides are empty or None: without a target there is no task.
    """

    source: str
    rows: dict[str, int]  # by part; 'all' where the source cannot be split
    task: str | None
    target: str | None
    metric: str | None
    classes: dict[str, float] | None  # share of the usable rows, largest first; None of a number or a text corpus
    span: tuple[float, float] | None  # least and greatest value of a number to predict
    columns: list[dict[str, Any]]  # as in result.json
    notes: tuple[str, ...]  # warnings of `fit`: dropped columns, rare classes, quarantined rows
    problems: tuple[str, ...]  # errors of `fit`
    contenders: dict[str, list[str]]  # family -> those that are eligible
    expected: Expectation | None
    command: str | None  # to run next; None where `fit` would refuse, or the source has no path
    install: str | None = None  # the command by which one more contender could race

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


@checked
def check(source: Any, *, test: Any = None, **settings: Any) -> Check:
    """Examine a source as `fit` would, train nothing, and say what the textbook expects.

    Args:
        source: a folder, a file, a frame, arrays (X, y), or the name of a sample.
        test: test rows in the same forms.
        settings: fields of `leadline.config.Settings`, such as `target` or `budget`.

    Raises:
        LeadlineError: where the source cannot be read at all, or a setting is unknown. Other errors are in `problems`.

    Example:
        >>> found = check("digits", budget="30s")
        >>> found.rows, found.expected.answer, found.problems
        ({'train': 1292, 'valid': 147, 'calib': 0, 'test': 358}, 'deep', ())
    """
    options = from_mapping({**settings, "test": str(test) if isinstance(test, (str, Path)) else None})
    with spoken(cache=cache_of(options), out=Path(options.out or "runs")):
        result = _checked(find(source, test, options), options)
    if result.problems or not isinstance(source, (str, Path)):
        return result
    return dataclasses.replace(result, command=command(str(source), options))


def _checked(source: Source, settings: Settings) -> Check:
    problems: list[str] = []
    _, settings = _tried(lambda s: check_init(s.init, source.digest), settings, problems)
    inferred, settings = _tried(lambda s: infer_table(source, s), settings, problems)
    if inferred is None:
        _tried(lambda s: verify(s.weights), settings, problems)
        return _unread(source, settings, problems)
    whole: Table = inferred
    audited, settings = _tried(lambda s: audit(whole, s), settings, problems)
    table, messages = audited or (whole, ())
    parts, settings = _tried(lambda s: draw(table, s), settings, problems)
    bad_rows = [{"place": bad.place, "reason": bad.reason} for bad in table.bad]
    if refusal := unusable(bad_rows, table):
        problems.append(refusal)
    kinds = [column.kind for column in table.inputs]
    own_body, settings = _tried(lambda s: verify(s.weights, kinds=kinds), settings, problems)
    ignored, settings = _tried(lambda s: unused(kinds, s.weights), settings, problems)
    notes = [*source.notes, *messages, *(ignored or ()), *_quarantined(bad_rows)]
    names: list[str] = []
    if parts is not None and audited is not None:
        blocks = _decoded(table, parts, settings, problems, notes)
        if blocks is not None:
            sketch = _Sketch(blocks, table.task, parts)
            able, settings = _tried(
                lambda s: eligible_contenders(sketch, s.only, s.interpretable, s.seconds), settings, problems
            )
            names = able or []
            notes += [] if able is None else incapable(sketch, settings.only, names)
            if own_body and names and settings.seconds < math.inf:
                notes += _too_short(sketch, names, table, settings)
    contenders = {family: [n for n in names if PORTFOLIO[n].family == family] for family in FAMILIES if names}
    rows = {"all": table.rows} if parts is None else parts.counts()
    expected = None
    if parts is not None and audited is not None:
        expected = expect(
            table, rows, machine(), interpretable=settings.interpretable, seconds=settings.seconds,
            weights=settings.weights,
        )  # fmt: skip
    return Check(
        source=source.name, rows=rows, task=table.task.name, target=table.task.target, metric=table.task.metric,
        classes=_shares(table), span=_span(table), columns=[dict(column) for column in columns(table)],
        notes=tuple(notes), problems=tuple(problems), contenders=contenders, expected=expected,
        command=None, install=lacking(kinds, settings.weights),
    )  # fmt: skip


def _tried(
    stage: Callable[[Settings], Result], settings: Settings, problems: list[str]
) -> tuple[Result | None, Settings]:  # fmt: skip
    """The result of a stage, and the settings without those that it refuses; each refusal becomes a problem."""
    outcome = _outcome(stage, settings)
    while isinstance(outcome, LeadlineError):
        refusal = str(outcome)
        if refusal in problems:
            return None, settings
        problems.append(refusal)
        for fewer in _without(settings):
            outcome = _outcome(stage, fewer)
            if not isinstance(outcome, LeadlineError) or str(outcome) != refusal:
                settings = fewer
                break
        else:
            return None, settings
    return outcome, settings


def _outcome(stage: Callable[[Settings], Result], settings: Settings) -> Result | LeadlineError:
    try:
        return stage(settings)
    except LeadlineError as error:
        return error


def _without(settings: Settings) -> Iterator[Settings]:
    """The same settings with one of them left out."""
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    for name in BLAMED:
        value: Any = getattr(settings, name)
        if isinstance(value, tuple):
            others: list[Any] = [tuple(other for other in value if other != item) for item in value]
        else:
            others = [defaults[name]] if value != defaults[name] else []
        if name == "weights" and value != NO_BODY and (value or VARIABLE in os.environ):
            others = [NO_BODY]  # what is installed does not stand in for a folder that is refused
        for other in others:
            changed: dict[str, Any] = {name: other}
            yield dataclasses.replace(settings, **changed)


class _Sketch(Store):
    """A store without rows: all that contenders need before they read it."""

    def __init__(self, blocks: list[Block], task: Task, split: Split) -> None:
        self.blocks, self.task, self.split, self.rows, self.a_row = tuple(blocks), task, split, 0, 0.0


def _too_short(store: Store, names: list[str], table: Table, settings: Settings) -> Iterator[str]:
    """The notes where a race within the budget would leave out contenders with a pretrained body."""
    slow, one = slowdown(most_threads()), slowdown()
    entries = [ContenderRun(name=name, family=PORTFOLIO[name].family, folder=Path(name)) for name in names]
    entries = [entry for entry in entries if not entry.baseline]
    for entry in entries:
        entry.needed_s = taken_as(slow) * entry.contender.seconds_needed(store)
        entry.wanted_s = taken_as(slow) * entry.contender.seconds_wanted(store)
    rows = sum(store.split.counts().values()) * sum(KINDS[block.kind].seconds_per_row for block in store.blocks)

    def without(budget: float) -> set[str]:
        """Names of those that would be left out."""
        seconds = budget * (1 - BEFORE) - one * (BEFORE_S + rows) - reserve(store, names, budget, slow, one)
        times = Affordable(store=store, slow=slow, budget=budget, given=1.0)
        first, second = ordered(entries, store, False)
        race = plan(table, store, settings, seconds, None, times.claimed(first, second, seconds)).each
        return {entry.name for entry, _ in times.too_long(first, second, race)}

    for entry in entries:
        if not entry.contender.pretrained or entry.name not in without(budget := settings.seconds):
            continue
        while entry.name in without(budget) and budget < LONGEST:
            budget *= LONGER
        check_s = len(store.split.test) * seconds_to_check(store, entry.name, slow)
        yield (
            f"{entry.name} needs about {entry.needed_s:.0f} s here, and {check_s:.0f} s to check its file on the test "
            f"rows; --budget {math.ceil(settings.given * budget / 10) * 10}s would do."
        )


def _decoded(
    table: Table, parts: Split, settings: Settings, problems: list[str], notes: list[str]
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
        by_name = decode_columns(kind, frame, table.source.root, ways)
        decoded = [by_name[column.name] for column in block_columns]
        bad |= {int(rows[place]): why for item in decoded for place, why in item.bad.items()}
        if len(bad) < len(rows):
            blocks.append(_fitted(name, block_columns, [item.values for item in decoded], len(rows), settings))
    if refusal := unreadable(bad, len(rows)):
        problems.append(refusal)
        return None
    if bad:
        first = min(bad)
        notes.append(
            f"{len(bad):,} of {counted(len(rows), 'row')} examined would be quarantined: row {first + 1}: {bad[first]}."
        )
    return blocks


def _fitted(name: str, block_columns: list[Column], samples: list[Any], rows: int, settings: Settings) -> Block:
    kind = KINDS[block_columns[0].kind]
    body = find_body(kind, settings.weights)
    limits = Limits(
        rows=rows, seconds=min(settings.seconds, 1e6), columns=tuple(c.name for c in block_columns),
        weights=None if body is None else body.folder,
    )  # fmt: skip
    return described(name, block_columns, kind.fit(samples, block_columns[0].settings, limits), body)


def _unread(source: Source, settings: Settings, problems: list[str]) -> Check:
    """The check of a source whose target is unknown: its columns, any of which may be the target."""
    rows = {"all": int(source.train.select(pl.len()).collect().item())}
    sample = source.train.head(SNIFFED).collect()
    settings = dataclasses.replace(settings, kind=(), drop=())

    def inferred_column(name: str) -> Column | None:
        return _tried(lambda s: column_of(name, sample[name], source, s, "", None), settings, problems)[0]

    columns = []
    for name in sample.columns:
        column = inferred_column(name)
        columns.append({
            "name": name, "kind": column.kind if column else None, "role": "input",
            "missing": share(present(sample[name]).is_null()), "unique": None, "note": column.note if column else None,
        })  # fmt: skip
    return Check(
        source=source.name, rows=rows, task=None, target=None, metric=None, classes=None, span=None, columns=columns,
        notes=source.notes, problems=tuple(problems), contenders={}, expected=None, command=None,
    )  # fmt: skip


def _quarantined(bad_rows: list[dict[str, str]]) -> list[str]:
    if not bad_rows:
        return []
    many = "1 row" if len(bad_rows) == 1 else f"{len(bad_rows):,} rows"
    return [f"{many} would be quarantined, such as {bad_rows[0]['place']}: {bad_rows[0]['reason']}."]


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


def _lines(result: Check) -> Iterator[str]:
    """The lines for the terminal."""
    rows = ", ".join(f"{count:,} {part}" for part, count in result.rows.items() if count and part != "all")
    total = sum(result.rows.values())
    yield f"{result.source}: {counted(total, 'row')}" + (f" ({rows})" if rows else "")
    if result.task is not None:
        yield TASKS[result.task].asks(result.target, result.metric, result.span or result.classes or {})
    if result.columns and (result.task is None or not TASKS[result.task].generative):
        yield "columns"
        yield from _columns(result.columns)
    if result.notes:
        yield "warnings of fit"
        yield from (f"  {note}" for note in result.notes)
    if result.problems:
        yield "errors of fit"
        yield from (f"  {problem}" for problem in result.problems)
    if result.contenders:
        deep, classical = (", ".join(result.contenders[family]) or "none" for family in FAMILIES[:2])
        yield f"eligible contenders: {deep} (deep) against {classical} (classical)"
    if result.install is not None:
        yield f"a pretrained body could race too: {result.install}"
    if result.expected is not None:
        yield f"\n{result.expected.why}"
        for reason in result.expected.reasons:
            yield f"  {reason.points_to:10}  {reason.finding} ({reason.source})"
        yield "That is a rule of thumb; only a run measures it on these rows."
    if result.command is not None:
        yield f"\nnext  {result.command}"


def _columns(listed: list[dict[str, Any]]) -> Iterator[str]:
    shown = listed[:SHOWN]
    wide = min(WIDEST, max(len(column["name"]) for column in shown))
    for column in shown:
        kind = column["kind"] if column["role"] == "input" else column["role"]
        facts = [f"{column['missing']:.1%} missing"] if column["missing"] else []
        about = "about " if column.get("estimated") else ""
        facts += [f"{about}{column['unique']:,} distinct"] if column["unique"] is not None else []
        facts += [column["note"]] if column["note"] else []
        yield f"  {column['name'][:WIDEST]:{wide}}  {kind or '':8}  {'; '.join(facts)}".rstrip()
    if len(listed) > SHOWN:
        yield f"  and {len(listed) - SHOWN:,} more"
