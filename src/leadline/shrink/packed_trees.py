"""A tree ensemble in a fifth of the bytes, with the same turns: tables of small integers in place of attributes.

The operator `TreeEnsemble` writes a split and its leaf as ten attributes, some 25 bytes. Here they are four or five:
which column (a feature, or whether a category is in a set), which of the column's thresholds, where the leaves of its
left side begin, and the value of a leaf in 8 bits. The runtime widens these tables once, when it loads the file.

A tree is not walked. Each split that is false rules out the leaves on its left, as bits of an integer; of what all
splits of a tree leave, the lowest bit is the leaf of the row (QuickScorer: Lucchese et al. 2015). A tree of more leaves
than an integer has bits is cut into trees that add up to it. Enters: a network with an ensemble. Leaves: the same
network without one. Shapes: N rows, T trees, S splits of a tree, L = S + 1 leaves, C columns, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.shrink.trees import MEMBER, ensemble_of, settings_of

if TYPE_CHECKING:
    import onnx

    from leadline.graph.builder import Graph

__all__ = ["packed_trees"]

BITS_OF = {np.int32: 31, np.int64: 62}  # leaves of a tree at most, as bits above zero
BLOCK = 2_048  # splits that are asked at once: what they answer stays in a core's cache
LEVELS, TINY = 127.0, 1e-30  # of a leaf's value, and the least of a tree's largest one
FLOAT, INT32, INT64 = 1, 6, 7  # element types of ONNX
BITS = 8
OUT, IN = 1.0, 0.0  # of a set, as a column; the split is 'not above a half'

Column = tuple[int, bool | tuple[int, ...]]  # a feature, and whether missing is below all, or a set of categories


@dataclass(frozen=True, kw_only=True)
class _Tree:
    """A tree with a bit a leaf, from left to right."""

    columns: list[Column]  # of each split
    splits: list[float]
    begins: list[int]  # the first leaf on the left side of each split
    values: list[float]  # of the leaves
    target: int


def packed_trees(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The network with its ensemble as tables; None where a tree is too deep to be cut."""
    import onnx
    from onnx import compose

    from leadline.graph.builder import Graph

    made = onnx.ModelProto()
    made.CopyFrom(model)
    node = ensemble_of(made)
    assert node is not None
    ensemble = _Ensemble(settings_of(node))
    found = next(((each, trees) for each in BITS_OF if (trees := ensemble.trees(BITS_OF[each])) is not None), None)
    if found is None:
        return None
    g = Graph("trees")
    x = g.input("x", np.float32, ["N", "F"])
    g.output("y", _evaluated(g, x, found[1], ensemble.outputs, found[0]), np.float32, ["N", "O"])
    inner = compose.add_prefix(g.model(), "packed/").graph
    place = list(made.graph.node).index(node)
    (source,), (target,) = node.input, node.output
    nodes = [*made.graph.node[:place], *inner.node, *made.graph.node[place + 1 :]]
    for each in inner.node:
        each.input[:] = [source if name == "packed/x" else name for name in each.input]
        each.output[:] = [target if name == "packed/y" else name for name in each.output]
    copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    del made.graph.node[:]
    made.graph.node.extend(copies)
    made.graph.initializer.extend(inner.initializer)
    return made


