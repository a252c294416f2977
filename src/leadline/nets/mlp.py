"""A multilayer perceptron: Linear, ReLU, dropout; and a body that hands it the pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MLP(nn.Sequential):
    """[N, inputs] -> [N, hidden[-1]]."""

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float) -> None:
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        super().__init__(*layers)
        self.width = inputs


class PixelBody(nn.Module):
    """uint8 images [N, H, W, C] -> every pixel, centred and scaled [N, H*W*C]."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("inverse_std", torch.ones(()))
        self.width = height * width * channels

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Set centre and scale from train images."""
        pixels = images.float()
        self.mean.copy_(pixels.mean())
        self.inverse_std.copy_(1.0 / pixels.std().clamp_min(1.0))

    def forward(self, images: Tensor) -> Tensor:
        return ((images.float() - self.mean) * self.inverse_std).flatten(1)
