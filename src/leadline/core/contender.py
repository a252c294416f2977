"""The protocol of a contender: one way to learn, deep or classical, run by one mechanism.

`fit` is a generator. It yields `Progress` as often as it likes and a `Fitted` last; the race turns these into live
curves, journal events and budgets. `data.clock` says how long it may go on, and when it was asked to stop: a contender
that looks at it often enough always ends with its best so far.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from leadline.core.json_types import JsonObject
from leadline.core.json_types import State as State
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors

if TYPE_CHECKING:
    import onnx


class Clock:
    """Seconds left for one contender, and whether the user asked it to stop.

    Every choice that depends on time reads it here, and each reading is written down. A clock that is given the
    readings of an earlier run tells the same time again, so all that follows from it comes out again, byte for byte;
    after the last of them it counts on from there. Without a budget it stands still: nothing depends on it.
    """

    def __init__(
        self, seconds: float, stop: Event | None = None, *, began: float | None = None,
        readings: Iterable[float] = (), place: int = 0, left: float | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            seconds: the budget; inf for none.
            began: the monotonic moment from which it counts (default: now).
            readings: of an earlier run: seconds spent, inf where it was asked to stop, and the seconds of the budget,
                negative, from where on a resumed run had others.
            place: the first of them to repeat.
            left: of the budget from now on, where a run is resumed: what was read after `place` is forgotten.
        """
        self._seconds, self._stop = seconds, stop or Event()
        self.readings, self.place = array("d", readings), place
        for limit in (value for value in self.readings[:place] if value < 0):
            self._seconds = -limit
        earlier = [value for value in self.readings[:place] if 0 <= value < math.inf]
        spent = earlier[-1] if earlier else 0.0
        self._start = (time.monotonic() if began is None else began) - spent
        if left is not None:
            del self.readings[place:]
            self._seconds = spent + left
            self.readings.append(-self._seconds)
            self.place += 1

    @property
    def endless(self) -> bool:
        return math.isinf(self._seconds)

    def spent(self) -> float:
        return 0.0 if self.endless else self._read(stopped=False)

    def left(self) -> float:
        """Seconds left; 0 when asked to stop."""
        if self.endless:
            return 0.0 if self._stop.is_set() else math.inf
        spent = self._read(self._stop.is_set())  # which may say that the seconds are others from here on
        return max(0.0, self._seconds - spent)

    def write(self, path: Path) -> None:
        """Keep the readings, eight bytes each, whole or not at all."""
        partial = path.with_name(f".{path.name}")
        partial.write_bytes(self.readings.tobytes())
        partial.replace(path)

    def _read(self, stopped: bool) -> float:
        while self.place < len(self.readings) and (limit := self.readings[self.place]) < 0:
            self._seconds, self.place = -limit, self.place + 1
        if self.place < len(self.readings):
            value = self.readings[self.place]
            if not math.isinf(value):
                self._start = time.monotonic() - value
        else:
            value = math.inf if stopped else time.monotonic() - self._start
            self.readings.append(value)
        self.place += 1
        return value


