"""--fix: the table without what can be removed. And flaws.csv: every row of every flaw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from leadline.dataset.table import Table
from leadline.flaws import FLAWS
from leadline.flaws.flaw import Flaw


def fix(table: Table, flaws: Sequence[Flaw]) -> tuple[Table, list[str]]:
    """The table without these flaws, and what was done: a sentence for each."""
    messages = []
    for flaw in flaws:
        table, message = FLAWS[flaw.name].fix(table, flaw)
        messages.append(message)
    return table, messages


def write(flaws: Sequence[Flaw], path: Path) -> None:
    """CSV with flaw, row (from 1), the row that it repeats (from 1), suggested label."""
    parts = [
        pl.DataFrame(
            {
                "flaw": [flaw.name] * len(flaw.rows), "row": flaw.rows + 1,
                "duplicate_of": (np.full(len(flaw.rows), -1) if flaw.duplicate_of is None else flaw.duplicate_of) + 1,
                "suggested_label": list(flaw.suggested_labels or [""] * len(flaw.rows)),
            }
        ).with_columns(pl.col("row").cast(pl.Int64), pl.col("duplicate_of").cast(pl.Int64).replace(0, None))
        for flaw in flaws
        if len(flaw.rows)
    ]  # fmt: skip
    if parts:
        pl.concat(parts).write_csv(path)
