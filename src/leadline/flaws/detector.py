"""What every flaw has in common: one class that searches for it, measures its impact and removes it.

A new flaw is a class like this and one entry in `FLAWS` (`flaws/__init__.py`). Nothing else names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from leadline.config import Settings
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.flaws.flaw import Flaw, Impact
from leadline.flaws.probe import Probe
from leadline.flaws.time_budget import Pace
from leadline.metrics.metrics import METRICS, Metric

E = TypeVar("E")
FEWEST = 200  # rows, to say anything about labels or groups
PREDEFINED_TEST = 2  # in `Table.part`


@dataclass(frozen=True, kw_only=True)
class ScanData:
    """What a detector reads. The labels of test rows are hidden until the verdict."""

    table: Table
    store: Store
    settings: Settings
    threads: int
    pace: Pace | None = None  # None: without a time limit

    @cached_property
    def probe(self) -> Probe:
        """The quick model that flaws are measured with."""
        return Probe(self.store, self.threads, self.pace)

    @cached_property
    def known_rows(self) -> np.ndarray:
        """Row numbers of train and valid, ascending: their labels may be read."""
        split = self.store.split
        return np.sort(np.concatenate([split.train, split.valid]))

    @cached_property
    def all_rows(self) -> np.ndarray:
        """Row numbers of every part of the split, ascending."""
        split = self.store.split
        return np.sort(np.concatenate([split.train, split.valid, split.calib, split.test]))

    @property
    def metric(self) -> Metric:
        """The metric of the task."""
        return METRICS[self.table.task.metric]

    @property
    def in_predefined_test(self) -> np.ndarray:
        """bool [all rows of the table]: in a test set that the source or the user defines."""
        return np.asarray(self.table.part == PREDEFINED_TEST)

    @property
    def predefined_split(self) -> bool:
        """Whether the source or the user says how rows are split."""
        columns = (self.settings.group, self.settings.time_column, self.table.group_column)
        return any(column is not None for column in columns) or bool(self.in_predefined_test.any())


@dataclass(frozen=True, kw_only=True)
class Finding(Generic[E]):
    """The result of one search."""

    data: ScanData  # that was searched
    flaws: Sequence[Flaw] = ()
    messages: Sequence[str] = ()  # for the run's warnings
    evidence: E | None = None  # what `revisit` and `search_fold` need


@dataclass(frozen=True, kw_only=True)
class TestAnswers:
    """The predictions of the shipped contender for the test rows."""

    __test__ = False  # no test class, whatever pytest makes of the name

    contender: str
    rows: np.ndarray  # row numbers [n]
    labels: np.ndarray  # [n]
    answers: np.ndarray  # [n, ...]
    metric: Metric
    classes: int


class Detector(ABC, Generic[E]):
    """Searches for one flaw. Stateless: what was found is in a `Finding`."""

    name: str  # in --fix and in files
    title: str  # in the report
    description: str  # in the list of what was searched for
    share: float = 0.25  # of the scan's time; 0: always searched for, in no time
    before_split: bool = False  # searched for without labels or a probe, and removed before rows are split
    removal: str = ""  # what --fix does, in a word or two; '' where it can do nothing

    @abstractmethod
    def search(self, data: ScanData, seconds: float) -> Finding[E] | None:
        """Search before the race, in about so many seconds; None where there are too few rows or too little time."""

    def revisit(self, finding: Finding[E], data: ScanData) -> Sequence[Flaw]:
        """The flaws again after the verdict; `data` is that of the finding, with the labels of test rows."""
        return finding.flaws

    def search_fold(self, data: ScanData, first: Finding[E]) -> Sequence[Flaw]:
        """Search the train and valid rows of another fold, with the effort of the first search, for --fix."""
        found = self.search(data, 0.0)
        return () if found is None else found.flaws

    def impact(self, flaw: Flaw, test: TestAnswers) -> Impact | None:
        """The impact, where the predictions for the test rows say more of it than the search did."""
        return flaw.impact

    def fix(self, table: Table, flaw: Flaw) -> tuple[Table, str]:
        """The table without the flaw, and what was done in a sentence."""
        raise NotImplementedError(f"{self.name} has no fix")
