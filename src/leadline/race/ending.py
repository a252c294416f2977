"""Why the race ended: a code for programs, and a sentence with the run's own figures.

Enters: what was planned and held, and the seconds that were left. Leaves: an `Ending`, which the journal, the terminal,
the report and result.json show.

    >>> ending(Held(repeats=1, most=25, longest=19.0, left=7.0, budget=30.0)).code
    'no_room'
    >>> ending(Held(repeats=1, most=25, longest=19.0, left=2.0, budget=30.0)).code
    'used'
"""

from __future__ import annotations

from dataclasses import dataclass

from leadline.core.records import Ending, EndingCode

USED = 0.1  # of the budget: what is left below this counts as used


@dataclass(frozen=True, kw_only=True)
class Held:
    """The repeats of a race that has ended."""

    repeats: int  # the first included
    most: int  # that were planned
    longest: float  # seconds that one took
    left: float  # seconds of the race that were left
    budget: float | None  # seconds; None: passes were asked for
    asked: bool = False  # whether the user set their number
    fewest: int = 1  # repeats that a verdict on methods needs
    stopped: bool = False  # by the user
    sure: bool = False  # a look at the repeats was conclusive
    late: bool = False  # the last one was given up
    families: int = 2  # with a contender that finished


def ending(held: Held) -> Ending:
    """The first reason that holds."""
    code = _code(held)
    return Ending(code=code, why=_why(code, held))


def _code(held: Held) -> EndingCode:
    if held.stopped:
        return "stopped"
    if held.sure:
        return "conclusive"
    if held.repeats >= held.most and (held.asked or held.most > 1):
        return "one_repeat" if held.most == 1 else "repeats"
    if held.budget is None:
        return "passes"
    if held.left <= USED * held.budget:
        return "used"
    if held.late:
        return "late"
    return "one_family" if held.families < 2 and not held.asked else "no_room"


def _why(code: EndingCode, held: Held) -> str:
    more = max(1, held.fewest - held.repeats)
    another = "another repeat takes" if more == 1 else f"the {more} repeats that a verdict on methods still needs take"
    return {
        "stopped": "You stopped it.",
        "conclusive": f"The verdict was conclusive after {held.repeats} repeats.",
        "repeats": f"All {held.repeats} repeats are done{'' if held.asked else ', as many as are useful'}.",
        "one_repeat": "Every contender has ended, and --repeats 1 allows no other race.",
        "passes": "Every contender has made its passes, and --epochs races once unless --repeats says more.",
        "used": "The time for racing is used up.",
        "late": f"Another repeat took longer than the {held.longest:.0f} s of those before it, and was given up.",
        "one_family": "Every contender has ended, and repeats cannot compare families where there is only one.",
        "no_room": f"Every contender has ended, and {another} about {more * held.longest:.0f} s, where "
        f"{max(0.0, held.left):.0f} s were left.",
    }[code]
