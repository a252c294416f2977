"""A flaw: what was found, on which rows, and what it does to the score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

SHOWN = 12  # rows of a flaw that are shown


@dataclass(frozen=True, kw_only=True)
class Price:
    """What the score would be without the flaw, less what it is with it: below zero, the flaw flatters.

    In the metric's own unit, with a 95% interval.
    """

    size: float
    low: float
    high: float
    metric: str
    of: str  # whose score: a contender's, or that of the probe that looked for it
    how: str  # what was compared, in a few words


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """One finding. `twin` gives for a row the one that it repeats, `said` what its label should be.

    `fix` says what --fix does about it: 'rows' and 'columns' are taken out; '' where nothing can be taken out.
    """

    name: str  # as in ORDER of scan.py
    says: str
    rows: np.ndarray = field(
        default_factory=lambda: np.empty(0, np.int64)
    )  # row numbers of the table, most telling first
    twin: np.ndarray | None = None  # of each row
    said: tuple[str, ...] | None = None  # of each row
    columns: tuple[str, ...] = ()
    drop: np.ndarray | None = None  # rows that --fix takes out
    price: Price | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As result.json has it: of rows, those that are shown; the rest are in flaws.csv."""
        return {
            "name": self.name, "says": self.says, "rows": len(self.rows), "columns": list(self.columns),
            "shown": [
                {
                    "row": int(row), "twin": None if self.twin is None else int(self.twin[place]),
                    "said": None if self.said is None else self.said[place],
                }
                for place, row in enumerate(self.rows[:SHOWN])
            ],
            "price": None if self.price is None else vars(self.price),
            "fixes": len(self.columns) * (self.name == "target_leakage") if self.drop is None else len(self.drop),
            **self.facts,
        }  # fmt: skip
