"""A model that can be read: the explainable boosting machine of InterpretML (Lou et al. 2013; Nori et al. 2019).

Its answer is a sum of tables, one a column and one a pair of columns, each looked up by the bin of the column's value.
A fit cannot be interrupted, so a short trial tells how many rows and rounds there is time for. Fits from further seeds
follow while the clock allows, on the same bins and pairs: the mean of their tables is the model. The shipped file
finds bins by a tree a column, its thresholds moved to the next float32, which leaves every comparison as it was.

It takes seconds that few runs can spare, so it races only where it is asked for: `--interpretable`, or
`--only ebm`. The library is an extra, `leadline[ebm]`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.families import CLASSICAL
from leadline.contenders.features import NOT_AGAIN, Layout, affordable, features_of, layout, matrix
from leadline.core.contender import Contender, Data, Fitted, Progress, State, digest
from leadline.core.printed import PrintedModel, Table, place, plain
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors
from leadline.kinds import KINDS
from leadline.metrics.metrics import METRICS
from leadline.system.process_state import warnings_ignored

if TYPE_CHECKING:
    import onnx

BINS = 256
PAIRS = 10  # of columns; none for several classes, where a table a class and pair can hardly be read
TRIAL_ROWS, TRIAL_ROUNDS = 4_000, 60
ROUNDS_LEAST, ROUNDS = 600, 4_000  # of one fit: for fewer, rows are left out rather
BAGS = 8
SHARE = 0.3  # of the seconds left are planned for the first fit, as many for the one on valid rows too: a trial errs
FEW_PASSES = 1 / 2  # of the rounds over all rows that a fit should have; with less, losing says nothing of a family
UNSEEN = -20.0  # log-odds of a class that no train row has
WIDE = 300  # columns; above, tables are too many to be read, or to be grown in time


def uninstalled(interpretable: bool) -> list[str]:
    """The message where the user's conditions ask for it, and its library is not installed."""
    lacking = interpretable and importlib.util.find_spec("interpret") is None
    return ["ebm, which is interpretable, is not installed: pip install 'leadline[ebm]'."] if lacking else []


class Ebm(Contender):
    name, formerly = "ebm", "glassbox"
    family = CLASSICAL
    interpretable = True
    on_request = True

    def inputs(self, store: Tensors) -> list[str]:
        plan = layout(store, ("codes", "dense"))
        if (
            importlib.util.find_spec("interpret") is None
            or store.task.multilabel
            or any(not KINDS[block.kind].joint for block in store.blocks)
            or sum(plan.widths) > WIDE
        ):
            return []
        return list(plan.tensors)

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        store, clock = data.store, data.clock
        plan = layout(store, ("codes", "dense"))
        train, said = affordable(plan, store.split.train, seed, data.memory_gb)
        scale = data.scale()
        metric, truth = METRICS[store.task.metric], data.labels(store.split.valid)
        rng, refit = np.random.default_rng(seed), False
        pairs: Any = 0 if data.classes > 2 else PAIRS

        def grow(rows: np.ndarray, rounds: int, pairs: Any, seed: int) -> Tables:
            return _grow(matrix(store, plan, rows), data.encoded(rows, scale), plan, data.classes, rounds, pairs, seed)

        def made(bags: list[Tables], remarks: list[str]) -> FittedEbm:
            found = FittedEbm(_mean(bags), plan, data.task, scale, [*said, *remarks])
            found.valid = found.predict(store, store.split.valid)
            found.score = metric(truth, found.valid)
            return found

        valid, rows, rounds, bags = store.split.valid, train, ROUNDS, list[Tables]()
        if not clock.endless:
            few = np.sort(rng.choice(train, min(len(train), TRIAL_ROWS), replace=False))
            grow(few, 1, 0, seed)  # imports and warms up, which should not count
            before = clock.spent()
            bags = [grow(few, TRIAL_ROUNDS, pairs, seed)]
            each = (clock.spent() - before) / (len(few) * TRIAL_ROUNDS)  # seconds of a row in a round
            work = SHARE * clock.left() / each
            rows, rounds = _affordable(train, work, rng)
            if len(rows) < len(train) and work / len(few) > TRIAL_ROUNDS:
                said.append(f"learned from a random sample of {len(rows):,} of {len(train):,} rows, to save time")
            yield Progress(step=0, score=made(bags, []).score, note=f"{len(rows):,} rows, {rounds} rounds at most")
        if rounds > TRIAL_ROUNDS:
            bags, longest = [], 0.0
            # Each fit on train rows has one more to follow it, on train and valid rows.
            while len(bags) < BAGS and (not bags or clock.left() > 1.5 * longest * (len(bags) + 2)):
                before = clock.spent()
                bags.append(grow(rows, rounds, pairs, seed + len(bags)))
                longest = max(longest, clock.spent() - before)
                pairs = [term.columns for term in bags[0].terms if len(term.columns) == 2]
                yield Progress(step=len(bags), steps=2 * BAGS, score=made(bags, []).score)
            both, again = np.sort(np.concatenate([rows, valid])), list[Tables]()
            while len(again) < len(bags) and clock.left() > 1.5 * longest:
                again.append(grow(both, rounds, pairs, seed + len(again)))
                yield Progress(step=len(bags) + len(again), steps=2 * BAGS)
            refit = len(again) == len(bags)
        singles = sum(len(term.columns) == 1 for term in bags[0].terms)
        counts = f"{singles} columns and {len(bags[0].terms) - singles} pairs, each a table"
        remarks = [counts, f"the mean of {len(bags)} fits, {rounds} rounds at most"]
        undertrained = not clock.endless and len(rows) * rounds < FEW_PASSES * len(train) * ROUNDS_LEAST
        if undertrained:
            remarks.append("too little time to learn")
        remarks.append("fitted again on train and valid rows" if refit else NOT_AGAIN)
        fitted = made(bags, remarks)
        if refit:
            chosen, fitted = fitted, FittedEbm(_mean(again), plan, data.task, scale, [*said, *remarks])
            fitted.score, fitted.valid = chosen.score, chosen.valid
        fitted.undertrained, fitted.trained_on_valid = undertrained, refit
        yield fitted


