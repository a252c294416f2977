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

from leadline.config import seconds
from leadline.metrics.cost import Need
from leadline.metrics.metrics import Metric
from leadline.stats.noninferiority import least_certifiable
from leadline.system.errors import LeadlineError

__all__ = ["Limits", "ShrinkSettings"]

PREFERENCES = {"size": "bytes", "speed": "one_us"}  # what is least of the file that ships
USUAL = 0.005  # points, or share of an error
ROUNDING = 1e-9


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

    def drop_allowed(self, metric: Metric, units: int) -> tuple[float, str | None]:
        """(the drop that is excluded, a sentence where it is larger than usual); `units` are rows or groups that judge.

        Raises:
            LeadlineError: the user's own limit is smaller than what so many rows can certify.
        """
        least = least_certifiable(units) + ROUNDING if metric.share else 0.0
        if self.max_drop is None:
            if least <= USUAL:
                return USUAL, None
            return least, (
                f"{units:,} test rows judge, and the smallest drop that they can certify is {least:.2%}, which is "
                f"allowed here in place of {USUAL:.1%}; more test rows certify less."
            )
        if self.max_drop < least:
            raise LeadlineError(
                f"--max-drop {self.max_drop:.2%} cannot be certified: {units:,} test rows judge, and the smallest drop "
                f"that they can certify is {least:.2%}; allow that much, or give more test rows."
            )
        return self.max_drop, None

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Why a file with these measurements may not ship; None where it may."""
        return "; ".join(why for need in self.needs if (why := need.refusal(facts)) is not None) or None


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
