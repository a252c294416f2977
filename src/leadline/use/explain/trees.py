"""Exact SHAP values of boosted trees, from the trees in the shipped file.

Source: Lundberg et al. 2020 (path-dependent tree SHAP, what LightGBM's `pred_contrib` computes), as an integral over
the multilinear extension (Owen 1972): the effect of feature i through one leaf of value v is

    v (o_i - z_i) * integral over t in [0, 1] of the product over other features j of (o_j t + z_j (1 - t))

o_j: whether the row's value of j leads to the leaf; z_j: the share of rows that it leads there. Gauss-Legendre
quadrature is exact for this polynomial. Shares are counted on the rows of the sample. See decision 0061.

Enters: the file and a sample. Leaves: effects of columns that add up to the trees' answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.runtime import Session
from leadline.use.explain.graph import feeds_of
from leadline.use.explain.records import Margin, Method
from leadline.use.explain.sample import Row, Sample
from leadline.use.explain.scorer import OutOfTimeError, Scorer
from leadline.use.explain.shapley import Found, Shapley

if TYPE_CHECKING:
    import onnx

    from leadline.use.model import Model

MEMBER = 6  # node mode: the value is in a set; the other one that is written is <= (graph/trees.py)
CELLS = 2_000_000  # of a temporary array
MOST_ERROR = 1e-6
INSIDE = (-15.0, 7.0)  # log odds: of probabilities nearer to 0 or 1 float32 knows too little
NEAR = 0.01  # log odds by which a margin may differ from a line
EXCHANGES = 4  # rows whose values each column takes, to see which features are its


def effects(
    model: Model, sample: Sample, places: np.ndarray, outputs: list[int], until: float = math.inf
) -> Found | None:  # fmt: skip
    """Exact effects of the rows at `places`; None where the file has no trees, or features of several columns.

    Raises OutOfTimeError where the monotonic moment `until` comes before the end.
    """
    from leadline.graph.builder import with_outputs
    from leadline.use.explain.graph import loaded

    file = loaded(model)
    nodes = [node for node in file.graph.node if node.op_type == "TreeEnsemble"]
    if len(nodes) != 1 or len(sample.rows) < 2 or _looks_up(file, nodes[0]):
        return None
    node = nodes[0]
    session = Session(with_outputs(file, [node.input[0], node.output[0]]))
    ensemble = Ensemble.of(node)
    features, raw = _features(session, node, feeds_of(model, sample.rows))
    owners = _owners(model, session, node, sample.rows, features)
    if owners is None:
        return None
    sums = _Sums(ensemble, features, places, raw, until)
    margin: Margin | None = Margin.CENTRED
    if model.task.one_class and ensemble.targets > 1:
        rows = _centred(sums, owners, outputs)
    else:
        rows, margin = _scaled(sums, owners, outputs, model, sample)
    assert sums.error <= MOST_ERROR, f"effects add up to the trees' sum but for {sums.error}"
    return Found(
        rows=rows, method=Method.TREE_SHAP, against=len(sample.rows), error=sums.error, rounding=sums.rounding,
        margin=margin,
    )  # fmt: skip


class _Sums:
    """Effects on the sums of trees, and how far they are from adding up, at most so far."""

    def __init__(
        self, ensemble: Ensemble, features: np.ndarray, places: np.ndarray, raw: np.ndarray, until: float
    ) -> None:  # fmt: skip
        self.ensemble, self.features = ensemble, features.shape[1]
        self.reaching = ensemble.decisions(features)
        self.shares = ensemble.shares(self.reaching)
        self.places, self.raw, self.until = places, raw, until
        self.error = self.rounding = 0.0

    def of(self, target: int, mine: Sequence[int] | slice) -> tuple[np.ndarray, float]:
        """Effects float64 [n, features] of the explained rows `mine` on one sum, and its mean over all rows."""
        rows = self.places[mine]
        values, base = self.ensemble.contributions(self.reaching[rows], self.shares, target, self.features, self.until)
        whole = values.sum(axis=1) + base
        self.error = max(self.error, float(np.abs(whole - self.ensemble.sums(self.reaching[rows], target)).max()))
        self.rounding = max(self.rounding, float(np.abs(whole - self.raw[rows, target]).max()))
        return values, base


def _centred(sums: _Sums, owners: np.ndarray, outputs: list[int]) -> list[Shapley]:
    """Of classes by softmax: effects on the sum of a class less the mean over all of them.

    What a column adds to every class alike changes no probability; and log odds against the rest are no sum over
    columns.
    """
    parts = [sums.of(target, slice(None)) for target in range(sums.ensemble.targets)]
    values, bases = np.stack([part for part, _ in parts]), np.array([base for _, base in parts])
    values, bases = (values - values.mean(axis=0)) @ owners, bases - bases.mean()
    return [_row_of(values[output, i], float(bases[output])) for i, output in enumerate(outputs)]


def _scaled(
    sums: _Sums, owners: np.ndarray, outputs: list[int], model: Model, sample: Sample
) -> tuple[list[Shapley], Margin | None]:  # fmt: skip
    """Of values, of two classes and of labels: effects on the margin, if it is the trees' sum times a number, plus one;
    else on the sum itself.
    """
    alone = sums.ensemble.targets == 1
    targets = [0 if alone else output for output in outputs]
    scores = Scorer(model, sums.until).scores(sample.rows)
    # The trees of two classes speak of the second.
    lines = {
        target: _line(model, sums.raw[:, target], scores, int(alone and not model.task.numeric) or target)
        for target in sorted(set(targets))
    }
    known = [line for line in lines.values() if line is not None]
    found: dict[int, Shapley] = {}
    for target in lines:
        mine = [i for i, each in enumerate(targets) if each == target]
        slope, offset = (lines[target] or (1.0, 0.0)) if len(known) == len(lines) else (1.0, 0.0)
        values, base = sums.of(target, mine)
        for n, i in enumerate(mine):
            sign = -1.0 if alone and not model.task.numeric and outputs[i] == 0 else 1.0
            found[i] = _row_of(sign * slope * (values[n] @ owners), sign * (slope * base + offset))
    margin = None if len(known) == len(lines) else Margin.UNCALIBRATED
    return [found[i] for i in range(len(outputs))], margin


def _row_of(values: np.ndarray, base: float) -> Shapley:
    return Shapley(effects=values, half=np.zeros(len(values)), margin=base + float(values.sum()), base=base)


def _line(model: Model, raw: np.ndarray, scores: np.ndarray, output: int) -> tuple[float, float] | None:
    """(slope, offset) by which the trees' sum becomes the margin; None where no line does, as of isotonic calibration.

    Of a value its deviation and mean, which the file has inside; of a probability 1 and 0, or a temperature.
    """
    margins, numeric = Scorer(model).margin(scores, np.full(len(scores), output)), model.task.numeric
    inside = np.ones(len(raw), bool) if numeric else (margins > INSIDE[0]) & (margins < INSIDE[1])
    if not inside.any():
        return None
    x, y = raw[inside].astype(np.float64), margins[inside]
    low, high = int(x.argmin()), int(x.argmax())
    if x[low] == x[high]:
        return 1.0, float(y[0] - x[0])
    slope = float((y[high] - y[low]) / (x[high] - x[low]))
    offset = float(y[low] - slope * x[low])
    if numeric:
        return slope, offset
    if np.abs(x - y).max() < NEAR:
        return 1.0, 0.0
    return (slope, offset) if np.abs(slope * x + offset - y).max() < NEAR else None


def _looks_up(file: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether trees only find the place of a value in a table, as those of an explainable boosting machine do."""
    return any(node.output[0] in other.input and other.op_type == "Cast" for other in file.graph.node)


