"""The protocol of a contender: one way to learn, deep or classical, run by one mechanism.

`fit` is a generator. It yields `Progress` as often as it likes and a `Fitted` last; the race turns these into live
curves, journal events and budgets. `data.clock` says how long it may go on, and when it was asked to stop: a contender
that looks at it often enough always ends with its best so far.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from leadline.data.store import Store

if TYPE_CHECKING:
    import onnx


class Clock:
    """Seconds left for one contender, and whether the user asked it to stop."""

    def __init__(self, seconds: float, stop: Event | None = None) -> None:
        self._start = time.monotonic()
        self._seconds = seconds
        self._stop = stop or Event()

    def spent(self) -> float:
        return time.monotonic() - self._start

    def left(self) -> float:
        """Seconds left; 0 when asked to stop."""
        return 0.0 if self._stop.is_set() else max(0.0, self._seconds - self.spent())


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a contender sees: encoded tensors and labels (sealed on test rows), a clock, and its threads."""

    store: Store
    clock: Clock
    threads: int

    @property
    def classes(self) -> int:
        """Number of classes; 0 for regression."""
        return len(self.store.task.classes)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Class numbers, or values in the target's unit."""
        return np.asarray(self.store.labels[rows])

    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the target on train rows: regression learns (y - mean) / deviation."""
        values = self.labels(self.store.split.train)
        return float(values.mean()), float(values.std()) or 1.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a fit stands. `score` is the metric on valid rows (None: not measured at this step)."""

    step: int
    steps: int | None = None
    score: float | None = None
    note: str | None = None  # a choice worth a line of the journal: the plan, a cut
    facts: Mapping[str, Any] = field(default_factory=dict)


class Fitted(Protocol):
    """A trained contender."""

    score: float  # on valid rows
    params: int
    bytes: int
    describe: list[str]  # what was chosen, a line each
    starved: bool  # the clock left it too little to learn from: no evidence about its family

    def predict(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """Probabilities [n, classes] float32, or values [n] float64 in the target's unit."""

    def graph(self) -> onnx.ModelProto:
        """Tensors of the store (inputs, by name) -> 'scores', as `predict` gives them."""


class Contender(Protocol):
    """One way to learn. Stateless; a registry (`portfolio.py`) holds one of each."""

    name: str
    family: str  # deep, classical or floor
    cores: str  # 'one' or 'all': what it makes good use of

    def inputs(self, store: Store) -> list[str]:
        """Names of the store's tensors that it reads; empty where it has nothing to learn from."""

    def fit(self, data: Data, seed: int, state: Any = None) -> Iterator[Progress | Fitted]:
        """Learn; the last item is the `Fitted`."""
