"""Linear models on scaled numbers, one-hot categories and n-grams (`design.py`): logistic regression, or ridge.

Where there is text, the regression is tried with weights that are as large as naive Bayes finds their grams telling
(Wang & Manning 2012), by half, in full or not at all, and with the squared hinge loss of a support vector machine. The
strength of regularisation runs along a path, each fit from where the last one stands. All of it is chosen by valid, of
few rows by cross-validation over train and valid (a fifth of 200 rows cannot tell two strengths apart); the model is
then fitted again on train and valid. Where there are no valid rows, as with one row a class, settings are the defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from leadline.contenders.design import Design
from leadline.contenders.families import CLASSICAL
from leadline.contenders.features import NOT_AGAIN, Layout, affordable, layout
from leadline.contenders.grams import Cutter
from leadline.contenders.linear_printed import Learned, print_linear
from leadline.contenders.linear_rows import PLAIN, Fold, Part, answers, stacked
from leadline.contenders.linear_solver import HINGE, LOGISTIC, NOTHING, SQUARED, Solved
from leadline.core.contender import Contender, Data, Fitted, Progress, State, digest
from leadline.core.kind import View
from leadline.core.note import SAMPLED, Note
from leadline.core.printed import PrintedModel
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors
from leadline.metrics.metrics import METRICS

if TYPE_CHECKING:
    import onnx

    from leadline.graph.builder import Graph

STRENGTHS = (1.0, 0.1, 10.0, 0.01)  # C, inverse of the penalty: the usual one first, in case there is time for one
TEXT_STRENGTHS = (1.0, 3.0, 10.0, 30.0)  # of texts, a path: it ends where valid gets worse
WEAKER = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # one after another, where the least of those was the best: many columns
FEW_ITERATIONS = 50  # stopped before so many, a loss says nothing about the family
HALF, FULL = 0.5, 1.0  # shares of naive Bayes in the variance of a gram's weight
HINGE_STRENGTH = 0.1  # of the best strength of a logistic loss: a squared hinge is that much steeper
TEMPERATURES = np.geomspace(0.5, 16, 21)  # by which raw values of texts become log odds, as valid has it
CUTTING, TIMED = 0.3, 256  # share of the time left for cutting texts into n-grams, and rows by which it is timed
TELLING = 1.5  # standard errors of a difference on valid rows, from which it tells two fits apart
LEAST_P = 1e-7
MOST_CROSS_VALIDATED = 1_000  # rows of train and valid, up to which fits are compared by cross-validation over both
CROSS_VALIDATION_TIME = 0.02  # share of the time left that a first fit may take for that
CROSS_VALIDATION, VALID = "as cross-validation chose", "as valid chose"
DEFAULT = "by default: there are no valid rows to choose by"
WHAT = {
    (LOGISTIC, PLAIN): "logistic regression", (LOGISTIC, HALF): "logistic regression, half weighted by naive Bayes",
    (LOGISTIC, FULL): "logistic regression weighted by naive Bayes",
    (HINGE, PLAIN): "support vector machine (squared hinge)",
    (HINGE, HALF): "support vector machine (squared hinge), half weighted by naive Bayes",
    (HINGE, FULL): "support vector machine (squared hinge) weighted by naive Bayes",
}  # fmt: skip


class Linear(Contender):
    name = "linear"
    family = CLASSICAL
    searches = True
    weight = 1.0
    fastest = interpretable = True
    needs_valid = False

    def inputs(self, store: Tensors) -> list[str]:
        return list(layout(store, (View.CODES, View.GRAMS, View.DENSE)).tensors)

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        store = data.store
        plan = layout(store, (View.CODES, View.GRAMS, View.DENSE))
        train, messages = affordable(plan, store.split.train, seed, data.memory_gb)
        train, reserve = _in_time(data, plan, train, seed, messages)
        search = Search(data, Design(store, plan, train, data.task.columns), train, reserve)
        yield from search.tried()
        best = search.best
        messages.append(best.describe(search.text))
        undertrained = best.solved.cut and best.solved.iterations < FEW_ITERATIONS
        if undertrained:
            spent = best.solved.iterations
            messages.append(f"stopped at the time limit after {spent} iterations: too little time to learn")
        solved, again, said = search.final()
        messages += said
        weights = (solved.weights * best.temperature, solved.intercepts * best.temperature)
        fitted = FittedLinear(search.design, weights, data.task, search.scale, best.score, messages)
        fitted.undertrained, fitted.trained_on_valid, fitted.valid = undertrained, again, best.answers
        both = np.concatenate([train, store.split.valid])
        fitted.learned = Learned(rows=both if again else train, strength=best.strength)
        yield fitted


def _in_time(data: Data, plan: Layout, train: np.ndarray, seed: int, messages: list[str]) -> tuple[np.ndarray, float]:
    """The rows whose texts there is time to cut, and the seconds to keep for those of test and valid."""
    texts = [name for name, form in zip(plan.tensors, plan.forms, strict=True) if form == View.GRAMS]
    if not texts:
        return train, 0.0
    cutters = [Cutter(data.store, name) for name in texts]
    few = train[np.linspace(0, len(train) - 1, min(TIMED, len(train))).astype(int)]
    for cutter in cutters:
        cutter(data.store, few[:1])  # imports, which no row after it takes
    began = data.clock.spent()
    for cutter in cutters:
        cutter(data.store, few)
    a_row = (data.clock.spent() - began) / len(few)
    split = data.store.split
    reserve = min(0.2 * data.clock.left(), 1.2 * a_row * (len(split.test) + len(split.calib)))
    most = max(len(few), int(CUTTING * min(data.clock.left(), 1e9) / max(a_row, 1e-9)))
    if most >= len(train):
        return train, reserve
    chosen = np.sort(np.random.default_rng(seed).choice(train, most, replace=False))
    said = f"learned from a random sample of {most:,} of {len(train):,} rows, to end in time"
    messages.append(Note(SAMPLED, said))
    return chosen, reserve


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A fit, and what valid says of it."""

    strength: float
    loss: str
    bayes: float
    solved: Solved
    temperature: float
    score: float  # on valid rows
    answers: np.ndarray  # to them
    judged: float  # as `score`, on the rows by which fits are compared
    influence: np.ndarray  # of each of these rows on it
    log_loss: float
    by: str  # how it is compared: CROSS_VALIDATION, VALID or DEFAULT

    def describe(self, text: bool) -> str:
        what = f"{WHAT[self.loss, self.bayes]}, " if text and self.loss != SQUARED else ""
        return f"{what}C = {self.strength:g}, {self.by}"


