"""A sample of rows as they are, and with blocks of which the traces of files are evened out, ready for the probe.

How that is done a kind says (`core/kind.py`, `FileProperties`). What the probe then still knows, it knows from the
content.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from leadline.dataset.store import Store
from leadline.graph.runtime import Session


class Sample:
    """A store of some rows alone, numbered from 0, of which blocks may be replaced."""

    def __init__(self, store: Store, rows: np.ndarray, replaced: Mapping[str, np.ndarray] | None = None) -> None:
        self.task, self.blocks = store.task, store.blocks
        self._store, self._rows, self._replaced = store, rows, dict(replaced or {})
        self._made: dict[str, np.ndarray] = {}

    def tensor(self, name: str) -> np.ndarray:
        """As of the store: [rows, ...]."""
        if name not in self._made:
            block, _, form = name.partition(".")
            if block not in self._replaced:
                self._made[name] = np.asarray(self._store.tensor(name)[self._rows])
            elif not form:
                self._made[name] = self._replaced[block]
            else:
                session, held = Session(self._store.graph(name)), self._replaced[block]
                parts = [session({"encoded": held[at : at + 256]})[form] for at in range(0, len(held), 256)]
                self._made[name] = np.concatenate(parts)
        return self._made[name]
