"""Fewer trees: the first rounds of a boosted ensemble, which are those that matter most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["MEMBER", "ensemble_of", "fewer_trees", "leaves_of", "settings_of", "trees_of"]

MEMBER = 6  # of the operator's modes: membership of a set
NODES = (
    "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs", "nodes_falseleafs",
    "nodes_missing_value_tracks_true",
)  # fmt: skip


def trees_of(model: onnx.ModelProto) -> tuple[int, int]:
    """(trees, outputs) of the ensemble in a network; (0, 1) where there is none."""
    node = ensemble_of(model)
    if node is None:
        return 0, 1
    settings = {attribute.name: attribute for attribute in node.attribute}
    return len(settings["tree_roots"].ints), int(settings["n_targets"].i)


def leaves_of(model: onnx.ModelProto) -> int:
    """Leaves of the ensemble."""
    node = ensemble_of(model)
    found = [attribute for attribute in node.attribute if attribute.name == "leaf_targetids"] if node else []
    return len(found[0].ints) if found else 0


def fewer_trees(model: onnx.ModelProto, trees: int) -> onnx.ModelProto:
    """The same network with the first `trees` of its trees; a round is one tree an output."""
    from onnx import helper, numpy_helper

    made = model.__class__()
    made.CopyFrom(model)
    node = ensemble_of(made)
    assert node is not None
    values = settings_of(node)
    roots = list(values["tree_roots"])
    nodes = roots[trees] if trees < len(roots) else len(values["nodes_featureids"])
    ends = [
        np.asarray(values[ids][:nodes])[np.asarray(values[leaf][:nodes]) == 1]
        for leaf, ids in (("nodes_trueleafs", "nodes_truenodeids"), ("nodes_falseleafs", "nodes_falsenodeids"))
    ]
    leaves = 1 + int(np.concatenate(ends).max())
    for name in NODES:
        values[name] = list(values[name])[:nodes]
    for name in ("nodes_splits", "nodes_modes"):
        values[name] = values[name][:nodes]
    values["tree_roots"], values["leaf_targetids"] = roots[:trees], list(values["leaf_targetids"])[:leaves]
    values["leaf_weights"] = values["leaf_weights"][:leaves]
    # Sets of categories stand one after another, each ended by NaN, in the order of the nodes that ask for them.
    sets = int((np.asarray(values["nodes_modes"]) == MEMBER).sum())
    members = np.asarray(values["membership_values"], np.float32)
    stops = np.flatnonzero(np.isnan(members))
    values["membership_values"] = members[: stops[sets - 1] + 1] if sets else np.array([np.nan], np.float32)
    del node.attribute[:]
    for name, value in values.items():
        plain = numpy_helper.from_array(np.ascontiguousarray(value), name) if isinstance(value, np.ndarray) else value
        node.attribute.append(helper.make_attribute(name, plain))
    return made


def settings_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of an ensemble by name: lists of whole numbers, and arrays."""
    from onnx import helper, numpy_helper

    found: dict[str, Any] = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {name: numpy_helper.to_array(value) if hasattr(value, "dims") else value for name, value in found.items()}


def ensemble_of(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The node of the ensemble."""
    return next((node for node in model.graph.node if node.op_type == "TreeEnsemble"), None)
