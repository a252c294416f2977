"""Rows that belong together but are parted by the split, and a stated test that is unlike the rest.

A group is a column with few rows a value, whose rows share their target far more than chance: a patient, a speaker, a
recording. Where such rows are in train and in test, the test asks for what was learned by heart. What it costs is
measured: the probe is scored on a split that keeps groups (or the order of time) whole, and on one that does not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.flaws.probe import Probe
from leadline.kinds import KINDS, Scale
from leadline.kinds.time import NEVER
from leadline.metrics.metrics import METRICS
from leadline.tasks import Binary

FEWEST_GROUPS, MOST_ROWS = 8, 50  # groups; rows of one on average
LAST = 0.25  # share of the groups, or of the rows by time, that is held apart to be tested on
AT_ONCE = 64  # columns that are taken together
MOST_TIMES = 2  # columns of times
FEWEST_DRIFT = 100  # rows of each part
ALIKE = 0.3  # how much more than chance rows of a group share their target


def _predefined(table: Table, settings: Settings) -> bool:
    """Whether the user, or the source, says how the rows are split."""
    columns = (settings.group, settings.time_column, table.group_column)
    return any(column is not None for column in columns) or bool((table.part == 2).any())


def grouping(table: Table, rows: np.ndarray, asked: Settings) -> dict[str, np.ndarray]:
    """{column: group number of each of `rows`} of columns that look like groups whose rows belong together."""
    if (
        asked.group is not None
        or asked.time_column is not None
        or table.group_column is not None
        or (table.part == 2).any()
    ):
        return {}
    files = {c.name for c in table.columns if KINDS[c.kind].is_file}
    named = {c.name for c in table.columns if KINDS[c.kind].scale in (Scale.NOMINAL, Scale.NUMERIC)}
    names = [c.name for c in table.columns if c.role != "target" and c.name in files | named]
    found = {}
    for cells in (cells for few in batched(names, AT_ONCE) for cells in table.take(rows, few).get_columns()):
        name = cells.name
        if cells.dtype.is_float() or (name in files and cells.dtype != pl.String):
            continue
        cells = _origins(cells) if name in files else cells
        _, codes = np.unique(cells.cast(pl.String).fill_null("").to_numpy().astype(str), return_inverse=True)
        counts = np.bincount(codes)
        several = counts[codes] > 1
        if len(counts) < FEWEST_GROUPS or several.mean() < 0.5 or len(rows) / len(counts) > MOST_ROWS:
            continue
        if shared(codes, table.labels[rows], bool(table.task.classes)) > ALIKE:
            found[name] = codes
    return found


def batched(names: list[str], size: int) -> Iterator[list[str]]:
    """The names, so many at once: to find some rows of a table costs as much for one column as for many."""
    return (names[start : start + size] for start in range(0, len(names), size))


def shared(codes: np.ndarray, labels: np.ndarray, classes: bool) -> float:
    """How much more than chance two rows of one group agree in the target: 0 not more, 1 always."""
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    one, other = labels[order][1:][same], labels[order][:-1][same]
    if len(one) < 20:
        return 0.0
    if classes:
        share = np.bincount(labels) / len(labels)
        chance = float((share**2).sum())
        return float(((one == other).mean() - chance) / (1 - chance)) if chance < 1 else 0.0
    spread = float(labels.var())
    return float(1 - ((one - other) ** 2).mean() / (2 * spread)) if spread else 0.0


def _origins(cells: pl.Series) -> pl.Series:
    """Of files, the name without its last number: recordings of one origin share it."""
    stems = cells.str.replace(r"^.*[/\\]", "").str.replace(r"\.[^.]*$", "")
    return stems.str.replace(r"[-_ .]?\d+$", "")


def drawn(group: np.ndarray) -> np.ndarray:
    """Where a row belongs to one of about a quarter of the groups: bool [rows]."""
    names = np.random.default_rng(0).permutation(int(group.max()) + 1)
    return np.asarray(np.argsort(names)[group] < LAST * len(names))


def latest(table: Table, rows: np.ndarray, asked: Settings) -> dict[str, np.ndarray]:
    """{column of times: where a row is of the latest quarter, bool [rows]}, the column with most moments first."""
    if (
        asked.group is not None
        or asked.time_column is not None
        or table.group_column is not None
        or (table.part == 2).any()
    ):
        return {}
    found: list[tuple[int, str, np.ndarray]] = []
    for column in table.columns:
        if KINDS[column.kind].scale is not Scale.TEMPORAL or column.role == "target":
            continue
        cells = table.take(rows, [column.name])[column.name]
        moments = np.asarray(KINDS[column.kind].decode(cells, table.source.root, column.settings).values)
        known = moments[moments != NEVER]
        if len(known) < 0.9 * len(rows):
            continue
        last = moments >= np.quantile(known, 1 - LAST)
        if 0 < last.sum() <= 2 * LAST * len(rows):
            found.append((len(np.unique(known)), column.name, last))
    return {name: last for _, name, last in sorted(found, key=lambda one: (-one[0], one[1]))[:MOST_TIMES]}


def parted(probe: Probe, rows: np.ndarray, labels: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, ...]:
    """(rows tested at random, answers, rows tested that belong together, answers); `whole` says which these are."""
    rng = np.random.default_rng(1)
    apart = np.zeros(len(rows), bool)
    apart[rng.choice(len(rows), int(whole.sum()), replace=False)] = True
    held = []
    for test in (apart, whole):
        held += [np.flatnonzero(test), probe.answers(rows[~test], labels[~test], rows[test])]
    return tuple(held)


def drift(store: Store, table: Table, rows: np.ndarray, threads: int) -> float | None:
    """How well rows of a stated test can be told from train rows, as AUC: 0.5 not at all. None where they are few."""
    stated = (table.part[rows] == 2).astype(np.int64)
    if min(stated.sum(), (1 - stated).sum()) < FEWEST_DRIFT:
        return None
    other = copy.copy(store)
    other.task = Binary(target=None, classes=("train", "test"), metric="auc")
    half = np.random.default_rng(0).random(len(rows)) < 0.5
    found = Probe(other, threads).answers(rows[half], stated[half], rows[~half])
    return METRICS["auc"](stated[~half], found)