class _Ensemble:
    """The attributes of a `TreeEnsemble`, as trees to read."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.roots = [int(root) for root in settings["tree_roots"]]
        self.outputs = int(settings["n_targets"])
        self._features = settings["nodes_featureids"]
        self._splits = settings["nodes_splits"].tolist()
        self._missing = settings["nodes_missing_value_tracks_true"]
        self._children = [
            list(zip(settings[f"nodes_{way}nodeids"], settings[f"nodes_{way}leafs"], strict=True))
            for way in ("true", "false")
        ]
        self._weights, self._targets = settings["leaf_weights"].tolist(), settings["leaf_targetids"]
        ends = np.flatnonzero(np.isnan(settings["membership_values"]))
        sets = iter(np.split(settings["membership_values"], ends + 1))
        self._sets = {
            node: tuple(int(value) for value in next(sets)[:-1])
            for node in np.flatnonzero(np.asarray(settings["nodes_modes"]) == MEMBER).tolist()
        }

    def trees(self, most: int) -> list[_Tree] | None:
        """All trees, those of too many leaves cut; None where one is so deep that no cut helps."""
        found: list[_Tree] = []
        for root in self.roots:
            parts = self._cut(root, most)
            if parts is None:
                return None
            found += parts
        return found

    def _cut(self, root: int, most: int) -> list[_Tree] | None:
        """A tree as trees of few leaves that add up to it."""
        sizes, cuts, found = self._sizes(root), set[int](), list[_Tree]()
        while sizes[root] > most:
            way = self._largest(root, sizes, cuts, most)
            if not way:
                return None
            found.append(self._tree(root, dict(way[:-1]), cuts))
            gone = sizes[way[-1][0]] - 1
            cuts.add(way[-1][0])
            for node, _ in way[:-1]:
                sizes[node] -= gone
        return [*found, self._tree(root, {}, cuts)]

    def _largest(self, root: int, sizes: dict[int, int], cuts: set[int], most: int) -> list[tuple[int, bool]]:
        """The way to the largest part that has room for the splits that lead to it."""
        best, found = 1, list[tuple[int, bool]]()
        stack: list[tuple[int, list[tuple[int, bool]]]] = [(root, [])]
        while stack:
            node, way = stack.pop()
            if way and best < sizes[node] <= most - len(way):
                best, found = sizes[node], [*way, (node, True)]
            for side in (True, False):
                child, leaf = self._children[not side][node]
                if not leaf and child not in cuts and sizes[child] > best:
                    stack.append((child, [*way, (node, side)]))
        return found

    def _sizes(self, root: int) -> dict[int, int]:
        """Leaves below each node."""
        order = [root]
        for node in order:
            order += [child for child, leaf in (side[node] for side in self._children) if not leaf]
        sizes: dict[int, int] = {}
        for node in reversed(order):
            sizes[node] = sum(1 if leaf else sizes[child] for child, leaf in (side[node] for side in self._children))
        return sizes

    def _tree(self, root: int, way: dict[int, bool], cuts: set[int]) -> _Tree:
        """What lies at the end of a way, the leaves beside it being zero; without a way all but what was cut."""
        made = _Tree(columns=[], splits=[], begins=[], values=[], target=self._target(root))
        # Of a node its left side is written first, then its split, then its right side.
        stack: list[tuple[str, int, int]] = [("node", root, 0)]
        while stack:
            what, node, begin = stack.pop()
            if what == "leaf":
                made.values.append(self._weights[node])
            elif what == "split":
                column, split = self._split(node)
                made.columns.append(column)
                made.splits.append(split)
                made.begins.append(begin)
            elif what == "none" or node in cuts:
                made.values.append(0.0)
            else:
                left, right = (self._side(node, side, way) for side in (True, False))
                stack += [right, ("split", node, len(made.values)), left]
        return made

    def _side(self, node: int, side: bool, way: dict[int, bool]) -> tuple[str, int, int]:
        child, leaf = self._children[not side][node]
        if way.get(node, side) != side:
            return "none", -1, 0
        return "leaf" if leaf else "node", int(child), 0

    def _target(self, node: int) -> int:
        child, leaf = self._children[0][node]
        while not leaf:
            child, leaf = self._children[0][child]
        return int(self._targets[child])

    def _split(self, node: int) -> tuple[Column, float]:
        feature = int(self._features[node])
        if node in self._sets:
            return (feature, self._sets[node]), (OUT + IN) / 2
        return (feature, bool(self._missing[node])), self._splits[node]


def _evaluated(g: Graph, x: str, trees: Sequence[_Tree], outputs: int, integer: type) -> str:
    """float32 [N, F] -> sums of the leaves [N, O]; of one block of trees after another, which bounds the memory."""
    columns = sorted({column for tree in trees for column in tree.columns}, key=_order)
    values = _columns(g, x, columns)  # [C, N]
    splits = max(len(tree.splits) for tree in trees)
    in_block = max(1, min(len(trees), BLOCK // splits))
    blocks = -(-len(trees) // in_block)
    tables = _tables(g, trees, columns, (splits, blocks * in_block, outputs), integer)
    forms: list[tuple[list[int], list[int]]] = [([], [1, 0, 2]), ([1], [1, 0, 2, 3]), ([1], [1, 0, 2, 3]),
                                                ([], [1, 2, 0]), ([], [1, 0, 2])]  # fmt: skip
    shaped = [
        g.op("Transpose", g.op("Reshape", table, g.const(np.array([-1, blocks, in_block, *more]))), perm=order)
        for table, (more, order) in zip(tables, forms, strict=True)
    ]
    rows = g.op("Slice", g.op("Shape", values), g.const(np.array([1])), g.const(np.array([2])))
    zeros = g.op("Expand", g.const(np.float32(0)), g.op("Concat", g.const(np.array([outputs])), rows, axis=0))
    body = _block(values, splits, integer)
    made = g.op("Scan", zeros, *shaped, body=body, num_scan_inputs=len(shaped))
    return str(g.op("Transpose", made, perm=[1, 0]))


def _tables(
    g: Graph, trees: Sequence[_Tree], columns: Sequence[Column], sizes: tuple[int, int, int], integer: type
) -> list[str]:
    """Column, threshold and mask of each split [S, T], leaves [L, T], and what a leaf adds to each output [O, T].

    Only what trees have is stored, one after another; the runtime fills up the shapes when it loads the file.
    """
    splits, padded, outputs = sizes

    def of_trees(values: Sequence[float], dtype: type) -> np.ndarray:
        return np.array([*values, *[0] * (padded - len(trees))], dtype)

    def filled(entries: Any, length: str, height: int) -> str:
        """int32 [entries] -> [height, T]; what is beyond the entries of a tree are others, which are never read."""
        begin = g.op("CumSum", length, g.const(np.int32(0)), exclusive=1)
        places = g.op("Add", begin, g.const(np.arange(height, dtype=np.int32)[:, None]))
        inside = g.op("Min", places, g.const(np.int32(len(entries) - 1)))
        return str(g.op("Cast", g.op("Gather", g.const(entries), inside), to=INT32))

    known = _Thresholds(trees, columns)
    count = g.op("Cast", g.const(of_trees([len(tree.splits) for tree in trees], np.uint8)), to=INT32)
    column = filled(_small(known.columns), count, splits)
    step = g.op("Add", g.op("Gather", g.const(known.starts), column), filled(_small(known.ranks), count, splits))
    edge = g.op("Gather", g.const(known.edges), g.op("Min", step, g.const(np.int32(len(known.edges) - 1))))
    places = g.const(np.arange(splits, dtype=np.int32)[:, None])
    behind = g.op("Add", places, g.const(np.int32(1)))
    first = filled(_small([begin for tree in trees for begin in tree.begins]), count, splits)
    first = g.op("Where", g.op("Less", places, count), first, behind)  # a split that there is not rules out nothing
    powers = g.const((1 << np.arange(splits + 1, dtype=np.int64)).astype(integer))
    mask = g.op("Sub", g.op("Gather", powers, behind), g.op("Gather", powers, first))
    scale = of_trees([max(np.abs(tree.values).max(), TINY) / LEVELS for tree in trees], np.float32)
    levels = np.concatenate([np.rint(tree.values / scale[t]) for t, tree in enumerate(trees)]).astype(np.int8)
    ends = g.op("Cast", g.const(of_trees([len(tree.values) for tree in trees], np.uint8)), to=INT32)
    leaves = g.op("Cast", filled(levels, ends, splits + 1), to=FLOAT)
    weight = g.const(scale[None])
    if outputs > 1:
        target = g.op("Cast", g.const(of_trees([tree.target for tree in trees], np.uint16)), to=INT32)
        same = g.op("Equal", g.const(np.arange(outputs, dtype=np.int32)[:, None]), target)
        weight = g.op("Where", same, weight, g.const(np.float32(0)))
    return [column, edge, mask, leaves, weight]


class _Thresholds:
    """What splits ask, as numbers: their columns, and the rank of their threshold among those of the column."""

    def __init__(self, trees: Sequence[_Tree], columns: Sequence[Column]) -> None:
        number = {column: n for n, column in enumerate(columns)}
        used: list[set[float]] = [set() for _ in columns]
        asked = [pair for tree in trees for pair in zip(tree.columns, tree.splits, strict=True)]
        for column, split in asked:
            used[number[column]].add(split)
        ranks = [{split: n for n, split in enumerate(sorted(each))} for each in used]
        self.columns = [number[column] for column, _ in asked]
        self.ranks = [ranks[number[column]][split] for column, split in asked]
        self.starts = np.cumsum([0, *(len(each) for each in used)])[:-1].astype(np.int32)
        self.edges = np.array([split for each in used for split in sorted(each)], np.float32)


def _block(values: str, splits: int, integer: type) -> onnx.GraphProto:
    """A step of the scan: adds what a block of trees says to the sums [O, N]; `values` [C, N] lies outside."""
    from leadline.graph.builder import Graph

    g = Graph("block")
    before = g.input("before", np.float32, ["O", "N"])
    column, edge = g.input("column", np.int32, [splits, "T"]), g.input("edge", np.float32, [splits, "T", 1])
    mask = g.input("mask", integer, [splits, "T", 1])
    leaves, weight = g.input("leaves", np.float32, ["T", splits + 1]), g.input("weight", np.float32, ["O", "T"])
    false = g.op(
        "Cast", g.op("Greater", g.op("Gather", values, column), edge), to=INT64 if integer is np.int64 else INT32
    )
    bits = g.op("Mul", false, mask)  # [S, T, N]; `Where` is ten times as slow for one row
    count = splits
    while count > 1:  # the OR of all: halves may overlap
        half = (count + 1) // 2
        ends = [g.const(np.array([place])) for place in (0, half, count - half, count)]
        bits = g.op("BitwiseOr", g.op("Slice", bits, *ends[:2]), g.op("Slice", bits, *ends[2:]))
        count = half
    gone = g.op("Squeeze", bits, g.const(np.array([0])))  # [T, N]
    # Adding one to a number sets its lowest zero: what both share of it and of the rest is this bit.
    lowest = g.op("BitwiseAnd", g.op("Add", gone, g.const(integer(1))), g.op("BitwiseNot", gone))
    lowest = g.op("Cast", lowest, to=FLOAT)
    place = g.op("Cast", g.op("Round", g.op("Mul", g.op("Log", lowest), g.const(np.float32(1 / np.log(2))))), to=INT32)
    chosen = g.op("GatherElements", leaves, place, axis=1)
    g.output("after", g.op("Add", before, g.op("MatMul", weight, chosen)), np.float32, ["O", "N"])
    return g.body()


def _small(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.uint8 if max(values) < 256 else np.uint16)


def _order(column: Column) -> tuple[int, int, Any]:
    feature, what = column
    return (0, int(what), feature) if isinstance(what, bool) else (1, feature, what)


def _columns(g: Graph, x: str, columns: Sequence[Column]) -> str:
    """float32 [N, F] -> what splits read [C, N]."""
    across = g.op("Transpose", x, perm=[1, 0])
    parts = []
    for missing, stands in ((False, np.inf), (True, -np.inf)):
        features = [feature for feature, what in columns if what is missing]
        if features:
            some = g.op("Gather", across, g.const(np.array(features)))
            parts.append(g.op("Where", g.op("IsNaN", some), g.const(np.float32(stands)), some))
    for feature in sorted({feature for feature, what in columns if not isinstance(what, bool)}):
        sets = [what for each, what in columns if each == feature and not isinstance(what, bool)]
        parts.append(_sets(g, g.op("Gather", across, g.const(np.array(feature))), sets))
    return str(g.op("Concat", *parts, axis=0))


def _sets(g: Graph, code: str, sets: Sequence[Any]) -> str:
    """Category codes [N] -> `IN` or `OUT` of each set [sets, N]; a set has a bit a category."""
    size = BITS * (max(max(each, default=0) for each in sets) // BITS + 1) + BITS  # the last bits are of none
    marks = np.zeros((len(sets), size), bool)
    for n, each in enumerate(sets):
        marks[n, list(each)] = True
    stored = g.op("Cast", g.const(np.packbits(~marks, axis=1, bitorder="little")[..., None]), to=INT32)
    shifted = g.op("Div", stored, g.const((1 << np.arange(BITS)).astype(np.int32)))
    bits = g.op("Cast", g.op("Mod", shifted, g.const(np.int32(2))), to=FLOAT)  # `IN` or `OUT`
    table = g.op("Transpose", g.op("Reshape", bits, g.const(np.array([len(sets), size]))), perm=[1, 0])
    known = g.op("Clip", code, g.const(np.float32(-1)), g.const(np.float32(size - 1)))
    place = g.op("Cast", known, to=INT32)  # -1 is the last one
    return str(g.op("Transpose", g.op("Gather", table, place), perm=[1, 0]))
