"""Quarantine: unusable rows are written to a file and reported, and a source with too many of them is refused.

Enters: the table's rows without a target, and the store's that could not be decoded. Leaves: quarantine.csv, and
messages about it and about blank images and silent audio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from leadline.core.json_types import items, nested
from leadline.core.kind import Perceived
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.dataset.target import missing
from leadline.kinds import KINDS
from leadline.readers.media import listed
from leadline.system.errors import SourceError

GLANCED, CHUNK = 1_000, 32  # train rows checked for blank values, and at once
MANY_BLANK = 0.05  # share of them that is reported


def quarantine(folder: Path, table: Table, store: Store) -> list[str]:
    """Write quarantine.csv; returns messages about it, and about rows that there was no time to decode."""
    unread = []
    if store.unread:
        read = table.rows - store.unread
        unread = [f"Only {read:,} of {table.rows:,} rows, a random sample, could be decoded in this budget."]
    rows = [{"place": bad.place, "reason": bad.reason} for bad in table.bad]
    rows += [{"place": f"{table.source.name} row {row + 1}", "reason": reason} for row, reason in store.bad]
    if refusal := unusable(rows, table):
        raise SourceError(refusal)
    if not rows:
        return unread
    pl.DataFrame(rows).write_csv(folder / "quarantine.csv")
    many = "1 row was" if len(rows) == 1 else f"{len(rows):,} rows were"
    return [*unread, f"{many} moved to quarantine.csv, such as {rows[0]['place']}: {rows[0]['reason']}."]


def unusable(bad_rows: Sequence[Mapping[str, str]], table: Table) -> str | None:
    """The error where more than half of the rows that have a target are quarantined: such a source is refused."""
    no_target = missing(table.task.target)
    rows, bad_rows = table.rows, [row for row in bad_rows if row["reason"] != no_target]
    if len(bad_rows) <= (rows - sum(bad.reason == no_target for bad in table.bad)) / 2:
        return None
    first = bad_rows[0]

    return f"{len(bad_rows):,} of {rows:,} rows cannot be used, such as {first['place']}: {first['reason']}; fix them."


def notes_of(store: Store) -> list[str]:
    """Messages where no rows are valid, audio is cut short, values are blank, or words for 'missing' are values."""
    shortened = [remark for block in store.blocks for remark in KINDS[block.kind].remarks(block)]
    return [*_unchosen(store), *shortened, *blank(store), *kept_apart(store)]


def _unchosen(store: Store) -> list[str]:
    if len(store.split.valid):
        return []
    return [
        "Every class has one train row, so no rows are left to choose by: contenders race that need none, with default "
        "settings. Give two rows a class, or a valid part, and all of them race."
    ]


def blank(store: Store) -> list[str]:
    """A message where many images have one colour, or audio is silent, once decoded."""
    messages = []
    train = store.split.train
    few = np.sort(train[:: max(1, len(train) // GLANCED)])
    for block in store.blocks:
        kind = KINDS[block.kind]
        if not isinstance(kind, Perceived):
            continue
        empty = np.concatenate([kind.blank(np.asarray(store.tensor(block.name)[part])) for part in chunks(few)])
        if empty.mean() >= MANY_BLANK:
            messages.append(
                f"{empty.mean():.0%} of the values in {block.columns[0]!r} are {kind.blank_is} once decoded, such as "
                f"row {few[empty.argmax()] + 1}; check how they were saved."
            )
    return messages


def chunks(rows: np.ndarray) -> list[np.ndarray]:
    """A few rows at a time: a row may be a minute of sound."""
    return np.array_split(rows, max(1, -(-len(rows) // CHUNK)))


def kept_apart(store: Store) -> list[str]:
    """A message where a word for 'missing' is a value of its own."""
    return [
        f"In {name!r} {listed(map(repr, items(apart, name)))} and other missing values stay separate: the target "
        "differs."
        for apart in (nested(block.settings, "apart") for block in store.blocks)
        for name in apart
    ]
