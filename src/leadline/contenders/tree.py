"""One decision tree that a person can follow by hand: at most four questions, then the answer (Breiman et al. 1984).

Grown by scikit-learn on one-hot classes, or values, by squared error, which of classes is the Gini impurity. The values
of a category stand in the order of what their rows answer (their first principal axis where there are several classes),
so that a split parts them into two sets. Depth and the rows of a leaf are chosen by cross-validation on train rows: the
best of twelve by valid would look better beside others than it is (decision 0102); of rows that depend on each
other, by valid. Then it is refitted on train and valid rows. A threshold is the shortest number that parts the rows as
scikit-learn's does.

It races where the user asks for what can be interpreted, or names it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.families import CLASSICAL
from leadline.contenders.features import NOT_AGAIN, Layout, affordable, features_of, layout, matrix
from leadline.core.contender import Contender, Data, Fitted, Progress, State, digest
from leadline.core.kind import View
from leadline.core.printed import CODED, Feature, PrintedModel, TreeNode, reading
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors
from leadline.kinds import KINDS
from leadline.metrics.metrics import METRICS

if TYPE_CHECKING:
    import onnx

DEPTHS = (4, 3, 2, 1)
SHARES = (0.001, 0.01, 0.03)  # of the train rows that a leaf has at least
FEWEST = 5  # rows of a leaf
FOLDS = 5
CHOOSING = 20_000  # train rows at most by which depth and leaves are chosen
ADDED = 1.0  # rows of the mean answer that count in every leaf: none is certain
LEAST_P = 1e-6


class Tree(Contender):
    name = "tree"
    family = CLASSICAL
    weight = 1.0
    interpretable = True
    on_request = True

    def inputs(self, store: Tensors) -> list[str]:
        if any(not KINDS[block.kind].joint for block in store.blocks):
            return []  # nobody reads a pixel, or the number of an n-gram
        return list(layout(store, (View.CODES, View.DENSE)).tensors)

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        store, clock = data.store, data.clock
        plan = layout(store, (View.CODES, View.DENSE))
        train, messages = affordable(plan, store.split.train, seed, data.memory_gb)
        features = [feature for each in features_of(store, plan) or () for feature in each]
        scale, metric = data.scale(), METRICS[store.task.metric]
        x, y = matrix(store, plan, train), data.encoded(train, scale)
        folds = _folds(store, train, seed)
        truth = data.labels(np.concatenate([judged for _, judged in folds]))
        chosen, score, a_try = (DEPTHS[0], FEWEST), math.nan, 0.0
        tried = dict.fromkeys((depth, max(FEWEST, int(share * len(train)))) for share in SHARES for depth in DEPTHS)
        for step, (depth, fewest) in enumerate(tried, start=1):
            began, parts = clock.spent(), []
            for rest, judged in folds:
                grown = _grow(x[rest], y[rest], features, data.task, depth, fewest, seed)
                parts.append(FittedTree(grown, plan, features, data.task, scale).predict(store, judged))
            found = metric(truth, np.concatenate(parts))
            a_try = max(a_try, clock.spent() - began)
            if step == 1 or metric.better(found, score):
                chosen, score = (depth, fewest), found
            yield Progress(step=step, steps=len(tried))
            if clock.left() < 3 * a_try:
                break
        best = FittedTree(_grow(x, y, features, data.task, *chosen, seed), plan, features, data.task, scale)
        best.valid = best.predict(store, store.split.valid)
        best.score = metric(data.labels(store.split.valid), best.valid)
        yield Progress(step=step, steps=len(tried), score=best.score)
        again = clock.left() > a_try
        if again:
            both = np.concatenate([train, store.split.valid])
            grown = _grow(matrix(store, plan, both), data.encoded(both, scale), features, data.task, *chosen, seed)
            first, best = best, FittedTree(grown, plan, features, data.task, scale)
            best.score, best.valid, best.trained_on_valid = first.score, first.valid, True
        chose = "valid" if store.dependent else "cross-validation"
        how = f"depth {chosen[0]} and leaves of {chosen[1]:,} rows at least, as {chose} chose"
        best.describe = [*messages, how, "refitted on train and valid rows" if again else NOT_AGAIN]
        yield best


def _folds(store: Tensors, train: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places in `train` to grow on, and rows to judge by: of rows that depend on each other those of valid."""
    if store.dependent:
        return [(np.arange(len(train)), store.split.valid)]
    order = np.random.default_rng(seed).permutation(len(train))[:CHOOSING]
    parts = np.array_split(order, min(FOLDS, len(train)))
    return [(np.concatenate(parts[:k] + parts[k + 1 :]), train[part]) for k, part in enumerate(parts)]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A split of one column of the matrix, or a leaf, which has `values`.

    `most` is as the column is encoded; of a category `left` are the codes that go left instead.
    """

    rows: int
    values: np.ndarray | None = None  # float64 [outputs], raw
    column: int = -1
    most: float = 0.0
    codes: tuple[int, ...] = ()
    missing_left: bool = False
    left: Node | None = None
    right: Node | None = None

    def leaves(self) -> int:
        """How many there are below, itself included."""
        return 1 if self.left is None or self.right is None else self.left.leaves() + self.right.leaves()


def _grow(
    x: np.ndarray, y: np.ndarray, features: list[Feature], task: Task, depth: int, fewest: int, seed: int
) -> Node:
    """A tree on encoded rows [n, columns]."""
    from sklearn.tree import DecisionTreeRegressor

    targets = np.eye(len(task.classes))[y] if task.one_class else np.asarray(y, np.float64).reshape(len(y), -1)
    ranks = {column: _ranks(x[:, column].astype(np.int64), targets, f) for column, f in enumerate(features) if f.codes}
    ordered = x.copy()
    for column, rank in ranks.items():
        ordered[:, column] = rank[x[:, column].astype(np.int64)]
    machine = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=fewest, random_state=seed)
    machine.fit(ordered, targets)
    return _node(_Grown(tree=machine.tree_, x=ordered, targets=targets, ranks=ranks, features=features, task=task), 0,
                 np.arange(len(x)))  # fmt: skip


def _ranks(codes: np.ndarray, targets: np.ndarray, feature: Feature) -> np.ndarray:
    """The place of each code by what its rows answer; of one that no row has that of the mean: float32 [codes]."""
    counts = np.bincount(codes, minlength=feature.codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, t, minlength=feature.codes) for t in targets.T], axis=1)
    means = (sums + ADDED * targets.mean(axis=0)) / (counts + ADDED)[:, None] - targets.mean(axis=0)
    if means.shape[1] > 1:
        *_, axes = np.linalg.svd(means * np.sqrt(counts)[:, None], full_matrices=False)
        line = means @ axes[0]
    else:
        line = means[:, 0]
    return np.asarray(np.unique(line.round(12), return_inverse=True)[1], np.float32)


@dataclass(frozen=True, kw_only=True)
class _Grown:
    """What scikit-learn has grown, on which rows."""

    tree: Any
    x: np.ndarray
    targets: np.ndarray
    ranks: dict[int, np.ndarray]
    features: list[Feature]
    task: Task


def _node(grown: _Grown, place: int, rows: np.ndarray) -> Node:
    """A node of scikit-learn's tree, with all below it; `rows` are those that come to it."""
    tree = grown.tree
    left, right, column = int(tree.children_left[place]), int(tree.children_right[place]), int(tree.feature[place])
    if left < 0:
        return Node(rows=len(rows), values=_raw(grown, rows))
    values, threshold = grown.x[rows, column], float(tree.threshold[place])
    missing_left = bool(tree.missing_go_to_left[place])
    below = np.where(np.isnan(values), missing_left, values <= threshold)
    sides = _node(grown, left, rows[below]), _node(grown, right, rows[~below])
    if column in grown.ranks:
        codes = tuple(np.flatnonzero(grown.ranks[column] <= threshold).tolist())
        return Node(rows=len(rows), column=column, codes=codes, left=sides[0], right=sides[1])
    most = _threshold(values[~np.isnan(values)], threshold, grown.features[column])
    return Node(
        rows=len(rows), column=column, most=most, missing_left=missing_left, left=sides[0], right=sides[1]
    )  # fmt: skip


