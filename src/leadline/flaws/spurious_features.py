"""What a file tells besides its content: its name, resolution, compression, length. A model may learn that instead.

Enters: cells of an image or audio column. Leaves: facts a row, and how firmly each is tied to the class. The tie is the
uncertainty coefficient (Theil 1970) both ways: how much of the class the fact tells, and how much of the fact the class
tells, on rows that it was not counted on.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.flaws.target_leakage import RANGES
from leadline.system.resources import most_threads

TIED = 0.25  # share of the entropy that one tells of the other
MOST_NAMES = 200  # shapes of file names that are a fact
FILES_RATE = 1_500.0  # rows a second
WORDS = {"name": "the file name", "format": "the file format"}  # of any file


def facts(
    cells: pl.Series, look: Callable[[Any], Mapping[str, Any]], root: Path | None
) -> dict[str, np.ndarray]:  # fmt: skip
    """{fact: a text a row}; 'none' where it cannot be told. Empty where cells are no files.

    Args:
        look: what a file of this kind says, of a path or of bytes as a file.
    """
    if isinstance(cells.dtype, pl.Array):
        return {}
    with ThreadPoolExecutor(most_threads()) as pool:
        rows = list(pool.map(lambda cell: _looked(look, cell, root), cells.to_list()))
    names = sorted({name for row in rows for name in row})
    found = {name: np.array([str(row.get(name, "none")) for row in rows]) for name in names}
    if "seconds" in found:
        found["seconds"] = _ranges(found["seconds"])
    return {name: values for name, values in found.items() if 1 < len(np.unique(values)) <= max(MOST_NAMES, RANGES)}


def tie(values: np.ndarray, labels: np.ndarray) -> float:
    """How firmly a fact and the class are tied, counted on one half of the rows: from 0, not, to 1, wholly."""
    _, codes = np.unique(values, return_inverse=True)
    half = np.random.default_rng(0).random(len(codes)) < 0.5
    if min(half.sum(), (~half).sum()) < 20:
        return 0.0
    return max(_told(codes, labels, half), _told(labels, codes, half))


def _told(by: np.ndarray, of: np.ndarray, half: np.ndarray) -> float:
    width, deep = int(of.max()) + 1, int(by.max()) + 1
    base = np.bincount(of[half], minlength=width) + 0.5
    base /= base.sum()
    table = np.bincount(by[half] * width + of[half], minlength=deep * width).reshape(deep, width)
    chance = (table + base) / (table.sum(axis=1, keepdims=True) + 1)
    usual = -np.log(base[of[~half]]).mean()
    return float(1 - (-np.log(chance[by[~half], of[~half]]).mean()) / usual) if usual > 0.05 else 0.0


def _looked(look: Any, cell: Any, root: Path | None) -> Mapping[str, Any]:
    try:
        path = cell.get("path") if isinstance(cell, dict) else cell if isinstance(cell, str) else None
        held = cell.get("bytes") if isinstance(cell, dict) else cell if isinstance(cell, bytes) else None
        place = None if path is None else (Path(path) if root is None else root / path)
        source = io.BytesIO(held) if held is not None else place
        found = dict(look(source))
    except Exception:  # a broken file is set aside, with its reason, where it is decoded
        return {}
    if path is not None:
        stem = Path(path).stem
        found["name"] = "".join(sorted({"#" if c.isdigit() else c for c in stem})) if len(stem) > 40 else _worn(stem)
        found["format"] = Path(path).suffix.lower()
    return found


def _worn(stem: str) -> str:
    """A name without its numbers: what files of one origin share."""
    plain = "".join("#" if c.isdigit() else c.lower() for c in stem)
    while "##" in plain:
        plain = plain.replace("##", "#")
    return plain


def _ranges(values: np.ndarray) -> np.ndarray:
    """Durations by eight ranges of equally many rows."""
    numbers = np.array([float(v) if v != "none" else np.nan for v in values])
    known = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 9)[1:-1])) if len(known) else known
    return np.searchsorted(edges, numbers).astype(str)
