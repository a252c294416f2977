"""How many threads pay: found by a short trial, and tried again when steps become slow.

Threads that share a small step wait for each other many times in it. On a quiet machine that costs little; where one of
them has to share its core with other work, all wait for it, and a step takes many times as long as on one thread. So
one thread is the rule, and more must show that they pay. Enters: a function that takes a few steps on so many threads
and tells the seconds of one. Leaves: a number of threads.

    >>> alone = Threads(2, lambda threads: 1.0 / threads, lambda threads: None)
    >>> alone.begin()
    >>> beside = Threads(2, lambda threads: 1.0 * threads, lambda threads: None)
    >>> beside.begin()
    >>> alone.now, beside.now
    (2, 1)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PAYS = 1.3  # times as fast must twice as many threads be
WON, LOST = 3, 2  # pairs of trials that decide, for more threads and against them
SHORT = 3e-4  # seconds of a step, under which more threads are not even tried
BLOCK_S = 0.005  # seconds that one side of a pair takes, at least
LONG = 0.5  # seconds of trials after which those that there were decide
SLOW, SLOWER = 3.0, 1.5  # times the usual seconds of a step, from which on threads are tried again: at once, or in time
WINDOW, WINDOW_S = 16, 0.05  # steps and seconds over which a step's time is measured
FEWEST, FEWEST_S = 2, 1.0  # the same, of long steps
WAIT, SHARE = 5.0, 0.02  # seconds until more threads are tried again, at least, and the share of time for such trials


@dataclass(kw_only=True)
class _Standing:
    """All that a checkpoint holds of it."""

    threads: int
    usual: float | None = None  # seconds of a step
    window: list[float] = field(default_factory=list)  # seconds of the last steps
    slow: float = 1.0  # times the usual that they took
    since: float = 0.0  # seconds of steps since the last trial
    spent: float = 0.0  # seconds of that trial
    wait: float = WAIT  # seconds until more threads are tried


class Threads:
    """The threads of one training."""

    def __init__(
        self, most: int, seconds_on: Callable[[int], float], use: Callable[[int], object], threads: int = 1
    ) -> None:  # fmt: skip
        """
        Args:
            most: threads at most; with 1 nothing is ever tried.
            seconds_on: seconds of a step on so many threads; inf where it cannot be taken at all.
            use: sets the number of threads.
            threads: the number to begin with.
        """
        self.most, self.seconds_on, self._use = most, seconds_on, use
        self._at = _Standing(threads=min(threads, most))
        self.fixed = most == 1  # whether nothing is tried any more
        self.measured: dict[int, float] = {}  # the fewest seconds of a step on so many, in the last trial
        use(self.now)

    @property
    def now(self) -> int:
        return self._at.threads

    def begin(self, seconds: float = math.inf) -> None:
        """Choose, from one thread upwards; where a trial would take longer than so many seconds, one."""
        if not self.fixed:
            self._climb(1, LOST, seconds=seconds)

    def higher(self) -> None:
        """Try more than there are: for steps that have become larger."""
        if not self.fixed:
            self._climb(self.now, 1)

    def take(self, threads: int, usual: float | None) -> None:
        """Begin as an earlier training found it, a step of which took so long."""
        self._at = _Standing(threads=min(threads, self.most), usual=usual)
        self._use(self.now)

    def note(self, seconds: float) -> None:
        """The seconds that a step has taken."""
        if self.fixed:
            return
        at = self._at
        at.window.append(seconds)
        at.since += seconds
        count, whole = len(at.window), sum(at.window)
        if (count >= WINDOW and whole >= WINDOW_S) or (count >= FEWEST and whole >= FEWEST_S):
            seconds_a_step = (whole - max(at.window)) / (count - 1)  # one long step is a hiccup
            at.window.clear()
            at.slow = seconds_a_step / (at.usual or seconds_a_step)
            at.usual = min(at.usual or seconds_a_step, seconds_a_step)

    def check(self) -> str | None:
        """Between two steps: try again, where it is time to. Returns what changed, in words."""
        at, before = self._at, self.now
        if self.fixed:
            return None
        if self.now > 1 and (at.slow > SLOW or (at.slow > SLOWER and at.since * SHARE >= at.spent)):
            self._climb(1, LOST)
        elif self.now < self.most and at.since >= at.wait:
            self._climb(self.now, 1, twice=2.0)
        if self.now == before:
            return None
        return f"{counted(self.now)} in place of {before}, by a trial beside what else the machine does"

    def state(self) -> dict[str, Any]:
        return asdict(self._at)

    def restore(self, state: Mapping[str, Any]) -> None:
        self._at = _Standing(**{**state, "threads": min(state["threads"], self.most)})
        self._at.window = list(self._at.window)
        self._use(self.now)

    def _measure(self, threads: int) -> float:
        seconds = self.seconds_on(threads)
        self.measured[threads] = min(seconds, self.measured.get(threads, math.inf))
        return seconds

    def __str__(self) -> str:
        tried = ", ".join(
            f"{1e3 * spent:.3g} ms on {threads}" for threads, spent in self.measured.items() if spent < math.inf
        )
        return f"{self.now} of {self.most}" + (f"; a trial of a step: {tried}" if tried else "")

    def _climb(self, threads: int, losses: int, twice: float = 1.0, seconds: float = math.inf) -> None:
        """Twice as many as long as that pays."""
        before, spent = self._at, 0.0
        self.measured.clear()
        while threads < self.most:
            more = min(2 * threads, self.most)
            better, took = pays(threads, more, self._measure, losses, seconds - spent)
            spent += took
            if not better:
                break
            threads = more
        self._at = _Standing(threads=threads, spent=spent, wait=max(twice * before.wait, spent / SHARE))
        if threads == before.threads and before.usual is not None:  # it stays, as slow as it has become
            self._at.usual = before.usual * before.slow
        self._use(threads)


def counted(threads: int) -> str:
    """A number of threads in words."""
    return f"{threads} thread{'s' * (threads > 1)}"


def pays(
    fewer: int, more: int, seconds_on: Callable[[int], float], losses: int = LOST, most: float = math.inf
) -> tuple[bool, float]:
    """Whether more threads are so much faster, the best of a few pairs of trials; and the seconds that these took.

    A first step that is so long that one pair would take over `most` seconds decides against them.

    Both of a pair follow each other, so that they meet the same machine.
    """
    need = PAYS ** math.log2(more / fewer)
    cold = seconds_on(fewer)
    if cold < SHORT or math.isinf(cold) or 2 * cold > most:
        return False, cold
    one, many = seconds_on(fewer), seconds_on(more)
    spent, for_it, against = cold + one + many, 0, 0
    if spent < LONG:  # the first of both meets cold caches, and threads that are only now begun
        one, many = seconds_on(fewer), seconds_on(more)
        spent += one + many
    while True:
        if need * many <= one:
            for_it += 1
        else:
            against += 1
        if for_it == WON or against == losses or spent >= LONG:
            return for_it > against, spent
        one, many = seconds_on(fewer), seconds_on(more)
        spent += one + many


def timed(step: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of a step, over as many as take a while."""
    began, count = clock(), 0
    while True:
        step()
        count += 1
        if (spent := clock() - began) >= BLOCK_S:
            return spent / count
