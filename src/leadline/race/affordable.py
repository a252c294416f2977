"""Which contenders have the seconds that they need, before a race begins.

Enters: those that use one core and race side by side, and those that use all cores and follow one at a time. Leaves:
whom there is no time for, and the shares of the others. One that claims what it needs takes it from those beside it, up
to half of theirs: a body that the user names may be large.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from leadline.dataset.store import Store
from leadline.race.entry import ContenderRun
from leadline.race.finalization_time import MOST, seconds_to_check
from leadline.stats.intervals import FEWEST_SEEDS

FIRST_SHARE = 0.3  # of the race for those that use one core, where others are to use all cores after them
FIRST_LEAST = 16.0  # seconds that those that use one core get, if that is not over half of the race
FAIR = 0.5  # of their seconds, that others keep beside one that claims what it needs
MARGIN = 1.1  # times what is claimed: a race planned to the second would lack the moment in which it begins
REPEATS_FROM = 50.0  # seconds of the race that are shared among repeats; with less the first one may take all of it
MOST_SLOW = 3.0  # times longer that a rule's seconds are taken to be: how busy a machine is was measured in a moment

Entries = Sequence[ContenderRun]


def first_share(left: float) -> float:
    """Of the seconds of a race, those of the contenders that use one core, where others are to use all after them."""
    return min(0.5 * left, max(FIRST_SHARE * left, FIRST_LEAST))


@dataclass(frozen=True, kw_only=True)
class Affordable:
    """What is known of the time."""

    store: Store
    slow: float  # times longer than alone that the machine takes now
    budget: float  # seconds of the whole run
    given: float  # times these, that the user's budget is
    spared: Mapping[str, float] = field(default_factory=dict)  # seconds of contenders that an earlier go has kept
    resumed: bool = False  # the seconds are what a killed run left: no larger budget would change them

    def claimed(self, first: Entries, second: Entries) -> float:
        """Seconds of a race in which those that claim what they need have it; 0 where there are none."""
        needed, weights = self._needed(second), sum(entry.weight for entry in second)
        after = [
            needed[entry.name] / (1.0 - FAIR * (1.0 - entry.weight / weights))
            for entry in second
            if entry.contender.claims
        ]
        return _whole(MARGIN * max(after, default=0.0), first)

    def too_long(
        self, first: Entries, second: Entries, left: float, whole: float
    ) -> Iterator[tuple[ContenderRun, str]]:  # fmt: skip
        """Those for whom there is no time, and why: those whose share of the seconds is shorter than they need.

        Without each of these the others have more. The last of a family stays: what it learns in less says more than
        nothing. But none stays whose file the end of the run has no time to check.

        Args:
            left: seconds of this race.
            whole: of all races of the run.
        """
        first, second, most = list(first), list(second), MOST * self.budget
        for entry in [*first, *second]:
            check_s = len(self.store.split.test) * seconds_to_check(self.store, entry.name, self._slow)
            if check_s > most:
                why = f"the check of its file on the test rows takes about {check_s:.0f} s here, {most:.0f} s are kept"
                yield entry, f"{why}{self.enough(entry, check_s / most)}"
                first, second = _without(entry, first), _without(entry, second)
        while short := self._short(first, second, left):
            longest, need_s, share_s = max(short, key=lambda each: each[1])
            claimed = self.claimed(first, second) / max(1.0, whole) if longest.contender.claims else 0.0
            why = f"it needs about {need_s:.0f} s here, where {share_s:.0f} s are left for it"
            times = max(claimed, 1.0) if claimed else need_s / max(1.0, share_s)
            yield longest, f"{why}{self.enough(longest, times)}"
            first, second = _without(longest, first), _without(longest, second)

    def share(self, first: Entries, second: Entries, left: float) -> None:
        """Shares of those that follow one at a time."""
        for entry, seconds in zip(second, self._shares(second, _after(first, left)).values(), strict=True):
            entry.share = seconds

    def _short(self, first: Entries, second: Entries, left: float) -> list[tuple[ContenderRun, float, float]]:
        """Those that may be left out and have less than they need, with both."""
        # Side by side, the first of them have all of it.
        shares = {entry.name: left for entry in first} | self._shares(second, _after(first, left))
        families, needed = Counter(entry.family for entry in [*first, *second]), self._needed([*first, *second])
        return [
            (entry, needed[entry.name], shares[entry.name])
            for entry in [*first, *second]
            if shares[entry.name] < needed[entry.name] and families[entry.family] > 1
        ]

    def _shares(self, entries: Entries, seconds: float) -> dict[str, float]:
        """Seconds of each, by their weights and by what is claimed."""
        needed, weights = self._needed(entries), sum(entry.weight for entry in entries)
        shares = {entry.name: seconds * entry.weight / weights for entry in entries}
        for entry in entries:
            if entry.contender.claims and (share := shares[entry.name]) < needed[entry.name] and share < seconds:
                taken = min(needed[entry.name], seconds - FAIR * (seconds - share))
                shares = {name: each * (seconds - taken) / (seconds - share) for name, each in shares.items()}
                shares[entry.name] = taken
        return shares

    @property
    def _slow(self) -> float:
        return taken_as(self.slow)

    def _needed(self, entries: Entries) -> Mapping[str, float]:
        return {
            entry.name: max(
                0.0, self._slow * entry.contender.seconds_needed(self.store) - self.spared.get(entry.name, 0.0)
            )
            for entry in entries
        }

    def enough_for(self, entry: ContenderRun, first: Entries, second: Entries, left: float, least: float) -> str:
        """The budget that has time for a contender beside these, where so many seconds of this one are left to race.

        Args:
            least: seconds of a race in which more than one learns.
        """
        needed = MARGIN * self._needed([entry])[entry.name]
        if entry in second:
            needed = _whole(needed * sum(each.weight for each in second) / entry.weight, first)
        if needed >= REPEATS_FROM and not entry.contender.claims:
            needed *= FEWEST_SEEDS  # a longer race may be one of so many
        return self.enough(entry, 1.0 + (max(needed, least) - left) / (1.0 - MOST) / self.budget)

    def enough(self, entry: ContenderRun, times: float) -> str:
        """The end of the sentence on a contender: the budget that would do, which `entry.enough_s` says too.

        Args:
            times: as long as this budget: what is not the race's does not grow faster.
        """
        if self.resumed:
            return " after the run was killed"
        entry.enough_s = self.rounded(times)
        return f"; --budget {entry.enough_s}s would do"

    def rounded(self, times: float) -> int:
        """Seconds of a budget that is so many times as long, in tens."""
        return math.ceil(times * self.given * self.budget / 10) * 10


def _whole(after: float, first: Entries) -> float:
    """Seconds of a race that leaves so many after those that use one core."""
    return max(min(2.0 * after, after + FIRST_LEAST), after / (1.0 - FIRST_SHARE)) if first else after


def taken_as(slow: float) -> float:
    """What a measured slowdown counts as, where it multiplies the seconds of a rule."""
    return min(slow, MOST_SLOW)


def _after(first: Entries, left: float) -> float:
    return left - first_share(left) if first else left


def _without(entry: ContenderRun, entries: Entries) -> list[ContenderRun]:
    return [each for each in entries if each is not entry]
