"""A decoded value in parts that can be removed one by one: what occlusion works on.

Enters: one decoded value. Leaves: `Parts`, which gives the value without any of its parts, of the same shape, so that
the shipped file answers it like any other row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TypeAlias

import numpy as np

MOST = 64  # parts of one value
WINDOW = 3  # patches at a side that occlusion removes together

Value: TypeAlias = np.ndarray | float | int | str  # a decoded one


class Layout(StrEnum):
    """How parts lie to each other, by which the page shows them."""

    WHOLE = auto()  # one part
    GRID = auto()  # rows and columns of a picture
    WORDS = auto()  # one after the other in a text
    WINDOWS = auto()  # of time
    BANDS = auto()  # of frequency, the lowest first


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of one value.

    Attributes:
        names: of each part, as a person reads it.
        shape: (parts,), or (rows, columns) of a grid.
        without: bool [parts] -> the value without these parts.
        sets: bool [sets, parts], the parts that occlusion removes together; None: each by itself.
        edges: of windows and bands, where each begins and the last ends: seconds, steps or hertz.
    """

    layout: Layout
    names: tuple[str, ...]
    shape: tuple[int, ...]
    without: Callable[[np.ndarray], Value]
    edges: tuple[float, ...] = ()
    sets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)


def missing_of(value: Value) -> Value:
    """The missing value of the same type: NaN, the smallest whole number, or an empty text."""
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return np.full_like(array, np.nan)[()]
    if array.dtype.kind in "iu":
        return np.full_like(array, np.iinfo(array.dtype).min)[()]
    return ""


def whole(value: Value) -> Parts:
    """One part: the value, or a missing one in its place."""
    return Parts(
        layout=Layout.WHOLE, names=("",), shape=(1,), without=lambda gone: missing_of(value) if gone[0] else value
    )


def splits(length: int, most: int) -> np.ndarray:
    """Edges int64 [parts + 1] of at most so many stretches of about one length; none is empty."""
    return np.unique(np.linspace(0, length, min(most, max(length, 1)) + 1).round().astype(np.int64))


def grid(picture: np.ndarray, side: int = 8) -> Parts:
    """Patches of a picture uint8 [height, width, channels]; one that is removed has the picture's mean colour.

    Occlusion removes windows of three by three patches: one patch alone is often made up for by its neighbours.
    """
    height, width = picture.shape[:2]
    down, across = splits(height, side), splits(width, side)
    rows, columns = len(down) - 1, len(across) - 1
    mean = picture.reshape(-1, picture.shape[2]).mean(axis=0).round().astype(picture.dtype)

    def without(gone: np.ndarray) -> np.ndarray:
        mask = np.repeat(np.repeat(gone.reshape(rows, columns), np.diff(down), axis=0), np.diff(across), axis=1)
        return np.where(mask[:, :, None], mean, picture)

    names = tuple(f"row {i + 1}, column {j + 1}" for i in range(rows) for j in range(columns))
    sets = overlapping(rows, columns)
    return Parts(layout=Layout.GRID, names=names, shape=(rows, columns), without=without, sets=sets)


def overlapping(rows: int, columns: int, size: int = WINDOW) -> np.ndarray:
    """Windows of size by size patches at every place of a grid, also over its rim: bool [windows, patches]."""
    found = []
    for top in range(1 - size, rows):
        for left in range(1 - size, columns):
            window = np.zeros((rows, columns), bool)
            window[max(0, top) : top + size, max(0, left) : left + size] = True
            found.append(window.ravel())
    return np.array(found)


def pieces(text: str, spans: list[tuple[int, int]], most: int = MOST) -> Parts:
    """Words of a text by their spans; several in a row are one part where there are more than `most`."""
    size = max(1, math.ceil(len(spans) / most))
    parts = [(spans[i][0], spans[min(i + size, len(spans)) - 1][1]) for i in range(0, len(spans), size)]

    def without(gone: np.ndarray) -> str:
        left, at = [], 0
        for (start, end), removed in zip(parts, gone, strict=True):
            left.append(text[at:start] + ("" if removed else text[start:end]))
            at = end
        return "".join(left) + text[at:]

    names = tuple(text[start:end] for start, end in parts)
    return Parts(layout=Layout.WORDS, names=names, shape=(len(parts),), without=without)


def windows(values: np.ndarray, most: int = 16) -> Parts:
    """Windows of steps of a series float64 [steps]; the line is straight where one is removed."""
    edges = splits(len(values), most)
    known = ~np.isnan(values)
    level = float(values[known].mean()) if known.any() else math.nan

    def without(gone: np.ndarray) -> np.ndarray:
        removed = np.repeat(gone, np.diff(edges))
        left = np.flatnonzero(known & ~removed)
        if not len(left):
            return np.where(known, level, np.nan)
        filled = np.interp(np.arange(len(values)), left, values[left])
        return np.where(known & removed, filled, values)

    names = tuple(
        f"step {b}" if a + 1 == b else f"steps {a + 1} to {b}" for a, b in zip(edges[:-1], edges[1:], strict=True)
    )
    return Parts(
        layout=Layout.WINDOWS, names=names, shape=(len(names),), without=without, edges=tuple(map(float, edges))
    )
