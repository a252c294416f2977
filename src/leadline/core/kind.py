"""What a kind is: how one sort of column is recognised, decoded and encoded.

A kind turns cells into answers in steps that never run backwards:

    sniff   cells of a sample       -> how to decode them, or None: not this kind
    decode  cells                   -> plain arrays; the only step outside the ONNX graph
    fit     decoded train cells     -> a `Fit`: the encode graph, and the feature graphs of the classical contenders
    body    (nets/)                 -> arithmetic on encoded tensors, exported with the network

Columns of a `joint` kind share one block (all numbers are one matrix); others have a block each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import onnx

MISSING = ("", "?", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "None", "#N/A", "-")


Values = np.ndarray | list[np.ndarray | None]  # one item a cell; None: it could not be read


class View(StrEnum):
    """A feature view: what contenders read in place of an encoded tensor, named as files name it."""

    DENSE = auto()  # numbers a column
    CODES = auto()  # category numbers
    BAG = auto()  # numbers of n-grams, 0 for none


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Cells as arrays. `values` has one item a cell: an ndarray, or a list of arrays where shapes differ."""

    values: Values
    bad: Mapping[int, str] = field(default_factory=dict)  # position -> why it could not be decoded


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a kind may spend when it is fitted."""

    rows: int  # train rows
    seconds: float  # the whole budget
    columns: tuple[str, ...]  # names of the block's columns, for the graph's inputs
    labels: np.ndarray | None = None  # the target of the samples' rows, where it is known: class numbers, or values


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A graph that makes one stored tensor, with the shape and type of one row of it.

    Where `padding` is given, rows may come out shorter than `shape` along its first axis: the store fills them up with
    this mark, and bodies and forms leave it out.
    """

    graph: onnx.ModelProto
    shape: tuple[int, ...]
    dtype: str
    padding: int | None = None


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted kind: facts that travel in the model's metadata, and graphs.

    `encode` maps decoded columns to the encoded tensor. `forms` maps that tensor to the views that contenders read.
    `decode` takes the place of what `sniff` said of decoding, where that depends on what was fitted; from then on every
    cell is decoded by it.
    """

    settings: Mapping[str, Any]
    encode: Tensor
    forms: Mapping[str, Tensor] = field(default_factory=dict)
    decode: Mapping[str, Any] = field(default_factory=dict)


class Kind(Protocol):
    """One file in `kinds/`. Implementations are stateless: what is learned travels in `settings` and graphs."""

    name: str
    joint: bool  # all columns of this kind form one block
    ragged: bool  # decoded cells differ in shape, and are encoded one by one
    sample: int  # train rows that `fit` looks at
    onnx_input: str  # NumPy type of the decoded value, as the shipped model takes it
    native: str | None  # the form that the encoded tensor itself already is, if any

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        """How to decode these cells (settings for `decode`), or None if they are of another kind."""

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        """Cells to arrays; never raises for a bad cell, reports it in `bad`."""

    def fit(self, samples: list[Values], settings: Mapping[str, Any], limits: Limits) -> Fit:
        """Learn the encoding from decoded train cells, one item of `samples` a column."""


@runtime_checkable
class Perceived(Protocol):
    """A kind that a person sees or hears: what shows nothing is worth a sentence."""

    blank_is: str  # what a blank row is called: 'of one colour', 'silent'

    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Encoded rows [n, ...] -> bool [n]: those in which there is nothing to see or hear."""


def absent(values: np.ndarray) -> np.ndarray:
    """Which decoded cells are missing, bool [rows]: NaN, the smallest whole number, or a word for it."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values).reshape(len(values), -1).all(axis=1))
    if values.dtype.kind == "i":
        return np.asarray(values == np.iinfo(np.int64).min)
    return pl.Series(values.tolist(), dtype=pl.String).is_in(MISSING).to_numpy()


@runtime_checkable
class Columnwise(Protocol):
    """A kind that decodes many columns faster together than one by one."""

    def decode_columns(
        self, frame: pl.DataFrame, root: Path | None, settings: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Decoded]:
        """Cells of columns to arrays, as `decode` does for each."""


def decode_columns(
    kind: Kind, frame: pl.DataFrame, root: Path | None, settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, Decoded]:
    """The columns of a block, each by its own settings."""
    if isinstance(kind, Columnwise):
        return kind.decode_columns(frame, root, settings)
    return {name: kind.decode(frame[name], root, how) for name, how in settings.items()}


def share(flags: pl.Series) -> float:
    """The share of true cells; 0 where there are none."""
    return int(flags.sum()) / len(flags) if len(flags) else 0.0


def present(cells: pl.Series) -> pl.Series:
    """Text cells stripped, with the usual words for 'missing' as null."""
    if cells.dtype != pl.String:
        return cells
    stripped = cells.str.strip_chars()
    return stripped.set(stripped.is_in(MISSING), None)
