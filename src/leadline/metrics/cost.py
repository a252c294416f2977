"""What an answer may cost: conditions on contenders, and what they cost in quality.

Enters: `--need` as the user wrote it, and what was measured of each contender. Leaves: who is ruled out and why, and
one sentence with the price: the best that is ruled out beside the one that is shipped.

    >>> Need.parse("latency<5ms").refusal({"one_us": 7_000.0})
    'one row takes it 7.00 ms, not under 5ms'
    >>> Need.parse("interpretable").refusal({"interpretable": True}) is None
    True
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadline.metrics.metrics import Metric
from leadline.system.errors import LeadlineError

# What can be bounded: (what was measured, its words, {unit: how much of what was measured}).
BOUNDS: dict[str, tuple[str, str, dict[str, float]]] = {
    "latency": ("one_us", "one row takes it", {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}),
    "size": ("bytes", "it has", {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}),
    "memory": ("peak_mb", "it held", {"kB": 1e-3, "MB": 1.0, "GB": 1e3}),
    "training": ("fit_s", "it trained", {"s": 1.0, "m": 60.0, "h": 3600.0}),
}


@dataclass(frozen=True, kw_only=True)
class Need:
    """One condition. `most` is in the unit of what was measured; None: interpretable."""

    text: str
    what: str
    most: float | None = None
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> Need:
        """Raises LeadlineError for what is no condition."""
        plain = re.sub(r"\s", "", text)
        if plain == "interpretable":
            return cls(text=plain, what=plain)
        match = re.fullmatch(r"([a-z]+)<=?(\d+(?:\.\d+)?)([A-Za-zµ]+)", plain)
        units = BOUNDS[match[1]][2] if match and match[1] in BOUNDS else {}
        unit = next((u for u in units if match and u.lower() == match[3].lower()), None)
        if match is None or unit is None or float(match[2]) <= 0:
            raise LeadlineError(
                f"--need {text} is no condition; it can be interpretable, or as in latency<5ms, size<2MB, "
                "memory<500MB, training<60s."
            )
        return cls(text=plain, what=match[1], most=float(match[2]) * units[unit], unit=unit)

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Why a contender with these facts does not satisfy it; None where it does."""
        if self.most is None:
            return None if facts["interpretable"] else "nobody can read how it answers"
        measured, words, units = BOUNDS[self.what]
        value = float(facts[measured])
        if value < self.most:
            return None
        return f"{words} {value / units[self.unit]:.2f} {self.unit}, not under {self.text.split('<')[1].lstrip('=')}"


def ruled_out(needs: Sequence[Need], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """{contender: why} of those that miss a condition."""
    found: dict[str, str] = {}
    for name, its in facts.items():
        reasons = [why for need in needs if (why := need.refusal(its)) is not None]
        if reasons:
            found[name] = "; ".join(reasons)
    return found


def price(
    needs: Sequence[Need], ruled: Mapping[str, str], valid: Mapping[str, float], scores: Mapping[str, float],
    winner: str | None, metric: Metric,
) -> str | None:  # fmt: skip
    """What the conditions cost: the best by valid of all, if it is ruled out, beside the winner."""
    if not needs or not ruled:
        return None if not needs else "The conditions rule nobody out, so they cost nothing."
    asked = ", ".join(need.text for need in needs)
    if winner is None:
        return f"No contender satisfies {asked}: " + "; ".join(f"{name}: {why}" for name, why in ruled.items()) + "."
    best = max(valid, key=lambda name: metric.sign * valid[name])
    if best not in ruled:
        return f"{asked} rules out {', '.join(ruled)}, and costs nothing: {winner} is not worse on valid."
    gap = metric.sign * (scores[best] - scores[winner])
    unit = f"{100 * gap:.2f} points" if metric.name == "accuracy" else f"{gap:.4g}"
    cost = f"costs {unit} of {metric.name}" if gap > 0 else "costs nothing on the test"
    return f"{asked} {cost}: {best} is ruled out ({ruled[best]}), and {winner} is the best that is left."
