"""What could be done about a run, in words that fit how it was started and what became of it.

Every sentence that advises more time, more repeats or another contender takes its words from here: a run by passes has
no budget, --only may be why a family is missing, and a predefined test has no folds.

    >>> Advice(passes=True).time, Advice().time
    ('give more passes (--epochs)', 'give a larger budget')
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

FAMILIES = ("deep", "classical")
NO_VALID = "no_valid"  # why a contender did not race: there are no rows to choose by
CALIBRATION_FOLDS = 5  # repeats of which four leave rows to calibrate on


class Ran(Protocol):
    """A contender in the race."""

    @property
    def family(self) -> str: ...
    @property
    def done(self) -> bool: ...
    @property
    def code(self) -> str | None: ...
    @property
    def enough_s(self) -> int | None: ...


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What a user may change."""

    passes: bool = False  # --epochs were given, in place of a budget
    only: bool = False  # --only left contenders out
    repeats: int | None = None  # as --repeats says
    until_sure: bool = False
    folds: bool = True  # other test rows can be sampled
    stopped: bool = False  # by the user
    # {family: why it has nobody who finished}: absent, no_time, memory, no_valid or failed
    missing: Mapping[str, str] = field(default_factory=dict)
    enough: Mapping[str, int] = field(
        default_factory=dict
    )  # {such a family: seconds of a budget that has time for one}

    @property
    def time(self) -> str:
        """How to let contenders learn for longer."""
        return "give more passes (--epochs)" if self.passes else "give a larger budget"

    def both(self, family: str) -> str:
        """How to have this family, of which nobody finished, compared."""
        why = self.missing.get(family, "no_time")
        if self.stopped and why != "absent":
            return "let the race run to its end"
        return {
            "absent": "leave out --only to race both" if self.only else f"no {family} contender reads such columns",
            "no_time": f"--budget {self.enough[family]}s has time for one" if family in self.enough else self.time,
            "memory": "raise --memory",
            NO_VALID: "give at least two rows a class, or a valid part",
            "failed": "the report says what went wrong",
        }[why]

    @property
    def calibrate(self) -> str | None:
        """How to have rows to calibrate on, besides more of them; None where nothing else gives any."""
        if not self.folds:
            return None
        if self.passes or self.repeats is not None:
            return None if (self.repeats or 1) >= CALIBRATION_FOLDS else f"--repeats {CALIBRATION_FOLDS}"
        return "a larger budget, which races on folds"


PLAIN = Advice()  # of a run under a budget with no other option


def missing(entries: Iterable[Ran]) -> dict[str, str]:
    """{family: why it has nobody who finished}, by the codes of its contenders' ends."""
    entries, found = list(entries), {}
    for family in FAMILIES:
        its = [entry for entry in entries if entry.family == family]
        codes: set[Any] = {entry.code for entry in its}
        if not its:
            found[family] = "absent"
        elif not any(entry.done for entry in its):
            told = ({"no_time", "overran"}, "no_time"), ({"memory"}, "memory"), ({NO_VALID}, NO_VALID)
            found[family] = next((why for any_of, why in told if codes & any_of), "failed")
    return found


def enough(entries: Iterable[Ran]) -> dict[str, int]:
    """{family of which nobody finished: seconds of the least budget that has time for one of it}."""
    entries, found = list(entries), {}
    for family, why in missing(entries).items():
        known = [each.enough_s for each in entries if each.family == family and each.enough_s is not None]
        if why == "no_time" and known:
            found[family] = min(known)
    return found
