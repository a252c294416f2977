"""The values of a file to predict, compared with the contract of the model.

Enters: the contract's inputs, and how each column of the file is read; then decoded values, batch by batch. Leaves:
messages: columns in another notation, values that count as missing, and columns of which most values are missing, or
were absent from the train rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from leadline.core.kind import Decoded, Parsed, absent
from leadline.kinds import KINDS

MOST = 0.5  # share of a column's values from which a message says that they are missing or unseen
USUAL = 2.0  # times as many as in the train rows
FEWEST = 5  # fewest rows for a message about missing values


class Watch:
    """Counts, by column, over all parts of a source."""

    def __init__(self, inputs: Mapping[str, Mapping[str, Any]]) -> None:
        self.inputs = inputs
        self.own: dict[str, Mapping[str, Any]] = {}  # how values are decoded, where not as the contract says
        self.row = 0  # the first row of the frame at hand
        self.numbers: np.ndarray | None = None  # of its rows, where they do not follow each other
        self.counts: dict[str, int] = dict.fromkeys(inputs, 0)
        self.missing: dict[str, int] = dict.fromkeys(inputs, 0)
        self.odd: dict[str, tuple[int, str]] = {}  # values that could not be read, and the first of them
        self.unseen: dict[str, tuple[int, str]] = {}
        self._levels = {
            name: pl.Series(facts["levels"], dtype=pl.String).implode()
            for name, facts in inputs.items()
            if facts.get("levels")
        }

    def settings(self, name: str) -> Mapping[str, Any]:
        """How the values of a column are decoded."""
        settings: Mapping[str, Any] = self.own.get(name, self.inputs[name]["decode"])
        return settings

    def note(self, name: str, decoded: Decoded, start: int) -> None:
        """Count decoded values of a kind that has one array for all rows; `start` is their first row in the frame."""
        values = np.asarray(decoded.values)
        missing_here = absent(values)
        self.counts[name] += len(missing_here)
        self.missing[name] += int(missing_here.sum()) - len(decoded.bad)
        if decoded.bad and isinstance(KINDS[self.inputs[name]["kind"]], Parsed):
            row, why = next(iter(decoded.bad.items()))
            number = self.row + start + row if self.numbers is None else int(self.numbers[start + row])
            count, first = self.odd.get(name, (0, f"row {number + 1} ({why})"))
            self.odd[name] = count + len(decoded.bad), first
        if name in self._levels:
            words = pl.Series(values.tolist(), dtype=pl.String)
            strange = words.filter(~words.is_in(self._levels[name]) & ~pl.Series(missing_here))
            if len(strange):
                count, example = self.unseen.get(name, (0, strange[0]))
                self.unseen[name] = count + len(strange), example

    def messages(self) -> list[str]:
        """The messages, one sentence each."""
        messages = []
        for name, (count, first) in self.odd.items():
            many = "1 value counts" if count == 1 else f"{count:,} values count"
            messages.append(f"In column {name!r} {many} as missing, such as {first}.")
        for name, (count, example) in self.unseen.items():
            if count > MOST * self.counts[name]:
                messages.append(
                    f"{count:,} of {self.counts[name]:,} values of {name!r} never occur in the rows that the model "
                    f"learned from, such as {example!r}."
                )
        for name, count in self.missing.items():
            usual, total = self.inputs[name].get("missing"), self.counts[name]
            if usual is not None and total >= FEWEST and count > max(MOST, USUAL * usual) * total:
                messages.append(
                    f"{count:,} of {total:,} values of {name!r} are missing, where {usual:.0%} were in the train rows."
                )
        return messages
