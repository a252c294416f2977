"""Networks of sounds of the package `transformers`, as modules that give pooled states. Imports PyTorch.

Enters: a network that reads waves. Leaves: a module from waves float32 [N, samples] to means over time of the hidden
states at four depths, side by side.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leadline.kinds.body_folder import FolderError
from leadline.kinds.depths import quarters

STEPS = 3  # axes of hidden states: sounds, steps of time, width


class Waves(nn.Module):
    """The means of some layers."""

    def __init__(self, tower: nn.Module, samples: int) -> None:
        """
        Args:
            samples: of a sound by which it is tried.
        """
        super().__init__()
        self.tower = tower
        with torch.no_grad():
            hidden = self._hidden(made_up(samples))
            self.chosen = quarters(len(hidden) - 1)
            if not self.chosen or any(hidden[number].ndim != STEPS for number in self.chosen):
                raise FolderError("holds a network of sounds that gives no hidden states over time.")
            self.made = self(made_up(samples))
        self.widths = {f"layer {number}": hidden[number].shape[2] for number in self.chosen}

    def forward(self, waves: Tensor) -> Tensor:
        hidden = self._hidden(waves)
        return torch.cat([hidden[number].mean(1) for number in self.chosen], dim=1)

    def _hidden(self, waves: Tensor) -> Any:
        said: Any = self.tower(input_values=waves, output_hidden_states=True, return_dict=True)
        return said.get("hidden_states") or ()


def made_up(samples: int) -> Tensor:
    """Two sounds of noise: float32 [2, samples]."""
    return torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
