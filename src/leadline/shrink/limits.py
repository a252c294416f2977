"""What the user allows a smaller model: how much worse, how large, how slow.

>>> Limits.read(ShrinkSettings(max_drop="0.5%", max_size="500kB")).max_drop
0.005
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadline.config import check_names, check_types, seconds
from leadline.metrics.cost import Need
from leadline.metrics.metrics import Metric
from leadline.stats.noninferiority import Comparison, least_certifiable
from leadline.system.errors import LeadlineError

__all__ = ["Limits", "ShrinkSettings", "Units", "at_most", "percent"]

PREFERENCES = {"size": "bytes", "speed": "one_us"}  # what is least of the file that ships
USUAL = 0.005  # points, or share of an error
# What it may become where the rows certify no less: nobody should find that much lost who did not ask for it.
MOST_USUAL = 0.05
ROUNDING = 1e-9
NAMES = ("distill", "max_drop", "max_latency", "max_size", "out", "prefer", "unlabelled")  # of what users set
ROW_BY_ROW = ("accuracy", "exact match")  # metrics by which a row is right or wrong
INTERNAL = ("seconds", "watch")  # of what --edge and the terminal set
DIGITS = (2, 3, 4, 5, 6)  # decimals of a percentage: as few as do not contradict another one


@dataclass(frozen=True, kw_only=True)
class ShrinkSettings:
    """The options of `leadline shrink`, as the user wrote them."""

    max_drop: str | float | None = None  # the drop that is excluded with 95% confidence: points, or share of an error
    max_size: str | None = None  # of the file, as in 500kB
    max_latency: str | None = None  # of one row on one thread, as in 1ms
    prefer: str = "size"  # what is least of the file: size or speed
    out: str | Path | None = None  # the folder to make; None: RUN-small
    distill: str | None = None  # time to train smaller networks on the model's answers; None: none are trained
    unlabelled: Any = None  # a source of rows without labels, which the model answers for smaller networks to learn
    seconds: float = math.inf  # after which no further candidate is made
    watch: Callable[[str], None] = lambda message: None  # called with a line for every file that was measured

    @property
    def distill_seconds(self) -> float:
        return 0.0 if self.distill is None else seconds(self.distill, "--distill")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ShrinkSettings:
        """Settings from loose values; raises LeadlineError for an unknown name, or a value of another type."""
        check_names({name: value for name, value in values.items() if name not in INTERNAL}, NAMES)
        return cls(**{name: value for name, value in values.items() if value is not None})

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, kw_only=True)
class Units:
    """What judges: rows, or groups of rows that count together."""

    count: int
    groups: bool = False

    def __str__(self) -> str:
        return f"{self.count:,} {'groups of ' * self.groups}test rows"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The conditions on a smaller model."""

    max_drop: float | None  # None: `USUAL`, or what the rows can certify
    needs: tuple[Need, ...]
    prefer: str

    @classmethod
    def read(cls, settings: ShrinkSettings) -> Limits:
        """Raises LeadlineError for what is no drop, no quantity or no preference."""
        max_drop, prefer = settings.max_drop, settings.prefer
        if prefer not in PREFERENCES:
            raise LeadlineError(f"--prefer {prefer} is not known; it can be {' or '.join(PREFERENCES)}.")
        bounds = (("max_size", settings.max_size), ("max_latency", settings.max_latency))
        needs = tuple(Need.bound(name, text) for name, text in bounds if text is not None)
        return cls(max_drop=None if max_drop is None else _share(max_drop), needs=needs, prefer=prefer)

    @property
    def key(self) -> str:
        """The measurement that is to be least."""
        return PREFERENCES[self.prefer]

    def drop_allowed(self, metric: Metric, units: Units) -> tuple[float, list[str]]:
        """(the drop that is excluded, sentences on what so few rows or groups mean for it).

        Raises:
            LeadlineError: the user's own limit is smaller than what these can certify, or, where there is none, what
                they can certify is more than anybody expects.
        """
        if not metric.share:
            return self.max_drop or USUAL, []
        # As it is printed, so that the number can be given back as --max-drop.
        least = rounded_up(least_certifiable(units.count) + ROUNDING)
        judge = f"{units} judge, and the smallest drop that they can certify is {percent(least)}"
        if self.max_drop is None and least > MOST_USUAL:
            raise LeadlineError(
                f"{judge}, more than the {MOST_USUAL:.0%} that are allowed by default; give more test "
                f"rows, or allow it: --max-drop {percent(least)}."
            )
        if self.max_drop is not None and self.max_drop < least - ROUNDING:
            raise LeadlineError(
                f"--max-drop {percent(self.max_drop)} cannot be certified: {judge}; allow that much, or give more test "
                "rows."
            )
        allowed = max(USUAL, least) if self.max_drop is None else self.max_drop
        notes = []
        if self.max_drop is None and allowed > USUAL:
            notes.append(f"{judge}, which is allowed here in place of {USUAL:.1%}; more test rows certify less.")
        if (
            not units.groups
            and metric.name in ROW_BY_ROW
            and allowed < (one := rounded_up(least_certifiable(units.count, lost=1)))
        ):
            notes.append(
                f"Where {percent(allowed)} is allowed, a file that loses one of the {units} that judge, and wins none, "
                f"is not certified: that takes --max-drop {percent(one)}."
            )
        return allowed, notes

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Why a file with these measurements may not ship; None where it may."""
        return "; ".join(why for need in self.needs if (why := need.refusal(facts)) is not None) or None


def rounded_up(share: float, digits: int = DIGITS[0]) -> float:
    """A share that is not below the given one when it is written as a percentage of so many digits.

    >>> rounded_up(0.012114), percent(rounded_up(0.012114))
    (0.0122, '1.22%')
    """
    steps: int = 10 ** (digits + 2)
    return math.ceil(round(share * steps, 6)) / steps


def percent(share: float) -> str:
    """A limit as the user would write it.

    >>> percent(0.005), percent(0.0122), percent(0.00123)
    ('0.50%', '1.22%', '0.123%')
    """
    short = f"{share:.2%}"
    return short if abs(float(short[:-1]) / 100 - share) < ROUNDING else f"{100 * share:.6g}%"


def at_most(found: Comparison) -> str:
    """The upper bound of a drop, rounded up, with digits enough that it contradicts no limit.

    >>> at_most(Comparison(rows=9, drop=0.0, upper=0.012301, p=0.01, limit=0.01235))
    '1.231%'
    """
    digits = next((each for each in DIGITS if rounded_up(found.upper, each) <= found.limit + ROUNDING), DIGITS[0])
    return f"{rounded_up(found.upper, digits):z.{digits}%}"


def _share(text: str | float) -> float:
    """'0.5%' or 0.005 as 0.005."""
    plain = str(text).strip()
    try:
        value = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise LeadlineError(f"--max-drop {text} is not a drop; write a share above 0 and under 1, as in 0.5% or 0.005.")
    return value
