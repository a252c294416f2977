"""Tokens as vectors: each by itself, and together with the ones before it as hashed n-grams.

Sources: Clark et al. 2022, 'Canine'; Roy et al. 2022, 'N-Grammer'. A look-up costs next to nothing and tells what a
first layer would have to learn. Shapes: N texts, T tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PRIME = 1_000_003


class Embed(nn.Module):
    """ids int64 [N, before + T] -> [N, T, D] of the last T tokens; `before` more are read for the first ones' n-grams.

    Gradients of the tables of n-grams are sparse: a step touches a few thousand rows, whatever the size of the table.

    Args:
        orders: lengths of the n-grams, rising; none: tokens alone.
        rows: of each table of n-grams.
        dropped: share of the n-grams that are left out in training, so that the network does not learn to lean on them.
    """

    def __init__(
        self, vocabulary: int, width: int, orders: tuple[int, ...] = (), rows: int = 0, dropped: float = 0.0
    ) -> None:
        super().__init__()
        self.orders, self.rows, self.dropped = orders, rows, dropped
        self.before = max(orders, default=2) - 1
        self.tokens = nn.Embedding(vocabulary, width)
        self.grams = nn.ModuleList(nn.Embedding(rows, width, sparse=True) for _ in orders)
        for table in (self.tokens, *self.grams):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1] - self.before
        hashed = ids[:, self.before :]
        total: Tensor = self.tokens(hashed)
        for order in range(2, self.before + 2):
            start = self.before - order + 1
            hashed = hashed * PRIME + ids[:, start : start + length]
            if order in self.orders:
                vectors = self.grams[self.orders.index(order)](hashed % self.rows)
                if self.training and self.dropped:
                    vectors = vectors * (torch.rand(*hashed.shape, 1) >= self.dropped)
                total = total + vectors
        return total
