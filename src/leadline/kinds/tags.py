"""Tags: several words a value, in any order; text in, float32 out: which of the commonest words a value holds.

Enters: a column of lists of words, or such lists written as text: ['red', 'blue'] as programs write them, red;blue as
people do. Decoded, a value is its words with "|" between them; missing is a value without words.
Leaves: float32 [N, columns], of each column a flag for each of its commonest words in train, one for any other
word, and how many words there are, as a share of the most that a train row holds. It is read as numbers are.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.json_types import items, wholes
from leadline.core.kind import Decoded, Fit, Kind, Limits, Tensor, present
from leadline.core.printed import Feature
from leadline.kinds.dense import NUMBER_BODIES

if TYPE_CHECKING:
    from leadline.core.tensors import Block

MOST = 200  # words of a column that have a flag of their own
FEWEST = 2  # train rows that such a word is in
JOIN = "|"
HOLDS, HOLDS_OTHERS = "holds", "holds any other word"  # parts of a value that are 1 or 0
SIGNS = (JOIN, ";", ",")
MOST_DIFFERENT = 200  # parts of values that can be words of a list at all
OFTEN = 1.5  # different values that a part is in, on average
MOVED = 0.25  # share of the parts that stand first in one value and later in another
WRITTEN = r"^\s*\[.*\]\s*$"
SEVERAL = 0.05  # share of the values that hold more than one, where nobody says that values hold lists


class Tags(Kind):
    name, formerly = "tags", "list"
    sample = 200_000
    onnx_input = "str"
    plural = "tags"
    joint = True
    native = "dense"
    bodies = NUMBER_BODIES

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        how = infer(cells)
        numbers = how is not None and cells.dtype.is_nested() and cells.dtype.inner.is_numeric()  # type: ignore[attr-defined]
        return None if numbers and not _recur(read(cells, how or {})) else how  # [120, 340] is a place, no list

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        if cells.dtype != pl.String and not cells.dtype.is_nested():
            cells = cells.cast(pl.String)
        if not settings and cells.dtype == pl.String:  # a list by the user's word alone: any sign parts its words
            cells = cells.str.replace_all(f"[{''.join(SIGNS)}]", JOIN)
        words = read(present(cells) if cells.dtype == pl.String else cells, settings)
        bare = words.list.eval(pl.element().str.replace_all(r"[|\x00]", " "))
        return Decoded(values=bare.list.join(JOIN).fill_null("").to_numpy().astype(object))

    def accepts(self, dtype: pl.DataType, settings: Mapping[str, Any]) -> bool:
        inner: Any = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
        several = isinstance(dtype, pl.Array) and len(dtype.shape) > 1
        return not several and not inner.is_nested() and inner not in (pl.Binary, pl.Object, pl.Duration)

    def as_lists(self, cells: pl.Series) -> pl.Series:
        return read(cells, {"written": True})

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        from leadline.graph.builder import Graph

        g = Graph("tags")
        parts, known, longest, width = [], [], list[int](), 0
        for name, sample in zip(limits.columns, samples, strict=True):
            rows = [cell.split(JOIN) for cell in sample.tolist() if cell]
            counts = Counter(word for row in rows for word in dict.fromkeys(row))
            order = sorted((word for word in counts if counts[word] >= FEWEST), key=lambda w: (-counts[w], w))[:MOST]
            longest.append(max(map(len, rows), default=1))
            parts.append(_flags(g, g.input(name, np.str_, ["N"]), order, longest[-1]))
            known.append(order)
            width += len(order) + 2
        g.output("encoded", g.op("Concat", *parts, axis=1), np.float32, ["N", width])
        encode = Tensor(graph=g.model(), shape=(width,), dtype="float32")
        return Fit(settings={"words": known, "longest": longest}, encode=encode)

    def features(self, block: Block) -> tuple[Feature, ...]:
        found = []
        columns = zip(block.columns, items(block.settings, "words"), wholes(block.settings, "longest"), strict=True)
        for name, words, longest in columns:
            assert isinstance(words, Sequence)
            found += [Feature(column=name, part=HOLDS, word=str(word), form="flag") for word in words]
            found.append(Feature(column=name, part=HOLDS_OTHERS, form="flag"))
            found.append(Feature(column=name, part="number of words", form="count", spread=float(longest)))
        return tuple(found)


def _flags(g: Any, cells: str, known: list[str], most: int) -> str:
    """string [N] -> float32 [N, known + 2]."""
    words = g.op("Tokenizer", cells, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", tokenexp=r"[^|]+")
    places = g.op(
        "LabelEncoder", words, domain="ai.onnx.ml",
        keys_strings=["", *known], values_int64s=range(len(known) + 1), default_int64=len(known) + 1,
    )  # fmt: skip
    rows = g.op("Shape", cells, start=0, end=1)
    shape = g.op("Concat", rows, g.const(np.array([len(known) + 2], np.int64)), axis=0)
    zeros = g.op("Expand", g.const(np.float32(0)), shape)
    ones = g.op("Expand", g.const(np.float32(1)), g.op("Shape", places))
    counts = g.op("ScatterElements", zeros, places, ones, axis=1, reduction="add")
    axis = g.const(np.array([1], np.int64))
    per_word = g.op("Slice", counts, axis, g.const(np.array([len(known) + 2], np.int64)), axis)  # without the padding
    share = g.op("Div", g.op("ReduceSum", per_word, axis, keepdims=1), g.const(np.float32(most)))
    return str(g.op("Concat", g.op("Min", per_word, g.const(np.float32(1))), share, axis=1))


def lists(cells: pl.Series, declared: bool) -> pl.Series | None:
    """Values as lists of words, or None where they hold one each.

    A missing list stays missing. An empty text is a row without words, since files do not distinguish the
    two; but not beside texts such as ["a", "b"], which would write it [].

    Args:
        declared: the user says that they are lists; else parts must recur, in several values and at several places.

    Example:
        >>> lists(pl.Series(["a; b", "b; c", "c", ""]), declared=False).to_list()
        [['a', 'b'], ['b', 'c'], ['c'], []]
        >>> lists(pl.Series(["Ulm, DE", "Bonn, DE", "Wien, AT"] * 9), declared=False)  # the country is always second
    """
    if declared and cells.dtype != pl.String and not cells.dtype.is_nested():
        return cells.cast(pl.String).reshape((-1, 1)).cast(pl.List(pl.String))
    how = infer(cells, declared)
    return None if how is None else read(cells, how)


def infer(cells: pl.Series, declared: bool = False) -> dict[str, Any] | None:
    """How lists of words are written in these values; None where they hold none.

    >>> infer(pl.Series(["['a', 'b']", "[]"])), infer(pl.Series([["a"], []])), infer(pl.Series(["a", "b"]))
    ({'written': True}, {'sign': '|'}, None)
    """
    if isinstance(cells.dtype, pl.List | pl.Array):
        inner: Any = cells.dtype.inner
        words = inner == pl.String or inner.is_integer() or isinstance(inner, pl.Categorical | pl.Enum)
        words = words or inner == pl.Null  # lists that are all empty
        return {"sign": JOIN} if words else None  # which is what `predict` writes of them where it must write text
    if cells.dtype != pl.String:
        return None
    known = cells.filter(cells.str.strip_chars() != "")
    if not len(known):
        return None
    if known.str.contains(WRITTEN).all():
        found = read(known, {"written": True})
        return None if found.null_count() else {"written": True}
    for sign in SIGNS:
        parts = _stripped(known.str.split(sign))
        several = int((parts.list.len() > 1).sum()) / len(known)
        if several >= SEVERAL and (declared or _recur(parts)):
            return {"sign": sign}
    return {"sign": "\0"} if declared else None


def lists_of(cells: pl.Series, words: Sequence[str]) -> pl.Series:
    """Values as lists of certain words: by the notation that finds most of these, and fewest others.

    >>> lists_of(pl.Series(["a; b", "c"]), ["a", "b", "c"]).to_list(), lists_of(pl.Series(["['a']"]), ["a"]).to_list()
    ([['a', 'b'], ['c']], [['a']])
    """
    if cells.dtype.is_nested():
        return read(cells, {})
    cells = cells.cast(pl.String)
    notations: list[dict[str, Any]] = [{"written": True}, *({"sign": sign} for sign in (*SIGNS, "\0"))]
    ways = [read(cells, how) for how in notations]

    def found(way: pl.Series) -> int:
        each = way.explode().drop_nulls()
        known = int(each.is_in(list(words)).sum())
        return 2 * known - len(each)

    return max(ways, key=found)


def read(cells: pl.Series, how: Mapping[str, Any]) -> pl.Series:
    """Values as lists of words; null where one is missing, or should be a list and is none."""
    if cells.dtype.is_nested():
        return _stripped(cells.cast(pl.List(pl.String)))
    bracketed = cells.str.contains(WRITTEN).fill_null(False)
    if not how.get("written"):
        parts = cells.fill_null("").str.split(how.get("sign", JOIN))
        if not bracketed.any():
            return _stripped(parts)
        cells, split = cells.set(~bracketed, None), parts.to_list()
    else:
        split = [None] * len(cells)
    found = [other if cell is None else _list(cell) for cell, other in zip(cells.to_list(), split, strict=True)]
    return _stripped(pl.Series(cells.name, found, dtype=pl.List(pl.String)))


def _recur(parts: pl.Series) -> bool:
    """Whether few parts make many values, and change their places: 'a;b', 'a', 'b;c', but not 'Ulm, Germany'."""
    cells = parts.unique()
    each = pl.DataFrame({"part": cells, "place": cells.list.eval(pl.int_range(pl.len()))}).explode("part", "place")
    places = each.drop_nulls().group_by("part").agg(pl.len(), pl.col("place").n_unique())
    often = places["len"].sum() >= OFTEN * len(places)
    return bool(len(places) <= MOST_DIFFERENT and often and (places["place"] > 1).sum() >= MOVED * len(places))


def _stripped(parts: pl.Series) -> pl.Series:
    return parts.list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))


def _list(text: str) -> list[str] | None:
    """["a", 1] or ['a', 1] as texts; None where it is something else."""
    for read_ in (json.loads, ast.literal_eval):
        try:
            found = read_(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        plain = isinstance(found, list) and all(isinstance(item, str | int | None) for item in found)
        return [str(item) for item in found if item is not None] if plain else None
    return None
