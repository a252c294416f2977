"""Several labels a row, as one whole number: bit k says whether the row bears label k, and -1 that it is unusable.

So a row's labels travel through split, store and judge like a class number, and rows with the same labels are of one
class where classes are kept alike. Cells that hold several labels are lists, or texts with one sign between labels.

    >>> packed(np.array([[True, False], [True, True]])).tolist()
    [1, 3]
    >>> unpacked(np.array([1, 3]), 2).tolist()
    [[True, False], [True, True]]
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

MOST = 62  # labels: the bits of a whole number
SIGNS = ("|", ";", ",")
MOST_DIFFERENT = 200  # parts of cells that can be labels at all
OFTEN = 1.5  # different cells that a part is in, on average
MOVED = 0.25  # share of the parts that stand first in one cell and later in another
SEVERAL = 0.05  # share of the cells that hold more than one, where nobody says that cells hold labels
JOIN = "|"


def packed(marks: np.ndarray) -> np.ndarray:
    """bool [n, labels] -> int64 [n]."""
    return np.asarray(marks.astype(np.int64) @ (np.int64(1) << np.arange(marks.shape[1], dtype=np.int64)))


def unpacked(labels: np.ndarray, count: int) -> np.ndarray:
    """int64 [n] -> bool [n, count]."""
    return np.asarray((labels[:, None] >> np.arange(count)) & 1, bool)


def rarest(labels: np.ndarray, count: int) -> np.ndarray:
    """int64 [n] -> int64 [n]: of each row its label that the fewest rows bear, `count` where it bears none.

    Rows that are alike in this are split alike, so that the rarest labels are on every side, as far as they go.

        >>> rarest(np.array([1, 1, 3, 0, -1]), 2).tolist()
        [0, 0, 1, 2, -1]
    """
    usable = labels >= 0
    borne = unpacked(labels, count) & usable[:, None]
    order = np.argsort(borne.sum(axis=0), kind="stable")
    found = np.where(borne.any(axis=1), order[borne[:, order].argmax(axis=1)], count)
    return np.asarray(np.where(usable, found, -1), np.int64)


def named(marks: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    """bool [n, labels] -> the labels of each row."""
    return [[name for name, borne in zip(names, row, strict=True) if borne] for row in marks.tolist()]


def joined(marks: np.ndarray, names: Sequence[str]) -> list[str]:
    """bool [n, labels] -> a text a row: its labels, joined by "|"."""
    return [JOIN.join(row) for row in named(marks, names)]


def lists(cells: pl.Series, asked: bool) -> pl.Series | None:
    """Cells as lists of labels, or None where they hold one each.

    A missing list stays missing. An empty text is a row without labels, as no file tells it from a missing one; save
    beside texts such as ["a", "b"], which would write it [].

    Args:
        asked: the user says that they are labels; else parts must recur, in several cells and at several places.

    Example:
        >>> lists(pl.Series(["a; b", "b; c", "c", ""]), asked=False).to_list()
        [['a', 'b'], ['b', 'c'], ['c'], []]
        >>> lists(pl.Series(["Ulm, DE", "Bonn, DE", "Wien, AT"] * 9), asked=False)  # the country is always second
    """
    if isinstance(cells.dtype, pl.List | pl.Array):
        inner: Any = cells.dtype.inner
        words = inner == pl.String or inner.is_integer() or isinstance(inner, pl.Categorical | pl.Enum)
        return _stripped(cells.cast(pl.List(pl.String))) if words else None
    if cells.dtype != pl.String:
        return cells.cast(pl.String).reshape((-1, 1)).cast(pl.List(pl.String)) if asked else None
    known = cells.filter(cells.str.strip_chars() != "")
    if not len(known):
        return None
    if known.str.contains(r"^\s*\[.*\]\s*$").all():
        return _written(cells)
    for sign in SIGNS:
        parts = _stripped(known.str.split(sign))
        several = int((parts.list.len() > 1).sum()) / len(known)
        if several >= SEVERAL and (asked or _recur(parts)):
            return _stripped(cells.fill_null("").str.split(sign))
    return _stripped(cells.fill_null("").str.split("\0")) if asked else None


def _recur(parts: pl.Series) -> bool:
    """Whether few parts make many cells, and change their places: 'a;b', 'a', 'b;c', but not 'Ulm, Germany'."""
    cells = parts.unique()
    each = pl.DataFrame({"part": cells, "place": cells.list.eval(pl.int_range(pl.len()))}).explode("part", "place")
    places = each.drop_nulls().group_by("part").agg(pl.len(), pl.col("place").n_unique())
    often = places["len"].sum() >= OFTEN * len(places)
    return bool(len(places) <= MOST_DIFFERENT and often and (places["place"] > 1).sum() >= MOVED * len(places))


def _stripped(parts: pl.Series) -> pl.Series:
    return parts.list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))


def _written(cells: pl.Series) -> pl.Series | None:
    """Lists as JSON or Python write them; an empty cell is missing."""
    found = [None if cell is None or not cell.strip() else _list(cell) for cell in cells.to_list()]
    if any(row is None and cell is not None and cell.strip() for row, cell in zip(found, cells.to_list(), strict=True)):
        return None
    return _stripped(pl.Series(cells.name, found, dtype=pl.List(pl.String)))


def _list(text: str) -> list[str] | None:
    """["a", 1] or ['a', 1] as texts; None where it is something else."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        plain = isinstance(found, list) and all(isinstance(item, str | int | None) for item in found)
        return [str(item) for item in found if item is not None] if plain else None
    return None
