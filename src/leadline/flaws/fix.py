"""--fix: the table without what can be taken out, and a line for each that was."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from leadline.dataset.table import Table
from leadline.flaws.flaw import Flaw
from leadline.readers.part import agreed
from leadline.readers.source import BadRow

NOWHERE = 3  # the part of rows that are in none


def mended(table: Table, flaws: Sequence[Flaw], names: Sequence[str]) -> tuple[Table, list[str]]:
    """The table without the named flaws, and what was done.

    Twins leave it; rows with suspect labels are no longer learned from, but still tested on, since a test without the
    rows that a model gets wrong would flatter it; leaking columns are dropped.
    """
    part, bad, said, columns = table.part.copy(), list(table.bad), list[str](), table.columns
    excluded = np.empty(0, np.int64)
    for flaw in flaws:
        if flaw.name not in names:
            continue
        if flaw.name == "near_duplicates" and flaw.drop is not None:
            part[flaw.drop] = NOWHERE
            twin = dict(zip(flaw.rows.tolist(), flaw.twin.tolist(), strict=True)) if flaw.twin is not None else {}
            bad += [
                BadRow(
                    place=f"{table.source.name} row {row + 1}", reason=f"taken out: repeats row {twin.get(row, -1) + 1}"
                )
                for row in flaw.drop.tolist()
            ]
            were = agreed(len(flaw.drop), "1 row that repeats another was", "{} rows that repeat another were")
            said.append(f"{were} taken out.")
        elif flaw.name == "label_errors" and flaw.drop is not None:
            excluded = np.sort(flaw.drop)
            are = agreed(len(excluded), "1 row with a suspect label is", "{} rows with suspect labels are")
            said.append(f"{are} not learned from.")
        elif flaw.name == "target_leakage":
            columns = tuple(
                dataclasses.replace(c, role="dropped", note="taken out: it gives the target away")
                if c.name in flaw.columns
                else c
                for c in columns
            )
            said.append(f"{', '.join(map(repr, flaw.columns))} was taken out: it gives the target away.")
    return dataclasses.replace(
        table, part=part, bad=tuple(bad), columns=columns, excluded_from_training=excluded if len(excluded) else None
    ), said


def write(flaws: Sequence[Flaw], path: Path) -> None:
    """Every row of every flaw: CSV with flaw, row (from 1), twin (from 1), suggested label."""
    parts = [
        pl.DataFrame(
            {
                "flaw": [flaw.name] * len(flaw.rows), "row": flaw.rows + 1,
                "twin": (flaw.twin if flaw.twin is not None else np.full(len(flaw.rows), -1)) + 1,
                "label": list(flaw.said) if flaw.said is not None else [""] * len(flaw.rows),
            }
        ).with_columns(pl.col("row").cast(pl.Int64), pl.col("twin").cast(pl.Int64).replace(0, None))
        for flaw in flaws
        if len(flaw.rows)
    ]  # fmt: skip
    if parts:
        pl.concat(parts).write_csv(path)
