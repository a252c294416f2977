"""The shipped file, made by joining graphs.

The file is one ONNX graph from decoded values to answers, with its contract as JSON in the metadata: the columns it
takes, how their values are decoded, its classes, its origin. It ends with a digest of all before it (graph/digest.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from leadline.core.json_types import Json, nested
from leadline.core.tensors import Block, Tensors
from leadline.graph.digest import CONTRACT, VERSION, with_digest
from leadline.kinds import KINDS
from leadline.ship import language_model
from leadline.system.resources import give_back

if TYPE_CHECKING:
    import onnx

    from leadline.graph.builder import Graph
    from leadline.stats.uncertainty import Certainty


def assemble(
    store: Tensors, scores: bytes, facts: Mapping[str, Any], certain: Certainty | None = None
) -> bytes:  # fmt: skip
    """Join encode graphs, feature graphs and a contender's graph: the bytes of the file, with contract and digest.

    Args:
        scores: the contender's graph, from tensors of the store to 'scores'.
        certain: the calibrator that the answers pass through, and the threshold of their sets or intervals.
        facts: what the contract says besides inputs and outputs: contender, versions, data hash, licence.
    """
    made = with_digest(_model(store, scores, facts, certain).SerializeToString())
    give_back()  # the graph is in it several times, while it is made
    return made


def _model(
    store: Tensors, scores: bytes, facts: Mapping[str, Any], certain: Certainty | None
) -> onnx.ModelProto:  # fmt: skip
    import onnx

    from leadline.graph.builder import Graph

    g, join = Graph("leadline"), language_model.join if store.task.generative else partial(_join, certain=certain)
    contract = {
        "version": VERSION, "task": store.task.name, "target": store.task.target, "classes": list(store.task.classes),
        **join(g, store, onnx.load_from_string(scores)), **facts,
    }  # fmt: skip
    return g.model({CONTRACT: json.dumps(contract, ensure_ascii=False)})


def _join(g: Graph, store: Tensors, inner: onnx.ModelProto, certain: Certainty | None) -> dict[str, Any]:
    """Set encode graphs, feature graphs and a contender's graph into `g`; returns what the contract says of them."""
    import onnx

    inputs: dict[str, dict[str, Any]] = {}
    made: dict[str, str] = {}
    for value in inner.graph.input:
        block_name = value.name.split(".")[0]
        block = store.block(block_name)
        kind = KINDS[block.kind]
        for name in block.columns:
            if name not in inputs:
                g.input(name, kind.onnx_input, kind.input_shape(name, block))
                inputs[name] = {"kind": block.kind, "dtype": kind.onnx_input, "decode": block.decode[name]}
                inputs[name] |= _of_train(name, block)
        columns = {name: name for name in block.columns}
        from_values = value.name.rpartition(".")[2] in block.from_values
        if block_name not in made and not from_values:
            encode = onnx.load_from_string(store.graph(block_name))
            (made[block_name],) = g.add(encode, columns, f"encode.{block_name}").values()
        if value.name != block_name:
            form = onnx.load_from_string(store.graph(value.name))
            feeds = columns if from_values else {"encoded": made[block_name]}
            (made[value.name],) = g.add(form, feeds, f"form.{value.name}").values()
    answer = g.add(inner, {value.name: made[value.name] for value in inner.graph.input}, "contender")["scores"]
    if certain is not None and certain.calibrator is not None:
        answer = certain.calibrator.onnx(g, answer)
    held = None if certain is None else certain.conformal
    outputs = store.task.outputs(g, answer, None if held is None else held.threshold, taken=inputs)
    return {"inputs": inputs, "outputs": outputs, **({} if held is None else {"coverage": held.coverage})}


def _of_train(name: str, block: Block) -> dict[str, Json]:
    """Statistics of the train rows, with which new rows are compared: `levels`, and the share `missing`."""
    facts = {fact: nested(block.settings, fact) for fact in ("levels", "missing")}
    return {fact: of_columns[name] for fact, of_columns in facts.items() if of_columns}
