"""Categories: text in, int32 out. 0 is missing, 1 is unseen or rare, 2 and up by falling frequency in train.

The words for 'missing' (NA, None, an empty value, ...) are one missing value, except those whose rows differ in the
target from the other missing ones: these are values of their own (`_informative`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.json_types import nested, wholes
from leadline.core.kind import DENSE, MISSING, Body, Decoded, Fit, Kind, Limits, Scale, Tensor, present
from leadline.core.printed import Feature
from leadline.kinds import spelling

if TYPE_CHECKING:
    from leadline.core.tensors import Block

LARGEST = 2_000  # more values than this a column are 'rare'
FEWEST = 2  # rows that a value must have to be a value of its own
ENOUGH = 10  # rows that a word for 'missing' must have, to be tested against the others
BY_CHANCE = 1e-4  # how often one such word in all of a table may be taken for a value of its own by chance


def _embeddings(block: Block, width: int) -> Any:
    from leadline.nets.tabular import CategoryBody

    return CategoryBody(wholes(block.settings, "sizes"))


class Category(Kind):
    name = "category"
    sample = 500_000
    onnx_input = "str"
    plural = "categories"
    joint = True
    native = "codes"
    scale = Scale.NOMINAL
    settled_by_all = True
    bodies = {DENSE: Body(build=_embeddings)}

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        if cells.dtype == pl.Boolean:
            return {"marks": True, "boolean": True}
        if cells.dtype.is_numeric():
            return {"marks": True, "numbers": True}
        if cells.dtype not in (pl.String, pl.Categorical, pl.Enum):
            return None
        words = spelling.spelled(cells.cast(pl.String))
        return {"marks": True} | spelling.infer(present(words))

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        words = spelling.read(cells, settings)
        if not settings.get("marks"):  # the graphs of earlier versions know no words for 'missing'
            words = present(words)
        return Decoded(values=words.fill_null("").to_numpy().astype(object))

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        from leadline.graph.builder import Graph

        g = Graph("category")
        axis = g.const(np.array([1], np.int64))
        codes, sizes = [], []
        levels: dict[str, list[str]] = {}
        apart: dict[str, list[str]] = {}
        for name, sample in zip(limits.columns, samples, strict=True):
            marks = _informative(sample, limits)
            missing = [mark for mark in MISSING if mark not in marks]
            values, counts = np.unique(sample[~np.isin(sample, missing)].astype(str), return_counts=True)
            order = np.lexsort((values, -counts))[:LARGEST]
            known = [str(values[i]) for i in order if counts[i] >= FEWEST]
            sizes.append(len(known) + 2)
            levels[name] = known
            apart |= {name: marks} if marks else {}
            code = g.op(
                "LabelEncoder", g.input(name, np.str_, ["N"]), domain="ai.onnx.ml",
                keys_strings=[*missing, *known], values_int64s=[*[0] * len(missing), *range(2, len(known) + 2)],
                default_int64=1,
            )  # fmt: skip
            codes.append(g.op("Unsqueeze", code, axis))
        x = g.op("Cast", g.op("Concat", *codes, axis=1), to=6)
        g.output("encoded", x, np.int32, ["N", len(codes)])
        encode = Tensor(graph=g.model(), shape=(len(codes),), dtype="int32")
        return Fit(settings={"sizes": sizes, "levels": levels, "apart": apart}, encode=encode)

    def features(self, block: Block) -> tuple[Feature, ...]:
        levels = nested(block.settings, "levels")
        return tuple(
            Feature(column=name, names=tuple(map(str, levels[name])))  # type: ignore[arg-type]
            for name in block.columns
        )


def _informative(sample: np.ndarray, limits: Limits) -> list[str]:
    """The words for 'missing' whose rows differ in the target from the other missing ones of the column.

    Each is tested against the others by the target of train rows: classes by a chi-squared test of independence, values
    by that of Mann and Whitney. The level is shared out to all words and columns (Bonferroni).
    """
    if limits.labels is None:
        return []
    places = np.flatnonzero(np.isin(sample, MISSING))
    words, labels = sample[places].astype(str), np.asarray(limits.labels)[places]
    marks, counts = np.unique(words, return_counts=True)
    tested = [str(mark) for mark, count in zip(marks, counts, strict=True) if mark and count >= ENOUGH]
    if len(marks) < 2 or not tested:
        return []
    level = BY_CHANCE / (len(tested) * len(limits.columns))
    return [mark for mark in tested if _differ(labels[words == mark], labels[words != mark]) < level]


def _differ(some: np.ndarray, others: np.ndarray) -> float:
    """The probability that labels of the same distribution differ so much; 1 where there are too few to tell."""
    from scipy.stats import chi2_contingency, mannwhitneyu

    if min(len(some), len(others)) < ENOUGH:
        return 1.0
    if some.dtype.kind == "f":
        return float(mannwhitneyu(some, others).pvalue)
    found = np.unique(np.concatenate([some, others]))
    counts = np.array([[(part == label).sum() for label in found] for part in (some, others)])
    expected = counts.sum(axis=0) * min(len(some), len(others)) / counts.sum()
    rare = expected < 5  # classes too rare for the test count as one
    counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)]) if rare.any() else counts
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2 or (counts.sum(axis=0) * min(counts.sum(axis=1)) / counts.sum()).min() < 1:
        return 1.0
    return float(chi2_contingency(counts).pvalue)
