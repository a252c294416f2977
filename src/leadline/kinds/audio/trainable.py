"""The speech embedding as a module of PyTorch, to train it further; its weights go back into its graph.

Enters: stored sounds int16 [N, samples], filled up with marks, or float32 as an augmentation leaves them. Leaves: of
the last block and of the embeddings the mean, the maximum and the deviation over the steps of each row, which do not
depend on its batch. A layer is a block of convolutions up to a maximum over areas; the last is that of the embeddings.
Spectra are computed as the graph computes them and are not trained. The published network has its normalisations inside
the convolutions, so no statistic of a batch is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.core.json_types import whole
from leadline.core.pretrained import Precision, Rates
from leadline.kinds.audio.frames import PADDING
from leadline.kinds.audio.pretrained import (
    DECIBELS,
    DEEPEST,
    POOLED,
    QUIETEST,
    SILENCE,
    Operation,
    graph_of,
    published,
    sizes_of,
    waves_of,
    width_from,
)

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block

# Of the seconds of a step those of the blocks after so many, measured at a second a sound on one core.
SHARES = (1.0, 0.56, 0.43, 0.17, 0.07)
RATES = Rates(upper=(5e-4, 0.9, 2e-3), layers=(5e-4, 0.85, 2e-3), passes=12)
ROOM = 64  # seconds of sound in a pass: a gradient of one takes 6 MB
LOWEST = -1e4  # below any value
TINY = 1e-12  # added to a variance, whose root has no gradient at zero
COUNTED = 256  # rows at once whose samples are counted

T = TypeVar("T", np.ndarray, Tensor)


class Convolution(nn.Module):
    """A convolution, padded with zeros across the bands alone."""

    def __init__(self, each: Operation, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.names = each.constants
        weight, *bias = (nn.Parameter(_tensor(weights[name])) for name in each.constants)
        self.weight, self.bias = weight, bias[0] if bias else None
        self._padding = tuple(each.facts.get("pads", (0, 0))[:2])

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, steps, bands] -> the same of its outputs."""
        return F.conv2d(x, self.weight, self.bias, padding=self._padding)


class Floor(nn.Module):
    """No value is below it."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_min(self._value)


def _module(each: Operation, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """One of the network's operators."""
    if each.kind == "Conv":
        return Convolution(each, weights)
    if each.kind == "LeakyRelu":
        return nn.LeakyReLU(each.facts["alpha"])
    if each.kind == "Max":
        return Floor(float(weights[each.constants[0]].item()))
    assert each.kind == "MaxPool", each.kind
    return nn.MaxPool2d(each.facts["kernel_shape"], each.facts["strides"])


class TrainableSpeech(nn.Module):
    """`TrainableBody` of the package's folder. Maxima of embeddings vary some twenty times as much as their means."""

    depth, width, rates, said, standardised = len(POOLED), width_from(DEEPEST), RATES, "", True
    cut = depth // 2

    def __init__(self, folder: Path, block: Block) -> None:
        super().__init__()
        self._network, self._rate = published(folder), whole(block.settings, "rate")
        waves, bands = waves_of(self._network.bands, self._rate)  # neither is trained, so no state holds it
        self._waves, self._bands = _tensor(waves.T), _tensor(bands)
        self._size, self._hop = sizes_of(self._rate)
        self.room: int | None = ROOM * self._rate
        weights = self._network.weights
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_module(each, weights) for each in every)) for every in self._network.blocks
        )
        self._windows = [[each.window for each in every if each.window is not None] for every in self._network.blocks]

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        parts = (rows[start : start + COUNTED] for start in range(0, len(rows), COUNTED))
        return np.concatenate([np.zeros(0, np.int64), *((part != PADDING).sum(axis=1) for part in parts)])

    def hidden(self, lengths: np.ndarray, cut: int) -> tuple[np.ndarray, int]:
        _, bands = self._bands.shape
        return np.asarray(self._steps(lengths, cut)), self._channels(cut) * (bands >> cut)

    def share(self, cut: int) -> float:
        return SHARES[cut]

    def _channels(self, cut: int) -> int:
        return POOLED[cut - 1] if cut else 1

    def _steps(self, samples: T, cut: int) -> T:
        """Of rows of so many samples, after `cut` blocks: those that nothing behind a row's end has touched."""
        steps = (samples + 2 * SILENCE * self._hop - self._size + self._hop) // self._hop
        for windows in self._windows[:cut]:
            for size, stride in windows:
                steps = (steps - size + stride) // stride
        return steps

    def lower(self, rows: Tensor, cut: int) -> Tensor:
        with torch.autocast("cpu", enabled=False):  # powers of quiet and loud bands differ by more than bfloat16 holds
            x = self._spectra(rows)
        x = x.unsqueeze(1)
        for block in self.blocks[:cut]:
            x = block(x)
        return x.transpose(1, 2).flatten(2)

    def upper(self, hidden: Tensor, rows: Tensor, cut: int) -> Tensor:
        x = hidden.reshape(*hidden.shape[:2], self._channels(cut), -1).transpose(1, 2)
        own, pooled = (rows != PADDING).sum(dim=1), []
        for number in range(cut, self.depth):
            x = self.blocks[number](x)
            if number >= DEEPEST:
                pooled += _statistics(x.float(), self._steps(own, number + 1))
        return torch.cat(pooled, dim=1)

    def layer(self, number: int) -> list[nn.Parameter]:
        return list(self.blocks[number].parameters())

    def graph(self, block: Block, precision: Precision, calibration: np.ndarray) -> onnx.ModelProto:
        assert precision is Precision.FLOAT32, "no other is offered"
        weights = dict(self._network.weights)
        for module in self.modules():
            if isinstance(module, Convolution):
                trained = (each.detach().numpy() for each in module.parameters())
                weights |= dict(zip(module.names, trained, strict=True))
        return graph_of(replace(self._network, weights=weights), block.name, self._rate, DEEPEST)

    def _spectra(self, rows: Tensor) -> Tensor:
        """Mel spectra [N, steps, bands] of sounds [N, samples], as the graph has them (`pretrained.py`)."""
        around = SILENCE * self._hop
        wave = F.pad(torch.where(rows == PADDING, 0, rows).float(), (around, around))
        real, imaginary = (wave.unfold(1, self._size, self._hop) @ self._waves).square().chunk(2, dim=2)
        level = 10 / math.log(10) * ((real + imaginary) @ self._bands).clamp_min(QUIETEST).log()
        return 0.1 * torch.maximum(level, level.amax((1, 2), keepdim=True) - DECIBELS) + 2


def _statistics(x: Tensor, steps: Tensor) -> list[Tensor]:
    """Mean, maximum and deviation over the first so many steps [N] of [N, channels, steps, bands]: [N, channels]."""
    inside = (torch.arange(x.shape[2]) < steps[:, None])[:, None, :, None]
    count = (steps * x.shape[3])[:, None]
    mean = torch.where(inside, x, 0).sum((2, 3)) / count
    off = torch.where(inside, x - mean[:, :, None, None], 0)
    return [mean, x.masked_fill(~inside, LOWEST).amax((2, 3)), (off.square().sum((2, 3)) / count + TINY).sqrt()]


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))
