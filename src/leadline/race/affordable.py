"""Which contenders have the seconds that they need, before a race begins.

Enters: those that use one core and race side by side, and those that use all cores and follow one at a time. Leaves:
whom there is no time for, and the shares of the others. One that claims what it needs takes it from those beside it, up
to half of theirs: a body that the user names may be large. What it needs is known by a rule, and better once it has
measured it: then it begins again, with what the run has left for it.
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
WANTED = 0.5  # of all races, that the first one may take for what its contenders want beyond what they need
MARGIN = 1.1  # times what is claimed: a race planned to the second would lack the moment in which it begins
FOREVER = 1e6  # times a race, beyond which no budget is advised
LONGER = 1.1  # times this budget, that one at least has to be with which it would do
REPEATS_FROM = 50.0  # seconds of the race that are shared among repeats; with less the first one may take all of it
MOST_SLOW = 3.0  # times longer that a rule's seconds are taken to be: how busy a machine is was measured in a moment

Entries = Sequence[ContenderRun]


def first_share(left: float) -> float:
    """Of the seconds of a race, those of the contenders that use one core, where others are to use all after them."""
    return min(0.5 * left, max(FIRST_SHARE * left, FIRST_LEAST))


def least_first(left: float) -> float:
    """Of these, those that they keep where one after them claims the others."""
    return max(min(first_share(left), FIRST_LEAST), FAIR * first_share(left))


@dataclass(frozen=True, kw_only=True)
class Affordable:
    """What is known of the time."""

    store: Store
    slow: float  # times longer than alone that the machine takes now
    budget: float  # seconds of the whole run
    given: float  # times these, that the user's budget is
    spared: Mapping[str, float] = field(default_factory=dict)  # seconds of contenders that an earlier go has kept
    resumed: bool = False  # the seconds are what a killed run left: no larger budget would change them
    usual: float = 1.0  # seconds of this race where nothing is claimed
    most: float = 1.0  # that it may take, with what is claimed

    def claimed(self, first: Entries, second: Entries, whole: float = 0.0) -> float:
        """Seconds of a race in which those that claim what they need have it; 0 where there are none.

        Args:
            whole: of all races: of so many they have what they want too, and those that need more are left out.
        """
        seconds = self._needed(second)
        if whole:
            second = [entry for entry in second if entry.contender.claims or seconds[entry.name] <= whole]
        needed = _race_for(seconds, first, second)
        return max(needed, min(_race_for(self._wanted(second), first, second), WANTED * whole))

    def again(self, entry: ContenderRun, queue: Entries, left: float, most: float) -> float | None:
        """Seconds of the race from now on, where one begins again that has measured that it needs more; None: too few.

        Its share, and those of the others, are put.

        Args:
            queue: those that follow it.
            left: seconds of this race.
            most: that it may take from now on.
        """
        both = [entry, *queue]
        _unshared(both)
        race = min(most, max(left, self.claimed([], both, most)))
        shares = self._shares(both, race)
        if not entry.contender.claims or shares[entry.name] < self._needed([entry])[entry.name]:
            return None
        for each in both:
            each.share = shares[each.name]
        return race

    def advised(self, entry: ContenderRun, first: Entries, second: Entries) -> str:
        """The budget that would do for one of these, as the end of a sentence."""
        _unshared([*first, *second])
        if entry.contender.claims:
            return self.enough(entry, max(1.0, self.claimed(first, second) / self.most))
        need = self._needed([entry])[entry.name]

        def enough(race: float) -> bool:
            after = race - self.first_s(first, second, race) if second else 0.0
            shares = dict.fromkeys((each.name for each in first), race) | self._shares(second, after)
            return shares[entry.name] >= need

        low, high = 1.0, FOREVER * self.usual
        while high > 1.01 * low:  # a share grows with the race
            middle = math.sqrt(low * high)
            low, high = (low, middle) if enough(middle) else (middle, high)
        return self.enough(entry, max(1.0, high / self.usual))

    def too_long(self, first: Entries, second: Entries, left: float) -> Iterator[tuple[ContenderRun, str]]:
        """Those for whom there is no time, and why: those whose share of the seconds is shorter than they need.

        Without each of these the others have more. The last of a family stays: what it learns in less says more than
        nothing. But none stays whose file the end of the run has no time to check.

        Args:
            left: seconds of this race.
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
            why = f"it needs about {need_s:.0f} s here, where {share_s:.0f} s are left for it"
            yield longest, f"{why}{self.advised(longest, first, second)}"
            first, second = _without(longest, first), _without(longest, second)

    def first_s(self, first: Entries, second: Entries, left: float) -> float:
        """Seconds of a race that the contenders that use one core have."""
        if not (first and second):
            return left if first else 0.0
        claimed = _race_for(self._needed(second), (), second)
        return max(least_first(left), min(first_share(left), left - claimed))

    def share(self, first: Entries, second: Entries, left: float) -> None:
        """Shares of those that follow one at a time."""
        for entry, seconds in zip(
            second, self._shares(second, left - self.first_s(first, second, left)).values(), strict=True
        ):
            entry.share = seconds

    def _short(self, first: Entries, second: Entries, left: float) -> list[tuple[ContenderRun, float, float]]:
        """Those that may be left out and have less than they need, with both."""
        # Side by side, the first of them have all of it.
        after = left - self.first_s(first, second, left) if second else 0.0
        shares = {entry.name: left for entry in first} | self._shares(second, after)
        families, needed = Counter(entry.family for entry in [*first, *second]), self._needed([*first, *second])
        return [
            (entry, needed[entry.name], shares[entry.name])
            for entry in [*first, *second]
            if shares[entry.name] < needed[entry.name] and families[entry.family] > 1
        ]

    def _shares(self, entries: Entries, seconds: float) -> dict[str, float]:
        """Seconds of each, by their weights and by what is claimed."""
        wanted, weights = self._wanted(entries), sum(entry.weight for entry in entries)
        shares = {entry.name: seconds * entry.weight / weights for entry in entries}
        for entry in entries:
            if entry.contender.claims and (share := shares[entry.name]) < wanted[entry.name] and share < seconds:
                taken = min(wanted[entry.name], seconds - FAIR * (seconds - share))
                shares = {name: each * (seconds - taken) / (seconds - share) for name, each in shares.items()}
                shares[entry.name] = taken
        return shares

    @property
    def _slow(self) -> float:
        return taken_as(self.slow)

    def _needed(self, entries: Entries) -> Mapping[str, float]:
        return {
            entry.name: max(
                0.0,
                (self._slow * entry.contender.seconds_needed(self.store) if entry.needed_s is None else entry.needed_s)
                - self.spared.get(entry.name, 0.0),
            )
            for entry in entries
        }

    def _wanted(self, entries: Entries) -> Mapping[str, float]:
        """What they need, but for those that claim it: of these, what they learn from all rows with."""
        rule, needed = [entry for entry in entries if entry.needed_s is None], self._needed(entries)
        wanted = {entry.name: entry.wanted_s for entry in entries} | {
            entry.name: self._slow * entry.contender.seconds_wanted(self.store) for entry in rule
        }
        return {name: max(each, wanted[name] - self.spared.get(name, 0.0)) for name, each in needed.items()}

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
        """Seconds of a budget that is so many times as long, in tens, and longer than this one."""
        budget = self.given * self.budget
        return math.ceil(max(times, LONGER) * budget / 10) * 10


def _whole(after: float, first: Entries) -> float:
    """Seconds of a race that leaves so many after those that use one core."""
    return max(min(2.0 * after, after + FIRST_LEAST), after / (1.0 - FAIR * FIRST_SHARE)) if first else after


def taken_as(slow: float) -> float:
    """What a measured slowdown counts as, where it multiplies the seconds of a rule."""
    return min(slow, MOST_SLOW)


def _unshared(entries: Entries) -> None:
    """Shares are by the contenders' weights, as they are before a race."""
    for entry in entries:
        entry.share = None


def _race_for(seconds: Mapping[str, float], first: Entries, second: Entries) -> float:
    """Seconds of a race in which each of `second` that claims them has so many."""
    weights = sum(entry.weight for entry in second)
    after = [
        seconds[entry.name] / (1.0 - FAIR * (1.0 - entry.weight / weights))
        for entry in second
        if entry.contender.claims
    ]
    return _whole(MARGIN * max(after, default=0.0), first)


def _without(entry: ContenderRun, entries: Entries) -> list[ContenderRun]:
    return [each for each in entries if each is not entry]
