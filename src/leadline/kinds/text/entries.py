"""What the rows of an embedding table stand for: tokens, or n-grams of them. A later run takes vectors by these keys.

Enters: a store with encoded texts. Leaves: {parameter of a body: the key of each row; None: nothing that another run
knows}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.json_types import whole
from leadline.core.kind import View

if TYPE_CHECKING:
    from leadline.core.tensors import Block, Tensors

UNKNOWN = ""  # the key of a token that is in no vocabulary: no token is empty
FIRST = 2  # the number of the first token
BETWEEN = "\x1f"  # tokens of an n-gram
MOST = 20_000  # train rows whose n-grams are named


@dataclass(frozen=True, kw_only=True)
class Hashing:
    """How n-grams of tokens are numbered."""

    order: int  # the longest
    buckets: int
    prime: int


def tokens(store: Tensors, block: Block) -> dict[str, list[str | None]]:
    """Of a table with a row a token."""
    return {"tokens.table.weight": _tokens(store.graph(block.name), whole(block.settings, "vocabulary"))}


def grams(store: Tensors, block: Block, hashing: Hashing) -> dict[str, list[str | None]]:
    """Of a table with a row an n-gram: the commonest of those of train rows that share it."""
    known = _tokens(store.graph(block.name), whole(block.settings, "vocabulary"))
    kept = _kept(store.graph(f"{block.name}.{View.BAG}"))
    keys: list[str | None] = [None] * whole(block.settings, "ngrams")
    for number, token in enumerate(known):
        if kept[number]:
            keys[kept[number]] = token
    ids = np.asarray(store.tensor(block.name)[store.split.train[:MOST]], np.int64)
    for length in range(2, min(hashing.order, ids.shape[1]) + 1):
        found = np.lib.stride_tricks.sliding_window_view(ids, length, axis=1).reshape(-1, length)
        found, count = np.unique(found[(found >= FIRST).all(axis=1)], axis=0, return_counts=True)
        value = np.zeros(len(found), np.int64)
        for part in found.T:
            value = value * hashing.prime + part
        rows = kept[value % (hashing.buckets - len(known)) + len(known)]
        for place in np.argsort(-count, kind="stable"):
            if rows[place] and keys[rows[place]] is None:
                keys[rows[place]] = BETWEEN.join(str(known[number]) for number in found[place])
    return {"table.weight": keys}


def _tokens(graph: bytes, vocabulary: int) -> list[str | None]:
    """The folded form of each number of an encode graph."""
    import onnx

    node = next(node for node in onnx.load_from_string(graph).graph.node if node.op_type == "LabelEncoder")
    tables = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    found: list[str | None] = [None, UNKNOWN, *[None] * (vocabulary - FIRST)]
    for spelling, number in zip(tables["keys_strings"], tables["values_int64s"], strict=True):
        if number and found[number] is None:  # the folded form comes before its other spellings
            found[number] = spelling.decode()
    return found


def _kept(graph: bytes) -> np.ndarray:
    """int32 [buckets]: the row of each bucket in the table, 0 for those that are not kept."""
    import onnx

    constants = onnx.load_from_string(graph).graph.initializer
    return np.asarray(onnx.numpy_helper.to_array(max(constants, key=lambda each: each.ByteSize())))
