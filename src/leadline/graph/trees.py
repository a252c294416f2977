"""LightGBM -> ONNX `TreeEnsemble` (ai.onnx.ml 5), taking the same turn at every node.

Source: the operator's specification and LightGBM's `dump_model`. Thresholds are rounded down to float32: for float32
features `x <= floor32(t)` holds exactly when `x <= t` does. (onnxmltools rounds to nearest, which can flip a split.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

LEQ, MEMBER = 0, 6  # node modes of the operator


def ensemble(g: Graph, features: str, dump: dict[str, Any], outputs: int) -> str:
    """Add the trees of a `dump_model()` to `g`: float32 [N, F] -> raw scores float32 [N, outputs]."""
    from onnx import numpy_helper

    trees = _Trees()
    for number, tree in enumerate(dump["tree_info"]):
        trees.add(tree["tree_structure"], number % outputs)
    floats = {
        "nodes_splits": trees.splits, "leaf_weights": trees.weights, "membership_values": trees.members or [np.nan],
    }  # fmt: skip
    tensors = {name: numpy_helper.from_array(np.array(values, np.float32), name) for name, values in floats.items()}
    return str(
        g.op(
            "TreeEnsemble",
            features,
            domain="ai.onnx.ml",
            n_targets=outputs,
            aggregate_function=1,
            post_transform=0,
            tree_roots=trees.roots,
            nodes_featureids=trees.features,
            nodes_modes=numpy_helper.from_array(np.array(trees.modes, np.uint8), "nodes_modes"),
            nodes_truenodeids=trees.true_ids,
            nodes_falsenodeids=trees.false_ids,
            nodes_trueleafs=trees.true_leafs,
            nodes_falseleafs=trees.false_leafs,
            nodes_missing_value_tracks_true=trees.missing,
            leaf_targetids=trees.targets,
            **tensors,
        )  # fmt: skip
    )


class _Trees:
    """The operator's columns, a row a node or a leaf, filled tree by tree."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.features: list[int] = []
        self.modes: list[int] = []
        self.splits: list[float] = []
        self.members: list[float] = []
        self.missing: list[int] = []
        self.true_ids: list[int] = []
        self.false_ids: list[int] = []
        self.true_leafs: list[int] = []
        self.false_leafs: list[int] = []
        self.weights: list[float] = []
        self.targets: list[int] = []

    def add(self, tree: dict[str, Any], target: int) -> None:
        if "leaf_value" in tree:  # a stump: the operator wants a node, so both of its ways lead to the leaf
            tree = {
                "split_feature": 0, "decision_type": "<=", "threshold": 0.0, "missing_type": "NaN",
                "default_left": True, "left_child": tree, "right_child": tree,
            }  # fmt: skip
        self.roots.append(len(self.features))
        stack = [(tree, -1, True)]
        while stack:  # depth first, without recursion: a tree may be a thousand deep
            node, parent, side = stack.pop()
            place = self._node(node)
            if parent >= 0:
                (self.true_ids if side else self.false_ids)[parent] = place
            for child, way in ((node["right_child"], False), (node["left_child"], True)):
                ids, leafs = (self.true_ids, self.true_leafs) if way else (self.false_ids, self.false_leafs)
                if "leaf_value" in child:
                    ids[place], leafs[place] = len(self.weights), 1
                    self.weights.append(float(child["leaf_value"]))
                    self.targets.append(target)
                else:
                    stack.append((child, place, way))

    def _node(self, node: dict[str, Any]) -> int:
        self.features.append(int(node["split_feature"]))
        if node["decision_type"] == "==":
            self.modes.append(MEMBER)
            self.splits.append(0.0)
            self.members += [*(float(value) for value in node["threshold"].split("||")), np.nan]
            self.missing.append(0)
        else:
            self.modes.append(LEQ)
            self.splits.append(_floor32(float(node["threshold"])))
            # Without missing values in train LightGBM reads NaN as 0.
            left = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
            self.missing.append(int(left))
        for column in (self.true_ids, self.false_ids, self.true_leafs, self.false_leafs):
            column.append(0)
        return len(self.features) - 1


def _floor32(value: float) -> float:
    """The largest float32 that is not above `value`."""
    nearest = np.float32(np.clip(value, -3.4e38, 3.4e38))
    return float(nearest if float(nearest) <= value else np.nextafter(nearest, np.float32(-np.inf)))
