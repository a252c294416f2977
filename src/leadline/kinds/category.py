"""Categories: text in, int32 out. 0 is missing, 1 is unseen or rare, 2 and up by falling frequency in train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.kinds.kind import Decoded, Fit, Limits, Tensor, present

LARGEST = 2_000  # more values than this a column are 'rare'
FEWEST = 2  # rows that a value must have to be a value of its own


class Category:
    name = "category"
    joint = True
    ragged = False
    sample = 500_000
    onnx_input = "str"
    native: str | None = "codes"

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        if cells.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
            return None
        return {}

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        if cells.dtype.is_float():  # 3.0 and 3 are one category, whatever reader they came through
            whole = cells.drop_nulls().drop_nans()
            if len(whole) == 0 or (whole == whole.round()).all():
                cells = cells.fill_nan(None).cast(pl.Int64, strict=False)
        words = present(cells.cast(pl.String))
        return Decoded(values=words.fill_null("").to_numpy().astype(object))

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        from leadline.ship.graph import Graph

        g = Graph("category")
        axis = g.const(np.array([1], np.int64))
        codes, sizes = [], []
        for name, sample in zip(limits.columns, samples, strict=True):
            values, counts = np.unique(sample[sample != ""].astype(str), return_counts=True)
            order = np.lexsort((values, -counts))[:LARGEST]
            known = [str(values[i]) for i in order if counts[i] >= FEWEST]
            sizes.append(len(known) + 2)
            code = g.op(
                "LabelEncoder", g.input(name, np.str_, ["N"]), domain="ai.onnx.ml",
                keys_strings=["", *known], values_int64s=[0, *range(2, len(known) + 2)], default_int64=1,
            )  # fmt: skip
            codes.append(g.op("Unsqueeze", code, axis))
        x = g.op("Cast", g.op("Concat", *codes, axis=1), to=6)
        g.output("encoded", x, np.int32, ["N", len(codes)])
        encode = Tensor(graph=g.model(), shape=(len(codes),), dtype="int32")
        return Fit(settings={"sizes": sizes}, encode=encode)
