"""Rows that are the same, or nearly: one that is in train and in test is answered from memory.

Pictures and sounds are compared by how they look (`looks.py`), texts by their wording (`wording.py`), series as
vectors. Other columns are compared cell by cell: rows are twins that agree in all cells but one or two, where so much
agreement cannot be chance. Where agreement in all cells but one is common, rows are that have rare cells (`rarity.py`).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from leadline.data.part import agreed, counted
from leadline.data.store import Block, Store
from leadline.data.table import Table
from leadline.flaws.flaw import Flaw
from leadline.flaws.looks import alike
from leadline.flaws.near import neighbours, pairs
from leadline.flaws.rarity import Tree, rare
from leadline.flaws.wording import pairs_of

BY_CONTENT = ("image", "audio", "text", "series")
MOST_PAIRED = 24  # columns; of more, rows that differ in two cells are not looked for
HALF = 0.5  # share of the other cells in which twins by content agree
RATES = {"image": 6_000.0, "audio": 400.0, "text": 5_000.0, "series": 10_000.0}  # rows a second
SPECTRA = 64  # of a sound
LONGER = 1.15  # times as long as the other one a twin may be
CHUNK = 2_048  # pictures held at once
CELLS_RATE = 1e7  # cells a second, squared where pairs of columns are left out


def twins(table: Table, store: Store, rows: np.ndarray) -> np.ndarray:
    """[pairs, 2] row numbers of twins, lower first."""
    content = [block for block in store.blocks if block.kind in BY_CONTENT]
    found: set[tuple[int, int]] | None = None
    for block in content:
        mine = {(a, b) for a, b in _by_content(block, table, store, rows).tolist()}
        found = mine if found is None else found & mine
    cells = [c.name for c in table.inputs if c.kind not in BY_CONTENT]
    if found is None:
        return rows[_by_cells(_hashed(table, cells, rows))] if cells else np.empty((0, 2), np.int64)
    held = np.array(sorted(found), np.int64).reshape(-1, 2)
    if cells and len(held):
        hashed = _hashed(table, cells, rows)
        held = held[(hashed[held[:, 0]] == hashed[held[:, 1]]).mean(axis=1) >= HALF]
    return rows[held]


def seconds(store: Store, table: Table, rows: int) -> float:
    """How long `twins` takes, about."""
    content = sum(rows / RATES[block.kind] for block in store.blocks if block.kind in BY_CONTENT)
    columns = len([c for c in table.inputs if c.kind not in BY_CONTENT])
    return content + rows * columns * (columns if not content and columns <= MOST_PAIRED else 1) / CELLS_RATE


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
    repeat = "repeats" if len(drop) == 1 else "repeat"
    have = "has" if len(tested) == 1 else "have"
    across = f"{len(tested):,} of {counted(len(store.split.test), 'test row')} {have} a twin that was learned from"
    differ = f"; {agreed(unlike, '1 pair bears', '{} pairs bear')} different labels" if unlike else ""
    partner = dict(found[::-1, ::-1].tolist())
    shown = np.concatenate([tested, np.setdiff1d(drop, tested)])
    back = dict(found[::-1].tolist())
    return Flaw(
        name="twins",
        says=f"{len(drop):,} of {looked:,} rows {repeat} another, or nearly: {across}{differ}.",
        rows=shown, twin=np.array([partner.get(r, back.get(r, -1)) for r in shown.tolist()], np.int64), drop=drop,
        facts={"rows": len(drop), "across": len(tested), "unlike": unlike},
    )  # fmt: skip


def _by_content(block: Block, table: Table, store: Store, rows: np.ndarray) -> np.ndarray:
    """[pairs, 2] positions in `rows`."""
    if block.kind == "text":
        texts = table.take(rows, [block.columns[0]])[block.columns[0]].fill_null("").to_list()
        return pairs_of(texts)
    tensor = store.tensor(block.name)
    if block.kind == "image":
        return alike(tensor[rows[start : start + CHUNK]] for start in range(0, len(rows), CHUNK))
    if block.kind == "audio":
        from leadline.kinds.audio import spectrogram

        lengths = np.array([(tensor[row] != block.padding).sum() for row in rows])
        found = alike(
            spectrogram(tensor[row][: length], block.settings, SPECTRA)[None]
            for row, length in zip(rows, lengths, strict=True)
        )  # fmt: skip
        low, high = np.sort(lengths[found], axis=1).T
        return np.asarray(found[high <= LONGER * low])  # a picture of all of it says nothing of how long it took
    vectors = np.nan_to_num(tensor[rows].reshape(len(rows), -1).astype(np.float32))
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    return pairs(*neighbours([vectors]))


def _hashed(table: Table, columns: list[str], rows: np.ndarray) -> np.ndarray:
    """A number a cell, the same for equal cells of a column: uint64 [rows, columns]."""
    frame = table.take(rows, columns)
    return np.stack([frame[name].hash(seed=place).to_numpy() for place, name in enumerate(columns)], axis=1)


def _by_cells(hashed: np.ndarray) -> np.ndarray:
    """[pairs, 2] positions of rows that agree in all cells but two, as far as that cannot be chance.

    Columns taken for independent, n rows have n^2 / 2 * product(c) such pairs by chance, c the share of pairs that
    agree in a column. Where that is above one half, agreement alone tells nothing; then, of rows that differ in one
    cell, those are taken that are too rare to have a partner by chance.
    """
    n, columns = hashed.shape
    bits = np.array([_bits(hashed[:, place]) for place in range(columns)])
    needed = 2 * np.log2(max(n, 2))
    left_out: list[tuple[int, ...]] = [()]
    left_out += [(a,) for a in range(columns)]
    left_out += list(combinations(range(columns), 2)) if columns <= MOST_PAIRED else []
    whole = hashed.sum(axis=1, dtype=np.uint64)
    found = [np.empty((0, 2), np.int64)]
    tree = None
    for less in left_out:
        certain = bits.sum() - bits[list(less)].sum() >= needed
        if not certain and (len(less) != 1 or not 2 < columns <= MOST_PAIRED):
            continue
        key = whole - hashed[:, list(less)].sum(axis=1, dtype=np.uint64)
        order = np.argsort(key, kind="stable")
        same = np.flatnonzero(key[order][1:] == key[order][:-1])
        mine = np.sort(np.stack([order[same], order[same + 1]], axis=1), axis=1)
        if not certain and len(mine):
            tree = tree or Tree(hashed)
            expected = tree.partners([k for k in range(columns) if k not in less])
            mine = mine[(expected[mine] <= rare(expected, _others(key) - _others(whole))).all(axis=1)]
        found.append(mine)
    return np.unique(np.concatenate(found), axis=0)


def _others(key: np.ndarray) -> np.ndarray:
    """[n] how many other rows have the same key."""
    _, group, count = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(count[group] - 1)


def _bits(cells: np.ndarray) -> float:
    """What agreement in a column is worth: minus the logarithm of the share of pairs that agree."""
    _, counts = np.unique(cells, return_counts=True)
    n = len(cells)
    agree = float((counts * (counts - 1.0)).sum()) / max(1.0, n * (n - 1.0))
    return float(-np.log2(max(agree, 1 / n**2)))
