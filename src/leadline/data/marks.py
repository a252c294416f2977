"""Several labels a row, as one whole number: bit k says whether the row bears label k, and -1 that it is unusable.

So a row's labels travel through split, store and judge like a class number, and rows with the same labels are of one
class where classes are kept alike. Cells that hold several labels are lists, or texts with one sign between labels.

    >>> packed(np.array([[True, False], [True, True]])).tolist()
    [1, 3]
    >>> unpacked(np.array([1, 3]), 2).tolist()
    [[True, False], [True, True]]
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import polars as pl

MOST = 62  # labels: the bits of a whole number
SIGNS = ("|", ";", ",")
MOST_DIFFERENT = 200  # parts of cells that can be labels at all
OFTEN = 1.5  # different cells that a part is in, on average
SEVERAL = 0.05  # share of the cells that hold more than one, where nobody says that cells hold labels
JOIN = "|"


def packed(marks: np.ndarray) -> np.ndarray:
    """bool [n, labels] -> int64 [n]."""
    return np.asarray(marks.astype(np.int64) @ (np.int64(1) << np.arange(marks.shape[1], dtype=np.int64)))


def unpacked(labels: np.ndarray, count: int) -> np.ndarray:
    """int64 [n] -> bool [n, count]."""
    return np.asarray((labels[:, None] >> np.arange(count)) & 1, bool)


def named(marks: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    """bool [n, labels] -> the labels of each row."""
    return [[name for name, borne in zip(names, row, strict=True) if borne] for row in marks.tolist()]


def joined(marks: np.ndarray, names: Sequence[str]) -> list[str]:
    """bool [n, labels] -> a text a row: its labels, joined by "|"."""
    return [JOIN.join(row) for row in named(marks, names)]


def lists(cells: pl.Series, asked: bool) -> pl.Series | None:
    """Cells as lists of labels, or None where they hold one each.

    A missing list stays missing; an empty text is a row without labels, as no file tells it from a missing one.

    Args:
        asked: the user says that they are labels; else parts must recur in several cells.
    """
    if isinstance(cells.dtype, pl.List | pl.Array):
        inner = cells.dtype.inner
        return cells.cast(pl.List(pl.String)) if inner == pl.String or asked else None
    if cells.dtype != pl.String:
        return cells.cast(pl.String).reshape((-1, 1)).cast(pl.List(pl.String)) if asked else None
    known = cells.drop_nulls()
    if not len(known):
        return None
    if known.str.contains(r"^\s*\[.*\]\s*$").all():
        return _json(cells)
    for sign in SIGNS:
        parts = known.str.split(sign).list.eval(pl.element().str.strip_chars())
        several = int((parts.list.len() > 1).sum()) / len(known)
        if several >= SEVERAL and (asked or _recur(parts)):
            return _stripped(cells.fill_null("").str.split(sign))
    return _stripped(cells.fill_null("").str.split("\0")) if asked else None


def _recur(parts: pl.Series) -> bool:
    """Whether few parts make many cells, of unlike numbers of parts: 'a;b', 'a', 'b;c', but not 'Ulm, Germany'."""
    cells = parts.unique().list.eval(pl.element().filter(pl.element() != ""))
    sizes, each = cells.list.len(), cells.explode().drop_nulls()
    different = each.n_unique()
    return sizes.filter(sizes > 0).n_unique() > 1 and different <= MOST_DIFFERENT and len(each) >= OFTEN * different


def _stripped(parts: pl.Series) -> pl.Series:
    return parts.list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))


def _json(cells: pl.Series) -> pl.Series | None:
    """Lists written as JSON or as Python writes them."""
    try:
        found = [None if c is None else [str(x) for x in json.loads(c.replace("'", '"'))] for c in cells.to_list()]
    except (json.JSONDecodeError, TypeError):
        return None
    return pl.Series(cells.name, found, dtype=pl.List(pl.String))
