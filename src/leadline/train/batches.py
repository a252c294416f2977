"""Rows to train on, kept in the compact types of their source, and gathered a batch at a time as whole tensors.

Enters: a pair (X, y) of NumPy arrays or PyTorch tensors, X a tuple of them where a module has several inputs; or a
`Source` whose inputs are one column of images, or numbers. Leaves: `Rows`, and from it batches x, each [N, ...] in the
module's own type, and y [N, ...]. Bytes stay bytes in memory: they are read as shares of 255 when a batch is made, and
(x - mean) / std where the caller asks for it. For an accelerator rows lie there whole where they fit, and else a few
batches at a time follow while it works.

    >>> rows = rows_of((torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8), torch.tensor([0, 1])), "data")
    >>> batches = Batches(rows, 2, torch.float32, normalise=(0.5, 0.5))
    >>> batches.gather(torch.tensor([0, 1]))[0][0]
    tensor([[-1.0000,  1.0000],
            [-0.6000, -0.2000]])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from leadline.readers.source import Source
from leadline.system.device import CPU
from leadline.system.errors import LeadlineError
from leadline.system.process_state import warnings_ignored

Normalise = tuple[float | Sequence[float], float | Sequence[float]]  # mean and std: one number, or one a channel
AHEAD, LARGE = 4, 2**24  # batches fetched at once, unless one has so many bytes
INDICES = (torch.int16, torch.int32, torch.int64)  # tokens and categories: given to the module as they are


@dataclass(frozen=True)
class Rows:
    """x, each [N, ...], and y [N, ...], as they are stored."""

    x: tuple[Tensor, ...]
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> Rows:
        return Rows(tuple(x.to(device) for x in self.x), self.y.to(device))

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(t.numel() * t.element_size() for t in (*self.x, self.y))


def rows_of(data: object, what: str, part: str = "train") -> Rows:
    """The rows of a pair (X, y), or of one part of a `Source`; `what` names the argument in errors.

    X is an array, or a tuple of arrays for a module with as many inputs.
    """
    if isinstance(data, Source):
        x, y = _columns(data, what, part)
    elif isinstance(data, tuple | list) and len(data) == 2:
        x, y = data
    else:
        found = f"{len(data)} things" if isinstance(data, tuple | list) else f"a {type(data).__name__}"
        raise LeadlineError(f"{what} is {found}, where a pair (X, y) of arrays or a source of ll.load was expected.")
    rows = Rows(inputs(x, f"X of {what}"), tensor(y, f"y of {what}"))
    for held in rows.x:
        if len(held) != len(rows.y):
            raise LeadlineError(
                f"X of {what} has {len(held):,} rows and y has {len(rows.y):,}, where as many were expected; "
                "cut one to fit."
            )
    if not len(rows):
        raise LeadlineError(f"{what} has no row, where at least one was expected.")
    return rows


def inputs(x: Any, what: str) -> tuple[Tensor, ...]:
    """X as a tuple of tensors, one an input of the module."""
    if not isinstance(x, tuple):
        return (tensor(x, what),)
    if not x:
        raise LeadlineError(f"{what} is an empty tuple, where an array for each input of the module was expected.")
    return tuple(tensor(each, f"{what}[{place}]") for place, each in enumerate(x))


def tensor(value: Any, what: str) -> Tensor:
    """An array as a tensor that shares its memory."""
    if isinstance(value, Tensor):
        found = _plain(value, what)
    else:
        if isinstance(value, np.ma.MaskedArray) and value.dtype.kind != "V" and np.ma.is_masked(value):
            raise LeadlineError(
                f"{what} has masked values, where a number in each place was expected; fill them with "
                ".filled(VALUE), or leave their rows out."
            )
        array = _array(value, what)
        if array.dtype.kind not in "biuf":
            raise LeadlineError(
                f"{what} holds {array.dtype}, where real numbers were expected; {_remedy(array.dtype.kind)}."
            )
        if array.dtype in (np.uint16, np.uint32, np.uint64):
            array = array.astype(np.int64)
        if array.dtype == np.longdouble:
            array = array.astype(np.float64)
        if min(array.strides, default=0) < 0:  # of one row or none it counts as contiguous, but not for PyTorch
            array = array.copy()
        # Memory maps and frames may be read only, which PyTorch warns of; nothing here writes into them.
        with warnings_ignored():
            found = torch.from_numpy(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False))
    if found.ndim == 0:
        raise LeadlineError(f"{what} is a single number, where an array of rows was expected.")
    return found


def _plain(value: Tensor, what: str) -> Tensor:
    """A dense tensor on the CPU that lies in plain memory; other sorts are one sentence."""
    if value.is_meta:
        raise LeadlineError(f"{what} lies on the device 'meta', where numbers were expected; make it on 'cpu'.")
    if value.layout != torch.strided or value.is_nested or value.is_quantized:
        remedy = ".dequantize()" if value.is_quantized else ".to_padded_tensor(0)" if value.is_nested else ".to_dense()"
        sort = "quantised" if value.is_quantized else "nested" if value.is_nested else str(value.layout)
        raise LeadlineError(f"{what} is a {sort} tensor, where a dense one was expected; convert it with {remedy}.")
    if value.is_complex():
        raise LeadlineError(f"{what} holds {value.dtype}, where real numbers were expected; {_remedy('c')}.")
    if type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        raise LeadlineError(
            f"{what} is a {type(value).__name__}, where a plain tensor was expected; convert it first, as "
            ".to_tensor(0) does with a MaskedTensor."
        )
    return value.detach().as_subclass(Tensor).resolve_neg().cpu()


def _array(value: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:  # lists of unequal length, objects that are no arrays
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise LeadlineError(f"{what} cannot be read as an array: {reason}; give rows of equal shape.") from error


def _remedy(kind: str) -> str:
    """How to make numbers of what NumPy calls this kind of type."""
    if kind == "c":
        return "give its real and imaginary parts as two columns, as torch.view_as_real does"
    if kind in "mM":
        return "convert times to a number of seconds or days first"
    if kind in "V":
        return "give its fields as columns"
    return "number its classes from 0, as np.unique(y, return_inverse=True)[1] does"


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
    """Gathers batches into memory that the next batch takes again; drawn anew for every pass over the rows.

    Memory of a batch that somebody still holds, as a module that keeps what it was given, is left to them.

    Rows are fetched for a few batches at a time: they lie anywhere in memory, and waiting for many at once is shorter.
    """

    def __init__(
        self, rows: Rows, size: int, dtype: torch.dtype, normalise: Normalise | None = None, seed: int = 0,
        layout: torch.memory_format = torch.contiguous_format, device: torch.device = CPU, least: int = 1,
    ) -> None:  # fmt: skip
        """
        Args:
            least: rows of the last batch of a pass under which they join the batch before it.
        """
        if normalise is not None and len(rows.x) > 1:
            raise LeadlineError(
                f"normalise={normalise!r} was given with {len(rows.x)} inputs, where one was expected; normalise X."
            )
        self.rows, self.size, self._device = rows, min(size, len(rows)), device
        left = len(rows) % self.size
        self._joined = left if left < least else 0  # rows that the last batch has more than the others
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.long)
        self._next = len(self)  # batch of the order
        a_batch = sum(x[0].numel() * x.element_size() for x in rows.x) * self.size
        self._ahead = AHEAD if a_batch < LARGE else 1
        self._fetched = range(0)  # batches that lie ready
        most = self.size + self._joined
        self._inputs = [_Input(x, most, dtype, normalise, layout, device) for x in rows.x]
        self._y = rows.y[:0]

    def __len__(self) -> int:
        """Batches in one pass; the last one may be smaller, or hold a few rows more."""
        return -(-(len(self.rows) - self._joined) // self.size)

    def draw(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """The next batch of a random order without repetition."""
        if self._next == len(self):
            self._order = torch.randperm(len(self.rows), generator=self._generator).to(self.rows.y.device)
            self._next, self._fetched = 0, range(0)
        if self._next not in self._fetched:
            self._fetched = range(self._next, self._next + self._ahead)
            self._fetch(self._order[self._next * self.size : self._end(self._fetched.stop)])
        first = (self._next - self._fetched.start) * self.size
        self._next += 1
        return self._batch(first, self._end(self._next) - self._fetched.start * self.size)

    def gather(self, places: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """The rows at `places` [N], at most `size` of them."""
        self._fetched = range(0)
        self._fetch(places.to(self.rows.y.device))
        return self._batch(0, len(places))

    def _end(self, batch: int) -> int:
        """The place in the order where the batches before this one end."""
        return len(self.rows) if batch >= len(self) else batch * self.size

    def _fetch(self, places: Tensor) -> None:
        self._y = self.rows.y.index_select(0, places).to(self._device)
        for each in self._inputs:
            each.fetch(places)

    def _batch(self, first: int, stop: int) -> tuple[tuple[Tensor, ...], Tensor]:
        return tuple(each.batch(first, stop) for each in self._inputs), self._y[first:stop]

    def state(self) -> dict[str, Any]:
        """Where the order stands, for a checkpoint."""
        return {"order": self._order, "next": self._next, "generator": self._generator.get_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._order, self._next = state["order"].to(self.rows.y.device), state["next"]
        self._fetched = range(0)
        self._generator.set_state(state["generator"])


class _Input:
    """One input of the module: rows as they are stored, some of them fetched, and the memory of a batch."""

    def __init__(
        self, rows: Tensor, size: int, dtype: torch.dtype, normalise: Normalise | None, layout: torch.memory_format,
        device: torch.device,
    ) -> None:  # fmt: skip
        self._rows, self._size, self._device = rows, size, device
        self._room = self._fetched = rows.new_empty(0, *rows.shape[1:])
        self._idle = _holders(self._room)
        self._scale, self._shift = _affine(rows, dtype, normalise)
        if device != CPU:
            self._scale, self._shift = _there(self._scale, dtype, device), _there(self._shift, dtype, device)
        as_is = rows.dtype == dtype or rows.dtype in INDICES
        layout = layout if rows.ndim == 4 and rows.dtype not in INDICES else torch.contiguous_format
        self._copied = not as_is or layout != torch.contiguous_format or self._scale is not None
        if self._copied:
            self._x = torch.empty((size, *rows.shape[1:]), dtype=dtype, memory_format=layout, device=device)

    def fetch(self, places: Tensor) -> None:
        if self._rows.device != self._device:
            # Page-locked memory is copied while the device works; PyTorch gives it out again when that is done.
            locked = self._device.type == "cuda"
            room = torch.empty((len(places), *self._rows.shape[1:]), dtype=self._rows.dtype, pin_memory=locked)
            torch.index_select(self._rows, 0, places, out=room)
            self._fetched = room.to(self._device, non_blocking=locked)
            return
        # Into the same memory each time: memory that is new has to be mapped in, page by page.
        del self._fetched
        if len(self._room) < len(places) or _holders(self._room) > self._idle:
            self._room = self._rows.new_empty(max(len(places), len(self._room)), *self._rows.shape[1:])
        self._fetched = self._room[: len(places)]
        torch.index_select(self._rows, 0, places, out=self._fetched)

    def batch(self, first: int, stop: int) -> Tensor:
        stored = self._fetched[first:stop]
        if not self._copied:
            return stored
        if _holders(self._x) > self._idle:
            self._x = torch.empty_like(self._x)
        n = len(stored)
        x = self._x.view_as(self._x) if n == self._size else self._x[:n]
        if self._scale is None:
            return x.copy_(stored)
        if isinstance(self._scale, float):  # one pass over memory in place of three
            return torch.add(self._shift, stored, alpha=self._scale, out=x)
        return x.copy_(stored).mul_(self._scale).add_(self._shift)


def _holders(t: Tensor) -> int:
    """How many tensors lie in the memory of this one, with it."""
    return torch._C._storage_Use_Count(t.untyped_storage()._cdata)


def _there(value: Any, dtype: torch.dtype, device: torch.device) -> Any:
    return None if value is None else torch.as_tensor(value, dtype=dtype, device=device)


def _affine(x: Tensor, dtype: torch.dtype, normalise: Normalise | None) -> tuple[Any, Any]:
    """(scale, shift) that take stored values to what the module reads: one number each, or one a channel, as a tensor.

    (None, None) where they are the same.
    """
    share = 1 / 255 if x.dtype == torch.uint8 else 1.0
    if normalise is None:
        return (share, torch.zeros((), dtype=dtype)) if share != 1.0 else (None, None)
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
    return scale.item(), shift
