"""Linear models on scaled numbers, one-hot categories and n-grams (`design.py`): logistic regression, or ridge.

Where there is text, the regression is tried with weights that are as large as naive Bayes finds their grams telling
(Wang & Manning 2012), by half, in full or not at all, and with the squared hinge loss of a support vector machine. The
strength of regularisation runs along a path, each fit from where the last one stands. All of it is chosen by valid;
the model is then fitted again on train and valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from leadline.contenders.beside import Beside
from leadline.contenders.design import Design
from leadline.contenders.families import CLASSICAL
from leadline.contenders.features import NOT_AGAIN, Layout, affordable, layout
from leadline.contenders.grams import Cutter
from leadline.contenders.linear_printed import Learned, print_linear
from leadline.contenders.linear_solver import HINGE, LOGISTIC, NOTHING, SQUARED, Problem, Solved, naive_bayes, solve
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
NEVER = -15.0  # added to the intercept of a class that no row has
FEW_ITERATIONS = 50  # stopped before so many, a loss says nothing about the family
PLAIN, HALF, FULL = 0.0, 0.5, 1.0  # shares of naive Bayes in the variance of a gram's weight
HINGE_STRENGTH = 0.1  # of the best strength of a logistic loss: a squared hinge is that much steeper
TEMPERATURES = np.geomspace(0.5, 16, 21)  # by which raw values of texts become log odds, as valid has it
CUTTING, TIMED = 0.3, 256  # share of the time left for cutting texts into n-grams, and rows by which it is timed
TELLING = 1.5  # standard errors of a difference on valid rows, from which it tells two fits apart
LEAST_P = 1e-7
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
    weight = 1.0
    fastest = interpretable = True

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
        again = search.time_for(2)
        solved = search.again() if again else best.solved
        messages.append("fitted again on train and valid rows" if again else NOT_AGAIN)
        weights = (solved.weights * best.temperature, solved.intercepts * best.temperature)
        fitted = FittedLinear(search.design, weights, data.task, search.scale, best.score, messages)
        fitted.undertrained, fitted.trained_on_valid = undertrained, again
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
    score: float
    influence: np.ndarray  # of each valid row on the score
    log_loss: float

    def describe(self, text: bool) -> str:
        what = f"{WHAT[self.loss, self.bayes]}, " if text and self.loss != SQUARED else ""
        return f"{what}C = {self.strength:g}, as valid chose"


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
        self._scales: dict[float, np.ndarray | None] = {PLAIN: None}

    def tried(self, whole: bool = True) -> Iterator[Progress]:
        """Fits while there is time for two more.

        Args:
            whole: further losses and weightings of n-grams follow on the path of strengths.
        """
        clock = self.data.clock
        began = clock.spent()  # what went before does not come again with every strength
        for step, tried in enumerate(self._fits() if whole else self._along(), start=1):
            yield Progress(step=step, score=tried.score)
            self.a_fit = (clock.spent() - began) / step
            if not self.time_for(2):
                break

    def time_for(self, fits: float) -> bool:
        return self.data.clock.left() - self.reserve + NOTHING > fits * self.a_fit

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
        solved = self._solve(self.x, self.y, strength, loss, bayes, start)
        raw = np.asarray(self.x_valid @ solved.weights) + solved.intercepts
        calibrated = bool(self.path) and loss != SQUARED  # or the strength would be chosen by how sure it makes
        temperature = min(TEMPERATURES, key=lambda t: self._log_loss(t * raw)) if calibrated else 1.0
        scores = self.data.task.activate(raw * np.float32(temperature), self.scale)
        tried = Tried(
            strength=strength, loss=loss, bayes=bayes, solved=solved, temperature=float(temperature),
            score=self.metric(self.truth, scores), influence=self.metric.influence(self.truth, scores)[1],
            log_loss=self._log_loss(temperature * raw),
        )  # fmt: skip
        if self.best is None or self._better(tried, self.best):
            self.best = tried
        return tried

    def _better(self, one: Tried, two: Tried) -> bool:
        """By the metric; where valid rows are too few to tell by it, by log loss."""
        if self.data.task.numeric:
            return self.metric.better(one.score, two.score)
        difference = one.influence - two.influence
        error = float(np.sqrt((difference**2).mean() / len(difference)))
        if abs(one.score - two.score) > TELLING * error:
            return self.metric.better(one.score, two.score)
        return one.log_loss < two.log_loss

    def _log_loss(self, raw: np.ndarray) -> float:
        """Of valid rows; what is squared, where answers are values."""
        y = self.y_valid
        if self.data.task.numeric:
            return float(((raw[:, 0] - y) ** 2).mean())
        p = self.data.task.activate(raw.astype(np.float32), self.scale).clip(LEAST_P, 1 - LEAST_P)
        if y.ndim == 2:
            return -float(np.where(y > 0, np.log(p), np.log(1 - p)).mean())
        return -float(np.log(p[np.arange(len(y)), y]).mean())

    def again(self) -> Solved:
        """The best fit once more, on train and valid rows."""
        best = self.best
        both = np.concatenate([self.y, self.y_valid])
        self._scales = {PLAIN: None}
        x, self.x = _stack(self.x, self.x_valid), None
        return self._solve(x, both, best.strength, best.loss, best.bayes, best.solved)

    def _solve(self, x: Any, y: np.ndarray, strength: float, loss: str, bayes: float, start: Solved | None) -> Solved:
        if loss == SQUARED and isinstance(x, np.ndarray):
            return _ridge(x, y, strength)
        known = _known(y, self.data.classes)
        if known is not None and len(known) < (2 if y.ndim == 1 else 1):
            return _spread(None, x.shape[1], y, known, self.data.classes)
        inner = y if known is None else np.searchsorted(known, y) if y.ndim == 1 else y[:, known]
        problem = Problem(x=x, y=inner, strength=strength, loss=loss)
        problem = replace(problem, scale=self._weight(problem, bayes))
        held = _gathered(start, known, y.ndim)
        solved = solve(problem, self.data.clock, held, self.reserve)
        return solved if known is None else _spread(solved, x.shape[1], y, known, self.data.classes)

    def _weight(self, problem: Problem, bayes: float) -> np.ndarray | None:
        """How large a weight may be: float32 [columns, outputs]."""
        if bayes not in self._scales:
            grams = self.design.are_grams()
            found = np.ones((len(grams), problem.outputs), np.float32)
            ratio = naive_bayes(problem.x[:, grams], problem.y, problem.outputs)
            found[grams] = np.sqrt(1 - bayes + bayes * ratio**2)
            self._scales[bayes] = found
        return self._scales[bayes]


def _stack(x: Any, x_valid: Any) -> Any:
    from scipy import sparse

    if isinstance(x, Beside):
        return x.above(x_valid)
    return sparse.vstack([x, x_valid], format="csr") if sparse.issparse(x) else np.concatenate([x, x_valid])


def _ridge(x: np.ndarray, y: np.ndarray, strength: float) -> Solved:
    """Of few columns that are all full, least squares are solved at once."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1.0 / strength).fit(x, y)
    return Solved(
        weights=np.asarray(model.coef_, np.float32).reshape(-1, 1),
        intercepts=np.asarray([model.intercept_], np.float32),
    )


