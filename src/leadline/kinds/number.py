"""Numbers: float64 in, float32 out, centred and scaled by train quartiles; NaN for missing.

Text is read as programs write numbers, else as people do (`number_format.py`): the settings then say how. Times of day
and durations are seconds.

Centring happens in float64, inside the graph, so that a year or a timestamp keeps its last digits in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.json_types import reals
from leadline.core.kind import MISSING, Decoded, Fit, Kind, Limits, Scale, Tensor, present, share
from leadline.core.printed import Feature
from leadline.kinds import number_format
from leadline.kinds.dense import NUMBER_BODIES
from leadline.kinds.time import compact, since_1970

if TYPE_CHECKING:
    from leadline.core.tensors import Block

AT_ONCE = 2_000  # columns in one query
PARSES = 0.98  # share of the values that must read as numbers


class Number(Kind):
    name = "number"
    sample = 200_000
    onnx_input = "float64"
    plural = "numbers"
    joint = True
    native = "dense"
    scale = Scale.NUMERIC
    settled_by_all = True
    bodies = NUMBER_BODIES

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        return written(cells)

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        words = present(cells)
        numbers = parsed(words, settings)
        wrong = (words.is_not_null() & numbers.is_null()).arg_true().to_list()
        values = numbers.fill_null(float("nan")).to_numpy()
        return Decoded(
            values=np.where(np.isfinite(values), values, np.nan),
            bad={row: f"{cells[row]!r} is not a number" for row in wrong},
        )

    def accepts(self, dtype: pl.DataType, settings: Mapping[str, Any]) -> bool:
        return dtype == pl.Duration or super().accepts(dtype, settings)

    def plain(self, settings: Mapping[str, Any]) -> bool:
        return not settings

    def names_rows(self, cells: pl.Series) -> bool:
        values = cells.cast(pl.Float64, strict=False).drop_nulls().to_numpy()
        return bool((values == np.round(values)).all())

    def parsed(self, words: pl.Series, settings: Mapping[str, Any]) -> pl.Series:
        return parsed(words, settings)

    def notation_of(self, words: pl.Series) -> tuple[dict[str, Any], float, str] | None:
        how = written(words.alias(""))
        if how is None:
            return None
        found = parsed(words, how)
        share = 1 - found.null_count() / len(words)
        return how, share, f"values such as {words[0]!r} are read as {found.drop_nulls()[0]:g}, {_in_words(how)}."

    def rewritten(
        self, cells: pl.Series, settings: Mapping[str, Any], dtype: pl.DataType, contract: Mapping[str, Any]
    ) -> pl.Series:
        numbers = parsed(present(cells), settings)
        if dtype != pl.String:
            return numbers
        return numbers.cast(pl.String).str.replace(".", contract.get("decimal", "."), literal=True)

    def decode_columns(
        self, frame: pl.DataFrame, root: Path | None, settings: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Decoded]:
        """The same for many columns in one query: a table may have thousands of them."""
        found: dict[str, Decoded] = {}
        types = frame.schema
        plain = [
            name for name, how in settings.items() if not how and (types[name] == pl.String or types[name].is_numeric())
        ]
        for some in (plain[start : start + AT_ONCE] for start in range(0, len(plain), AT_ONCE)):
            words = frame.select(pl.col(some))
            if texts := [name for name in some if types[name] == pl.String]:
                stripped = words.with_columns(pl.col(texts).str.strip_chars())
                marks = pl.when(pl.col(texts).is_in(MISSING)).then(None).otherwise(pl.col(texts)).name.keep()
                words = stripped.with_columns(marks)
            numbers = words.select(pl.all().cast(pl.Float64, strict=False))
            unread = zip(some, words.null_count().row(0), numbers.null_count().row(0), strict=True)
            values = numbers.fill_null(float("nan")).to_numpy()
            values = np.where(np.isfinite(values), values, np.nan)
            columns = np.ascontiguousarray(values.T)
            whole = {name for name, before, after in unread if before == after}
            found |= {name: Decoded(values=columns[i]) for i, name in enumerate(some) if name in whole}
        rest = {name: self.decode(frame[name], root, how) for name, how in settings.items() if name not in found}
        return {**found, **rest}

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        marks = [quartiles(sample) for sample in samples]
        centre = np.array([middle for _, middle, _ in marks])
        spread = np.array([high - low for low, _, high in marks])
        facts = {"centre": centre.tolist(), "spread": spread.tolist()}
        return Fit(settings=facts, encode=matrix(limits.columns, centre, spread))

    def features(self, block: Block) -> tuple[Feature, ...]:
        marks = zip(block.columns, reals(block.settings, "centre"), reals(block.settings, "spread"), strict=True)
        return tuple(Feature(column=name, centre=centre, spread=spread) for name, centre, spread in marks)


def written(cells: pl.Series) -> dict[str, Any] | None:
    """How these values are written as numbers: {} as programs write them; None where they are none."""
    if cells.dtype.is_numeric():
        return None if compact(cells) or since_1970(cells) else {}
    if cells.dtype in (pl.Duration, pl.Time):
        return {"clock": True}
    if cells.dtype != pl.String:
        return None
    words = present(cells).drop_nulls()
    if not len(words):
        return None
    if compact(words) or since_1970(cells):
        return None  # 20241231 is a day
    if share(words.cast(pl.Float64, strict=False).is_not_null()) >= PARSES:
        return {}
    return number_format.infer(words)


def _in_words(how: Mapping[str, Any]) -> str:
    if how.get("clock"):
        return "in seconds"
    sign = {",": "a decimal comma", ".": "a decimal point"}[how.get("decimal", ".")]
    return f"with {sign}" + (f" and the unit {how['unit']!r}" if "unit" in how else "")


def parsed(words: pl.Series, settings: Mapping[str, Any]) -> pl.Series:
    """Values without their words for 'missing' as float64 [rows], null where one is no number."""
    if words.dtype in (pl.Duration, pl.Time):
        return words.cast(pl.Duration("ns")).dt.total_microseconds().cast(pl.Float64) / 1e6
    if words.dtype != pl.String:
        return words.cast(pl.Float64, strict=False)
    if settings:
        return number_format.read(words, settings)
    numbers = words.cast(pl.Float64, strict=False)
    if numbers.null_count() > words.null_count():  # truth, where the train rows held it as 0 and 1
        truth = words.str.to_lowercase().replace_strict({"true": 1.0, "false": 0.0}, default=None)
        numbers = numbers.zip_with(numbers.is_not_null(), truth.cast(pl.Float64))
    return numbers


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """The quartiles of known values; where two of them are one, zero and the standard deviation in their place."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 0.0, 1.0
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    if high == low:  # most values are one value: the standard deviation still has their scale
        low, high = 0.0, float(known.std()) or 1.0
    return float(low), float(middle), float(high)


def matrix(columns: tuple[str, ...], centre: np.ndarray, spread: np.ndarray) -> Tensor:
    """float64 columns [N] each -> float32 [N, columns], (x - centre) / spread."""
    from leadline.graph.builder import Graph

    g = Graph("number")
    # One node for all columns: with one for each, ONNX Runtime takes seconds to load thousands of them.
    x = g.op("Concat", *[g.input(name, np.float64, ["N"]) for name in columns], axis=0)
    x = g.op("Transpose", g.op("Reshape", x, g.const(np.array([len(columns), -1], np.int64))), perm=[1, 0])
    x = g.op("Div", g.op("Sub", x, g.const(centre)), g.const(spread))
    # float32 overflows beyond 3e38: clip, so that a wild value is a large number and not an infinity.
    x = g.op("Clip", x, g.const(np.float64(-1e30)), g.const(np.float64(1e30)))
    g.output("encoded", g.op("Cast", x, to=1), np.float32, ["N", len(columns)])
    return Tensor(graph=g.model(), shape=(len(columns),), dtype="float32")