def readings(path: Path) -> array[float]:
    """What `Clock.write` kept, for a clock to tell again; none where there is no such file."""
    found = array("d")
    if path.exists():
        written = path.read_bytes()
        found.frombytes(written[: len(written) // found.itemsize * found.itemsize])
    return found


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a contender sees: encoded tensors and labels (held out on test rows), a clock, and its threads."""

    store: Tensors
    clock: Clock
    threads: int
    memory_gb: float = math.inf  # that it may hold, its libraries included
    init: Path | None = None  # a network of an earlier run, from whose body one begins that can
    epochs: int | None = None  # passes of a network over the train rows, in place of a budget: the clock is endless
    further: bool = False  # a repeat after the first race: what is measured for the report alone is left out

    @property
    def classes(self) -> int:
        """Number of classes; 0 for regression."""
        return len(self.store.task.classes)

    @property
    def task(self) -> Task:
        return self.store.task

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Labels as a metric takes them: class numbers, packed labels of a multilabel task, or values."""
        labels = np.asarray(self.store.labels[rows])
        known = labels >= 0 if labels.dtype.kind == "i" else ~np.isnan(labels)
        assert known.all(), "a label of a test row was asked for"
        return labels

    def scale(self) -> Scale:
        """By which values are standardised: their mean and standard deviation on train rows."""
        return self.task.scale(self.labels(self.store.split.train))

    def encoded(self, rows: np.ndarray, scale: Scale = (0.0, 1.0)) -> np.ndarray:
        """The truth as learners take it: class numbers, float32 [n, labels] of 0 and 1, or scaled values."""
        return self.task.encode_labels(self.labels(rows), scale)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a fit stands. `score` is the metric on valid rows (None: not measured at this step)."""

    step: int
    steps: int | None = None
    score: float | None = None
    note: str | None = None  # a choice for the journal: the plan, or as a `Note` a cut
    facts: Mapping[str, object] = field(default_factory=dict)
    state: Callable[[], State] | None = None  # where a checkpoint may be taken: the complete state


class Fitted(Protocol):
    """A trained contender."""

    score: float  # on valid rows; NaN where there are none
    valid: np.ndarray | None  # its answers on them, from before it learned from any; None: not kept, or there are none
    params: int
    bytes: int
    describe: list[str]  # what was chosen, a line each, as a `Note` where logic reads it
    undertrained: bool  # it reached the time limit while it still improved, so a loss is no evidence against its family
    trained_on_valid: bool  # after all choices; `score` is from before

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        """Probabilities [n, classes] float32, or values [n] float64 in the target's unit."""

    def graph(self) -> onnx.ModelProto:
        """Tensors of the store (inputs, by name) -> 'scores', as `predict` gives them."""

    def digest(self) -> str:
        """Of every byte that was learned: two fits with the same digest are the same."""


@runtime_checkable
class Transferred(Protocol):
    """A trained contender that reads what a body has learned elsewhere."""

    transfer: JsonObject  # as `TransferResult` of result.json
    uncounted_s: float  # that its answers so far would have taken more, were no state of a body kept


@runtime_checkable
class Continued(Protocol):
    """A trained contender from which a later run can begin, as it may have begun from an earlier one."""

    init: JsonObject | None  # what it took, as `InitResult` of result.json; None: it began from nothing

    def save(self, path: Path) -> None:
        """Keep what a later run can begin from."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a contender makes good use of."""

    cpus: int | None = 1  # None: as many as there are
    gpus: int = 0
    memory: float = 0.0  # GB without which it cannot learn


class Contender(Protocol):
    """One way to learn. Stateless; a registry holds one of each (`contenders/portfolio.py`).

    It inherits what it does not say.

    Nobody asks a contender for its name: what others must know of it are these facts.
    """

    name: str
    family: str  # of `contenders/families.py`
    resources: Resources = Resources()
    weight: float = 3.0  # share of the seconds of those that race beside it, relative to theirs
    claims: bool = False  # takes the seconds that it needs from theirs, up to half of them
    export_seconds: float = 3.5  # that the end of a run takes where it is shipped: export, check, report
    row_seconds: float = 0.0  # that the shipped file takes for a row, where that is more than to decode it
    fastest: bool = False  # ends soonest on any table: where the budget is tiny, it races alone
    interpretable: bool = False  # every answer is a sum that a person can read
    least_budget: float = 0.0  # seconds of a run; in a shorter one it races only where the user names it
    on_request: bool = False  # races only where the user names it, or asks for what it alone is
    formerly: str | None = None  # its name in earlier versions
    pretrained: bool = False  # it learns from what a body has learned elsewhere
    searches: bool = False  # the scores of its progress are of fits that it compares, not of one that goes on
    baseline: bool = False  # what guessing gives: answered by the run itself, scored, never shipped
    needs_valid: bool = True  # it chooses by valid rows, and learns nothing without any

    def inputs(self, store: Tensors) -> list[str]:
        """Names of the store's tensors that it reads; empty where it has nothing to learn from."""

    def answer_seconds(self, store: Tensors) -> float:
        """Seconds that the shipped file takes for a row of this store, where that is more than to decode it."""
        return self.row_seconds

    def seconds_needed(self, store: Tensors) -> float:
        """Seconds without which it learns nothing of use, on a machine that does nothing else: by rule, not measured.

        Where a race has fewer for it, it is left out before it begins, and the others have its share.
        """
        return 0.0

    def seconds_wanted(self, store: Tensors) -> float:
        """Seconds with which it learns from all rows, where it claims what it needs; at least as many."""
        return self.seconds_needed(store)

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        """Learn, or resume from a state that a `Progress` gave; the last item is the `Fitted`.

        A contender that gives no states starts again.
        """


def digest(*parts: bytes | np.ndarray) -> str:
    """BLAKE2 of some bytes and arrays, in hexadecimal."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()
