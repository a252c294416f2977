"""Scores over the number of labelled rows: the best contender of each side, trained on nested parts of the rows.

Enters: the data of a finished run, and seconds. Leaves: a `LearningCurve` a side. Every point is a race of its own on a
store of its own, so that all that is learned from rows, encoding included, is learned from so many of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leadline.core.records import Side
from leadline.core.tensors import Split
from leadline.dataset.store import again
from leadline.race.context import memory_cap
from leadline.race.journal import Journal
from leadline.race.local_executor import LocalExecutor
from leadline.race.race import Race, Setup
from leadline.results.run_data import RunData
from leadline.stats.worth import LearningCurve
from leadline.system.errors import BudgetError
from leadline.system.resources import cores

SIZES, DRAWS = 5, 3  # numbers of rows, and draws of each
FEWEST_SIZES, FEWEST_DRAWS = 3, 2
A_POINT = 8.0  # seconds that the race of a point needs at least
SMALLEST = 16  # labelled rows of the first point, and two of each class
FEWEST_VALID = 4

Watch = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Design:
    """How many labelled rows, and how many draws of each."""

    sizes: tuple[int, ...]
    draws: int
    each_s: float  # seconds of a point

    @classmethod
    def of(cls, labelled: int, classes: int, seconds: float) -> Design:
        """As many points as there is time for.

        Raises:
            BudgetError: there is no time for the fewest, or there are too few rows.
        """
        least = max(SMALLEST, 2 * classes, labelled // 32)
        if 4 * least > labelled:
            raise BudgetError(
                f"Learning curves need at least {4 * least:,} labelled rows of train and valid, and there are "
                f"{labelled:,}; give more rows."
            )
        for draws, sizes in ((DRAWS, SIZES), (FEWEST_DRAWS, SIZES), (FEWEST_DRAWS, 4), (FEWEST_DRAWS, FEWEST_SIZES)):
            each = seconds / (draws * sizes)
            if each >= A_POINT:
                spaced = np.geomspace(least, labelled, sizes).round().astype(int)
                return cls(sizes=tuple(int(size) for size in spaced), draws=draws, each_s=each)
        needed = A_POINT * FEWEST_DRAWS * FEWEST_SIZES
        raise BudgetError(f"Learning curves need at least {needed:.0f} s; give a larger --budget.")


def measure(
    data: RunData, contenders: Mapping[Side, str], design: Design, watch: Watch
) -> dict[Side, LearningCurve]:  # fmt: skip
    """Train the contenders on every part of the rows.

    Returns:
        {side: its curve}, of the sides whose contender finished with every number of rows.
    """
    seed = data.settings.seed
    answers: dict[Side, list[list[np.ndarray]]] = {side: [[] for _ in design.sizes] for side in contenders}
    for draw in range(design.draws):
        for place, (size, split) in enumerate(zip(design.sizes, _nested(data, design.sizes, seed + draw), strict=True)):
            watch(f"{size:,} labelled rows, draw {draw + 1} of {design.draws}")
            found = _point(data, split, list(contenders.values()), seed + draw, design.each_s)
            for side, name in contenders.items():
                if name in found:
                    answers[side][place].append(found[name])
    whole = {side: points for side, points in answers.items() if all(points)}
    return {side: LearningCurve(sizes=design.sizes, answers=points) for side, points in whole.items()}


def _nested(data: RunData, sizes: tuple[int, ...], seed: int) -> Iterator[Split]:
    """A part of the train and valid rows for each size, each within the next; every class keeps its share."""
    split, labels = data.store.split, data.table.labels
    rng = np.random.default_rng(seed)
    train, valid = (
        _order(rows, data.store.task.strata(labels[rows]), rng) for rows in (split.train, split.valid)
    )  # fmt: skip
    labelled, none = len(train) + len(valid), np.array([], np.int64)
    for size in sizes:
        few = min(len(valid), max(FEWEST_VALID, round(size * len(valid) / labelled)))
        yield Split(train=np.sort(train[: size - few]), valid=np.sort(valid[:few]), calib=none, test=split.test)


def _order(rows: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows in a random order, of which every beginning has about the shares of the strata."""
    if len(np.unique(strata)) > len(rows) / 2:  # values, of which hardly one comes twice
        return rng.permutation(rows)
    at = np.empty(len(rows))
    for value in np.unique(strata, axis=0):
        here = np.flatnonzero(strata == value)
        at[rng.permutation(here)] = (np.arange(len(here)) + rng.random()) / len(here)
    return np.asarray(rows[np.argsort(at, kind="stable")])


def _point(data: RunData, split: Split, names: list[str], seed: int, seconds: float) -> dict[str, np.ndarray]:
    """{contender: scores on the test rows}, trained on the rows of a split."""
    until = time.monotonic() + seconds
    with (
        tempfile.TemporaryDirectory(prefix="leadline-curve-", ignore_cleanup_errors=True) as folder,
        closing(Journal(Path(folder) / "journal.jsonl", time.monotonic())) as journal,
        again(data.store, data.table, split) as store,
    ):
        setup = Setup(executor=LocalExecutor(cores(), memory_cap(data.settings)))
        with closing(Race(store, names, Path(folder), setup, seed=seed, journal=journal, number=1)) as race:
            race.run(until=max(until, time.monotonic() + A_POINT / 2))
            if race.stopped:
                raise KeyboardInterrupt
            return {entry.name: entry.scores() for entry in race.entries if entry.done}
