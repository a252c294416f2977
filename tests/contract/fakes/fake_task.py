"""A task that is not Leadline's own: a count, a whole number from 0 up, scored by the mean absolute error.

It stands for any task that a project adds: one class, and one line that registers it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from leadline.core.task import Scale
from leadline.tasks import TASKS, Regression


class Count(Regression):
    name = "count"
    metrics = ("mae", "rmse")
    unusable = "no whole number from 0 up"

    @classmethod
    def usable(cls, values: np.ndarray) -> np.ndarray:
        return np.isfinite(values) & (values >= 0) & (values == np.round(values))

    def activate(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        """No answer is below 0."""
        return np.maximum(super().activate(raw, scale), 0.0)

    def head(self, g: Any, raw: str, scale: Scale, width: int) -> None:
        g.output("scores", g.op("Max", self.unscaled(g, raw, scale), g.const(np.float64(0))), np.float64, ["N"])


TASKS["count"] = Count
