"""The data of a finished run again: what explains, shrinks or continues it starts from these.

Enters: a run folder, and its source where that was in memory. Leaves: `RunData`, by the steps that the run itself took
(prepare.py), with its settings, and with the readings of its clock wherever a step depends on time. Nothing is written
to the run folder.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.core.contender import Clock, readings
from leadline.core.tensors import Split
from leadline.dataset.sampling import Sample
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.flaws.scan import READINGS
from leadline.prepare import examine, prepare
from leadline.race import history
from leadline.race.history import Past
from leadline.readers.find import cache_of, find
from leadline.readers.source import Source
from leadline.results.registry import open_run
from leadline.results.run import Run
from leadline.results.run_folder import read_config
from leadline.system.cache import in_use
from leadline.system.errors import SourceError
from leadline.system.os_errors import spoken
from leadline.use.model import Model

__all__ = ["RunData", "differs", "find_again", "tested"]

CONTENDERS = "contenders"  # folders of predictions, in the run folder


def find_again(folder: Path, past: Past, settings: Settings, source: Any, test: Any) -> Source:
    """The source of a run, as `read_config` gives it; raises SourceError where its content has changed."""
    try:
        found = find(source, test, settings)
    except SourceError as error:
        gone = [each for each in (source, test) if not _there(each)]
        if not gone:
            raise
        where = "as the second argument, after the run (source= in Python)"
        if gone[0] is not source:
            where = "in Python, as test="
        raise SourceError(
            f"{error}; {folder} was run on {gone[0]}: if that has moved, give the place where it is now {where}"
        ) from error
    if found.digest != past.digest:
        raise SourceError(
            f"{found.name} is not what {folder} was run on: its content has changed. Point to the data as it was, or "
            "start a new run with leadline fit."
        )
    return found


def _there(source: Any) -> bool:
    """Whether a path leads anywhere; true of what is in memory."""
    return not isinstance(source, str | Path) or Path(source).expanduser().exists()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunData:
    """Table, encoded rows, labels, predictions and model of a finished run. Rows are numbers of `table`, from 0.

    The cache cannot be cleared while the object lives.
    """

    run: Run
    settings: Settings
    table: Table  # with all labels, those of test rows included: the verdict is made
    store: Store  # as contenders had it: without labels of test rows
    unread_test: np.ndarray  # test rows, rising, that the run had no time to decode, and that are not in the store
    _in_use: ExitStack = dataclasses.field(repr=False, compare=False)

    @classmethod
    def open(cls, run: Run | str | Path, source: Any = None, test: Any = None) -> RunData:
        """The data of a run.

        Args:
            run: the run, or its folder.
            source, test: where the data are now, or the frame or arrays that were given (default: as the run says).

        Raises:
            LeadlineError: where the data have changed, were in memory and are not given again, or do not come out as
                they were in the run.
        """
        run = run if isinstance(run, Run) else open_run(run)
        past = history.read(run.folder)
        settings, source, test = read_config(run.folder, source, test)
        cache, clock = cache_of(settings), _clock(run.folder, settings)
        with spoken(cache=cache, out=run.folder), ExitStack() as ends:
            ends.enter_context(in_use(cache))
            data = prepare(
                examine(find_again(run.folder, past, settings, source, test), settings), settings, cache, clock,
                sample=Sample(share=past.share),
            )  # fmt: skip
            _check(run, data.store.split)
            unread = _unread(data.held_out.split(data.table, settings).test, data.store)
            data.held_out.decide()
            return cls(
                run=run, settings=settings, table=data.held_out.opened(data.table), store=data.store,
                unread_test=unread,
                _in_use=ends.pop_all(),
            )  # fmt: skip

    @property
    def model(self) -> Model:
        """The shipped model. Raises `ModelError` where nothing could be shipped."""
        return self.run.model

    def rows(self, part: str) -> np.ndarray:
        """Row numbers int64 [n] of a part of the split: train, valid, calib or test."""
        return np.asarray(getattr(self.store.split, part))

    def labels(self, part: str) -> np.ndarray:
        """Labels [n] of a part, of the test as the judge had them: class numbers, packed labels, or values."""
        return np.asarray(self.table.labels[self.rows(part)])

    def predictions(self, contender: str, part: str = "test") -> np.ndarray:
        """What a contender answered on a part, before calibration: [n, classes], values [n], or bits [n].

        Raises:
            SourceError: where the run folder does not hold them; it says which it holds.
        """
        folder = self.run.folder / CONTENDERS
        path = folder / contender / f"{part}.npy"
        if not path.is_file():
            there = sorted(f"{each.parent.name} on {each.stem}" for each in folder.glob("*/*.npy"))
            raise SourceError(
                f"{self.run.folder} holds no predictions of {contender} on {part} rows; "
                f"it holds {', '.join(there) or 'none'}."
            )
        predicted = np.asarray(np.load(path))
        if len(predicted) != len(self.rows(part)):
            raise SourceError(
                f"{path} has {len(predicted):,} predictions, where the run has {len(self.rows(part)):,} {part} rows; "
                "start the run again with leadline fit."
            )
        return predicted


def _clock(folder: Path, settings: Settings) -> Clock | None:
    """The clock by which the run removed flaws; None where it removed none, so that no search is needed."""
    if not settings.fixes:
        return None
    path = folder / READINGS
    if not path.is_file():
        raise SourceError(f"{path} is missing, and --fix depends on it; start the run again with leadline fit.")
    return Clock(settings.seconds, readings=readings(path))


def _unread(test: np.ndarray, store: Store) -> np.ndarray:
    """Those of all test rows that the store has in no part, and did not find unreadable."""
    return np.setdiff1d(test, np.concatenate([*vars(store.split).values(), [row for row, _ in store.bad]]))


def tested(run: Run, columns: list[str]) -> pl.DataFrame:
    """Columns of what the run has written of each test row. Raises SourceError where it cannot be read."""
    path = run.folder / "predictions.parquet"
    try:
        return pl.read_parquet(path, columns=columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path} is missing or damaged; start the run again with leadline fit.") from error


def differs(run: Run) -> SourceError:
    """The error where another version reads or splits rows in another way."""
    return SourceError(
        f"The rows of {run.folder} are split in another way by this version of Leadline (the run was made by "
        f"{run.result['leadline']}); start the run again with leadline fit."
    )


def _check(run: Run, split: Split) -> None:
    """That the rows are split as in the run."""
    rows = tested(run, ["row"])["row"].to_numpy()
    if split.counts() != run.result["rows"] or not np.array_equal(rows, split.test):
        raise differs(run)
