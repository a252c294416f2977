"""One class a row: binary and multiclass. Scores are probabilities float32 [n, classes] that add up to 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.task import Scale, Task, roles
from leadline.metrics.multilabel import named

if TYPE_CHECKING:
    from torch import Tensor

    from leadline.graph.builder import Graph

SHARES = 12  # of classes, in a line
TIED = 16 * float(np.finfo(np.float32).eps)  # relative: of two classes that lie so close rounding tells which is first


class Classification(Task):
    """A row is of one of two classes or more."""

    metrics = ("accuracy", "balanced accuracy", "auc", "f1", "average precision", "log loss")

    @classmethod
    def sized(cls, classes: int) -> type[Task]:
        return Binary if classes == 2 else Multiclass

    def support(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels, minlength=len(self.classes))

    def true(self, labels: np.ndarray) -> Any:
        return np.array(self.classes, object)[labels].tolist()

    @property
    def output_width(self) -> int:
        return len(self.classes)

    def encode_labels(self, labels: np.ndarray, scale: Scale) -> np.ndarray:
        return labels

    def loss(self, out: Tensor, y: Tensor, smoothing: float, *, each: bool = False) -> Tensor:
        import torch.nn.functional as F

        return F.cross_entropy(out, y, label_smoothing=smoothing, reduction="none" if each else "mean")

    def activate(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        if raw.shape[1] == 1:
            raw = np.concatenate([np.zeros_like(raw), raw], axis=1)
        odds = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def head(self, g: Graph, raw: str, scale: Scale, width: int) -> None:
        if width == 1:
            raw = g.op("Concat", g.op("Mul", raw, g.const(np.float32(0))), raw, axis=1)
        g.output("scores", g.op("Softmax", raw, axis=1), np.float32, ["N", len(self.classes)])

    def constant(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(labels, minlength=len(self.classes)) / len(labels))

    def outputs(self, g: Graph, scores: str, threshold: float | None, taken: Iterable[str]) -> dict[str, str]:
        best = g.op("ArgMax", scores, axis=1, keepdims=0)
        numbers = list(range(len(self.classes)))
        said = g.op("LabelEncoder", best, domain="ai.onnx.ml", keys_int64s=numbers, values_strings=list(self.classes))
        names = roles(("prediction", "probabilities", *([] if threshold is None else ["set"])), taken)
        g.output(names["prediction"], said, np.str_, ["N"])
        declare_chances(g, scores, threshold, names, len(self.classes))
        return names

    def blank(self, rows: int) -> dict[str, np.ndarray]:
        return {"prediction": np.full(rows, None, object), **blank_chances(rows, len(self.classes))}

    def frame(self, found: Mapping[str, np.ndarray], bad: Mapping[int, str]) -> pl.DataFrame:
        said = pl.Series(found["prediction"].tolist(), dtype=pl.String)
        return pl.DataFrame({"prediction": said, **chances(found, self.classes, bad)})

    def predicted(self, scores: np.ndarray) -> Any:
        return self.true(self.decisions(scores))

    def decisions(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(scores.argmax(axis=1))

    def draws(self, scores: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
        ends = np.cumsum(scores / scores.sum(axis=1, keepdims=True), axis=1)[:, :-1]
        return [(rng.random(len(scores))[:, None] > ends).sum(axis=1)]

    def worst(self, truth: np.ndarray, scores: np.ndarray) -> Sequence[int]:
        guess = scores.argmax(axis=1)
        sure = scores[np.arange(len(scores)), guess]
        return [i for i in np.argsort(-sure, kind="stable") if guess[i] != truth[i]]

    def tied(self, shipped: np.ndarray, scores: np.ndarray, tolerance: float) -> np.ndarray:
        first = np.partition(scores, -2, axis=1)[:, -2:]
        return np.asarray(first[:, 1] - first[:, 0] <= TIED * first[:, 1])

    @classmethod
    def asks(cls, target: str | None, metric: str | None, found: Any) -> str:
        shares = list(found.items())
        if len(shares) > 2 and shares[0][1] - shares[-1][1] < 0.001:
            some = ", ".join([name for name, _ in shares[:SHARES]] + ["…"] * (len(shares) > SHARES))
            return (
                f"{cls.name}: {target} is one of {len(shares):,} equally large classes ({some}), measured by {metric}"
            )
        return f"{cls.name}: {target} is one of {in_line(found)}, measured by {metric}"


class Binary(Classification):
    """One of two classes a row."""

    name, link = "binary", "logistic"

    @property
    def columns(self) -> int:
        return 1

    def objective(self) -> dict[str, Any]:
        return {"objective": "binary", "metric": ["binary_logloss"]}

    def from_objective(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        return np.stack([1 - raw, raw], axis=1).astype(np.float32)


class Multiclass(Classification):
    """One of several classes a row."""

    name, link = "multiclass", "softmax"

    def objective(self) -> dict[str, Any]:
        return {"objective": "multiclass", "num_class": len(self.classes), "metric": ["multi_logloss"]}

    def from_objective(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        return raw.astype(np.float32)


# What both sorts of probabilities share: one class a row, and several labels (multilabel.py).


def declare_chances(g: Graph, scores: str, threshold: float | None, names: Mapping[str, str], classes: int) -> None:
    """The outputs `probabilities`, and `set` where a coverage is set."""
    g.output(names["probabilities"], scores, np.float32, ["N", classes])
    if threshold is not None:
        inside = g.op("GreaterOrEqual", scores, g.const(np.float32(threshold)))
        g.output(names["set"], inside, np.bool_, ["N", classes])


def blank_chances(rows: int, classes: int) -> dict[str, np.ndarray]:
    """Outputs of rows that have no prediction: NaN probabilities and empty sets."""
    return {"probabilities": np.full((rows, classes), np.nan, np.float32), "set": np.zeros((rows, classes), bool)}


def chances(found: Mapping[str, np.ndarray], classes: Sequence[str], bad: Mapping[int, str]) -> dict[str, pl.Series]:
    """Columns `p_<class>`, and `set` where a coverage is set."""
    columns = {f"p_{name}": pl.Series(found["probabilities"][:, i]).fill_nan(None) for i, name in enumerate(classes)}
    if "set" in found:
        sets = [None if i in bad else "|".join(row) for i, row in enumerate(named(found["set"], classes))]
        columns["set"] = pl.Series(sets, dtype=pl.String)
    return columns


def in_line(shares: Mapping[str, float]) -> str:
    """The largest classes with their shares."""
    told = ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:SHARES])
    return told + (f" and {len(shares) - SHARES} more" if len(shares) > SHARES else "")
