"""Linear models: logistic regression, or ridge for numbers, on scaled numbers, one-hot categories and n-gram bags.

A bag weighs a gram by its inverse document frequency and a row by the root of the summed squares of its grams (the
weighting of scikit-learn's TfidfVectorizer, save that a repeated gram counts as often as it occurs). The strength of
regularisation is chosen by valid; the model is then fitted again on train and valid.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.families import CLASSICAL
from leadline.contenders.features import NOT_AGAIN, Layout, affordable, layout
from leadline.core.contender import Clock, Contender, Data, Fitted, Progress, State, digest
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors
from leadline.metrics.metrics import METRICS

if TYPE_CHECKING:
    import onnx

STRENGTHS = (1.0, 0.1, 10.0, 0.01)  # C, inverse of the penalty: the usual one first, in case there is time for one
BAG_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
NOTHING = 0.5  # seconds that are done without asking the clock: of few rows a fit takes a thousandth of one
NEVER = -15.0  # added to the intercept of a class that no row bears
ITERATIONS, ROUND = 300, 25  # of L-BFGS at most, and between two looks at the clock
FEW_ITERATIONS = 50  # cut by the clock before so many, losing says nothing of a family
A_CELL, AN_ODDS = 4e-9, 4e-8  # seconds an iteration for a cell and class, and for a row and class


class Linear(Contender):
    name = "linear"
    family = CLASSICAL
    weight = 1.0
    fastest = interpretable = True

    def inputs(self, store: Tensors) -> list[str]:
        return list(layout(store, ("codes", "bag", "dense")).tensors)

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        import sklearn.linear_model  # noqa: F401  not within the first fit, whose seconds tell those of the next

        store = data.store
        plan = layout(store, ("codes", "bag", "dense"))
        train, said = affordable(plan, store.split.train, seed, data.memory_gb)
        valid = store.split.valid
        design = Design(store, plan, train)
        x, x_valid = design(store, train), design(store, valid)
        scale, y_valid = data.scale(), data.labels(valid)
        y = data.encoded(train, scale)
        metric = METRICS[store.task.metric]
        strengths = BAG_STRENGTHS if "bag" in plan.forms else STRENGTHS
        best: tuple[float, float, Solved] | None = None
        began = data.clock.spent()  # what went before, imports above all, does not come again with every strength
        for step, strength in enumerate(strengths, start=1):
            solved = _solve(x, y, strength, data, best[2] if best else None)
            score = metric(y_valid, _scores(x_valid, solved.weights, data.task, scale))
            yield Progress(step=step, steps=len(strengths), score=score)
            if best is None or metric.better(score, best[0]):
                best = (score, strength, solved)
            a_fit = (data.clock.spent() - began) / step
            if data.clock.left() + NOTHING < 2 * a_fit:
                break
        assert best is not None
        score, strength, solved = best
        said.append(f"C = {strength:g}, as valid chose")
        undertrained = solved.cut and solved.iterations < FEW_ITERATIONS
        if undertrained:
            said.append(f"cut by the clock after {solved.iterations} iterations: too little time to learn")
        again = data.clock.left() + NOTHING > 2 * a_fit
        if again:
            both = _stack(x, x_valid)
            y_both = np.concatenate([y, data.encoded(valid, scale)])
            solved = _solve(both, y_both, strength, data, solved)
        said.append("fitted again on train and valid rows" if again else NOT_AGAIN)
        fitted = FittedLinear(design, plan, solved.weights, data.task, scale, score, said)
        fitted.undertrained, fitted.trained_on_valid = undertrained, again
        yield fitted


@dataclass(frozen=True, kw_only=True)
class Solved:
    """What a fit came to."""

    weights: Any  # [columns, outputs] and intercepts [outputs], float32
    iterations: int = 0  # those of the fits that it started from included; of several labels the fewest
    cut: bool = False  # by the clock, before it converged


def _stack(x: Any, x_valid: Any) -> Any:
    from scipy import sparse

    return sparse.vstack([x, x_valid], format="csr") if sparse.issparse(x) else np.concatenate([x, x_valid])


class Design:
    """The design matrix: dense columns scaled, then one column a category value, then one an n-gram."""

    def __init__(self, store: Tensors, plan: Layout, train: np.ndarray) -> None:
        self.plan = plan
        self.mean: dict[str, np.ndarray] = {}
        self.deviation: dict[str, np.ndarray] = {}
        self.idf: dict[str, np.ndarray] = {}
        wide = {form: sum(w for w, f in zip(plan.widths, plan.forms, strict=True) if f == form) for form in plan.forms}
        one_hot = sum(sum(sizes) for sizes, form in zip(plan.sizes, plan.forms, strict=True) if form == "codes")
        self._dense = "bag" not in wide and one_hot <= wide.get("dense", 0)  # half of the cells or more are not zero
        for name, form, sizes in zip(plan.tensors, plan.forms, plan.sizes, strict=True):
            if form == "dense":
                x = store.tensor(name)[train].astype(np.float32)
                count = np.isfinite(x).sum(axis=0)
                self.mean[name] = np.where(count, np.nansum(x, axis=0, dtype=np.float64) / np.maximum(count, 1), 0.0)
                spread = np.nansum((x - self.mean[name].astype(np.float32)) ** 2, axis=0, dtype=np.float64)
                self.deviation[name] = np.sqrt(spread / np.maximum(count, 1)) + 1e-6
            elif form == "bag":
                self.idf[name] = _idf(store.tensor(name)[train], sizes[0])

    def __call__(self, store: Tensors, rows: np.ndarray) -> Any:
        """float32 [n, columns], sparse where most of the cells are zero."""
        from scipy import sparse

        parts: list[Any] = []
        for name, form, sizes in zip(self.plan.tensors, self.plan.forms, self.plan.sizes, strict=True):
            x = store.tensor(name)[rows]
            if form == "dense":
                scaled = (x.astype(np.float32) - self.mean[name]) / self.deviation[name]
                parts.append(np.nan_to_num(scaled, nan=0.0).clip(-10, 10).astype(np.float32))
            elif form == "codes":
                columns = x + np.cumsum([0, *sizes[:-1]])
                parts.append(_rows_of(columns, np.ones(columns.shape, np.float32), sum(sizes)))
            else:
                weight = self.idf[name][x]
                norm = np.sqrt((weight**2).sum(axis=1, keepdims=True)) + 1e-6
                parts.append(_rows_of(x, weight / norm, sizes[0]))
        if self._dense:
            return np.concatenate([p if isinstance(p, np.ndarray) else p.toarray() for p in parts], axis=1)
        return sparse.hstack([sparse.csr_matrix(part) for part in parts], format="csr", dtype=np.float32)


def _rows_of(columns: np.ndarray, weights: np.ndarray, width: int) -> Any:
    from scipy import sparse

    pointers = np.arange(0, columns.size + 1, columns.shape[1])
    made = sparse.csr_matrix((weights.ravel(), columns.ravel(), pointers), shape=(len(columns), width))
    made.sum_duplicates()
    made.eliminate_zeros()
    return made


def _idf(bag: np.ndarray, size: int) -> np.ndarray:
    """Smoothed inverse document frequency, as scikit-learn has it; 0 for padding and for grams never seen."""
    ordered = np.sort(bag, axis=1)
    first = np.ones(ordered.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    seen = np.bincount(ordered[first], minlength=size)
    idf = np.log((1 + len(bag)) / (1 + seen)) + 1
    idf[seen == 0] = 0
    idf[0] = 0
    return np.asarray(idf, np.float32)


def _solve(x: Any, y: np.ndarray, strength: float, data: Data, start: Solved | None) -> Solved:
    """From where another fit stands, or from nothing; stops where it stands when the clock runs out."""
    if data.task.numeric:
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=1.0 / strength, solver="sparse_cg" if not isinstance(x, np.ndarray) else "auto")
        model.fit(x, y)
        weights = np.asarray(model.coef_, np.float32).reshape(-1, 1), np.asarray([model.intercept_], np.float32)
        return Solved(weights=weights)
    if data.task.multilabel:
        return _each(x, y, strength, data.clock, start)
    return _logistic(x, y, strength, data.clock, start, data.classes)


def _each(x: Any, y: np.ndarray, strength: float, clock: Clock, start: Solved | None) -> Solved:
    """A model a label: y is [n, labels]. A label that all rows bear, or none, is told by its odds alone."""
    weights = np.zeros((x.shape[1], y.shape[1]), np.float32)
    share = (y.sum(axis=0) + 0.5) / (len(y) + 1)
    intercepts = np.log(share / (1 - share)).astype(np.float32)
    fits: list[Solved] = []
    for label in range(y.shape[1]):
        if 0 < y[:, label].sum() < len(y):
            held = None
            if start is not None:
                held = replace(start, weights=(start.weights[0][:, [label]], start.weights[1][[label]]))
            fits.append(_logistic(x, y[:, label].astype(np.int64), strength, clock, held))
            weights[:, label], intercepts[label] = fits[-1].weights[0][:, 0], fits[-1].weights[1][0]
    cut = [one.iterations for one in fits if one.cut]
    return Solved(weights=(weights, intercepts), iterations=min(cut, default=0), cut=bool(cut))


def _logistic(x: Any, y: np.ndarray, strength: float, clock: Clock, start: Solved | None, classes: int = 2) -> Solved:
    """A class without a row to learn from is hardly ever told: its intercept lies far below the rest."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(y)
    if len(seen) == 1:
        return Solved(weights=_spread(np.zeros((x.shape[1], 1), np.float32), np.zeros(1, np.float32), seen, classes))
    model = LogisticRegression(C=strength, max_iter=ROUND, warm_start=True)
    if start is not None:
        held = start.weights if len(seen) == classes else tuple(_gathered(part, seen) for part in start.weights)
        model.coef_, model.intercept_ = held[0].T.astype(np.float64), held[1].astype(np.float64)
        model.classes_ = seen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a round that is cut at its end is meant to be
        cells = x.size if isinstance(x, np.ndarray) else x.nnz
        outputs = len(seen) if len(seen) > 2 else 1
        an_iteration, taken, began = outputs * (A_CELL * cells + AN_ODDS * len(y)), 0, clock.spent()
        cut = False
        while taken < ITERATIONS:
            model.max_iter = int(np.clip(max(clock.left(), NOTHING) / (2 * an_iteration), 1, ROUND))
            model.fit(x, y)
            taken += int(model.n_iter_.max())
            if model.n_iter_.max() < model.max_iter:
                break
            cut = clock.left() <= 0
            if cut:
                break
            an_iteration = max(1e-9, (clock.spent() - began) / taken)
    weights, intercept = np.asarray(model.coef_.T, np.float32), np.asarray(model.intercept_, np.float32)
    made = (weights, intercept) if len(seen) == classes else _spread(weights, intercept, seen, classes)
    return Solved(weights=made, iterations=taken + (start.iterations if start else 0), cut=cut)


