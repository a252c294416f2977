"""Near duplicates: rows that are the same, or nearly. One in train and in test is predicted from memory.

Blocks of a kind with a `similarity` are compared by content: images and sounds by perceptual hashes, texts by their
wording, series as vectors. Other columns are compared value by value: near duplicates agree in all values except one or
two, where so much agreement is neither chance nor that of a group (`chance.py`). Rows that are close by chance, or as
rows of a group, are reported and stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import polars as pl

from leadline.core.kind import Rows
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.flaws import impact
from leadline.flaws.chance import MOST_PAIRED, among, codes_of, copies, sharing
from leadline.flaws.detector import Detector, Finding, ScanData, TestAnswers
from leadline.flaws.flaw import Flaw, Impact
from leadline.flaws.group_leakage import GroupLeakage
from leadline.flaws.probe import some
from leadline.kinds import KINDS
from leadline.readers.part import agreed, counted
from leadline.readers.source import BadRow

A_VALUE, A_KEY = 4e-7, 2e-8  # seconds to compare a value, and to hash a row without some of its values
AT_LEAST = 0.2  # seconds for the search of nearest rows
CLOSE_CALL = 0.4  # of the time allowed: if all rows take longer, a few are tried first
TRIED, FEWEST = 3_000, 100  # rows
NOWHERE = 3  # in `Table.part`: in no part of the split


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Near duplicates among some rows of a table."""

    pairs: np.ndarray  # [pairs, 2] row numbers, lower first
    searched: int  # rows
    equal: int = 0  # rows that equal another in all values, as frequent as chance makes them
    group: str | None = None  # a column whose rare values close rows have in common
    grouped: int = 0  # rows that are close to another of the group

    def group_flaw(self) -> Flaw | None:
        """Group leakage: close rows that are no copies, but of one group."""
        if self.group is None:
            return None
        says = (
            f"{self.grouped:,} of {self.searched:,} rows are close to another of the same {self.group!r}, but no "
            f"copies. They belong together: --group {self.group} keeps them on one side of the split."
        )
        return Flaw(name=GroupLeakage.name, columns=(self.group,), says=says)

    def messages(self) -> list[str]:
        """On rows that are equal, which is no flaw."""
        if not self.equal or self.group is not None:
            return []
        are, them, stay = ("equal", "they", "stay") if self.equal > 1 else ("equals", "it", "stays")
        return [
            f"{self.equal:,} of {self.searched:,} rows {are} another in every input. That may be chance, for rows that "
            f"almost equal another are as common: {them} {stay}."
        ]


class NearDuplicates(Detector[Duplicates]):
    """All rows of a group of near duplicates except one; no row of a predefined test is removed before others."""

    name, title, description = "near_duplicates", "Near duplicates", "near duplicates"
    share, before_split, removal = 0.5, True, "removed"

    def search(self, data: ScanData, seconds: float) -> Finding[Duplicates]:
        """Pairs among all rows, by content; pairs with a test row, whose label is hidden, are not compared by label."""
        found = find_duplicates(data.table, data.store, _affordable(data, seconds))
        known = found.pairs[~np.isin(found.pairs, data.store.split.test).any(axis=1)]
        columns, group = (data.settings.group, data.settings.time_column), found.group_flaw()
        if any(column is not None for column in columns) or data.in_predefined_test.any():
            group = None  # the user, or the source, chose the split
        flaws = [flaw for flaw in (self._flaw(data, found, known), group) if flaw is not None]
        return Finding(data=data, flaws=flaws, messages=found.messages(), evidence=found)

    def revisit(self, finding: Finding[Duplicates], data: ScanData) -> Sequence[Flaw]:
        """All pairs compared by label."""
        assert finding.evidence is not None
        flaw = self._flaw(data, finding.evidence, finding.evidence.pairs)
        others = [other for other in finding.flaws if other.name != self.name]
        return others if flaw is None else [flaw, *others]

    def impact(self, flaw: Flaw, test: TestAnswers) -> Impact | None:
        """The score on test rows that repeat no train row."""
        return impact.without_rows(test, flaw.rows)

    def fix(self, table: Table, flaw: Flaw) -> tuple[Table, str]:
        """Remove and quarantine the rows."""
        assert flaw.drop is not None and flaw.duplicate_of is not None
        part, of = table.part.copy(), dict(zip(flaw.rows.tolist(), flaw.duplicate_of.tolist(), strict=True))
        part[flaw.drop] = NOWHERE
        bad = [
            BadRow(place=f"{table.source.name} row {row + 1}", reason=f"removed: near duplicate of row {of[row] + 1}")
            for row in flaw.drop.tolist()
        ]
        were = agreed(len(bad), "1 near duplicate was", "{} near duplicates were")
        return replace(table, part=part, bad=(*table.bad, *bad)), f"{were} removed."

    def _flaw(self, data: ScanData, found: Duplicates, known: np.ndarray) -> Flaw | None:
        """`known`: the pairs whose labels may be compared."""
        if not len(found.pairs):
            return None
        drop, across = _superfluous(data, found.pairs)
        test = counted(len(data.store.split.test), "test row")
        unlike = int(np.diff(data.table.labels[known]).astype(bool).sum()) if data.table.task.classes else 0
        are = "is a near duplicate" if len(drop) == 1 else "are near duplicates"
        also = "also appears" if len(across) == 1 else "also appear"
        differ = f"; {agreed(unlike, '1 pair has', '{} pairs have')} different labels" if unlike else ""
        says = f"{len(drop):,} of {found.searched:,} rows {are}; {len(across):,} of {test} {also} in the training data"
        rows = np.concatenate([across, np.setdiff1d(drop, across)])
        partner = dict(found.pairs[::-1].tolist()) | dict(found.pairs[::-1, ::-1].tolist())  # the first pair of a row
        return Flaw(
            name=self.name, says=f"{says}{differ}.", rows=rows, drop=drop, fixes=len(drop),
            duplicate_of=np.array([partner[row] for row in rows.tolist()], np.int64),
            facts={"rows": len(drop), "test_duplicates": len(across), "conflicting_labels": unlike},
        )  # fmt: skip


