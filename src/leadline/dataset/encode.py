"""From a table to what contenders read: split the rows, hold out the labels of test rows, encode every row."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from leadline.config import Settings
from leadline.dataset.heldout import HeldOut
from leadline.dataset.sampling import WHOLE, Sample
from leadline.dataset.store import Store, build
from leadline.dataset.table import Table


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """How the tables of a run are encoded."""

    held_out: HeldOut
    settings: Settings
    cache: Path
    sample: Sample = WHOLE

    def __call__(self, table: Table, like: Store | None = None) -> tuple[Table, Store]:
        """The table without labels of its test rows, and its store; what `like` has decoded is not decoded again."""
        split = self.held_out.split(table, self.settings)
        table = self.held_out.without(table, split)
        store = build(
            table, split, self.cache, seconds=self.settings.seconds, key=_key(self.settings, table), like=like,
            sample=self.sample, weights=self.settings.weights,
        )  # fmt: skip
        return table, store


def _key(settings: Settings, table: Table) -> dict[str, Any]:
    """Everything that shapes a store besides the source, the columns and the budget."""
    excluded = None if table.excluded_from_training is None else table.excluded_from_training.tobytes()
    return {
        "seed": settings.seed, "group": settings.group or table.group_column, "time_column": settings.time_column,
        "test": settings.test,
        "part": blake2b(table.part.tobytes(), digest_size=16).hexdigest(),
        "excluded": None if excluded is None else blake2b(excluded, digest_size=16).hexdigest(),
    }  # fmt: skip


def shapes(store: Store) -> list[str]:
    """A line a block: what one row looks like after encoding."""
    return [
        f"{b.kind}: {', '.join(b.columns[:6])}{', …' if len(b.columns) > 6 else ''} -> {b.dtype} {list(b.shape)}"
        for b in store.blocks
    ]
