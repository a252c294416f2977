"""What every part of the page asks of a result: who finished, the scale of the scores, how they are written.

Enters: the parsed result.json. Leaves: a frozen `Facts`; missing fields become None, never an error, so that a page
comes out of a run that ended early.

    >>> facts = Facts.of({"metric": "accuracy", "contenders": [{"name": "cnn", "family": "deep", "score": 0.99}]})
    >>> facts.best["name"], facts.measure.text(facts.best["score"])
    ('cnn', '99.0%')
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

from leadline.charts.format import Measure
from leadline.charts.svg import Axis
from leadline.contenders.families import BASELINE, FAMILIES
from leadline.tasks import TASKS, Task

Contender = dict[str, Any]


def number(value: object) -> float | None:
    """A finite number, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def family(contender: Contender) -> str:
    """`deep`, `classical` or `baseline`: safe to use as a class of the style sheet."""
    found = contender.get("family")
    return found if found in FAMILIES else BASELINE


@dataclass(frozen=True)
class Facts:
    """A result and the values that several sections derive from it."""

    result: dict[str, Any]
    contenders: list[Contender]
    finished: list[Contender]
    measure: Measure

    @classmethod
    def of(cls, result: dict[str, Any]) -> Facts:
        """Read a result."""
        contenders = list(result.get("contenders") or [])
        higher = bool(result.get("higher_is_better", True))
        finished = [c for c in contenders if number(c.get("score")) is not None]
        finished.sort(key=lambda c: -c["score"] if higher else c["score"])
        region = number((result.get("verdict") or {}).get("region"))
        widths = [
            c["high"] - c["low"]
            for c in finished
            if family(c) != BASELINE and number(c.get("low")) is not None and number(c.get("high")) is not None
        ]
        steps = [w / 5 for w in widths if w > 0] + ([region / 5] if region else [])
        scores = [c["score"] for c in finished]
        steps += [min(abs(score) for score in scores if score) / 50] if any(scores) else []  # two digits of each
        step = min(steps) if steps else max((abs(s) for s in scores), default=1.0) / 1000
        return cls(result, contenders, finished, Measure.fit(str(result.get("metric", "score")), higher, scores, step))

    @cached_property
    def task(self) -> type[Task]:
        """The task of the run; of a run that did not come so far one without any property."""
        return TASKS.get(str(self.result.get("task")), Task)

    @cached_property
    def verdict(self) -> dict[str, Any]:
        """The verdict, empty when there is none."""
        return self.result.get("verdict") or {}

    @cached_property
    def level(self) -> str:
        """The level of the verdict's interval: higher than 95% where several looks were taken."""
        return f"{100 * (number(self.verdict.get('level')) or 0.95):.3g}%"

    @cached_property
    def over(self) -> str:
        """`25 folds` or `3 seeds` where the verdict rests on several trainings, else nothing."""
        repeats = number(self.verdict.get("repeats")) or 1
        by = self.verdict.get("by")
        return f"{repeats:.0f} {by}" if repeats > 1 and by in ("folds", "seeds") else ""

    @cached_property
    def best(self) -> Contender:
        """The finished contender with the best test score."""
        return self.finished[0] if self.finished else {}

    @cached_property
    def shipped(self) -> Contender:
        """The contender whose model was shipped."""
        return self.named((self.result.get("shipped") or {}).get("contender"))

    @cached_property
    def rival(self) -> Contender:
        """Of the two that the verdict compared, the one that was not shipped."""
        pair = [self.verdict.get("winner"), self.verdict.get("against")]
        return next((self.named(n) for n in pair if n and n != self.shipped.get("name")), {})

    def named(self, name: object) -> Contender:
        """The contender of that name, or an empty one."""
        return next((c for c in self.contenders if name is not None and c.get("name") == name), {})

    @cached_property
    def score_axis(self) -> Axis:
        """A scale on which the good contenders can be distinguished; those far behind lie beyond its edge."""
        near = self._near([c for c in self.finished if family(c) != BASELINE] or self.finished)
        near += [c for c in (self.shipped, self.rival) if c and number(c.get("score")) is not None and c not in near]
        values = [v for c in near for v in (c["score"], number(c.get("low")), number(c.get("high"))) if v is not None]
        return Axis.over(values, pad=0.12)

    def _near(self, contenders: list[Contender]) -> list[Contender]:
        """Those whose distance from the best is not out of proportion to the others'."""
        if len(contenders) < 3:
            return list(contenders)
        away = [abs(c["score"] - contenders[0]["score"]) for c in contenders]
        limit = max(4 * median(away), 2 * away[1])
        return [c for c, distance in zip(contenders, away, strict=True) if distance <= limit]

    def span(self, contender: Contender) -> str:
        """`99.20% to 99.55%`, or nothing where no interval was measured."""
        low, high = number(contender.get("low")), number(contender.get("high"))
        return f"{self.measure.text(low)} to {self.measure.text(high)}" if low is not None and high is not None else ""
