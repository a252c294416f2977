"""How the contenders of a race are run: the same for the first race of a run and for its repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leadline.core.executor import Executor


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How the contenders of a race are run."""

    executor: Executor
    epochs: int | None = None  # passes of every network, in place of a budget
    budget: float = math.inf  # seconds of the whole run
    given: float = 1.0  # times these, that the user's budget is
    slow: float = 1.0  # times longer than alone that the machine takes now (`slowdown`)
    init: Mapping[str, Path] = field(
        default_factory=dict
    )  # networks of an earlier run, by the contender to begin from them
    prints: bool = False  # contenders that a person can read write themselves down
