"""Why the race ended: a code for programs, and a sentence with the run's own figures.

Enters: a `RaceSummary`. Leaves: an `Ending`, which the journal, the terminal,
the report and result.json show.

    >>> ending(RaceSummary(repeats=1, most=25, expected=19.0, left=7.0, budget=30.0)).code
    'no_room'
    >>> ending(RaceSummary(repeats=1, most=25, expected=19.0, left=2.0, budget=30.0)).code
    'used'
"""

from __future__ import annotations

from dataclasses import dataclass

from leadline.core.records import Ending, EndingCode

USED = 0.1  # of the budget: what is left below this counts as used


@dataclass(frozen=True, kw_only=True)
class RaceSummary:
    """The repeats of a race that has ended."""

    repeats: int  # the first included
    most: int  # that were planned
    expected: float  # seconds that another one would take
    left: float  # seconds of the race that were left
    budget: float | None  # seconds; None: passes were asked for
    requested: bool = False  # whether the user set their number
    fewest: int = 1  # repeats that a verdict on methods needs
    stopped: bool = False  # by the user
    sure: bool = False  # a look at the repeats was conclusive
    late: bool = False  # the last one was given up
    families: int = 2  # with a contender that finished


def ending(race: RaceSummary) -> Ending:
    """The first reason that holds."""
    code = _code(race)
    return Ending(code=code, why=_why(code, race))


def _code(race: RaceSummary) -> EndingCode:
    if race.stopped:
        return "stopped"
    if race.sure:
        return "conclusive"
    if race.repeats >= race.most and (race.requested or race.most > 1):
        return "one_repeat" if race.most == 1 else "repeats"
    if race.budget is None:
        return "passes"
    if race.left <= USED * race.budget:
        return "used"
    if race.late:
        return "late"
    return "one_family" if race.families < 2 and not race.requested else "no_room"


def _why(code: EndingCode, race: RaceSummary) -> str:
    more = max(1, race.fewest - race.repeats)
    another = "another repeat takes" if more == 1 else f"the {more} repeats that a verdict on methods still needs take"
    return {
        "stopped": "You stopped it.",
        "conclusive": f"The verdict was conclusive after {race.repeats} repeats.",
        "repeats": f"All {race.repeats} repeats are done{'' if race.requested else ', as many as are useful'}.",
        "one_repeat": "Every contender has ended, and --repeats 1 allows no other race.",
        "passes": "Every contender has made its passes, and --epochs races once unless --repeats says more.",
        "used": "The time for racing is used up.",
        "late": f"Another repeat took longer than the {race.expected:.0f} s that were expected, and was given up.",
        "one_family": "Every contender has ended, and repeats cannot compare families where there is only one.",
        "no_room": f"Every contender has ended, and {another} about {more * race.expected:.0f} s, where "
        f"{max(0.0, race.left):.0f} s were left.",
    }[code]
