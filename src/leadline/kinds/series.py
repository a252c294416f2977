"""Series: equally many measurements a row, in order; float64 in, float32 out, centred and scaled by train quartiles.

Enters: a column whose cells are lists (or fixed-size arrays) of numbers, all of one length; NaN or null for a missing
step. Leaves: float32 [N, T, 1]. One centre and one spread serve all steps, so that what is seen at one step looks the
same at another.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.kinds.kind import Decoded, Fit, Limits, Tensor
from leadline.kinds.number import quartiles

SHORTEST = 4  # steps; fewer are no series


class Series:
    name = "series"
    joint = False
    ragged = False
    sample = 20_000
    onnx_input = "float64"
    native: str | None = None

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        if not isinstance(cells.dtype, pl.List | pl.Array) or not _inner(cells).is_numeric():
            return None
        if isinstance(cells.dtype, pl.Array) and len(cells.dtype.shape) > 1:
            return None
        lengths = _lengths(cells).drop_nulls().unique()
        return {"length": int(lengths[0])} if len(lengths) == 1 and lengths[0] >= SHORTEST else None

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        length = int(settings["length"])
        if not isinstance(cells.dtype, pl.List | pl.Array):
            return Decoded(
                values=np.full((len(cells), length), np.nan),
                bad=dict.fromkeys(range(len(cells)), f"it is no list of {length} numbers"),
            )
        values = np.full((len(cells), length), np.nan)
        lengths = _lengths(cells).fill_null(0).to_numpy()
        whole = np.flatnonzero(lengths == length)
        if len(whole):
            steps = cells.gather(whole).explode().cast(pl.Float64).fill_null(float("nan")).to_numpy()
            values[whole] = steps.reshape(-1, length)
        other = (lengths != length) & cells.is_not_null().to_numpy()
        bad = {int(i): f"it has {lengths[i]} steps, where {length} were expected" for i in np.flatnonzero(other)}
        return Decoded(values=np.where(np.isfinite(values), values, np.nan), bad=bad)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        from leadline.ship.graph import Graph

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


def _lengths(cells: pl.Series) -> pl.Series:
    if isinstance(cells.dtype, pl.Array):
        return pl.Series([None if gone else cells.dtype.shape[0] for gone in cells.is_null()], dtype=pl.Int64)
    return cells.list.len().cast(pl.Int64)
