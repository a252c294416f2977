"""A flaw of the data: what it is, on which rows, and its impact on the score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

SHOWN = 12  # rows of a flaw in result.json
FACTS = {
    "across": "test_duplicates", "unlike": "conflicting_labels", "learned": "training_impact",
    "tied": "file_properties",
}  # fmt: skip  # in result.json


@dataclass(frozen=True, kw_only=True)
class Impact:
    """The score without the flaw, less the score with it: negative where the flaw makes the score too good.

    In the unit of the metric, with a 95% interval.
    """

    size: float
    low: float
    high: float
    metric: str
    of: str  # whose score: that of a contender, or of the probe
    how: str  # what was compared, in a few words


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """One flaw of the data."""

    name: str  # as in FLAWS
    says: str  # one sentence for people
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))  # row numbers, the clearest first
    duplicate_of: np.ndarray | None = None  # [rows] the row that each one repeats
    suggested_labels: tuple[str, ...] | None = None  # [rows]
    columns: tuple[str, ...] = ()
    drop: np.ndarray | None = None  # row numbers that --fix removes
    fixes: int = 0  # rows or columns that --fix removes
    impact: Impact | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # more entries for result.json

    def as_dict(self) -> dict[str, Any]:
        """The entry of result.json, with its first rows; flaws.csv has all of them."""
        return {
            "name": self.name, "message": self.says, "rows": len(self.rows), "columns": list(self.columns),
            "examples": [
                {
                    "row": int(row),
                    "duplicate_of": None if self.duplicate_of is None else int(self.duplicate_of[place]),
                    "suggested_label": None if self.suggested_labels is None else self.suggested_labels[place],
                }
                for place, row in enumerate(self.rows[:SHOWN])
            ],
            "impact": None if self.impact is None else vars(self.impact), "fixes": self.fixes,
            **{FACTS.get(name, name): value for name, value in self.facts.items()},
        }  # fmt: skip
