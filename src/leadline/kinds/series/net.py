"""Bodies for series: convolutions over time, or every step as it stands.

Source: Wang, Yan and Oates, 'Time Series Classification from Scratch with Deep Neural Networks' (2017): a few
convolutions with batch norm are a strong baseline; here with the blocks of `nets/cnn.py`, one pixel high. Shapes: N
series, T steps, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL = 5
PLACES = 4  # of the last map that are told apart: where something happens may matter
SHORT = 8  # steps that are not pooled away


class _Scaled(nn.Module):
    """float32 [N, T, C], NaN for missing -> [N, 2C, T]: scaled steps, and a flag for missing."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("inverse_std", torch.ones(()))

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Set centre and scale from train rows."""
        known = x[~x.isnan()].double()
        if len(known) > 1:
            self.mean.copy_(known.mean())
            self.inverse_std.copy_(1.0 / known.std().clamp_min(1e-6))

    def scaled(self, x: Tensor) -> Tensor:
        missing = x.isnan()
        x = ((torch.where(missing, self.mean, x) - self.mean) * self.inverse_std).clamp(-10, 10)
        return torch.cat((x, missing.float()), dim=2).transpose(1, 2)


class FlatSeries(_Scaled):
    """[N, T, C] -> [N, 2CT]."""

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.width = 2 * steps * channels

    def forward(self, x: Tensor) -> Tensor:
        return self.scaled(x).flatten(1)


class _Block(nn.Module):
    """Two convolutions over time, the first halving it: [N, inputs, 1, T] -> [N, outputs, 1, T/2]."""

    def __init__(self, inputs: int, outputs: int, pool: bool) -> None:
        super().__init__()
        self.pool = pool
        half = KERNEL // 2
        self.conv1 = nn.Conv2d(inputs, outputs, (1, KERNEL), padding=(0, half), bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, (1, KERNEL), padding=(0, half), bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        for norm in (self.norm1, self.norm2):
            norm.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if self.pool:
            x = F.max_pool2d(x, (1, 2))
        x = F.gelu(self.norm1(x), approximate="tanh")
        return x + F.gelu(self.norm2(self.conv2(x)), approximate="tanh")


class ConvSeries(_Scaled):
    """[N, T, C] -> [N, width]: the largest answer of every filter, in each quarter of the series."""

    def __init__(self, steps: int, channels: int, base: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs, left = 2 * channels, steps
        for multiple in (2, 4, 4, 4, 4, 4):
            pool = left >= SHORT
            if not pool and blocks:
                break
            blocks.append(_Block(inputs, multiple * base, pool))
            left, inputs = (left // 2 if pool else left), multiple * base
        self.blocks = nn.Sequential(*blocks)
        self.places = min(PLACES, left)
        self.width = inputs * self.places

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.blocks(self.scaled(x).unsqueeze(2))
        size = int(features.shape[3]) // self.places  # a number, also while it is traced
        kept = F.max_pool2d(features[:, :, :, : size * self.places], (1, size))
        return kept.flatten(1).float() / 3.0
