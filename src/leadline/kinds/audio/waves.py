"""Networks of sounds of the package `transformers`, as modules that give pooled states. Imports PyTorch.

Enters: a network that reads waves. Leaves: a module from waves float32 [N, samples] to means over time of the hidden
states at four depths, side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leadline.kinds.body_folder import FolderError
from leadline.kinds.depths import quarters
from leadline.kinds.operations import operations

STEPS = 3  # axes of hidden states: sounds, steps of time, width


class Waves(nn.Module):
    """The means of some layers."""

    def __init__(self, tower: nn.Module, sounds: np.ndarray) -> None:
        """
        Args:
            sounds: by which it is tried.
        """
        super().__init__()
        self.tower = tower
        with torch.no_grad():
            hidden = self._hidden(torch.from_numpy(sounds))
            self.chosen = quarters(len(hidden) - 1)
            if not self.chosen or any(hidden[number].ndim != STEPS for number in self.chosen):
                raise FolderError("holds a network of sounds that gives no hidden states over time.")
            self.made = self._means(hidden)
        self.facts = {
            "layers": {f"layer {number}": hidden[number].shape[2] for number in self.chosen},
            "work": operations(self, torch.from_numpy(sounds)).total() / sounds.size,  # on a sample
        }

    def forward(self, waves: Tensor) -> Tensor:
        return self._means(self._hidden(waves))

    def _means(self, hidden: Any) -> Tensor:
        return torch.cat([hidden[number].mean(1) for number in self.chosen], dim=1)

    def _hidden(self, waves: Tensor) -> Any:
        said: Any = self.tower(input_values=waves, output_hidden_states=True, return_dict=True)
        return said.get("hidden_states") or ()
