"""Rows to train on, kept as compact as they came, and gathered a batch at a time as whole tensors.

Enters: a pair (X, y) of NumPy arrays or PyTorch tensors, or a `Source` whose inputs are one column of images, or
numbers. Leaves: `Rows`, and from it batches x [N, ...] in the module's own type and y [N, ...]. Bytes stay bytes in
memory: they are read as shares of 255 when a batch is made, and (x - mean) / std where the caller asks for it.

    >>> rows = rows_of((torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8), torch.tensor([0, 1])), "data")
    >>> batches = Batches(rows, 2, torch.float32, normalise=(0.5, 0.5))
    >>> batches.gather(torch.tensor([0, 1]))[0]
    tensor([[-1.0000,  1.0000],
            [-0.6000, -0.2000]])
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from leadline.data.source import Source
from leadline.errors import LeadlineError

Normalise = tuple[float | Sequence[float], float | Sequence[float]]  # mean and std: one number, or one a channel
INDICES = (torch.int16, torch.int32, torch.int64)  # tokens and categories: given to the module as they are


@dataclass(frozen=True)
class Rows:
    """x [N, ...] and y [N, ...] as they are stored."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)


def rows_of(data: object, what: str, part: str = "train") -> Rows:
    """The rows of a pair (X, y), or of one part of a `Source`; `what` names the argument in errors."""
    if isinstance(data, Source):
        x, y = _columns(data, what, part)
    elif isinstance(data, tuple | list) and len(data) == 2:
        x, y = data
    else:
        found = f"{len(data)} things" if isinstance(data, tuple | list) else f"a {type(data).__name__}"
        raise LeadlineError(f"{what} is {found}, where a pair (X, y) of arrays or a source of ll.load was expected.")
    rows = Rows(tensor(x, f"X of {what}"), tensor(y, f"y of {what}"))
    if len(rows.x) != len(rows.y):
        raise LeadlineError(
            f"X of {what} has {len(rows.x):,} rows and y has {len(rows.y):,}, where as many were expected; "
            "cut one to fit."
        )
    if not len(rows):
        raise LeadlineError(f"{what} has no row, where at least one was expected.")
    return rows


def tensor(value: Any, what: str) -> Tensor:
    """An array as a tensor that shares its memory."""
    if isinstance(value, Tensor):
        found = value.detach().cpu()
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise LeadlineError(
                f"{what} holds {array.dtype}, where numbers were expected; number its classes from 0, as "
                "np.unique(y, return_inverse=True)[1] does."
            )
        if array.dtype in (np.uint16, np.uint32, np.uint64):
            array = array.astype(np.int64)
        with warnings.catch_warnings():
            # Memory maps and frames may be read only, which PyTorch warns of; nothing here writes into them.
            warnings.simplefilter("ignore", UserWarning)
            found = torch.from_numpy(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False))
    if found.ndim == 0:
        raise LeadlineError(f"{what} is a single number, where an array of rows was expected.")
    return found


def _columns(source: Source, what: str, part: str) -> tuple[Any, Any]:
    """Images as [N, channels, height, width], numbers as float32 [N, columns]; and the target."""
    frame = {"train": source.train, "valid": source.valid, "test": source.test}[part]
    if frame is None:
        raise LeadlineError(f"{what} is the source {source.name!r}, which states no {part} rows; give a pair (X, y).")
    table = frame.collect()
    if source.target is None or source.target not in table.columns:
        raise LeadlineError(
            f"{what} is the source {source.name!r}, whose {part} rows state no target; give a pair (X, y)."
        )
    x, y = table.drop(source.target), table[source.target].to_numpy()
    if x.width == 1 and isinstance(x.dtypes[0], pl.Array):
        images = x.to_series().to_numpy()
        if images.ndim == 3:
            return images[:, None], y
        return (np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if images.ndim == 4 else images), y
    if not all(dtype.is_numeric() for dtype in x.dtypes):
        named = ", ".join(f"{name} ({dtype})" for name, dtype in x.schema.items() if not dtype.is_numeric())
        raise LeadlineError(
            f"{what} is the source {source.name!r} with {named}, where one column of decoded images or only numbers "
            "were expected; give a pair (X, y), or use ll.fit."
        )
    return x.cast(pl.Float32).to_numpy(), y


class Batches:
    """Gathers batches into memory that the next batch takes again; drawn anew for every pass over the rows."""

    def __init__(
        self, rows: Rows, size: int, dtype: torch.dtype, normalise: Normalise | None = None, seed: int = 0
    ) -> None:
        self.rows, self.size = rows, min(size, len(rows))
        self._generator = torch.Generator().manual_seed(seed)
        self._order: tuple[Tensor, ...] = ()
        self._next = 0
        x, y = rows.x, rows.y
        self._scale, self._shift = _affine(x, dtype, normalise)
        self._stored = x.new_empty(self.size, *x.shape[1:])
        self._as_stored = x.dtype == dtype or x.dtype in INDICES
        self._x = self._stored if self._as_stored else torch.empty_like(self._stored, dtype=dtype)
        self._y = y.new_empty(self.size, *y.shape[1:])

    def __len__(self) -> int:
        """Batches in one pass; the last one may be smaller."""
        return -(-len(self.rows) // self.size)

    def draw(self) -> tuple[Tensor, Tensor]:
        """The next batch of a random order without repetition."""
        if self._next == len(self._order):
            self._order = torch.split(torch.randperm(len(self.rows), generator=self._generator), self.size)
            self._next = 0
        self._next += 1
        return self.gather(self._order[self._next - 1])

    def gather(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """The rows at `places` [N], at most `size` of them."""
        n = len(places)
        whole = n == self.size
        stored, x, y = (t if whole else t[:n] for t in (self._stored, self._x, self._y))
        torch.index_select(self.rows.x, 0, places, out=stored)
        torch.index_select(self.rows.y, 0, places, out=y)
        if not self._as_stored:
            x.copy_(stored)
        if self._scale is not None:
            x.mul_(self._scale).add_(self._shift)
        return x, y


def _affine(x: Tensor, dtype: torch.dtype, normalise: Normalise | None) -> tuple[Any, Any]:
    """(scale, shift) that take stored values to what the module reads; (None, None) where they are the same."""
    share = 1 / 255 if x.dtype == torch.uint8 else 1.0
    if normalise is None:
        return (share, 0.0) if share != 1.0 else (None, None)
    if x.dtype in INDICES:
        raise LeadlineError(
            f"normalise={normalise!r} was given with X of {x.dtype}, where bytes or floats were expected; "
            "convert X, or leave normalise out."
        )
    if len(normalise) != 2:
        raise LeadlineError(f"normalise={normalise!r} was given, where (mean, std) was expected.")
    mean, std = (torch.as_tensor(value, dtype=dtype) for value in normalise)
    if not bool((std > 0).all()):
        raise LeadlineError(f"normalise={normalise!r} has a std of 0 or less, where more was expected.")
    for value in (mean, std):
        if value.ndim and (x.ndim < 2 or value.shape != (x.shape[1],)):
            raise LeadlineError(
                f"normalise={normalise!r} has {value.numel()} numbers, where one or as many as axis 1 of X "
                f"{list(x.shape)} were expected."
            )
    scale, shift = share / std, -mean / std
    if scale.ndim or shift.ndim:
        scale, shift = (t.expand(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2)) for t in (scale, shift))
        return scale, shift
    return scale.item(), shift.item()
