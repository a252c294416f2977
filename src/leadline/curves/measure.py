"""Scores over the number of labelled rows: the best contender of each side, trained on nested parts of the rows.

Enters: the data of a finished run, and seconds. Leaves: a `LearningCurve` a side. Every point is a race of its own on a
store of its own, so that all that is learned from rows, encoding included, is learned from so many of them.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leadline.core.records import Side
from leadline.core.tensors import Split
from leadline.dataset.store import again
from leadline.metrics.metrics import METRICS
from leadline.race.context import memory_cap
from leadline.race.init import networks
from leadline.race.journal import Journal
from leadline.race.local_executor import Idle, LocalExecutor
from leadline.race.race import Race
from leadline.race.setup import Setup
from leadline.results.run_data import RunData
from leadline.stats.worth import DRAWS as SAMPLES
from leadline.stats.worth import LearningCurve
from leadline.system.errors import BudgetError
from leadline.system.resources import cores

SIZES, DRAWS = 5, 3  # numbers of rows, and draws of each
# (draw, size) of the fewest points. The ends come first: the seconds of every other point lie between theirs. The
# smallest is first and second: what begins a process is in the seconds of the first one alone.
FEWEST = ((0, 0), (1, 0), (0, 4), (0, 2), (1, 2), (1, 4))
FURTHER = (((0, 3), (1, 3)), ((0, 1), (1, 1)), tuple((2, place) for place in range(SIZES)))  # as there is time
LEAST_SHARE = 0.5  # of the seconds of a training on all rows, however few: test rows are answered all the same
START_S = 4.0  # seconds of a point beside the training of a contender: its process, its rows
# Shares of the seconds left with which a training of the smallest or largest size is too long: each is trained twice.
TOO_LONG = (0.75, 0.5)  # of the first, in which a process begins; of the others
ROOM = 1.5  # times the expected seconds that a training is given
ROOMY, UNKNOWN = 1.1, 2.0  # times the seconds, of a budget that would do, and where they are only the least
LATE = 1.05  # times the budget at which a training is ended
SMALLEST = 16  # labelled rows of the first point, and two of each class
FEWEST_VALID = 4

Watch = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Design:
    """How many labelled rows the points have, and the seconds that their trainings are expected to take at most."""

    sizes: tuple[int, ...]
    seconds: tuple[Mapping[str, float], ...]  # of each size: {contender: seconds}

    @classmethod
    def of(cls, labelled: int, classes: int, fit_s: Mapping[str, float]) -> Design:
        """Sizes whose logarithms lie evenly between few rows and all.

        Args:
            fit_s: {contender: seconds of its training on all rows}, as the run took them.

        Raises:
            BudgetError: there are too few rows.
        """
        least = max(SMALLEST, 2 * classes, labelled // 32)
        if 4 * least > labelled:
            raise BudgetError(
                f"Learning curves need at least {4 * least:,} labelled rows of train and valid, and there are "
                f"{labelled:,}; give more rows."
            )
        sizes = tuple(int(size) for size in np.geomspace(least, labelled, SIZES).round())
        shares = [max(LEAST_SHARE, size / labelled) for size in sizes]
        each = tuple({name: spent * share + START_S for name, spent in fit_s.items()} for share in shares)
        return cls(sizes=sizes, seconds=each)


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """The seconds that everything may take, and when they began."""

    began: float  # monotonic
    seconds: float

    def left(self) -> float:
        """Seconds of the budget that are not spent."""
        return self.began + self.seconds - time.monotonic()

    @property
    def end(self) -> float:
        """The monotonic moment at which a training is ended."""
        return self.began + LATE * self.seconds

    def short(self, needed: float, known: bool = True) -> BudgetError:
        """The error where the budget has no room for the fewest points.

        Args:
            known: whether the seconds are an estimate, and not the least that it can be.
        """
        how = "about" if known else "more than"
        enough = math.ceil((ROOMY if known else UNKNOWN) * needed / 10) * 10
        would = f"--budget {enough}s would do" if known else f"give --budget {enough}s, or more"
        return BudgetError(f"Learning curves of this run need {how} {math.ceil(needed)} s; {would}.")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Curves of the sides whose contender finished with every number of rows; and those that had too little time."""

    curves: Mapping[Side, LearningCurve]
    undertrained: Mapping[Side, int]  # {side: the fewest rows at which it had too little time}
    draws: int
    all_s: float | None  # seconds of all points and draws, where the budget left some of them out


