"""Any number of labels a row, or none. Scores are probabilities float32 [n, labels], each for itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.task import Scale, Task, roles
from leadline.metrics.metrics import LIKELY
from leadline.metrics.multilabel import joined, named, packed, rarest, unpacked
from leadline.tasks.classification import blank_chances, chances, declare_chances, in_line

if TYPE_CHECKING:
    from torch import Tensor

    from leadline.graph.builder import Graph


class Multilabel(Task):
    """Labels are packed into one whole number a row (metrics/multilabel.py)."""

    name, link = "multilabel", "logistic"
    metrics = ("micro f1", "macro f1", "label accuracy", "exact match")
    multilabel = True

    def strata(self, labels: np.ndarray) -> np.ndarray:
        return rarest(labels, len(self.classes))

    def support(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(unpacked(labels, len(self.classes)).sum(axis=0))

    def true(self, labels: np.ndarray) -> Any:
        return joined(unpacked(labels, len(self.classes)), self.classes)

    @property
    def output_width(self) -> int:
        return len(self.classes)

    def encode_labels(self, labels: np.ndarray, scale: Scale) -> np.ndarray:
        return unpacked(labels, len(self.classes)).astype(np.float32)

    def loss(self, out: Tensor, y: Tensor, smoothing: float, *, each: bool = False) -> Tensor:
        import torch.nn.functional as F

        if each:
            return F.binary_cross_entropy_with_logits(out, y, reduction="none").mean(1)
        return F.binary_cross_entropy_with_logits(out, y)

    def objective(self) -> dict[str, Any]:
        return {"objective": "none", "metric": "none", "num_class": len(self.classes)}

    def from_objective(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        return self.activate(raw, scale)

    def activate(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        from scipy.special import expit

        return np.asarray(expit(raw), np.float32)

    def head(self, g: Graph, raw: str, scale: Scale, width: int) -> None:
        g.output("scores", g.op("Sigmoid", raw), np.float32, ["N", len(self.classes)])

    def constant(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(self.encode_labels(labels, (0.0, 1.0)).mean(axis=0))

    def outputs(self, g: Graph, scores: str, threshold: float | None, taken: Iterable[str]) -> dict[str, str]:
        names = roles(("prediction", "probabilities", *([] if threshold is None else ["set"])), taken)
        likely = g.op("GreaterOrEqual", scores, g.const(np.float32(LIKELY)))
        g.output(names["prediction"], likely, np.bool_, ["N", len(self.classes)])
        declare_chances(g, scores, threshold, names, len(self.classes))
        return names

    def blank(self, rows: int) -> dict[str, np.ndarray]:
        return {"prediction": np.zeros((rows, len(self.classes)), bool), **blank_chances(rows, len(self.classes))}

    def frame(self, found: Mapping[str, np.ndarray], bad: Mapping[int, str]) -> pl.DataFrame:
        labels = [None if i in bad else row for i, row in enumerate(named(found["prediction"], self.classes))]
        said = pl.Series(labels, dtype=pl.List(pl.String))
        return pl.DataFrame({"prediction": said, **chances(found, self.classes, bad)})

    def predicted(self, scores: np.ndarray) -> Any:
        return joined(self.decisions(scores), self.classes)

    def decisions(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(scores >= LIKELY)

    def draws(self, scores: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
        return [packed(rng.random(scores.shape) < scores)]

    def worst(self, truth: np.ndarray, scores: np.ndarray) -> Sequence[int]:
        marks = unpacked(truth, len(self.classes))
        wrong = (self.decisions(scores) != marks).any(axis=1)
        return [i for i in np.argsort(-np.abs(scores - marks).sum(axis=1), kind="stable") if wrong[i]]

    def tied(self, shipped: np.ndarray, scores: np.ndarray, tolerance: float) -> np.ndarray:
        # Of thousands of labels some lie within rounding of the threshold.
        other = self.decisions(shipped) != self.decisions(scores)
        return np.asarray(~(other & (np.abs(scores - LIKELY) > tolerance)).any(axis=1))

    @classmethod
    def asks(cls, target: str | None, metric: str | None, found: Any) -> str:
        return f"{cls.name}: {target} holds any of {in_line(found)}, measured by {metric}"
