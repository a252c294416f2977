"""The rows of a finished run again as they lie in its source: what reads some of them needs no more.

Enters: a run folder. Leaves: `RunRows`, with the table, all its labels, and which rows are in which part. Nothing is
decoded or encoded: from an empty cache `RunData` (run_data.py) has to do that with every row. Nothing is written to the
run folder.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from functools import cached_property

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.core.tensors import Split
from leadline.dataset.sampling import Ration
from leadline.dataset.split_table import draw
from leadline.dataset.table import Table
from leadline.dataset.table import read as infer_table
from leadline.race import history
from leadline.readers.find import cache_of
from leadline.results.run import Run
from leadline.results.run_data import RunData, differs, find_again, tested
from leadline.results.run_folder import read_config
from leadline.system.cache import in_use
from leadline.system.os_errors import spoken

__all__ = ["RunRows"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRows:
    """Table, labels and split of a finished run. Rows are numbers of `table`, from 0.

    The cache cannot be cleared while the object lives.
    """

    run: Run
    settings: Settings
    table: Table  # with all labels: the verdict is made
    share: float | None  # of the rows that the run had time to decode
    _in_use: ExitStack = dataclasses.field(repr=False, compare=False)

    @classmethod
    def open(cls, run: Run) -> RunRows:
        """The rows of a run.

        Raises:
            LeadlineError: where the data have changed, were in memory, or do not come out as they were in the run.
        """
        past = history.read(run.folder)
        settings, source, test = read_config(run.folder)
        cache = cache_of(settings)
        with spoken(cache=cache, out=run.folder), ExitStack() as ends:
            ends.enter_context(in_use(cache))
            table = infer_table(find_again(run.folder, past, settings, source, test), settings)
            rows = cls(run=run, settings=settings, table=table, share=past.share, _in_use=ends.pop_all())
            rows.check()
            return rows

    @cached_property
    def test(self) -> np.ndarray:
        """The test rows, rising: the run wrote them down."""
        return tested(self.run, ["row"])["row"].to_numpy()

    def rows(self, part: str) -> np.ndarray:
        """Row numbers int64 [n] of a part of the split: train, valid, calib or test.

        Of parts other than test, rows that turn out unreadable are among them. Where the run removed flaws, the others
        are known only when every row has been encoded again.
        """
        if part == "test":
            return self.test
        if self.settings.fixes:
            return RunData.open(self.run).rows(part)
        return np.asarray(getattr(self._split, part))

    @cached_property
    def _split(self) -> Split:
        split = draw(self.table, self.settings)
        if self.share is not None:
            split = split.without(np.flatnonzero(~Ration(self.table.rows, self.share).drawn()).tolist())
        if not np.isin(self.test, split.test).all():
            raise differs(self.run)
        return split

    def check(self) -> None:
        """That the test rows have the labels that the run has written down."""
        there = bool(len(self.test)) and int(self.test[-1]) < self.table.rows
        written = tested(self.run, ["truth"])["truth"]
        if not there or not written.equals(pl.Series(self.table.task.true(self.table.labels[self.test]))):
            raise differs(self.run)
