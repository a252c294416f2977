"""A value a row. Learners see it standardised; scores are values float64 [n] in the target's unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.task import Scale, Task, roles

if TYPE_CHECKING:
    from torch import Tensor

    from leadline.graph.builder import Graph


class Regression(Task):
    """A number a row."""

    name = "regression"
    metrics = ("rmse", "mae", "r2")
    numeric = True
    scores_role = "prediction"
    unusable = "no finite number"

    @classmethod
    def usable(cls, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.isfinite(values))

    def true(self, labels: np.ndarray) -> Any:
        return labels

    @property
    def output_width(self) -> int:
        return 1

    def scale(self, labels: np.ndarray) -> Scale:
        return float(labels.mean()), float(labels.std()) or 1.0

    def encode_labels(self, labels: np.ndarray, scale: Scale) -> np.ndarray:
        return np.asarray((labels - scale[0]) / scale[1])

    def loss(self, out: Tensor, y: Tensor, smoothing: float, *, each: bool = False) -> Tensor:
        import torch.nn.functional as F

        return F.mse_loss(out[:, 0], y, reduction="none" if each else "mean")

    def objective(self) -> dict[str, Any]:
        return {"objective": "regression", "metric": ["rmse"]}

    def from_objective(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        return self.activate(raw[:, None], scale)

    def activate(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        return np.asarray(raw[:, 0].astype(np.float64) * scale[1] + scale[0])

    def head(self, g: Graph, raw: str, scale: Scale, width: int) -> None:
        g.output("scores", self.unscaled(g, raw, scale), np.float64, ["N"])

    def unscaled(self, g: Graph, raw: str, scale: Scale) -> str:
        """Nodes from standardised float32 [N, 1] to float64 [N] in the target's unit."""
        mean, deviation = scale
        flat = g.op("Cast", g.op("Squeeze", raw, g.const(np.array([1], np.int64))), to=11)
        return str(g.op("Add", g.op("Mul", flat, g.const(np.float64(deviation))), g.const(np.float64(mean))))

    def constant(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels.mean())

    def outputs(self, g: Graph, scores: str, threshold: float | None, taken: Iterable[str]) -> dict[str, str]:
        names = roles(("prediction", *([] if threshold is None else ["low", "high"])), taken)
        g.output(names["prediction"], scores, np.float64, ["N"])
        if threshold is not None:
            half = g.const(np.float64(threshold))
            g.output(names["low"], g.op("Sub", scores, half), np.float64, ["N"])
            g.output(names["high"], g.op("Add", scores, half), np.float64, ["N"])
        return names

    def blank(self, rows: int) -> dict[str, np.ndarray]:
        return {role: np.full(rows, np.nan) for role in ("prediction", "low", "high")}

    def frame(self, found: Mapping[str, np.ndarray], bad: Mapping[int, str]) -> pl.DataFrame:
        return pl.DataFrame({role: pl.Series(values).fill_nan(None) for role, values in found.items()})

    def predicted(self, scores: np.ndarray) -> Any:
        return scores

    def decisions(self, scores: np.ndarray) -> np.ndarray:
        return np.zeros(len(scores), np.int64)

    def draws(self, scores: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
        # Each error on either side, and that in pairs, so that what depends on the side alone adds up to nothing.
        errors = (truth - scores) * rng.choice([-1.0, 1.0], len(scores))
        return [scores + errors, scores - errors]

    def worst(self, truth: np.ndarray, scores: np.ndarray) -> Sequence[int]:
        return list(np.argsort(-np.abs(scores - truth), kind="stable"))

    def unit(self, scores: np.ndarray) -> float:
        return float(np.nanstd(scores) + 1e-12 + 1e-3 * np.nanmean(np.abs(scores)))

    def tied(self, shipped: np.ndarray, scores: np.ndarray, tolerance: float) -> np.ndarray:
        return np.zeros(len(scores), bool)

    @classmethod
    def asks(cls, target: str | None, metric: str | None, found: Any) -> str:
        low, high = found
        return f"{cls.name}: {target} goes from {low:,g} to {high:,g}, measured by {metric}"
