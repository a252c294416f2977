"""Rows that are the same, or nearly: one that is in train and in test is answered from memory.

Blocks of a kind with a `similarity` are compared by content: pictures and sounds by how they look, texts by their
wording, series as vectors. Other columns are compared cell by cell: rows are twins that agree in all cells but one or
two, where so much agreement is neither chance nor that of a group (`chance.py`). What chance or a group makes close is
said, and kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadline.core.kind import Rows
from leadline.core.tensors import Block
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.flaws.chance import MOST_PAIRED, among, codes_of, copies, sharing
from leadline.flaws.flaw import Flaw
from leadline.flaws.probe import some
from leadline.flaws.time_budget import Pace
from leadline.kinds import KINDS
from leadline.readers.part import agreed, counted

A_CELL, A_WAY = 4e-7, 2e-8  # seconds for a cell, for a row in which some cells are left out
AT_LEAST = 0.2  # seconds for what nearest rows are sought
CLOSE_CALL = 0.4  # of the time allowed: if all rows take longer, a few are tried first
TRIED, FEWEST = 3_000, 100  # rows


@dataclass(frozen=True, kw_only=True)
class Twins:
    """What was found among some rows of a table."""

    pairs: np.ndarray  # [pairs, 2] row numbers of twins, lower first
    equal: int = 0  # rows that equal another in all cells, as chance makes them
    group: str | None = None  # a column whose rare values close rows have in common
    grouped: int = 0  # rows that are close to another of the group

    def together(self, looked: int) -> Flaw | None:
        """The finding that close rows belong together, with the way to split that keeps them so."""
        if self.group is None:
            return None
        says = (
            f"{self.grouped:,} of {looked:,} rows are close to another of the same {self.group!r}, but no copies: "
            f"they belong together, and --group {self.group} keeps them on one side of the split."
        )
        return Flaw(name="group_leakage", columns=(self.group,), says=says)

    def said(self, looked: int) -> list[str]:
        """Of rows that are equal, and no flaw."""
        if not self.equal or self.group is not None:
            return []
        are, them, were = ("equal", "they", "were") if self.equal > 1 else ("equals", "it", "was")
        return [
            f"{self.equal:,} of {looked:,} rows {are} another in every input. That may be chance, for rows that "
            f"all but equal another are as common: {them} {were} kept."
        ]


def twins(table: Table, store: Store, rows: np.ndarray) -> Twins:
    """Rows that repeat another among `rows`, and what is close but does not."""
    content = [block for block in store.blocks if KINDS[block.kind].similarity]
    columns = [c for c in table.inputs if not KINDS[c.kind].similarity]
    found: dict[tuple[int, int], float] | None = None
    for block in content:
        pairs, away = _by_content(block, table, store, rows)
        mine = dict(zip(map(tuple, pairs.tolist()), away.tolist(), strict=True))
        found = mine if found is None else {pair: max(found[pair], mine[pair]) for pair in found.keys() & mine.keys()}
    if found is not None and not (columns and found):
        return Twins(pairs=rows[np.array(sorted(found), np.int64).reshape(-1, 2)])
    if not columns:
        return Twins(pairs=np.empty((0, 2), np.int64))
    frame = table.take(rows, [c.name for c in columns])
    hashed = np.stack([cells.hash(seed=k).to_numpy() for k, cells in enumerate(frame.get_columns())], axis=1)
    if found is None:
        close = copies(hashed)
    else:
        order = sorted(found)
        close = among(hashed, np.array(order, np.int64), np.array([found[pair] for pair in order]))
    names = [k for k, c in enumerate(columns) if KINDS[c.kind].names_rows(frame[c.name])]
    place = sharing(codes_of(hashed[:, names]), close.chance) if names else None
    alike = close.chance
    if place is not None:
        alike = alike[hashed[alike[:, 0], names[place]] == hashed[alike[:, 1], names[place]]]
    return Twins(
        pairs=rows[close.told], equal=len(np.unique(close.equal)),
        group=None if place is None else columns[names[place]].name, grouped=len(np.unique(alike)),
    )  # fmt: skip


def affordable(table: Table, store: Store, rows: np.ndarray, allowed: float, pace: Pace) -> np.ndarray:
    """Those of `rows` that there is time for, in `allowed` seconds; a few are tried first where that depends on it."""
    expected = seconds(store, table, len(rows))
    if expected > CLOSE_CALL * allowed and len(rows) > 2 * TRIED:
        few = some(rows, TRIED)
        twins(table, store, few)
        slow = pace.slowness(seconds(store, table, len(few)))
    else:
        slow = 1.0
    most = int(len(rows) * min(1.0, allowed / max(1e-9, slow * expected)))
    return some(rows, max(most, FEWEST))


def seconds(store: Store, table: Table, rows: int) -> float:
    """How long `twins` takes, about, on a quiet machine."""
    content = sum(rows / found.rate for block in store.blocks if (found := KINDS[block.kind].similarity))
    columns = len([c for c in table.inputs if not KINDS[c.kind].similarity])
    cells = rows * columns * A_CELL
    if not content and columns:
        ways = 1 + columns + (columns * (columns - 1) // 2 if columns <= MOST_PAIRED else 0)
        cells += rows * ways * A_WAY + AT_LEAST
    return content + cells


def groups(found: np.ndarray, rows: int) -> np.ndarray:
    """The group of each row [rows]: rows that are linked by pairs share one."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    links = sparse.coo_matrix((np.ones(len(found), bool), (found[:, 0], found[:, 1])), shape=(rows, rows))
    return np.asarray(connected_components(links, directed=False)[1])


