"""A kind that Leadline does not have: colours written '#aabbcc', as three numbers. All that a new kind takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.kind import Decoded, Fit, Kind, Limits, Rows, Similarity, Tensor
from leadline.kinds.dense import NUMBER_BODIES

WRITTEN = r"^#[0-9a-f]{6}$"


def pairs(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Colours that are the same in all but their last bits."""
    _, shade = np.unique((rows.tensor[rows.places] * 128).astype(int), axis=0, return_inverse=True)
    order = np.argsort(shade.ravel(), kind="stable")
    same = shade.ravel()[order][1:] == shade.ravel()[order][:-1]
    found = np.sort(np.stack([order[:-1][same], order[1:][same]], axis=1), axis=1)
    return found, np.zeros(len(found))


class Colour(Kind):
    name = "colour"
    sample = 1_000
    onnx_input = "float32"
    native = "dense"
    bodies = NUMBER_BODIES
    similarity = Similarity(rate=1e5, pairs=pairs)

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        return {} if cells.dtype == pl.String and cells.drop_nulls().str.contains(WRITTEN).all() else None

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        values = np.full((len(cells), 3), np.nan, np.float32)
        known = cells.str.contains(WRITTEN).fill_null(False)
        values[known.to_numpy()] = [list(bytes.fromhex(cell[1:])) for cell in cells.filter(known)]
        bad = {row: f"{cells[row]!r} is no colour" for row in (~known & cells.is_not_null()).arg_true().to_list()}
        return Decoded(values=values, bad=bad)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        from leadline.graph.builder import Graph

        g = Graph("colour")
        shares = g.op("Div", g.input(limits.columns[0], np.float32, ["N", 3]), g.const(np.float32(255)))
        g.output("encoded", shares, np.float32, ["N", 3])
        return Fit(settings={}, encode=Tensor(graph=g.model(), shape=(3,), dtype="float32"))

    def input_shape(self, name: str, block: Any) -> list[str | int]:
        return ["N", 3]

    def picture(self, row: np.ndarray, settings: Mapping[str, Any], side: int) -> np.ndarray:
        return np.full((16, 16, 3), np.nan_to_num(255 * row).round(), np.uint8)