def find_duplicates(table: Table, store: Store, rows: np.ndarray) -> Duplicates:
    """Near duplicates among `rows` (row numbers)."""
    columns = [c for c in table.inputs if not KINDS[c.kind].similarity]
    away = _by_content(table, store, rows)
    if away is not None and not (columns and away):
        return Duplicates(pairs=rows[np.array(sorted(away), np.int64).reshape(-1, 2)], searched=len(rows))
    if not columns:
        return Duplicates(pairs=np.empty((0, 2), np.int64), searched=len(rows))
    frame = table.take(rows, [c.name for c in columns])
    hashed = np.stack([values.hash(seed=k).to_numpy() for k, values in enumerate(frame.get_columns())], axis=1)
    if away is None:
        close = copies(hashed)
    else:
        order = sorted(away)
        close = among(hashed, np.array(order, np.int64), np.array([away[pair] for pair in order]))
    names = [k for k, c in enumerate(columns) if KINDS[c.kind].names_rows(frame[c.name])]
    place = sharing(codes_of(hashed[:, names]), close.chance) if names else None
    grouped = close.chance
    if place is not None:
        grouped = grouped[hashed[grouped[:, 0], names[place]] == hashed[grouped[:, 1], names[place]]]
    return Duplicates(
        pairs=rows[close.copies], searched=len(rows), equal=len(np.unique(close.equal)),
        group=None if place is None else columns[names[place]].name, grouped=len(np.unique(grouped)),
    )  # fmt: skip


def _by_content(table: Table, store: Store, rows: np.ndarray) -> dict[tuple[int, int], float] | None:
    """{pair of positions in `rows` that are close in every block: how far apart, 0 to 1}; None without such blocks.

    Rows that are texts alone, all of them missing, hold nothing that could be another's.
    """
    found: dict[tuple[int, int], float] | None = None
    without = np.ones(len(rows), bool)
    for block in store.blocks:
        similarity, column = KINDS[block.kind].similarity, block.columns[0]
        if similarity is None:
            continue
        read = partial(lambda column: table.take(rows, [column])[column], column)
        pairs, away = similarity.pairs(Rows(block=block, places=rows, tensor=store.tensor(block.name), cells=read))
        without &= _blank(read()) if KINDS[block.kind].prose else False
        here = dict(zip(map(tuple, pairs.tolist()), away.tolist(), strict=True))
        found = here if found is None else {pair: max(found[pair], here[pair]) for pair in found.keys() & here.keys()}
    if found and without.any() and all(KINDS[column.kind].similarity for column in table.inputs):
        return {pair: far for pair, far in found.items() if not without[list(pair)].all()}
    return found


def _blank(texts: pl.Series) -> np.ndarray:
    """bool [rows]: texts without a letter."""
    return np.asarray(texts.fill_null("").str.strip_chars() == "")


def _affordable(data: ScanData, seconds: float) -> np.ndarray:
    """The rows, or a sample, that can be compared in so many seconds; a few are tried first if it may be too long."""
    rows, expected, slow = data.all_rows, _seconds(data, len(data.all_rows)), 1.0
    if data.pace is not None and expected > CLOSE_CALL * seconds and len(rows) > 2 * TRIED:
        few = some(rows, TRIED)
        find_duplicates(data.table, data.store, few)
        slow = data.pace.slowness(_seconds(data, len(few)))
    most = int(len(rows) * min(1.0, seconds / max(1e-9, slow * expected)))
    return some(rows, max(most, FEWEST))


def _seconds(data: ScanData, rows: int) -> float:
    """How long `find_duplicates` takes, about, on a quiet machine."""
    content = sum(rows / found.rate for block in data.store.blocks if (found := KINDS[block.kind].similarity))
    columns = len([c for c in data.table.inputs if not KINDS[c.kind].similarity])
    values = rows * columns * A_VALUE
    if not content and columns:
        keys = 1 + columns + (columns * (columns - 1) // 2 if columns <= MOST_PAIRED else 0)
        values += rows * keys * A_KEY + AT_LEAST
    return content + values


def _components(pairs: np.ndarray, rows: int) -> np.ndarray:
    """The group of each row [rows]: rows that are linked by pairs share one."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    links = sparse.coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(rows, rows))
    return np.asarray(connected_components(links, directed=False)[1])


def _superfluous(data: ScanData, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows to remove: all except one of each group; test rows that also are in train, valid or calib)."""
    group, rows, test = _components(pairs, data.table.rows), np.unique(pairs), data.store.split.test
    rows = rows[np.isin(rows, data.all_rows)]
    order = rows[np.lexsort((rows, -data.table.part[rows].astype(int)))]  # rows of a predefined test stay
    _, first = np.unique(group[order], return_index=True)
    drop = np.setdiff1d(rows, order[first])
    trained = np.unique(group[np.setdiff1d(rows, test)])
    return drop, test[np.isin(group[test], trained) & np.isin(test, rows)]