def unlike(found: np.ndarray, table: Table) -> int:
    """How many of the pairs bear different labels."""
    return int((table.labels[found[:, 0]] != table.labels[found[:, 1]]).sum()) if table.task.classes else 0


def flaw(found: np.ndarray, table: Table, store: Store, looked: int, unlike: int) -> Flaw | None:
    """The finding: all but one of each group are too many; of a stated test none is taken out.

    Args:
        unlike: pairs that bear different labels, of those whose labels may be read.
    """
    if not len(found):
        return None
    group = groups(found, table.rows)
    part = np.full(table.rows, 3)
    for number, name in enumerate(("train", "valid", "calib", "test")):
        part[getattr(store.split, name)] = number
    rows = np.unique(found)
    rows = rows[part[rows] < 4]
    stated = table.part[rows]  # the last part stays
    order = rows[np.lexsort((rows, -stated.astype(int)))]
    _, first = np.unique(group[order], return_index=True)
    kept = np.zeros(table.rows, bool)
    kept[order[first]] = True
    drop = rows[~kept[rows]]
    learned = np.unique(group[np.setdiff1d(rows, store.split.test)])
    tested = store.split.test[np.isin(group[store.split.test], learned) & np.isin(store.split.test, rows)]
    are = "is a near duplicate" if len(drop) == 1 else "are near duplicates"
    also = "also appears" if len(tested) == 1 else "also appear"
    across = f"{len(tested):,} of {counted(len(store.split.test), 'test row')} {also} in the training data"
    differ = f"; {agreed(unlike, '1 pair has', '{} pairs have')} different labels" if unlike else ""
    partner = dict(found[::-1, ::-1].tolist())
    shown = np.concatenate([tested, np.setdiff1d(drop, tested)])
    back = dict(found[::-1].tolist())
    return Flaw(
        name="near_duplicates",
        says=f"{len(drop):,} of {looked:,} rows {are}; {across}{differ}.",
        rows=shown, twin=np.array([partner.get(r, back.get(r, -1)) for r in shown.tolist()], np.int64), drop=drop,
        facts={"rows": len(drop), "across": len(tested), "unlike": unlike},
    )  # fmt: skip


def _by_content(block: Block, table: Table, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([pairs, 2] positions in `rows`, how far apart each is, from 0 to 1 as far as that is known)."""
    similarity = KINDS[block.kind].similarity
    assert similarity is not None
    (column, *_) = block.columns
    tensor = store.tensor(block.name)
    return similarity.pairs(
        Rows(block=block, places=rows, tensor=tensor, cells=lambda: table.take(rows, [column])[column])
    )
