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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.runtime import Session
from leadline.use.explain.records import Method
from leadline.use.explain.sample import Sample
from leadline.use.explain.scorer import OutOfTimeError, Scorer
from leadline.use.explain.shapley import Exact, Shapley

if TYPE_CHECKING:
    import onnx

    from leadline.use.model import Model

MEMBER = 6  # node mode: the value is in a set; the other one that is written is <= (graph/trees.py)
CELLS = 2_000_000  # of a temporary array
MOST_ERROR = 1e-6
EXCHANGES = 4  # rows whose values each column takes, to see which features are its


def effects(
    model: Model, sample: Sample, places: np.ndarray, outputs: list[int], until: float = math.inf
) -> Exact | None:  # fmt: skip
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
    features, raw = _features(model, session, node, sample.rows)
    owners = _owners(model, session, node, sample.rows, features)
    if owners is None:
        return None
    targets = [output if ensemble.targets > 1 else 0 for output in outputs]
    slope, offset = _scale(model, sample, raw)
    reaching = ensemble.decisions(features)
    found: list[tuple[int, Shapley]] = []
    error, rounding = 0.0, 0.0
    shares = ensemble.shares(reaching)
    for target in sorted(set(targets)):
        mine = [i for i, each in enumerate(targets) if each == target]
        rows = places[mine]
        values, base = ensemble.contributions(reaching[rows], shares, target, features.shape[1], until)
        sums = values.sum(axis=1) + base
        error = max(error, float(np.abs(sums - ensemble.sums(reaching[rows], target)).max()))
        rounding = max(rounding, float(np.abs(sums - raw[rows, target]).max()))
        columns = values @ owners
        for n, i in enumerate(mine):
            # The trees of two classes speak of the second.
            sign = -1.0 if ensemble.targets == 1 and not model.task.numeric and outputs[i] == 0 else slope
            whole, mean = sign * float(sums[n]) + offset, sign * base + offset
            own = Shapley(effects=sign * columns[n], errors=np.zeros(columns.shape[1]), margin=whole, base=mean)
            found.append((i, own))
    assert error <= MOST_ERROR, f"effects add up to the trees' sum but for {error}"
    ordered = [each for _, each in sorted(found, key=lambda pair: pair[0])]
    return Exact(rows=ordered, error=error, rounding=rounding, method=Method.TREE_SHAP)


def _looks_up(file: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether trees only find the place of a value in a table, as those of an explainable boosting machine do."""
    return any(node.output[0] in other.input and other.op_type == "Cast" for other in file.graph.node)


def _scale(model: Model, sample: Sample, raw: np.ndarray) -> tuple[float, float]:
    """By which the trees' sum becomes the answer: of a value its deviation and mean, which the file has inside."""
    if not model.task.numeric:
        return 1.0, 0.0
    sums = raw[:, 0].astype(np.float64)
    answers = Scorer(model).scores(sample.rows)[:, 0]
    low, high = int(sums.argmin()), int(sums.argmax())
    if sums[low] == sums[high]:
        return 1.0, float(answers[0] - sums[0])
    slope = float((answers[high] - answers[low]) / (sums[high] - sums[low]))
    return slope, float(answers[low] - slope * sums[low])


def _features(model: Model, session: Session, node: onnx.NodeProto, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the trees read, float32 [n, features], and their sums in the file, float64 [n, targets]."""
    from leadline.use.explain.graph import feeds_of

    found = [session(feeds, [node.input[0], node.output[0]]) for feeds in feeds_of(model, rows)]
    features, sums = (np.concatenate([each[name] for each in found]) for name in (node.input[0], node.output[0]))
    return features, sums


def _owners(model: Model, session: Session, node: Any, rows: Any, features: np.ndarray) -> np.ndarray | None:
    """bool [features, columns]: which feature changes with which column; None where one changes with several.

    A feature that never varies has no effect.
    """
    names = list(model.contract["inputs"])
    owners = np.zeros((features.shape[1], len(names)), bool)
    for column, name in enumerate(names):
        for step in range(1, 1 + min(EXCHANGES, len(rows) - 1)):
            changed = [{**row, name: rows[(i + step) % len(rows)][name]} for i, row in enumerate(rows)]
            other, _ = _features(model, session, node, changed)
            owners[:, column] |= ~((other == features) | (np.isnan(other) & np.isnan(features))).all(axis=0)
    varied = ~((features == features[:1]) | (np.isnan(features) & np.isnan(features[:1]))).all(axis=0)
    return None if (varied & (owners.sum(axis=1) != 1)).any() else owners


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
