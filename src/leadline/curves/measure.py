"""Scores over the number of labelled rows: the best contender of each side, trained on nested parts of the rows.

Enters: the data of a finished run, and seconds. Leaves: a `LearningCurve` a side. Every point is a race of its own on a
store of its own, so that all that is learned from rows, encoding included, is learned from so many of them.
"""

from __future__ import annotations

import math
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
from leadline.race.init import networks
from leadline.race.journal import Journal
from leadline.race.local_executor import Idle, LocalExecutor
from leadline.race.race import Race, Setup
from leadline.results.run_data import RunData
from leadline.stats.worth import LearningCurve
from leadline.system.errors import BudgetError
from leadline.system.resources import cores

SIZES, DRAWS = 5, 3  # numbers of rows, and draws of each
PLANS = ((DRAWS, SIZES), (2, SIZES), (2, 4), (2, 3))  # draws, sizes: the first that there is time for
LEAST_SHARE = 0.5  # of the seconds of a training on all rows, however few: test rows are answered all the same
START_S = 4.0  # seconds of a point beside the training of a contender: its process, its rows
ROOM = 1.5  # times the expected seconds that a training is given
SMALLEST = 16  # labelled rows of the first point, and two of each class
FEWEST_VALID = 4

Watch = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Design:
    """How many labelled rows, how many draws of each, and the seconds of each training."""

    sizes: tuple[int, ...]
    draws: int
    seconds: tuple[Mapping[str, float], ...]  # of each size: {contender: expected seconds}

    @classmethod
    def of(cls, labelled: int, classes: int, fit_s: Mapping[str, float], seconds: float) -> Design:
        """As many points as there is time for.

        Args:
            fit_s: {contender: seconds of its training on all rows}, as the run took them.

        Raises:
            BudgetError: there is no time for the fewest, or there are too few rows.
        """
        least = max(SMALLEST, 2 * classes, labelled // 32)
        if 4 * least > labelled:
            raise BudgetError(
                f"Learning curves need at least {4 * least:,} labelled rows of train and valid, and there are "
                f"{labelled:,}; give more rows."
            )
        for draws, count in PLANS:
            sizes = tuple(int(size) for size in np.geomspace(least, labelled, count).round())
            shares = [max(LEAST_SHARE, size / labelled) for size in sizes]
            each = tuple({name: spent * share + START_S for name, spent in fit_s.items()} for share in shares)
            needed = draws * sum(sum(one.values()) for one in each)
            if needed <= seconds:
                return cls(sizes=sizes, draws=draws, seconds=each)
        raise BudgetError(f"Learning curves of this run need about {math.ceil(needed)} s; give a larger --budget.")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Curves of the sides whose contender finished with every number of rows; and those that had too little time."""

    curves: Mapping[Side, LearningCurve]
    undertrained: Mapping[Side, int]  # {side: the fewest rows at which it had too little time}


def measure(data: RunData, contenders: Mapping[Side, str], design: Design, watch: Watch) -> Measured:
    """Train the contenders on every part of the rows."""
    seed = data.settings.seed
    answers: dict[Side, list[list[np.ndarray]]] = {side: [[] for _ in design.sizes] for side in contenders}
    short: dict[Side, int] = {}
    with closing(Idle()) as idle:
        for draw in range(design.draws):
            for place, split in enumerate(_nested(data, design.sizes, seed + draw)):
                size = design.sizes[place]
                watch(f"{size:,} labelled rows, draw {draw + 1} of {design.draws}")
                found = _point(data, split, design.seconds[place], seed + draw, idle)
                for side, name in contenders.items():
                    if name not in found:
                        continue
                    scores, undertrained = found[name]
                    answers[side][place].append(scores)
                    if undertrained:
                        short[side] = min(size, short.get(side, size))
    whole = {side: points for side, points in answers.items() if all(points)}
    curves = {side: LearningCurve(sizes=design.sizes, answers=points) for side, points in whole.items()}
    return Measured(curves=curves, undertrained=short)


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


def _point(
    data: RunData, split: Split, seconds: Mapping[str, float], seed: int, idle: Idle
) -> dict[str, tuple[np.ndarray, bool]]:  # fmt: skip
    """{contender: (scores on the test rows, whether it had too little time)}, trained on the rows of a split."""
    given = {name: ROOM * each for name, each in seconds.items()}
    with (
        tempfile.TemporaryDirectory(prefix="leadline-curve-", ignore_cleanup_errors=True) as folder,
        closing(Journal(Path(folder) / "journal.jsonl", time.monotonic())) as journal,
        again(data.store, data.table, split) as store,
    ):
        earlier = data.settings.init
        init = {} if earlier is None else networks(Path(earlier), store, list(given))
        setup = Setup(executor=LocalExecutor(cores(), memory_cap(data.settings), idle=idle), init=init)
        with closing(Race(store, list(given), Path(folder), setup, seed=seed, journal=journal, number=1)) as race:
            race.run(until=time.monotonic() + 2 * sum(given.values()), given=given)
            if race.stopped:
                raise KeyboardInterrupt
            done = [entry for entry in race.entries if entry.done]
            return {entry.name: (entry.scores(), bool(entry.facts["undertrained"])) for entry in done}
