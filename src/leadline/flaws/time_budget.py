"""How long the search for flaws may take: a share of the budget, kept by a clock whose readings are written down.

The number of rows follows from what a row takes on a quiet machine. Where a part took longer than that, later parts get
fewer rows; where the time is up, they are left out, and the run says so. A run that is repeated gets the same readings
again (decision 0014), so it finds the same. Iterative training asks within a part, too.

    >>> pace = Pace(Clock(600.0), 600.0)
    >>> round(pace.part(0.5)), pace.left_out
    (30, [])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from leadline.core.contender import Clock

__all__ = ["Pace"]

SHARE = 0.1  # of the budget
LATE = 0.2  # of what is left of it when the scan begins, at most
OVER = 1.1  # parts together may ask for so much of this: what each is given is seldom all used
SLOWEST = 10.0  # times as long as on a quiet machine; what is slower was a pause
TICK = 0.3  # seconds that anything may take
ENDLESS = 60.0  # seconds where there is no budget


class Pace:
    """Asked before every part how many seconds it may count with."""

    def __init__(self, clock: Clock, budget: float) -> None:
        """
        Args:
            clock: of the whole run, begun when the run did.
            budget: seconds of the whole run; inf for none.
        """
        self._clock = clock
        self._before = 0.0 if clock.endless else clock.left()
        self.seconds = ENDLESS if clock.endless else min(SHARE * budget, LATE * self._before)
        self._until = self._before - OVER * self.seconds
        self._given, self._slow = 0.0, 1.0
        self.left_out: list[str] = []

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For work that is no part of the scan, but must be done before the next part: it costs no part its seconds."""
        self.part(0.0)
        yield
        if not self._clock.endless:
            now = self._clock.left()
            self._until -= self._before - now
            self._before = now

    def part(self, share: float, name: str | None = None) -> float:
        """Seconds for a part that may take this share of the scan; 0 where the time is up, and it is left out."""
        if self._clock.endless:
            return share * self.seconds
        now = self._clock.left()
        spent, self._before = self._before - now, now
        if self._given and spent > self._given + TICK:
            self._slow = min(SLOWEST, self._slow * spent / self._given)
        left = now - self._until
        self._given = max(0.0, min(share * self.seconds / self._slow, left))
        if left <= 0 and name is not None and name not in self.left_out:
            self.left_out.append(name)
        return self._given

    @property
    def endless(self) -> bool:
        """Whether there is no budget."""
        return self._clock.endless

    def rest(self, kept: float) -> float:
        """Seconds left for the part that runs, where those that follow may take this share of the scan."""
        if self._clock.endless:
            return self.seconds
        left = max(0.0, self._clock.left() - self._until - kept * self.seconds / self._slow)
        self._given += left
        return left

    def timer(self) -> Callable[[], float]:
        """Asked again and again: the seconds since now; 0 where there is no budget, so that nothing depends on them."""
        if self._clock.endless:
            return lambda: 0.0
        began = self._clock.left()
        return lambda: began - self._clock.left()

    def slowness(self, expected: float) -> float:
        """How many times as long as expected, on a quiet machine, what came since the last reading took: at least 1."""
        if self._clock.endless:
            return 1.0
        now = self._clock.left()
        spent, self._before = self._before - now, now
        return min(SLOWEST, max(1.0, (spent - TICK) / max(expected, TICK)))

    def watch(self, seconds: float) -> Callable[[], bool]:
        """Asked again and again: whether so many seconds are gone since now, or all of the scan."""
        if self._clock.endless:
            return lambda: False
        until = max(self._clock.left() - seconds, self._until)
        return lambda: self._clock.left() <= until
