"""What classical contenders read: the store's tensors, side by side as one matrix, and the same join as a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadline.core.json_types import wholes
from leadline.core.note import SAMPLED, Note
from leadline.core.printed import Feature
from leadline.core.tensors import Block, Tensors
from leadline.kinds import KINDS

# Bytes that a value takes while a model is fitted, at most; a character begins up to six n-grams.
A_CELL = {"dense": 16.0, "codes": 40.0, "grams": 100.0}
LIBRARIES = 0.3  # GB
LEAST = 2_000  # rows, however little memory there is
NOT_AGAIN = "no time was left to fit it again on train and valid rows"
MOST_CELLS = 5e8  # of a matrix: 2 GB of float32


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Tensors in order, with the form and the width of each."""

    tensors: tuple[str, ...]
    forms: tuple[str, ...]  # 'dense', 'codes' or 'grams'
    widths: tuple[int, ...]  # columns of the tensor
    dtypes: tuple[str, ...]
    sizes: tuple[tuple[int, ...], ...]  # codes: values a column; others: ()

    @property
    def categories(self) -> list[int]:
        """Numbers of the matrix columns that hold category codes."""
        starts = np.cumsum([0, *self.widths])
        return [
            int(start) + i
            for start, form, width in zip(starts, self.forms, self.widths, strict=False)
            if form == "codes"
            for i in range(width)
        ]


def layout(store: Tensors, preferred: Sequence[str]) -> Layout:
    """For each block the first of the preferred forms that it offers; a block that offers none is left out."""
    rows = []
    for block in store.blocks:
        native = KINDS[block.kind].native
        for form in preferred:
            if form == native:
                rows.append((block.name, form, int(np.prod(block.shape)), block.dtype, _sizes(block, form)))
                break
            if form in block.forms:
                shape, dtype = block.forms[form]
                rows.append((f"{block.name}.{form}", form, int(np.prod(shape)), dtype, _sizes(block, form)))
                break
    tensors, forms, widths, dtypes, sizes = zip(*rows, strict=True) if rows else ((),) * 5
    return Layout(tensors=tensors, forms=forms, widths=widths, dtypes=dtypes, sizes=sizes)


def features_of(store: Tensors, plan: Layout) -> list[tuple[Feature, ...]] | None:
    """The columns of each tensor in units of the user; None where one is a view of what nobody reads by itself."""
    found = []
    blocks = {block.name: block for block in store.blocks}
    for name in plan.tensors:
        features = KINDS[blocks[name].kind].features(blocks[name]) if name in blocks else ()
        if not features:
            return None
        found.append(features)
    return found


def _sizes(block: Block, form: str) -> tuple[int, ...]:
    return tuple(wholes(block.settings, "sizes")) if form == "codes" else ()


def affordable(plan: Layout, rows: np.ndarray, seed: int, memory_gb: float) -> tuple[np.ndarray, list[str]]:
    """The rows whose matrix fits into memory, a random part where not all do; and a line that says so."""
    a_row = sum(A_CELL[form] * width for form, width in zip(plan.forms, plan.widths, strict=True))
    most = int(MOST_CELLS / max(1, sum(plan.widths)))
    if math.isfinite(memory_gb):
        most = min(most, max(LEAST, int(1e9 * (memory_gb - LIBRARIES) / max(1.0, a_row))))
    if most >= len(rows):
        return rows, []
    chosen = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    said = f"learned from a random sample of {most:,} of {len(rows):,} rows, to fit into memory"
    return chosen, [Note(SAMPLED, said)]


def matrix(store: Tensors, plan: Layout, rows: np.ndarray) -> np.ndarray:
    """float32 [n, columns] of the given rows; missing numbers are NaN."""
    parts = [store.tensor(name)[rows].reshape(len(rows), -1) for name in plan.tensors]
    return np.concatenate([part.astype(np.float32) for part in parts], axis=1)
