"""How long the end of a run takes, after the race: export, the check row by row, the verdict, the report.

Measured on two cores at 2.5 GHz: 2 to 3.4 s for tables and pictures, 4.8 for sounds, and what the test rows take. Each
contender says what depends on it (`export_seconds`).
"""

from __future__ import annotations

from collections.abc import Sequence

from leadline.contenders.portfolio import PORTFOLIO
from leadline.dataset.store import Store
from leadline.kinds import KINDS

A_COLUMN = 2.5e-3  # seconds for a column of a table: each is decoded by itself
MOST, MOST_USUAL = 0.4, 0.2  # of the budget; for all, and for what depends on neither rows nor columns


def reserve(store: Store, names: Sequence[str], seconds: float, slow: float) -> float:
    """Seconds of a budget to keep for it, on a machine that is so many times slower than alone (`slowdown`)."""
    usual = min(slow * max(PORTFOLIO[name].export_seconds for name in names), MOST_USUAL * seconds)
    rows = [slow * KINDS[block.kind].seconds_per_row for block in store.blocks]
    rows += [slow * PORTFOLIO[name].row_seconds for name in names]
    row = max(store.a_row, *rows)  # the first was measured
    columns = slow * A_COLUMN * sum(len(block.columns) for block in store.blocks)
    return min(usual + row * len(store.split.test) + columns, MOST * seconds)
