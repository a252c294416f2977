"""Series: measurements in order, several a row; float64 in, float32 out, centred and scaled by train quartiles.

Enters: a column of lists (or fixed-size arrays) of numbers, or of such lists written as text, `[0.1, 0.2]` or,
as pixels of a picture often are, `70 80 82 ...` with as many in each; NaN or null for a missing step. Where lengths
differ, steps that a row has not are missing ones at its end.
Leaves: float32 [N, T, 1]. One centre and one spread serve all steps, so that what is seen at one step looks the same at
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.kind import CONVOLUTION, DENSE, Body, Decoded, Fit, Kind, Limits, Similarity, Tensor, present, share
from leadline.core.parts import Parts, Value, windows
from leadline.core.textbook import EITHER, OPEN, Finding, Textbook
from leadline.kinds.number import PARSES, quartiles
from leadline.kinds.series.similarity import pairs

if TYPE_CHECKING:
    from leadline.core.tensors import Block

SHORTEST = 4  # steps; fewer are no series
LONG = 2.0  # times as long as 95 of 100 rows: the end of what is longer is cut off
IN_ORDER = (
    Finding(0, EITHER, OPEN, "networks use the order, and so do random convolutions under a linear model",
     "Wang et al. 2017; Dempster et al. 2020"),
)  # fmt: skip
NUMBER = r"(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[nN][aA][nN]|None|null)"
# Without brackets: 8 numbers at least, or 4 with nothing but space between, and none that begins with a needless 0.
BARE = rf"^\s*(?:{NUMBER}(?:\s+{NUMBER}){{3,}}|{NUMBER}(?:\s*[,;|]\s*{NUMBER}){{7,}})\s*$"
CODES = r"(?:^|[\s,;|])[-+]?0\d|^\s*\d{1,3}(?:,\d{3})+\s*$"  # telephone numbers; one number with its thousands
WRITTEN = rf"^\s*[\[(]\s*(?:{NUMBER}(?:[\s,;]+{NUMBER})*)?[\s,]*[\])]\s*$"


def _flat(block: Block, width: int) -> Any:
    from leadline.kinds.series.net import FlatSeries

    return FlatSeries(block.shape[0], block.shape[1])


def _convolution(block: Block, width: int) -> Any:
    from leadline.kinds.series.net import ConvSeries

    return ConvSeries(block.shape[0], block.shape[1], base=width)


class Series(Kind):
    name = "series"
    sample = 20_000
    onnx_input = "float64"
    by_word = False
    written_as = "lists of numbers"
    bodies = {
        DENSE: Body(build=_flat, passes=60, prepared=2_000, peak=3e-3),
        CONVOLUTION: Body(build=_convolution, widths=(8, 12, 16, 24, 32), batch=64, passes=60, prepared=2_000),
    }
    similarity = Similarity(rate=10_000.0, pairs=pairs)
    textbook = Textbook(data="columns in order", findings=IN_ORDER, rank=3)

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        written = cells.dtype == pl.String
        if written:
            words = present(cells).drop_nulls()
            if not len(words) or not (words[0].startswith(("[", "(")) or _is_bare(words[:1])):
                return None  # the usual column of text costs one look
            if share(words.str.contains(WRITTEN)) < PARSES and not (_is_bare(words) and _of_one_length(words)):
                return None
            cells = lists_of(words)
        elif not isinstance(cells.dtype, pl.List | pl.Array) or not _inner(cells).is_numeric():
            return None
        if isinstance(cells.dtype, pl.Array) and len(cells.dtype.shape) > 1:
            return None
        lengths = _lengths(cells).drop_nulls()
        if not len(lengths) or int(lengths.max()) < SHORTEST:  # type: ignore[arg-type]
            return None
        longest, usual = int(lengths.max()), int(lengths.quantile(0.95, "higher") or 0)  # type: ignore[arg-type]
        settings = {"length": longest if longest <= LONG * usual else max(usual, SHORTEST)}
        return settings | ({"unequal": True} if lengths.n_unique() > 1 else {}) | ({"written": True} if written else {})

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        length, given = int(settings["length"]), cells.is_not_null().to_numpy()
        values = np.full((len(cells), length), np.nan)
        if cells.dtype == pl.String:
            cells = lists_of(cells)
        if not isinstance(cells.dtype, pl.List | pl.Array):
            return Decoded(values=values, bad=dict.fromkeys(range(len(cells)), f"it is no list of {length} numbers"))
        lengths = _lengths(cells).fill_null(0).to_numpy()
        if settings.get("unequal"):
            lists = cells.arr.to_list() if isinstance(cells.dtype, pl.Array) else cells
            flat = lists.list.head(length).explode(empty_as_null=False, keep_nulls=False)
            taken = np.minimum(lengths, length)
            values[np.arange(length) < taken[:, None]] = flat.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            unread = given & cells.is_null().to_numpy()
            bad = dict.fromkeys(np.flatnonzero(unread).tolist(), "it is no list of numbers")
            return Decoded(values=np.where(np.isfinite(values), values, np.nan), bad=bad)
        whole = np.flatnonzero(lengths == length)
        if len(whole):
            steps = cells.gather(whole).explode().cast(pl.Float64).fill_null(float("nan")).to_numpy()
            values[whole] = steps.reshape(-1, length)
        other = (lengths != length) & given
        bad = {
            int(i): f"it has {lengths[i]} step{'' if lengths[i] == 1 else 's'}, where {length} were expected"
            for i in np.flatnonzero(other)
        }
        return Decoded(values=np.where(np.isfinite(values), values, np.nan), bad=bad)

    def accepts(self, dtype: pl.DataType, settings: Mapping[str, Any]) -> bool:
        if isinstance(dtype, pl.List | pl.Array):
            inner = dtype.inner
            return inner.is_numeric() or inner in (pl.Boolean, pl.Null)
        several = dtype.is_nested() or dtype in (pl.Binary, pl.Object)
        return several or bool(settings.get("written") and dtype == pl.String)

    def as_lists(self, cells: pl.Series) -> pl.Series:
        return lists_of(cells)

    def input_shape(self, name: str, block: Block) -> list[str | int]:
        return ["N", block.shape[0]]

    def emptied(self, encoded: np.ndarray) -> np.ndarray:
        known = np.isfinite(encoded)
        sums = np.where(known, encoded, 0).sum(axis=1, keepdims=True)
        mean = (sums / np.maximum(known.sum(axis=1, keepdims=True), 1)).astype(encoded.dtype)
        return np.where(known, mean, encoded)

    def parts(self, value: Value, settings: Mapping[str, Any]) -> tuple[Parts, ...]:
        return (windows(np.asarray(value)),)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        from leadline.graph.builder import Graph

        (sample,), (column,), length = samples, limits.columns, int(settings["length"])
        low, middle, high = quartiles(sample.ravel())
        g = Graph("series")
        x = g.op("Sub", g.input(column, np.float64, ["N", length]), g.const(np.float64(middle)))
        x = g.op("Div", x, g.const(np.float64(high - low)))
        x = g.op("Clip", x, g.const(np.float64(-1e30)), g.const(np.float64(1e30)))
        x = g.op("Unsqueeze", g.op("Cast", x, to=1), g.const(np.array([2], np.int64)))
        g.output("encoded", x, np.float32, ["N", length, 1])
        flat = Graph("steps")
        steps = flat.op(
            "Squeeze", flat.input("encoded", np.float32, ["N", length, 1]), flat.const(np.array([2], np.int64))
        )
        flat.output("dense", steps, np.float32, ["N", length])
        return Fit(
            settings={"length": length},
            encode=Tensor(graph=g.model(), shape=(length, 1), dtype="float32"),
            forms={"dense": Tensor(graph=flat.model(), shape=(length,), dtype="float32")},
        )


def _inner(cells: pl.Series) -> pl.DataType:
    inner = cells.dtype.inner  # type: ignore[attr-defined]
    return inner() if isinstance(inner, type) else inner  # type: ignore[no-any-return]


def _is_bare(words: pl.Series) -> bool:
    """Whether values are numbers in a row, without brackets."""
    return share(words.str.contains(BARE)) >= PARSES and not words.str.contains(CODES).any()


def _of_one_length(words: pl.Series) -> bool:
    """Whether nearly all values hold as many numbers: pixels and samples do, lists of anything else do not."""
    lengths = words.str.count_matches(NUMBER)
    return share(lengths == lengths.mode()[0]) >= PARSES


def lists_of(words: pl.Series) -> pl.Series:
    """`[0.1, 0.2]`, or without brackets or commas -> lists of float64, null where a value is no list."""
    known = words.str.contains(WRITTEN) | words.str.contains(BARE)
    inner = words.set(~known.fill_null(False), None).str.strip_chars("[]() \t\r\n,")
    parts = inner.str.replace_all(r"[\s,;|]+", " ").str.split(" ")
    return parts.list.eval(pl.element().filter(pl.element() != "").cast(pl.Float64, strict=False))


def _lengths(cells: pl.Series) -> pl.Series:
    if isinstance(cells.dtype, pl.Array):
        return pl.Series([None if gone else cells.dtype.shape[0] for gone in cells.is_null()], dtype=pl.Int64)
    return cells.list.len().cast(pl.Int64)