def _affordable(train: np.ndarray, work: float, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """The rows and rounds whose product is `work`, all rows if each then gets `ROUNDS_LEAST`."""
    most = max(int(work / ROUNDS_LEAST), min(len(train), TRIAL_ROWS))
    rows = train if most >= len(train) else np.sort(rng.choice(train, most, replace=False))
    return rows, int(min(ROUNDS, max(work / len(rows), TRIAL_ROUNDS)))


@dataclass(frozen=True, kw_only=True)
class Term:
    """A table, looked up by the bins of one column or of two."""

    columns: tuple[int, ...]
    scores: np.ndarray  # float64 [bins, outputs] or [bins, bins, outputs]; bin 0 is for missing numbers


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What was learned. `bins[column]` holds cuts (coarser for pairs: the last), or the bin of each category code."""

    bins: tuple[tuple[np.ndarray, ...], ...]
    terms: tuple[Term, ...]
    intercept: np.ndarray  # float64 [outputs]

    def cut(self, column: int, term: Term) -> np.ndarray:
        return self.bins[column][min(len(term.columns), len(self.bins[column])) - 1]


def _grow(x: np.ndarray, y: np.ndarray, plan: Layout, classes: int, rounds: int, pairs: Any, seed: int) -> Tables:
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    kinds = ["nominal" if column in plan.categories else "continuous" for column in range(x.shape[1])]
    make = ExplainableBoostingRegressor if classes == 0 else ExplainableBoostingClassifier
    if x.shape[1] < 2:
        pairs = 0
    machine = make(
        feature_types=kinds, max_bins=BINS, interactions=pairs, outer_bags=1, max_rounds=rounds, n_jobs=1,
        random_state=seed, max_interaction_bins=32,
    )  # fmt: skip
    with warnings_ignored():  # about its own drawings, which are not used
        machine.fit(x, y)
    return tables(machine, plan, classes)


def tables(machine: Any, plan: Layout, classes: int) -> Tables:
    """The tables of a fitted machine of InterpretML, an output a class where there are more than two."""
    sizes = dict(zip(plan.categories, (n for each in plan.sizes for n in each), strict=True))
    bins = []
    for column, levels in enumerate(machine.bins_):
        if column in sizes:
            bins.append(tuple(_codes(level, sizes[column]) for level in levels))
        else:
            bins.append(tuple(np.asarray(level, np.float64) for level in levels))
    outputs = max(1, classes if classes > 2 else 1)
    seen = None if classes == 0 else np.asarray(machine.classes_, np.int64)

    def spread(scores: np.ndarray, dims: int, missing: float) -> np.ndarray:
        scores = np.asarray(scores, np.float64)
        scores = scores.reshape(*scores.shape[:dims], -1)
        if seen is None or len(seen) == classes:
            return scores
        if len(seen) == 2:
            scores = np.concatenate([0 * scores, scores], axis=-1)
        whole = np.full((*scores.shape[:-1], outputs), missing)
        whole[..., seen] = scores
        return whole

    terms = [
        Term(columns=tuple(columns), scores=spread(scores, len(columns), 0.0))
        for columns, scores in zip(machine.term_features_, machine.term_scores_, strict=True)
    ]
    intercept = spread(np.atleast_1d(machine.intercept_), 0, UNSEEN).reshape(-1)
    return Tables(bins=tuple(bins), terms=tuple(terms), intercept=intercept)


def _codes(level: dict[str, int], size: int) -> np.ndarray:
    """The bin of each code; codes that no train row has share the last one."""
    found = np.full(size, max(level.values(), default=0) + 1, np.int64)
    for code, number in level.items():
        found[int(float(code))] = number
    return found


def _mean(bags: list[Tables]) -> Tables:
    terms = tuple(
        Term(columns=same[0].columns, scores=np.mean([term.scores for term in same], axis=0))
        for same in zip(*(bag.terms for bag in bags), strict=True)
    )
    return Tables(bins=bags[0].bins, terms=terms, intercept=np.mean([bag.intercept for bag in bags], axis=0))


class FittedEbm:
    """Tables, and how their columns are read."""

    score = float("nan")
    valid: np.ndarray | None = None
    undertrained = trained_on_valid = False

    def __init__(self, found: Tables, plan: Layout, task: Task, scale: Scale, describe: list[str]) -> None:
        self._tables, self._plan, self._task, self._scale = found, plan, task, scale
        self._categories = set(plan.categories)
        self.describe = describe
        self.params = sum(term.scores.size for term in found.terms) + found.intercept.size
        self.bytes = 4 * self.params + sum(4 * cuts.size for levels in found.bins for cuts in levels)

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        x = matrix(store, self._plan, rows)
        raw = np.tile(self._tables.intercept, (len(x), 1))
        for term in self._tables.terms:
            raw += term.scores[tuple(self._bin(x[:, c], c, self._tables.cut(c, term)) for c in term.columns)]
        return self._task.activate(raw, self._scale)

    def _bin(self, x: np.ndarray, column: int, cuts: np.ndarray) -> np.ndarray:
        if column in self._categories:
            return np.asarray(cuts[x.astype(np.int64)])
        return np.where(np.isnan(x), 0, np.searchsorted(cuts, x.astype(np.float64), side="right") + 1)

    def digest(self) -> str:
        bins = [cuts for levels in self._tables.bins for cuts in levels]
        return digest(*bins, *(term.scores for term in self._tables.terms), self._tables.intercept)

    def printed(self, store: Tensors) -> PrintedModel | None:
        """Every table, a value a place of its columns."""
        found = features_of(store, self._plan)
        if found is None:
            return None
        features, unit = [feature for each in found for feature in each], self._scale[1]
        tables: list[Table] = []
        learned = [store.split.train, store.split.valid] if self.trained_on_valid else [store.split.train]
        x = matrix(store, self._plan, np.concatenate(learned))
        for term in self._tables.terms:
            weights, axes = term.scores * unit, []
            for axis, column in enumerate(term.columns):
                cuts, feature = self._tables.cut(column, term), features[column]
                if column in self._categories:  # by code, as the bins of codes that no train row has are the same
                    weights = np.take(weights, cuts, axis=axis)
                    rows = np.bincount(x[:, column].astype(np.int64), minlength=feature.codes)
                    axes.append(place(feature, rows))
                else:
                    bins = np.arange(len(cuts) + 2)
                    if feature.of_list:
                        bins[0] = self._bin(np.zeros(1), column, cuts)[0]
                    weights = np.take(weights, bins, axis=axis)
                    rows = np.bincount(self._bin(x[:, column], column, cuts), minlength=len(cuts) + 2)
                    axes.append(place(feature, rows, _between(cuts)))
            size = self._size(x, term)
            tables.append({"axes": axes, "weights": plain(weights), "low": None, "high": None, "size": size})
        intercept = self._tables.intercept * unit + self._scale[0]
        names = list(self._task.raw_names)
        return {
            "contender": "ebm", "outputs": names, "link": self._task.link, "intercept": intercept.tolist(),
            "slopes": [], "tables": tables, "root": None, "temperature": [1.0] * len(names), "knots": None,
            "price": None,
        }  # fmt: skip

    def _size(self, x: np.ndarray, term: Term) -> float:
        """The standard deviation of a term over rows of the matrix."""
        bins = tuple(self._bin(x[:, c], c, self._tables.cut(c, term)) for c in term.columns)
        return float(term.scores[bins].std(axis=0).max() * self._scale[1])

    def graph(self) -> onnx.ModelProto:
        """Bins of all columns side by side, as the terms read them; a place in one long table; a sum."""
        from leadline.graph.builder import Graph

        g, plan, found = Graph("ebm"), self._plan, self._tables
        parts = [
            g.op("Cast", g.input(name, dtype, ["N", width]), to=1)
            for name, dtype, width in zip(plan.tensors, plan.dtypes, plan.widths, strict=True)
        ]
        x = g.op("Concat", *parts, axis=1)
        places = []
        table = np.concatenate([term.scores.reshape(-1, len(found.intercept)) for term in found.terms])
        first = 0
        for term in found.terms:
            place = g.const(np.int64(first))
            for axis, column in enumerate(term.columns):
                stride = int(np.prod(term.scores.shape[axis + 1 : -1]))
                bins = self._bins(g, x, column, found.cut(column, term))
                place = g.op("Add", place, g.op("Mul", bins, g.const(np.int64(stride))))
            places.append(place)
            first += term.scores[..., 0].size
        looked = g.op("Gather", g.const(table.astype(np.float32)), g.op("Concat", *places, axis=1))
        raw = g.op("ReduceSum", looked, g.const(np.array([1], np.int64)), keepdims=0)
        raw = g.op("Add", raw, g.const(found.intercept[None].astype(np.float32)))
        self._task.head(g, raw, self._scale, self._task.columns)
        return g.model()

    def _bins(self, g: Any, x: str, column: int, cuts: np.ndarray) -> str:
        """int64 [N, 1]: the bin of each row in a column."""
        one = g.op("Gather", x, g.const(np.array([column], np.int64)), axis=1)
        if column in self._categories:
            return str(g.op("Gather", g.const(cuts), g.op("Cast", one, to=7)))
        from leadline.graph.trees import ensemble

        tree = {"tree_info": [{"tree_structure": _search(_below(cuts), 0, len(cuts))}]}
        found = g.op("Cast", ensemble(g, one, tree, 1), to=7)
        return str(g.op("Where", g.op("IsNaN", one), g.const(np.int64(0)), found))


def _below(cuts: np.ndarray) -> np.ndarray:
    """The largest float32 under each cut: x < cut holds exactly when x <= it does, for every float32 x."""
    near = cuts.astype(np.float32)
    return np.where(near.astype(np.float64) < cuts, near, np.nextafter(near, np.float32(-np.inf)))


def _between(cuts: np.ndarray) -> np.ndarray:
    """Midway between the float32 numbers at both sides of each cut, where no value of a table lies by chance."""
    below = _below(cuts)
    return np.asarray((below.astype(np.float64) + np.nextafter(below, np.float32(np.inf))) / 2)


def _search(below: np.ndarray, low: int, high: int) -> dict[str, Any]:
    """A binary search as a tree of LightGBM's, whose leaves are the bins 1, 2, …"""
    if low == high:
        return {"leaf_value": low + 1}
    middle = (low + high) // 2
    return {
        "split_feature": 0, "decision_type": "<=", "threshold": float(below[middle]), "missing_type": "NaN",
        "default_left": True, "left_child": _search(below, low, middle),
        "right_child": _search(below, middle + 1, high),
    }  # fmt: skip