def measure(
    data: RunData, contenders: Mapping[Side, str], design: Design, allowance: Allowance, watch: Watch
) -> Measured:  # fmt: skip
    """Train the contenders on parts of the rows: the fewest points first, then more as long as there is time.

    Raises:
        BudgetError: there is no time for the fewest points.
    """
    with closing(Idle()) as idle:
        points = _Points(data, contenders, design, idle, watch)
        for place, point in enumerate(FEWEST):
            if not points.ends_known:
                if not points.train(point, time.monotonic() + TOO_LONG[min(place, 1)] * allowance.left()):
                    raise allowance.short(allowance.seconds, known=False)
                continue
            rest = points.judging_s + sum(points.expected(each) for _, each in FEWEST[place:])
            needed = time.monotonic() - allowance.began + rest
            if needed > LATE * allowance.seconds or not points.train(point, allowance.end):
                raise allowance.short(max(needed, allowance.seconds))
        for wave in FURTHER:
            todo = [point for point in wave if point[0] < 2 or (0, point[1]) in points.answers]
            if sum(points.expected(place) for _, place in todo) <= allowance.left() - points.judging_s:
                finished = all(points.train(point, allowance.end) for point in todo)
                if not finished:
                    points.drop(todo)
                    break
    return points.measured()


class _Points:
    """What the contenders answered at each point, (draw, place of the size), and the seconds that points took."""

    def __init__(
        self, data: RunData, contenders: Mapping[Side, str], design: Design, idle: Idle, watch: Watch
    ) -> None:  # fmt: skip
        self._data, self._contenders, self._design, self._idle, self._watch = data, contenders, design, idle, watch
        self.answers: dict[tuple[int, int], dict[str, tuple[np.ndarray, bool]]] = {}
        self._took: dict[int, float] = {}  # of each size: the latest point of it
        self._judged_s: float | None = None  # that a point takes afterwards, where distances are judged
        self._splits = {
            draw: list(_nested(data, design.sizes, data.settings.seed + draw)) for draw in range(DRAWS)
        }  # fmt: skip

    @property
    def ends_known(self) -> bool:
        """Whether the smallest and the largest size were trained."""
        return {0, SIZES - 1} <= set(self._took)

    @property
    def judging_s(self) -> float:
        """Seconds that what was trained so far takes afterwards."""
        return len(self.answers) * (self._judged_s or 0.0)

    def expected(self, place: int) -> float:
        """Seconds of a point of this size: between those of the sizes around it, where the ends are known."""
        sizes = self._design.sizes
        known = sorted(self._took)
        took = np.interp(sizes[place], [sizes[each] for each in known], [self._took[each] for each in known])
        return float(took) + (self._judged_s or 0.0)

    def train(self, point: tuple[int, int], until: float) -> bool:
        """Train a point; whether it ended before the monotonic moment `until`."""
        draw, place = point
        self._watch(f"{self._design.sizes[place]:,} labelled rows, draw {draw + 1}")
        began, given = time.monotonic(), self._design.seconds[place]
        found = _point(self._data, self._splits[draw][place], given, self._data.settings.seed + draw, until, self._idle)
        if found is None:
            return False
        self._took[place] = time.monotonic() - began
        self.answers[point] = found
        if self._judged_s is None and found:
            self._judged_s = self._judge(next(iter(found.values()))[0])
        return True

    def drop(self, points: Sequence[tuple[int, int]]) -> None:
        """Leave out points that others of the same size or draw are missing beside."""
        for point in points:
            self.answers.pop(point, None)

    def _judge(self, scores: np.ndarray) -> float:
        """Seconds of the bootstrap that a point takes: each side is compared with each other one."""
        truth, metric, sides = self._data.labels("test"), METRICS[self._data.store.task.metric], len(self._contenders)
        began = time.perf_counter()
        metric(truth, scores)
        return (time.perf_counter() - began) * SAMPLES * sides * (sides - 1)

    def measured(self) -> Measured:
        """The curves of the points that were trained."""
        places = sorted({place for _, place in self.answers})
        draws = 1 + max(draw for draw, _ in self.answers)
        sizes = tuple(self._design.sizes[place] for place in places)
        short: dict[Side, int] = {}
        curves: dict[Side, LearningCurve] = {}
        for side, name in self._contenders.items():
            found = [
                [self.answers[draw, place][name] for draw in range(draws) if name in self.answers[draw, place]]
                for place in places
            ]
            if all(found):
                curves[side] = LearningCurve(sizes=sizes, answers=[[scores for scores, _ in each] for each in found])
            under = [
                size for size, each in zip(sizes, found, strict=True) if any(undertrained for _, undertrained in each)
            ]
            if under:
                short[side] = min(under)
        left_out = len(places) < SIZES or draws < DRAWS
        needed = DRAWS * sum(self.expected(place) for place in range(SIZES))
        return Measured(curves=curves, undertrained=short, draws=draws, all_s=needed if left_out else None)


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
    data: RunData, split: Split, seconds: Mapping[str, float], seed: int, until: float, idle: Idle
) -> dict[str, tuple[np.ndarray, bool]] | None:
    """{contender: (scores on the test rows, whether it had too little time)}, trained on the rows of a split.

    None where they had not ended at the monotonic moment `until`.
    """
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
            race.run(until=until, given=given)
            if race.stopped:
                raise KeyboardInterrupt
            if race.late:
                return None
            done = [entry for entry in race.entries if entry.done]
            return {entry.name: (entry.scores(), bool(entry.facts["undertrained"])) for entry in done}