def _threshold(known: np.ndarray, threshold: float, feature: Feature) -> float:
    """A shorter number that parts known values as `threshold` does; inf where it parts them from missing ones."""
    left, right = known[known <= threshold], known[known > threshold]
    if not len(right):
        return float("inf")
    low, high = (feature.centre + feature.spread * float(end) for end in (left.max(), right.min()))
    most = (shortest(low, high) - feature.centre) / feature.spread
    return most if left.max() <= np.float32(most) < right.min() else threshold


def shortest(low: float, high: float) -> float:
    """The number of fewest digits that is at least `low` and below `high`, near their middle.

    >>> shortest(27.0, 28.0), shortest(7073.5, 7_100.0), shortest(-0.31, -0.3)
    (27.5, 7090.0, -0.305)
    """
    middle = (low + high) / 2
    for digits in range(-12, 16):
        found = round(middle, digits)
        if low <= found < high:
            return float(found)
    return middle


def _raw(grown: _Grown, rows: np.ndarray) -> np.ndarray:
    """Raw values of a leaf: log odds of a class or label, logarithms of shares, or a value."""
    mean = grown.targets.mean(axis=0)
    if grown.task.numeric:
        return np.asarray(grown.targets[rows].mean(axis=0))
    shares = (grown.targets[rows].sum(axis=0) + ADDED * mean) / (len(rows) + ADDED)
    shares = shares.clip(LEAST_P, 1 - LEAST_P)
    if grown.task.link == "softmax":
        return np.asarray(np.log(shares / shares.sum()))
    return np.asarray(np.log(shares / (1 - shares))[-grown.task.columns :])