def _features(
    session: Session, node: onnx.NodeProto, batches: Iterable[Mapping[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """What the trees read, float32 [n, features], and their sums in the file, float64 [n, targets]."""
    found = [session(feeds, [node.input[0], node.output[0]]) for feeds in batches]
    features, sums = (np.concatenate([each[name] for each in found]) for name in (node.input[0], node.output[0]))
    return features, sums


def _owners(
    model: Model, session: Session, node: Any, rows: Sequence[Row], features: np.ndarray
) -> np.ndarray | None:  # fmt: skip
    """bool [features, columns]: which feature changes with which column; None where one changes with several.

    Columns are changed by halves: those whose number has a bit, and all others. A feature of one column changes with
    one half of each pair, which spells the number of its column. A feature that never varies has no effect.
    """
    names = list(model.contract["inputs"])
    bits = max(1, (len(names) - 1).bit_length())
    numbers, single = np.zeros(features.shape[1], np.int64), np.ones(features.shape[1], bool)
    for bit in range(bits):
        halves = [[name for i, name in enumerate(names) if (i >> bit & 1) == side] for side in (0, 1)]
        without, having = (_changes(model, session, node, rows, features, half) for half in halves)
        numbers |= having.astype(np.int64) << bit
        single &= having != without
    varied = np.asarray(~_same(features, features[:1]).all(axis=0))
    if (varied & ~single).any() or (numbers[varied] >= len(names)).any():
        return None
    of = numbers.reshape(-1, 1) == np.arange(len(names)).reshape(1, -1)
    return np.asarray(of & varied.reshape(-1, 1), bool)


def _changes(
    model: Model, session: Session, node: Any, rows: Sequence[Row], features: np.ndarray, columns: Sequence[str]
) -> np.ndarray:  # fmt: skip
    """bool [features]: which ones change where some columns have the values of other rows."""
    changed = np.zeros(features.shape[1], bool)
    for step in range(1, 1 + min(EXCHANGES, len(rows) - 1)):
        others = [*rows[step:], *rows[:step]]
        moved = [{**row, **{name: other[name] for name in columns}} for row, other in zip(rows, others, strict=True)]
        changed |= ~_same(_features(session, node, feeds_of(model, moved))[0], features).all(axis=0)
    return changed


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The ways from leaves up to their roots: an entry a node, those of one leaf together, the root last.

    `leaves` [n] are their places; an entry's `leaf` is a place in these, `sides` is the leaf's side of the node.
    """

    leaves: np.ndarray
    leaf: np.ndarray
    nodes: np.ndarray
    sides: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The columns of an ONNX TreeEnsemble: a row a node, a row a leaf."""

    targets: int
    features: np.ndarray
    modes: np.ndarray
    splits: np.ndarray
    missing: np.ndarray
    members: tuple[np.ndarray, ...]  # of each node with a set, in order
    parents: np.ndarray  # int64 [nodes + leaves], -1 at roots; leaves come after all nodes
    sides: np.ndarray  # bool [nodes + leaves], whether it is the true side of its parent
    weights: np.ndarray
    leaf_targets: np.ndarray

    @classmethod
    def of(cls, node: onnx.NodeProto) -> Ensemble:
        """From the attributes of a node."""
        from onnx import helper, numpy_helper

        raw = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        values = {
            name: numpy_helper.to_array(value) if hasattr(value, "raw_data") else np.asarray(value)
            for name, value in raw.items()
        }
        count, leaves = len(values["nodes_featureids"]), len(values["leaf_weights"])
        parents, sides = np.full(count + leaves, -1), np.zeros(count + leaves, bool)
        for side, word in ((True, "true"), (False, "false")):
            ids, flags = values[f"nodes_{word}nodeids"], values[f"nodes_{word}leafs"]
            children = ids + np.where(flags != 0, count, 0)
            parents[children], sides[children] = np.arange(count), side
        sets: list[list[float]] = [[]]
        for value in values.get("membership_values", np.zeros(0)).tolist():
            if np.isnan(value):
                sets.append([])
            else:
                sets[-1].append(value)
        return cls(
            targets=int(values["n_targets"]), features=values["nodes_featureids"], modes=values["nodes_modes"],
            splits=values["nodes_splits"], missing=values["nodes_missing_value_tracks_true"] != 0,
            members=tuple(np.array(each, np.float32) for each in sets[:-1]), parents=parents, sides=sides,
            weights=values["leaf_weights"].astype(np.float64), leaf_targets=values["leaf_targetids"],
        )  # fmt: skip

    def decisions(self, x: np.ndarray) -> np.ndarray:
        """bool [n, nodes]: the true side of every node, for features float32 [n, features]."""
        values = x[:, self.features]
        with np.errstate(invalid="ignore"):
            found = np.asarray(values <= self.splits)
        for place, members in zip(np.flatnonzero(self.modes == MEMBER), self.members, strict=False):
            found[:, place] = np.isin(values[:, place], members)
        return np.where(np.isnan(values), self.missing, found)

    def paths(self, target: int) -> Paths:
        """The ways from the leaves of a target up to their roots."""
        leaves = np.flatnonzero(self.leaf_targets == target)
        at, leaf = leaves + len(self.features), np.arange(len(leaves))
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        while not found or len(at):
            above = self.parents[at] >= 0
            at, leaf = at[above], leaf[above]
            found.append((leaf, self.parents[at], self.sides[at]))
            at = self.parents[at]
        each, nodes, sides = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(each, kind="stable")
        return Paths(leaves=leaves, leaf=each[order], nodes=nodes[order], sides=sides[order])

    def shares(self, reaching: np.ndarray) -> np.ndarray:
        """float64 [nodes]: of the rows that come to a node, the share on its true side; a half where none come."""
        count = len(self.features)
        here = np.zeros((count, len(reaching)), bool)
        order = np.argsort(self._depths(), kind="stable")
        for node in order:
            parent = self.parents[node]
            if parent < 0:
                here[node] = True
            else:
                way = reaching[:, parent] if self.sides[node] else ~reaching[:, parent]
                here[node] = here[parent] & way
        total = here.sum(axis=1)
        true = (here & reaching.T).sum(axis=1)
        return np.where(total > 0, true / np.maximum(total, 1), 0.5)

    def _depths(self) -> np.ndarray:
        depth = np.zeros(len(self.features), np.int64)
        parents = self.parents[: len(depth)].copy()
        while (alive := parents >= 0).any():
            depth[alive] += 1
            parents[alive] = self.parents[parents[alive]]
        return depth

    def sums(self, reaching: np.ndarray, target: int) -> np.ndarray:
        """float64 [n]: the sum of the leaves that rows come to."""
        paths = self.paths(target)
        come = np.ones((len(reaching), len(paths.leaves)), bool)
        some, starts = np.unique(paths.leaf, return_index=True)
        if len(some):
            come[:, some] = np.logical_and.reduceat(reaching[:, paths.nodes] == paths.sides, starts, axis=1)
        return np.asarray(come @ self.weights[paths.leaves])

    def contributions(
        self, reaching: np.ndarray, shares: np.ndarray, target: int, features: int, until: float = math.inf
    ) -> tuple[np.ndarray, float]:
        """Effects float64 [n, features], and the mean answer of the rows by which shares were counted."""
        paths = self.paths(target)
        values, out = self.weights[paths.leaves], np.zeros((len(reaching), features))
        if not len(paths.leaf):
            return out, float(values.sum())
        # Nodes of one feature above one leaf are one player: entries in its order, and where each begins.
        order = np.lexsort((self.features[paths.nodes], paths.leaf))
        nodes, sides, leaf = paths.nodes[order], paths.sides[order], paths.leaf[order]
        starts = np.flatnonzero(np.diff(leaf, prepend=-1) | np.diff(self.features[nodes], prepend=-1))
        leaf, feature = leaf[starts], self.features[nodes[starts]]
        place = np.arange(len(starts)) - np.searchsorted(leaf, leaf)  # of a player above its leaf
        deepest = int(place.max()) + 1
        points, weights = np.polynomial.legendre.leggauss(deepest // 2 + 1)
        points, weights = (points + 1) / 2, weights / 2
        # [leaves, deepest]: players without a place lead to the leaf in any case, and have no effect.
        zero, of = np.ones((len(values), deepest)), np.zeros((len(values), deepest), np.int64)
        zero[leaf, place] = np.multiply.reduceat(np.where(sides, shares[nodes], 1 - shares[nodes]), starts)
        of[leaf, place] = feature
        size = max(1, CELLS // max(1, len(reaching) * deepest * len(points)))
        for start in range(0, len(values), size):
            if time.monotonic() > until:
                raise OutOfTimeError
            part = slice(start, start + size)
            mine = slice(*np.searchsorted(leaf, (start, start + size)))
            one = np.ones((len(reaching), len(values[part]), deepest))
            if len(starts[mine]):
                entries = slice(starts[mine][0], starts[mine.stop] if mine.stop < len(starts) else None)
                right = reaching[:, nodes[entries]] == sides[entries]
                led = np.logical_and.reduceat(right, starts[mine] - starts[mine][0], axis=1)
                one[:, leaf[mine] - start, place[mine]] = led
            total = np.zeros(one.shape)
            for point, weight in zip(points, weights, strict=True):
                factor = one * point + zero[part] * (1 - point)
                whole = factor.prod(axis=2, keepdims=True)
                total += weight * np.divide(whole, factor, out=np.zeros_like(factor), where=factor > 0)
            effect = total * (one - zero[part]) * values[part, None]
            for j in range(deepest):
                np.add.at(out.T, of[part, j], effect[:, :, j].T)
        return out, float((values * zero.prod(axis=1)).sum())
