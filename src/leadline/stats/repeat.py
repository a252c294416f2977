"""What came of one race on one fold or seed: the answers that are compared."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from leadline.metrics.metrics import Metric
from leadline.stats.choice import Choice, ValidAnswers, best


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
    on_valid: ValidAnswers | None = None  # what the scores on valid rows are of

    def best_of(self, names: Collection[str], metric: Metric) -> Choice | None:
        """The best of these contenders by the repeat's own valid rows; the first of them where there are none."""
        return best({name: score for name, score in self.valid.items() if name in names}, metric, self.on_valid)