class FittedTree:
    """A grown tree."""

    score = float("nan")
    valid: np.ndarray | None = None
    undertrained = trained_on_valid = False

    def __init__(self, root: Node, plan: Layout, features: list[Feature], task: Task, scale: Scale) -> None:
        self._root, self._plan, self._features, self._task, self._scale = root, plan, features, task, scale
        self.describe: list[str] = []
        self.params = 2 * root.leaves() - 1 + root.leaves() * (task.columns - 1)
        self.bytes = 8 * self.params

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        x = matrix(store, self._plan, rows)
        raw = np.zeros((len(rows), self._task.columns))
        self._fill(self._root, x, np.arange(len(rows)), raw)
        return self._task.activate(raw, self._scale)

    def _fill(self, node: Node, x: np.ndarray, rows: np.ndarray, raw: np.ndarray) -> None:
        if node.left is None or node.right is None:
            raw[rows] = node.values
            return
        values = x[rows, node.column]
        if self._features[node.column].codes:
            below = np.isin(values, node.codes)
        else:
            below = np.where(np.isnan(values), node.missing_left, values <= np.float32(node.most))
        self._fill(node.left, x, rows[below], raw)
        self._fill(node.right, x, rows[~below], raw)

    def digest(self) -> str:
        return digest(repr(self._root).encode())

    def printed(self, store: Tensors) -> PrintedModel | None:
        """Every question and every leaf."""
        names = list(self._task.raw_names)
        return {
            "contender": "tree", "outputs": names, "link": self._task.link, "intercept": [0.0] * len(names),
            "slopes": [], "tables": [], "root": self._printed(self._root), "temperature": [1.0] * len(names),
            "knots": None, "price": None,
        }  # fmt: skip

    def _printed(self, node: Node) -> TreeNode:
        if node.left is None or node.right is None:
            assert node.values is not None
            values = node.values * self._scale[1] + self._scale[0]
            return {"rows": node.rows, "values": values.tolist()}
        feature = self._features[node.column]
        most: float | None = None
        if feature.names is not None:
            sides = [code in node.codes for code in range(feature.codes)]
            missing_left, other_left = sides[:CODED]
        else:
            sides, other_left = [], True
            missing_left = node.most >= 0 if feature.of_list else node.missing_left
            if np.isfinite(node.most):
                most = float(f"{feature.centre + feature.spread * node.most:.12g}")
        named = list(zip(feature.names or (), sides[CODED:], strict=True))
        return {
            "rows": node.rows, "values": None, **reading(feature), "most": most,
            "names": [name for name, left in named if left], "others": [name for name, left in named if not left],
            "missing_left": bool(missing_left), "other_left": other_left,
            "left": self._printed(node.left), "right": self._printed(node.right),
        }  # fmt: skip

    def graph(self) -> onnx.ModelProto:
        """The tree once for every raw column: an ensemble of ONNX has one value a leaf."""
        from leadline.graph.builder import Graph
        from leadline.graph.trees import ensemble

        g, plan, task = Graph("tree"), self._plan, self._task
        parts = [
            g.op("Cast", g.input(name, dtype, ["N", width]), to=1)
            for name, dtype, width in zip(plan.tensors, plan.dtypes, plan.widths, strict=True)
        ]
        x = g.op("Concat", *parts, axis=1)
        trees = [{"tree_structure": self._dumped(self._root, column)} for column in range(task.columns)]
        task.head(g, ensemble(g, x, {"tree_info": trees}, task.columns), self._scale, task.columns)
        return g.model()

    def _dumped(self, node: Node, column: int) -> dict[str, Any]:
        """As LightGBM writes trees, which `graph/trees.py` reads."""
        if node.left is None or node.right is None:
            assert node.values is not None
            return {"leaf_value": float(node.values[column])}
        sides = {"left_child": self._dumped(node.left, column), "right_child": self._dumped(node.right, column)}
        if self._features[node.column].codes:
            codes = "||".join(map(str, node.codes))
            return {"split_feature": node.column, "decision_type": "==", "threshold": codes, **sides}
        return {
            "split_feature": node.column, "decision_type": "<=", "threshold": float(np.float32(node.most)),
            "missing_type": "NaN", "default_left": node.missing_left, **sides,
        }  # fmt: skip
