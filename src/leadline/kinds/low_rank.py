"""Training of a large network by narrow matrices beside its own, which stay as they are. Imports PyTorch.

Hu et al. 2021, 'LoRA: Low-Rank Adaptation of Large Language Models'.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.core.pretrained import Rates

MOST_TRAINED = 50_000_000  # weights of a body that is trained as a whole; larger ones by matrices of a low rank
RANK, SCALE = 8, 2.0  # of these, and what their product is multiplied by
LOW_RANK_RATES = Rates(upper=(1e-3, 0.95, 1e-3), layers=(5e-4, 0.95, 5e-4), passes=3)


class LowRank(nn.Module):
    """A dense layer that stays as it is, plus a product of two narrow matrices that is learned.

    The second matrix begins at zero. The large one is no parameter: no gradient, optimizer, checkpoint or copy of the
    best weights so far holds it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """
        Args:
            weight: [outputs, inputs].
        """
        super().__init__()
        self._weight, self.bias = weight, bias
        outputs, inputs = weight.shape
        self.down, self.up = nn.Parameter(torch.empty(RANK, inputs)), nn.Parameter(torch.empty(outputs, RANK))
        self.begin()

    def begin(self) -> None:
        """As it is before it has learned anything."""
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        nn.init.zeros_(self.up)

    @property
    def weight(self) -> Tensor:
        """Both as one matrix [outputs, inputs], as the graph has it."""
        return self._weight + SCALE * self.up @ self.down

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        return F.linear(x, self._weight, self.bias) + SCALE * F.linear(F.linear(x, self.down), self.up)


def said_of(weights: int) -> str:
    """That so many weights stay as they are, for the report."""
    return f"{weights / 1e6:.0f} million weights stay as they are; matrices of rank {RANK} beside them learn (LoRA)"
