"""What a contender learns from: encoded tensors by name, labels, a split; and the records that describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from leadline.core.json_types import JsonObject
from leadline.core.task import Task


@dataclass(frozen=True, kw_only=True)
class Split:
    """Row numbers [n] int64, rising, disjoint."""

    train: np.ndarray
    valid: np.ndarray
    calib: np.ndarray
    test: np.ndarray

    def without(self, rows: Sequence[int]) -> Split:
        """The same split without rows that turned out unreadable."""
        gone = np.array(sorted(rows), np.int64)
        kept = {name: part[~np.isin(part, gone)] for name, part in vars(self).items()}
        return Split(**kept)

    def counts(self) -> dict[str, int]:
        return {name: len(part) for name, part in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class Block:
    """Columns encoded together: one tensor, one encode graph, and the forms that contenders can read instead."""

    name: str  # of the tensor: "number", "category", "image_photo"
    kind: str
    columns: tuple[str, ...]
    decode: Mapping[str, JsonObject]  # column -> settings of its decode step
    settings: JsonObject  # facts of the fit: sizes, lengths, channels
    shape: tuple[int, ...]  # of one encoded row
    dtype: str
    forms: dict[str, tuple[Sequence[int], str]]  # form -> [shape of a row, dtype]
    padding: int | None = None  # what fills up a row that is shorter than `shape`
    from_values: Sequence[str] = ()  # forms that are made from the decoded columns, not from the encoded tensor


class Tensors(Protocol):
    """Encoded tensors of some rows; the labels of test rows are held out."""

    @property
    def rows(self) -> int: ...

    @property
    def task(self) -> Task: ...

    @property
    def blocks(self) -> tuple[Block, ...]: ...

    @property
    def split(self) -> Split: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def dependent(self) -> bool:
        """Whether rows of one group, or near in time, are alike, so that no rows are held out of train at random."""

    @property
    def cache(self) -> Path:
        """A folder for what is derived from rows and found by their content, so that it need not be computed again."""

    def block(self, name: str) -> Block:
        """The block whose tensor has this name."""

    def tensor(self, name: str) -> np.ndarray:
        """An encoded block ('image_photo') or a view of its features ('image_photo.dense'): [rows, ...], read-only."""

    def graph(self, name: str) -> bytes:
        """The ONNX graph behind a tensor: 'B' maps decoded columns to it, 'B.form' maps tensor 'B' to it.

        A form of `from_values` is mapped from decoded columns; 'B.form.cut' maps such a form to its parts.
        """
