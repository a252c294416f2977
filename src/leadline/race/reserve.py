"""How long the end of a run takes, after the race: export, the check row by row, the verdict, the report.

Measured on two cores at 2.5 GHz: 2 to 3.4 s for tables and pictures, 4.8 for sounds, and what the test rows take.
"""

from __future__ import annotations

from collections.abc import Sequence

from leadline.data.store import Store
from leadline.race.measure import busy

USUAL = 3.5  # seconds
LONGER = {"crnn": 4.5, "lstm": 5.0, "gpt": 6.0}  # for these contenders
A_ROW = {"image": 5e-4, "audio": 4e-3, "tokens": 4e-3}  # seconds for a row of the file that ships, 3e-5 where not named
A_COLUMN = 2.5e-3  # seconds for a column of a table: each is decoded by itself
MOST = 0.4  # of the budget


def reserve(store: Store, names: Sequence[str], seconds: float) -> float:
    """Seconds of a budget to keep for it, as busy as the machine is now."""
    row = max(store.a_row, *(A_ROW.get(block.kind, 3e-5) for block in store.blocks))
    export = max(LONGER.get(name, USUAL) for name in names)
    columns = sum(len(block.columns) for block in store.blocks)
    return min(busy() * (export + row * len(store.split.test) + A_COLUMN * columns), MOST * seconds)
