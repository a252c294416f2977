"""What an answer may cost: conditions on contenders, and what they cost in quality.

Enters: the bounds of the settings, and what was measured of each contender. Leaves: which contenders are excluded and
why, and one sentence with the price: the best of them beside the one that is shipped.

    >>> Need.bound("max_latency", "5ms").refusal({"one_us": 7_000.0})
    'one row takes it 7.00 ms, not under 5ms'
    >>> INTERPRETABLE.refusal({"interpretable": True}) is None
    True
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadline.metrics.metrics import Metric
from leadline.system.errors import LeadlineError

# {setting: (what was measured, its words, {unit: how much of what was measured}, an example)}
BOUNDS: dict[str, tuple[str, str, dict[str, float], str]] = {
    "max_latency": ("one_us", "one row takes it", {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}, "5ms"),
    "max_size": ("bytes", "it has", {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}, "2MB"),
    "max_memory": ("peak_mb", "it held", {"kB": 1e-3, "MB": 1.0, "GB": 1e3}, "500MB"),
    "max_train_time": ("fit_s", "it trained", {"s": 1.0, "m": 60.0, "h": 3600.0}, "60s"),
}


@dataclass(frozen=True, kw_only=True)
class Need:
    """One condition. `most` is in the unit of what was measured; None: interpretable."""

    name: str  # of the setting
    value: str = ""  # as the user wrote it
    most: float | None = None
    unit: str = ""

    @property
    def text(self) -> str:
        """The option as on the command line."""
        return f"--{self.name.replace('_', '-')} {self.value}".rstrip()

    @classmethod
    def bound(cls, name: str, text: str) -> Need:
        """Raises LeadlineError for what is no quantity of this setting."""
        *_, units, example = BOUNDS[name]
        plain = re.sub(r"\s", "", str(text))  # in Python it may be a number, which lacks a unit
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-zµ]+)", plain)
        unit = next((u for u in units if match and u.lower() == match[2].lower()), None)
        if match is None or unit is None or float(match[1]) <= 0:
            option = f"--{name.replace('_', '-')}"
            raise LeadlineError(
                f"{option} {text} is not a quantity; write a number and a unit ({', '.join(units)}), as in {example}."
            )
        return cls(name=name, value=plain, most=float(match[1]) * units[unit], unit=unit)

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Why a contender with these facts does not satisfy it; None where it does."""
        if self.most is None:
            return None if facts["interpretable"] else "nobody can read how it answers"
        measured, words, units, _ = BOUNDS[self.name]
        value = float(facts[measured])
        if value < self.most:
            return None
        return f"{words} {value / units[self.unit]:.2f} {self.unit}, not under {self.value}"


INTERPRETABLE = Need(name="interpretable")


def ruled_out(needs: Sequence[Need], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """{contender: why} of those that miss a condition."""
    found: dict[str, str] = {}
    for name, its in facts.items():
        reasons = [why for need in needs if (why := need.refusal(its)) is not None]
        if reasons:
            found[name] = "; ".join(reasons)
    return found


def price(
    needs: Sequence[Need], ruled: Mapping[str, str], best: str | None, scores: Mapping[str, float],
    winner: str | None, metric: Metric,
) -> str | None:  # fmt: skip
    """What the conditions cost: the best by valid of all (None: no valid rows), if ruled out, beside the winner."""
    if not needs or not ruled:
        return None if not needs else "The conditions exclude none of the contenders that finished."
    asked = ", ".join(need.text for need in needs)
    if winner is None:
        return f"No contender satisfies {asked}: " + "; ".join(f"{name}: {why}" for name, why in ruled.items()) + "."
    if best is None:
        return f"{asked} rules out {', '.join(ruled)}; without valid rows nothing says what that costs."
    if best not in ruled:
        return f"{asked} rules out {', '.join(ruled)}, and costs nothing: {winner} is not worse on valid."
    gap = metric.sign * (scores[best] - scores[winner])
    unit = f"{100 * gap:.2f} points" if metric.name == "accuracy" else f"{gap:.4g}"
    cost = f"costs {unit} of {metric.name}" if gap > 0 else "costs nothing on the test"
    return f"{asked} {cost}: {best} is ruled out ({ruled[best]}), and {winner} is the best that is left."