class Columns(Protocol):
    """What a linear model reads: a matrix [rows, columns], and the same arithmetic as a graph."""

    @property
    def text(self) -> bool:
        """Whether some columns count n-grams of a text."""

    def __call__(self, store: Tensors, rows: np.ndarray) -> Any:
        """float32 [n, columns]."""

    def are_grams(self) -> np.ndarray:
        """bool [columns]: those that count n-grams of a text."""

    def learned(self) -> list[np.ndarray]:
        """Every array that was learned from the rows."""

    def add(self, g: Graph, total: str, weights: np.ndarray) -> str:
        """The matrix times its weights [columns, outputs], added to float32 [N, outputs], in a graph."""


class Search:
    """Fits one after another; the best of them so far."""

    def __init__(
        self, data: Data, design: Columns, train: np.ndarray, reserve: float, path: Sequence[float] = (),
    ) -> None:  # fmt: skip
        """
        Args:
            train: rows to learn from.
            reserve: seconds to leave for what follows.
            path: strengths from weak to strong (default: those that suit the columns); the search along them ends
                where valid gets worse.
        """
        store, self.data, self.reserve, self.design = data.store, data, reserve, design
        self.text, self.scale, self.a_fit = design.text, data.scale(), 0.0
        self.path = path or (TEXT_STRENGTHS if self.text else ())
        self.x, self.x_valid = self.design(store, train), self.design(store, store.split.valid)
        self.y = data.encoded(train, self.scale)
        self.y_valid = data.encoded(store.split.valid, self.scale)
        self.truth = data.labels(store.split.valid)
        self.metric = METRICS[store.task.metric]
        self.loss = SQUARED if data.task.numeric else LOGISTIC
        self.best: Tried = None  # type: ignore[assignment]  # until the first fit
        self._part = self._rows(self.x, self.y)
        self._cross_validation = self._folds(data.labels(train))

    def _rows(self, x: Any, y: np.ndarray) -> Part:
        return Part(x, y, self.data.classes, self.design.are_grams())

    def _folds(self, labels: np.ndarray) -> _CrossValidation | None:
        """Train and valid rows, where they are few and any of them may be held out."""
        y = np.concatenate([self.y, self.y_valid])
        if len(y) > MOST_CROSS_VALIDATED or self.data.store.dependent or not len(self.y_valid):
            return None
        folds = self._rows(stacked(self.x, self.x_valid), y).folds()
        return _CrossValidation(y=y, truth=np.concatenate([labels, self.truth]), folds=folds)

    def by_valid(self) -> None:
        """Compare fits on the valid rows alone, as those of another search were."""
        self._cross_validation = None

    def tried(self, whole: bool = True) -> Iterator[Progress]:
        """Fits while there is time for two more.

        Args:
            whole: further losses and weightings of n-grams follow on the path of strengths.
        """
        if not len(self.y_valid):
            self.best = self._by_default()
            yield Progress(step=1)
            return
        clock = self.data.clock
        began = clock.spent()  # what went before does not come again with every strength
        for step, tried in enumerate(self._fits() if whole else self._along(), start=1):
            yield Progress(step=step, score=tried.score)
            self.a_fit = (clock.spent() - began) / step
            if not self.time_for(2):
                break

    def time_for(self, fits: float) -> bool:
        return self.data.clock.left() - self.reserve + NOTHING > fits * self.a_fit

    def _by_default(self) -> Tried:
        """The fit of the middle strength of a path, or the usual one, with plain weights."""
        strength = self.path[len(self.path) // 2] if self.path else STRENGTHS[0]
        nothing = float("nan")
        return Tried(
            strength=strength, loss=self.loss, bayes=PLAIN, temperature=1.0, score=nothing, judged=nothing,
            answers=np.zeros(0),
            solved=self._part.solve(strength, self.loss, PLAIN, None, self.data.clock, self.reserve),
            influence=np.zeros(0), log_loss=nothing, by=DEFAULT,
        )  # fmt: skip

    def _along(self) -> Iterator[Tried]:
        """One strength after another."""
        weighted = self.text and self.loss == LOGISTIC
        last: Solved | None = None
        for strength in self.path or STRENGTHS:
            tried = self._try(strength, self.loss, HALF if weighted else PLAIN, last)
            last = tried.solved
            yield tried
            if self.path and tried is not self.best:
                break
        least = min(self.path or STRENGTHS)
        for strength in (each for each in WEAKER if each < least == self.best.strength):
            yield (tried := self._try(strength, self.loss, HALF if weighted else PLAIN, self.best.solved))
            if tried is not self.best:
                break
            least = strength

    def _fits(self) -> Iterator[Tried]:
        yield from self._along()
        if self.text and self.loss == LOGISTIC:
            strength = self.best.strength
            yield self._try(strength, LOGISTIC, FULL, self.best.solved)
            yield self._try(2 * strength, LOGISTIC, PLAIN, self.best.solved)
            for share in (HINGE_STRENGTH / 3, HINGE_STRENGTH):
                tried = self._try(share * strength, HINGE, self.best.bayes, self.best.solved)
                yield tried

    def _try(self, strength: float, loss: str, bayes: float, start: Solved | None) -> Tried:
        clock = self.data.clock
        began = clock.spent()
        solved = self._part.solve(strength, loss, bayes, start, clock, self.reserve)
        if not self.a_fit and clock.spent() - began > CROSS_VALIDATION_TIME * (clock.left() - self.reserve):
            self._cross_validation = None
        raw = answers(self.x_valid, solved)
        judged, y, truth = raw, self.y_valid, self.truth
        if (cross_validated := self._cross_validation) is not None:
            judged, y, truth = (
                np.empty((len(cross_validated.y), raw.shape[1]), np.float32),
                cross_validated.y,
                cross_validated.truth,
            )
            for fold in cross_validated.folds:
                fold.last = fold.part.solve(strength, loss, bayes, fold.last, clock, self.reserve)
                judged[fold.rows] = answers(fold.x, fold.last)
        calibrated = bool(self.path) and loss != SQUARED  # or the strength would be chosen by how sure it makes
        temperature = min(TEMPERATURES, key=lambda t: self.log_loss(t * judged, y)) if calibrated else 1.0
        scores, on_valid = self._scores(judged, temperature), self._scores(raw, temperature)
        tried = Tried(
            strength=strength, loss=loss, bayes=bayes, solved=solved, temperature=float(temperature),
            score=self.metric(self.truth, on_valid), answers=on_valid, judged=self.metric(truth, scores),
            influence=self.metric.influence(truth, scores)[1], log_loss=self.log_loss(temperature * judged, y),
            by=VALID if cross_validated is None else CROSS_VALIDATION,
        )  # fmt: skip
        if self.best is None or self.better(tried, self.best):
            self.best = tried
        return tried

    def _scores(self, raw: np.ndarray, temperature: float) -> np.ndarray:
        return np.asarray(self.data.task.activate(raw * np.float32(temperature), self.scale))

    def better(self, one: Tried, two: Tried) -> bool:
        """By the metric; where rows are too few to tell by it, by log loss."""
        if self.data.task.numeric:
            return self.metric.better(one.judged, two.judged)
        difference = one.influence - two.influence
        error = float(np.sqrt((difference**2).mean() / len(difference)))
        if abs(one.judged - two.judged) > TELLING * error:
            return self.metric.better(one.judged, two.judged)
        return one.log_loss < two.log_loss

    def log_loss(self, raw: np.ndarray, y: np.ndarray | None = None) -> float:
        """Of valid rows, or of those with these labels; what is squared, where answers are values."""
        y = self.y_valid if y is None else y
        if self.data.task.numeric:
            return float(((raw[:, 0] - y) ** 2).mean())
        p = self.data.task.activate(raw.astype(np.float32), self.scale).clip(LEAST_P, 1 - LEAST_P)
        if y.ndim == 2:
            return -float(np.where(y > 0, np.log(p), np.log(1 - p)).mean())
        return -float(np.log(p[np.arange(len(y)), y]).mean())

    def final(self) -> tuple[Solved, bool, list[str]]:
        """The fit to use, whether on train and valid rows, where there is time, and what to say of that."""
        if not len(self.y_valid):
            return self.best.solved, False, []
        again = self.time_for(2)
        if not again:
            return self.best.solved, False, [NOT_AGAIN]
        return self.again(), True, ["fitted again on train and valid rows"]

    def again(self) -> Solved:
        """The best fit once more, on train and valid rows."""
        best = self.best
        both = np.concatenate([self.y, self.y_valid])
        x, self.x, self._cross_validation = stacked(self.x, self.x_valid), None, None
        self._part = self._rows(x, both)
        return self._part.solve(best.strength, best.loss, best.bayes, best.solved, self.data.clock, self.reserve)


@dataclass(frozen=True, kw_only=True)
class _CrossValidation:
    """Train and valid rows in folds."""

    y: np.ndarray
    truth: np.ndarray  # as the metric takes it
    folds: list[Fold]


class FittedLinear:
    """Weights of the design matrix."""

    def __init__(
        self, design: Columns, weights: tuple[np.ndarray, np.ndarray], task: Task, scale: Scale, score: float,
        describe: list[str],
    ) -> None:  # fmt: skip
        self._design, self._task, self._scale = design, task, scale
        self._weights, self._intercepts = (np.asarray(part, np.float32) for part in weights)
        self.score, self.describe = score, describe
        self.undertrained = self.trained_on_valid = False
        self.valid: np.ndarray | None = None
        self.learned: Learned | None = None
        self.params = int(self._weights.size + self._intercepts.size)
        self.bytes = 4 * self.params + sum(part.nbytes for part in design.learned())

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        raw = np.asarray(self._design(store, rows) @ self._weights) + self._intercepts
        return self._task.activate(raw, self._scale)

    def digest(self) -> str:
        return digest(self._weights, self._intercepts, *self._design.learned())

    def printed(self, store: Tensors) -> PrintedModel | None:
        """Weights in units of the user, with the intervals that the curvature of the penalised loss gives them."""
        if not isinstance(self._design, Design):
            return None  # states of a body have no unit
        assert self.learned is not None
        return print_linear(self._design, (self._weights, self._intercepts), self._task, self._scale, store,
                            self.learned)  # fmt: skip

    def graph(self) -> onnx.ModelProto:
        from leadline.graph.builder import Graph

        g = Graph("linear")
        total = self._design.add(g, g.const(self._intercepts[None, :]), self._weights)
        self._task.head(g, total, self._scale, self._task.columns)
        return g.model()
