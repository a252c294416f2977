"""The shipped file of a language model: one step, from text and tokens and a state to the next token and a new state.

Inputs: `text` string [1], `ids` int64 [N, T], and the state. The step reads the tokens of `text` and then `ids`: the
first call gets the prompt as text and no ids, a later one no text and the token just chosen. Outputs:
`log_probabilities` float32 [N, tokens, vocabulary] of the token after each, and the new state, to be given back at the
next call. An axis of a state that grows with the text begins with length 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.dataset.token_scoring import State
from leadline.kinds import KINDS

if TYPE_CHECKING:
    import onnx

    from leadline.dataset.store import Store
    from leadline.graph.builder import Graph

Run = Callable[[Mapping[str, Any], Sequence[str]], dict[str, np.ndarray]]  # the graph: inputs, names of outputs


def join(g: Graph, store: Store, inner: onnx.ModelProto) -> dict[str, Any]:
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


class Reader:
    """A shipped language model as a step (`dataset/token_scoring.py`)."""

    def __init__(self, run: Run, contract: Mapping[str, Any]) -> None:
        self._run, self._state = run, contract["state"]
        (self._text,) = contract["inputs"]
        self._outputs = ["log_probabilities", *(item["next"] for item in self._state)]

    def initial(self, lanes: int) -> State:
        """The state before any text, for so many texts side by side."""
        return tuple(
            np.zeros([lanes if size == "N" else size for size in item["shape"]], item["dtype"]) for item in self._state
        )

    def step(self, ids: np.ndarray, state: State, text: str = "") -> tuple[np.ndarray, State]:
        """ids [N, T] -> log p [N, tokens of text + T, V] and the new state."""
        feeds: dict[str, Any] = {self._text: np.array([text], object), "ids": np.asarray(ids, np.int64)}
        feeds |= {item["name"]: value for item, value in zip(self._state, state, strict=True)}
        odds, *after = self._run(feeds, self._outputs).values()
        return odds, tuple(after)
