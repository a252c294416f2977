"""What published findings say of a kind of data, before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

DEEP, CLASSICAL, EITHER = "deep", "classical", "either"
USUALLY, OFTEN, OPEN = "usually", "often", "open"


class Finding(NamedTuple):
    """What holds from so many rows to learn from on."""

    least: int
    answer: str  # deep, classical or either
    sure: str  # usually, often or open
    because: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Textbook:
    """What a kind of data is called, and what holds of it."""

    data: str  # the rows in plain words: 'images'
    findings: tuple[Finding, ...]  # most rows first; the last holds from 0
    rank: int  # of several kinds in one table, the lowest says what the data are
    seconds: float = 5e-4  # of a core that a network takes for a row until it has learned something: rough, and ours
    by_class: bool = False  # rows are counted a class, or as a tenth of them where a number is asked
    pretrained: bool = False  # networks that others have trained are usual, and there are none here
    amount: str = "{:,} rows"  # what there is of it
    beside: float = float("inf")  # times as many other columns make it a table that has such a column
