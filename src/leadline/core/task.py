"""What a task is: what the target asks, and all that follows from it.

A `Task` is a frozen record of target, classes and metric. `store.json`, `result.json` and the contract of a file keep
it with the name of its class; its methods are what other packages ask, so that nobody compares that name. A task is one
class in `tasks/` and one line in `TASKS`. Three facts tell tasks apart: answers are values (`numeric`), any number of
the classes (`multilabel`) or continued text (`generative`); where none holds, a row is of one class.

Shapes: labels [n] are class numbers, packed marks of several labels, or values; raw [n, outputs] is what a learner
gives before `activate`; scores are probabilities float32 [n, classes], or values float64 [n] in the target's unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl

from leadline.system.errors import LeadlineError

if TYPE_CHECKING:
    from torch import Tensor

    from leadline.core.json_types import Json
    from leadline.graph.builder import Graph

Written = np.ndarray | pl.Series | Sequence[str]  # labels, or answers, as they are written
Scale = tuple[float, float]  # of values: learners see (label - first) / second


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the target asks. What a task does not define, it is never asked: a generative one has no columns."""

    target: str | None  # None: the next token of a text
    classes: tuple[str, ...]  # empty where answers are values or text
    metric: str  # what is scored, stops and selects

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]  # that fit; the first is the default
    numeric: ClassVar[bool] = False
    multilabel: ClassVar[bool] = False
    generative: ClassVar[bool] = False
    scores_role: ClassVar[str] = "probabilities"  # the output of the shipped file that holds the scores
    link: ClassVar[Literal["identity", "logistic", "softmax"]] = "identity"  # `activate`, as printed models name it
    unusable: ClassVar[str] = ""  # of a numeric task: what a value is that `usable` refuses

    @classmethod
    def of(cls, target: str | None, classes: Sequence[str], metric: str | None) -> Task:
        """The task of a target that was read. Raises LeadlineError where the metric does not fit."""
        kind = cls.sized(len(classes))
        return kind(target=target, classes=tuple(classes), metric=kind.choose(metric))

    @classmethod
    def sized(cls, classes: int) -> type[Task]:
        """The task for so many classes."""
        return cls

    @classmethod
    def choose(cls, metric: str | None) -> str:
        """The metric that the user named, or the default; raises LeadlineError where it does not fit."""
        if metric is None:
            return cls.metrics[0]
        plain = metric.lower().replace("_", " ").replace("-", " ").strip()
        if plain not in cls.metrics:
            raise LeadlineError(
                f"--metric {metric} does not fit a {cls.name} task; it can be {', '.join(cls.metrics)}."
            )
        return plain

    def as_dict(self) -> dict[str, Json]:
        """The record as files keep it."""
        return {"name": self.name, "target": self.target, "classes": list(self.classes), "metric": self.metric}

    @property
    def one_class(self) -> bool:
        """Whether a row is of exactly one of the classes."""
        return bool(self.classes) and not self.multilabel

    # Labels.

    @classmethod
    def usable(cls, values: np.ndarray) -> np.ndarray:
        """bool [n]: which numbers [n] can be a target of a numeric task."""
        raise NotImplementedError

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Labels [n] by whose equal values the split is stratified."""
        return labels

    def support(self, labels: np.ndarray) -> np.ndarray:
        """int64 [classes]: rows of each class among usable labels [n]."""
        raise NotImplementedError

    def true(self, labels: np.ndarray) -> Written:
        """Labels [n] as they are written: names, names joined by '|', or values."""
        raise NotImplementedError

    # Learning.

    @property
    def output_width(self) -> int:
        """Outputs of a network."""
        raise NotImplementedError

    @property
    def columns(self) -> int:
        """Raw columns of other learners: one tells two classes apart."""
        return self.output_width

    def scale(self, labels: np.ndarray) -> Scale:
        """By which values are standardised, from the labels of train rows."""
        return 0.0, 1.0

    def encode_labels(self, labels: np.ndarray, scale: Scale) -> np.ndarray:
        """What a learner is to give: class numbers int64 [n], marks float32 [n, classes], or scaled float64 [n]."""
        raise NotImplementedError

    def loss(self, out: Tensor, y: Tensor, smoothing: float, *, each: bool = False) -> Tensor:
        """The loss of a network's outputs [n, output_width]: its mean, or that of `each` row [n]."""
        raise NotImplementedError

    def objective(self) -> dict[str, str | int | float]:
        """Settings of LightGBM: the objective, and the loss by which it stops."""
        raise NotImplementedError

    def from_objective(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        """Scores from what LightGBM predicts under `objective`."""
        raise NotImplementedError

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Of each raw column: classes, labels, or the target."""
        return self.classes[-self.columns :] if self.classes else (self.target or "value",)

    def activate(self, raw: np.ndarray, scale: Scale) -> np.ndarray:
        """Scores from raw [n, output_width] or [n, columns]."""
        raise NotImplementedError

    def head(self, g: Graph, raw: str, scale: Scale, width: int) -> None:
        """`activate` as the end of a graph: raw float32 [N, width] -> its output 'scores'."""
        raise NotImplementedError

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """The scores of one row by which the baseline answers every row."""
        raise NotImplementedError

    # Answers.

    def outputs(self, g: Graph, scores: str, threshold: float | None, taken: Iterable[str]) -> dict[str, str]:
        """Declare the outputs of the shipped file: {role: name}.

        Args:
            threshold: the least probability of a class in a set, or the half-width of an interval; None: none stated.
            taken: names of inputs; a column of the table may already have the usual name.
        """
        raise NotImplementedError

    def blank(self, rows: int) -> dict[str, np.ndarray]:
        """{role: array} of every output that a file may have, as of rows without an answer."""
        raise NotImplementedError

    def frame(self, found: Mapping[str, np.ndarray], bad: Mapping[int, str]) -> pl.DataFrame:
        """The outputs of a file as columns for the user; null in the rows of `bad`."""
        raise NotImplementedError

    def predicted(self, scores: np.ndarray) -> Written:
        """Scores as they are written: names, names joined by '|', or values."""
        raise NotImplementedError

    def decisions(self, scores: np.ndarray) -> np.ndarray:
        """What scores decide: class numbers [n], labels bool [n, classes]; values decide nothing, zeros [n]."""
        raise NotImplementedError

    def flips(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """bool [n]: rows that two sets of scores decide otherwise."""
        other = self.decisions(before) != self.decisions(after)
        return np.asarray(other.reshape(len(other), -1).any(axis=1))

    def worst(self, truth: np.ndarray, scores: np.ndarray) -> Sequence[int]:
        """The places of wrong answers, the worst first."""
        raise NotImplementedError

    def draws(self, scores: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
        """Labels [n] that these rows might have as well, so far as calibrated scores know; none where nobody can tell.

        Args:
            truth: labels [n] that they have.
        """
        return ()

    # The shipped file against the trained contender.

    def unit(self, scores: np.ndarray) -> float:
        """What a difference of scores is measured in: a probability, or the spread of the values."""
        return 1.0

    def tied(self, shipped: np.ndarray, scores: np.ndarray, tolerance: float) -> np.ndarray:
        """bool [n]: rows whose decision, where it flips, depends on rounding alone: no file is to blame."""
        raise NotImplementedError

    # In words.

    @classmethod
    def asks(cls, target: str | None, metric: str | None, found: Mapping[str, float] | tuple[float, float]) -> str:
        """What is to be predicted, in a line; `found` are shares of classes, or the lowest and highest value."""
        raise NotImplementedError


def roles(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """{role: name of the output}."""
    known = set(taken)
    return {role: role if role not in known else f"{role}_out" for role in names}
