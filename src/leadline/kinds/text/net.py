"""A bag of n-grams: their embeddings summed, over the root of their count.

Source: Joulin et al. 2016, 'Bag of Tricks for Efficient Text Classification'.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 64  # of an embedding


class BagBody(nn.Module):
    """int32 n-gram numbers [N, K], 0 for none -> [N, width]. In training a share of the grams is left out."""

    def __init__(self, grams: int, width: int = WIDTH, dropped: float = 0.3) -> None:
        super().__init__()
        self.table = nn.Embedding(grams, width, padding_idx=0)
        nn.init.normal_(self.table.weight, std=0.1)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.width, self.dropped = width, dropped

    @torch.no_grad()
    def prepare(self, grams: Tensor) -> None:
        """Nothing is learned from the data before training."""

    def forward(self, grams: Tensor) -> Tensor:
        if self.training:
            grams = torch.where(torch.rand(grams.shape, device=grams.device) < self.dropped, 0, grams)
        count = (grams != 0).sum(dim=1, keepdim=True).clamp_min(1)
        summed: Tensor = self.table(grams).sum(dim=1)
        return summed / count.sqrt()
