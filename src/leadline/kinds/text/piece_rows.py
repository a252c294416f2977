"""Rows of pieces, as a tokenizer's graph gives them: marks at both ends, cut to a length, 0 behind the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from leadline.graph.builder import Graph


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Numbers of pieces that every text has at its ends."""

    begin: tuple[int, ...]
    end: tuple[int, ...]
    empty: int = 1  # the piece of a text that has none, where no mark stands in for it


def piece_rows(g: Graph, name: str, found: tuple[str, str], marks: Marks, length: int, dtype: Any) -> Any:
    """The graph with its output: marks, the first pieces, marks [N, length].

    Args:
        name: of the output.
        found: where a piece is, bool [N, L], and its number, int64 [N, L].
    """
    from leadline.graph.builder import onnx_type

    g.output(name, g.op("Cast", _rows(g, *found, length, marks), to=onnx_type(dtype)), dtype, ["N", length])
    return g.model()


def _rows(g: Graph, emitted: str, ids: str, length: int, marks: Marks) -> str:
    """int64 [N, length]."""

    def whole(value: int) -> str:
        return str(g.const(np.int64(value)))

    axis, zero, one = g.const(np.array([1], np.int64)), whole(0), whole(1)
    most = whole(length - len(marks.begin) - len(marks.end))
    place = g.op("CumSum", g.op("Cast", emitted, to=7), one)
    count = g.op("Min", g.op("ReduceMax", place, axis, keepdims=1), most)
    kept = g.op("And", emitted, g.op("LessOrEqual", place, most))
    target = g.op("Where", kept, g.op("Add", place, whole(len(marks.begin) - 1)), whole(length))
    shape = g.op("Concat", g.op("Shape", ids, start=0, end=1), g.const(np.array([length + 1], np.int64)), axis=0)
    made = g.op("ScatterElements", g.op("Expand", zero, shape), target, ids, axis=1, reduction="max")
    made = g.op("Slice", made, g.const(np.array([0], np.int64)), g.const(np.array([length], np.int64)), axis)
    places = g.const(np.arange(length, dtype=np.int64)[None])
    for number, mark in enumerate(marks.begin):
        made = g.op("Where", g.op("Equal", places, whole(number)), whole(mark), made)
    for number, mark in enumerate(marks.end, start=len(marks.begin)):
        last = g.op("Equal", places, g.op("Add", count, whole(number)))
        made = g.op("Where", last, whole(mark), made)
    if not marks.begin and not marks.end:
        none = g.op("And", g.op("Equal", count, zero), g.op("Equal", places, zero))
        made = g.op("Where", none, whole(marks.empty), made)
    return str(made)
