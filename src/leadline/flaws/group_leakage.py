"""Group leakage: rows of one group (a patient, a speaker, a recording) are on both sides of the split.

A group is a column with few rows a value, whose rows agree in the target far more than chance. A test on rows of known
groups rewards what was memorised. The impact is the score of the probe on a split that keeps groups whole, less that on
one that does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from leadline.flaws import impact
from leadline.flaws.detector import FEWEST, Detector, Finding, ScanData
from leadline.flaws.flaw import Flaw
from leadline.flaws.probe import some
from leadline.kinds import KINDS, Scale

FEWEST_GROUPS, MOST_ROWS = 8, 50  # groups; rows of one on average
LAST = 0.25  # share of the groups that is tested on
AT_ONCE = 64  # columns that are read together: to find some rows costs as much for one column as for many
ALIKE = 0.3  # how much more than chance rows of a group agree in the target
SAMPLE = 0.5  # of the rows at least: a smaller sample has one row of each group
FITS = 2


class GroupLeakage(Detector[None]):
    """Columns that name a group, where a random split makes the score too good."""

    name, title, description = "group_leakage", "Group leakage", "group leakage"

    def search(self, data: ScanData, seconds: float) -> Finding[None] | None:
        """Groups from train and valid rows, each with its impact."""
        rows = some(data.known_rows, max(FEWEST, data.probe.most_rows(seconds, FITS)))
        if len(rows) < SAMPLE * len(data.known_rows):
            return None
        files = {c.name for c in data.table.inputs if KINDS[c.kind].file_properties}
        flaws = []
        for name, group in ({} if data.predefined_split else dict(_groups(data, rows))).items():
            size = impact.random_split(data, rows, _some_groups(group), "with each group on one side of the split")
            if size is not None:
                option = "--group" if name in files else f"--group {name}"
                says = f"Rows of one {name!r} are alike, and are on both sides of the split; {option} keeps them whole."
                flaws.append(Flaw(name=self.name, impact=size, columns=(name,), says=says))
        return Finding(data=data, flaws=flaws)


def _groups(data: ScanData, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(column, group number of each of `rows`) of columns whose values look like groups."""
    table = data.table
    files = {c.name for c in table.columns if KINDS[c.kind].is_file}
    named = {c.name for c in table.columns if KINDS[c.kind].scale in (Scale.NOMINAL, Scale.NUMERIC)}
    names = [c.name for c in table.columns if c.role != "target" and c.name in files | named]
    batches = (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))
    for values in (values for batch in batches for values in table.take(rows, batch).get_columns()):
        name = values.name
        if values.dtype.is_float() or (name in files and values.dtype != pl.String):
            continue
        groups = _origins(values) if name in files else values
        _, codes = np.unique(groups.cast(pl.String).fill_null("").to_numpy().astype(str), return_inverse=True)
        counts = np.bincount(codes)
        shared = counts[codes] > 1
        if len(counts) < FEWEST_GROUPS or shared.mean() < 0.5 or len(rows) / len(counts) > MOST_ROWS:
            continue
        if _agreement(codes, table.labels[rows], bool(table.task.classes)) > ALIKE:
            yield name, codes


def _agreement(codes: np.ndarray, labels: np.ndarray, classes: bool) -> float:
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
    variance = float(labels.var())
    return float(1 - ((one - other) ** 2).mean() / (2 * variance)) if variance else 0.0


def _origins(paths: pl.Series) -> pl.Series:
    """File names without their last number: recordings of one origin share the rest."""
    stems = paths.str.replace(r"^.*[/\\]", "").str.replace(r"\.[^.]*$", "")
    return stems.str.replace(r"[-_ .]?\d+$", "")


def _some_groups(group: np.ndarray) -> np.ndarray:
    """bool [rows]: of a random quarter of the groups."""
    names = np.random.default_rng(0).permutation(int(group.max()) + 1)
    return np.asarray(np.argsort(names)[group] < LAST * len(names))
