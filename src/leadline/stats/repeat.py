"""What came of one race on one fold or seed: the answers that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadline.metrics.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """What came of one race."""

    number: int
    fold: int | None
    seed: int
    seconds: float
    rows: np.ndarray  # tested on
    truth: np.ndarray
    answers: dict[str, np.ndarray]
    valid: dict[str, float]  # scores on valid rows; NaN where there are none
    scores: dict[str, float]

    def best_of(self, names: Sequence[str], metric: Metric) -> str | None:
        """The best of these contenders by the repeat's own valid rows; the first of them where there are none."""
        found = None
        for name, score in self.valid.items():
            if name in names:
                found = name if found is None or metric.better(score, self.valid[found]) else found
        return found