def _spread(weights: np.ndarray, intercept: np.ndarray, seen: np.ndarray, classes: int) -> Any:
    """Weights [columns, seen classes] and intercepts as of all classes; of two, one column tells the second."""
    if classes == 2:  # and one is seen
        return weights, np.full(1, NEVER if seen[0] == 0 else -NEVER, np.float32)
    if len(seen) == 2:
        weights, intercept = (np.concatenate([np.zeros_like(part), part], axis=-1) for part in (weights, intercept))
    all_weights = np.zeros((len(weights), classes), np.float32)
    all_weights[:, seen] = weights
    intercepts = np.full(classes, intercept.min() + NEVER, np.float32)
    intercepts[seen] = intercept
    return all_weights, intercepts


def _gathered(part: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Of all classes [..., classes] those that are seen, as LogisticRegression holds them."""
    return part[..., seen[[1]]] - part[..., seen[[0]]] if len(seen) == 2 else part[..., seen]


def _scores(x: Any, weights: Any, task: Task, scale: Scale) -> np.ndarray:
    return task.activate(np.asarray(x @ weights[0]) + weights[1], scale)


class FittedLinear:
    """Weights of the design matrix."""

    def __init__(
        self, design: Design, plan: Layout, weights: Any, task: Task, scale: Scale, score: float, describe: list[str]
    ) -> None:
        self._design, self._plan, self._weights, self._task, self._scale = design, plan, weights, task, scale
        self.score, self.describe = score, describe
        self.undertrained = self.trained_on_valid = False
        self.params = int(weights[0].size + weights[1].size)
        self.bytes = 4 * self.params

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return _scores(self._design(store, rows), self._weights, self._task, self._scale)

    def digest(self) -> str:
        return digest(*self._weights)

    def graph(self) -> onnx.ModelProto:
        from leadline.graph.builder import Graph

        g = Graph("linear")
        plan, design = self._plan, self._design
        total = g.const(self._weights[1][None, :])
        low = 0
        for name, form, width, dtype, sizes in zip(
            plan.tensors, plan.forms, plan.widths, plan.dtypes, plan.sizes, strict=True
        ):
            x = g.input(name, dtype, ["N", width])
            high = low + (width if form == "dense" else sum(sizes))
            weights = self._weights[0][low:high]
            low = high
            if form == "dense":
                part = _dense(g, x, design.mean[name], design.deviation[name], weights)
            elif form == "codes":
                offsets = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
                columns = g.op("Add", g.op("Cast", x, to=7), g.const(offsets))
                part = _sum(g, g.op("Gather", g.const(weights), columns))
            else:
                part = _bag(g, x, design.idf[name], weights)
            total = g.op("Add", total, part)
        self._task.head(g, total, self._scale, self._task.columns)
        return g.model()


def _sum(g: Any, x: str) -> str:
    return str(g.op("ReduceSum", x, g.const(np.array([1], np.int64)), keepdims=0))


def _dense(g: Any, x: str, mean: np.ndarray, deviation: np.ndarray, weights: np.ndarray) -> str:
    x = g.op("Cast", x, to=1)
    x = g.op("Div", g.op("Sub", x, g.const(mean.astype(np.float32))), g.const(deviation.astype(np.float32)))
    x = g.op("Where", g.op("IsNaN", x), g.const(np.float32(0)), x)
    x = g.op("Clip", x, g.const(np.float32(-10)), g.const(np.float32(10)))
    return str(g.op("MatMul", x, g.const(weights)))


def _bag(g: Any, x: str, idf: np.ndarray, weights: np.ndarray) -> str:
    """[N, grams] -> [N, outputs]: the summed weights of the grams over the row's norm."""
    summed = _sum(g, g.op("Gather", g.const(weights * idf[:, None]), x))
    squares = g.op("Gather", g.const(idf**2), x)
    norm = g.op("Sqrt", g.op("ReduceSum", squares, g.const(np.array([1], np.int64)), keepdims=1))
    return str(g.op("Div", summed, g.op("Add", norm, g.const(np.float32(1e-6)))))
