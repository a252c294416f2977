"""The shipped file of a language model: one step, from text and tokens and a state to the next token and a new state.

Inputs: `text` string [1], `ids` int64 [N, T], and the state. The step reads the tokens of `text` and then `ids`: the
first call gets the prompt as text and no ids, a later one no text and the token just chosen. Outputs:
`log_probabilities` float32 [N, tokens, vocabulary] of the token after each, and the new state, to be given back at the
next call. An axis of a state that grows with the text begins with length 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.kinds import KINDS

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Tensors
    from leadline.graph.builder import Graph


def join(g: Graph, store: Tensors, inner: onnx.ModelProto) -> dict[str, Any]:
    """Set the tokeniser and a contender's step into `g`; returns what the contract says of them."""
    import onnx
    from onnx import helper

    (block,) = store.blocks
    (column,) = block.columns
    text = g.input(column, np.str_, [1])
    ids = g.input("ids", np.int64, ["N", "T"])
    (tokens,) = g.add(onnx.load_from_string(store.graph(block.name)), {column: text}, "encode").values()
    rows = g.op("Shape", ids, start=0, end=1)
    tokens = g.op("Cast", tokens, to=7)
    tokens = g.op("Expand", tokens, g.op("Concat", rows, g.const(np.array([1], np.int64)), axis=0))
    feeds = {"ids": g.op("Concat", tokens, ids, axis=1)}
    state = []
    for value in inner.graph.input:
        if value.name == "ids":
            continue
        kind = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        feeds[value.name] = g.input(value.name, dtype, shape)
        sizes = [size if size == "N" or isinstance(size, int) else 0 for size in shape]
        state.append({"name": value.name, "next": value.name.replace("state", "next"), "shape": sizes, "dtype": dtype})
    made = g.add(inner, feeds, "contender")
    for value in inner.graph.output:
        kind = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
        g.output(value.name, made[value.name], helper.tensor_dtype_to_np_dtype(kind.elem_type), shape)
    inputs = {column: {"kind": block.kind, "dtype": KINDS[block.kind].onnx_input, "decode": block.decode[column]}}
    return {
        "inputs": inputs, "outputs": {"log_probabilities": "log_probabilities"}, "state": state,
        "unit": block.settings["unit"], "vocabulary": block.settings["vocabulary"],
    }  # fmt: skip