def _known(y: np.ndarray, classes: int) -> np.ndarray | None:
    """Classes that rows have, or labels that some rows have and some have not; None where those are all, or none."""
    if not classes:
        return None
    if y.ndim == 1:
        known = np.unique(y)
    else:
        count = y.sum(axis=0)
        known = np.flatnonzero((count > 0) & (count < len(y)))
    return None if len(known) == classes else known


def _spread(solved: Solved | None, columns: int, y: np.ndarray, known: np.ndarray | None, classes: int) -> Solved:
    """Weights of known classes as of all: a class without a row to learn from is hardly ever predicted.

    A label that all rows have, or none, is predicted by its share alone.
    """
    assert known is not None
    if y.ndim == 2:
        share = (y.sum(axis=0) + 0.5) / (len(y) + 1)
        intercepts = np.log(share / (1 - share)).astype(np.float32)
        weights = np.zeros((columns, classes), np.float32)
        if solved is not None:
            weights[:, known], intercepts[known] = solved.weights, solved.intercepts
    elif classes == 2:  # one column tells both, and one class is known
        weights = np.zeros((columns, 1), np.float32)
        intercepts = np.full(1, NEVER if known[0] == 0 else -NEVER, np.float32)
    else:
        weights = np.zeros((columns, classes), np.float32)
        inner = np.zeros(len(known), np.float32)
        if solved is not None:
            inner, held = solved.intercepts, solved.weights
            if len(known) == 2:
                inner, held = (np.concatenate([np.zeros_like(part), part], axis=-1) for part in (inner, held))
            weights[:, known] = held
        intercepts = np.full(classes, inner.min() + NEVER, np.float32)
        intercepts[known] = inner
    return Solved(
        weights=weights, intercepts=intercepts, iterations=solved.iterations if solved else 0,
        cut=solved.cut if solved else False,
    )  # fmt: skip


def _gathered(start: Solved | None, known: np.ndarray | None, dimensions: int) -> Solved | None:
    """Of all classes those that are known, as the solver has them."""
    if start is None or known is None:
        return start
    parts = [start.weights, start.intercepts]
    if len(known) == 2 and dimensions == 1:
        weights, intercepts = (part[..., known[[1]]] - part[..., known[[0]]] for part in parts)
    else:
        weights, intercepts = (part[..., known] for part in parts)
    return replace(start, weights=weights, intercepts=intercepts)


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
