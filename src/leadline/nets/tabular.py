"""Bodies for tables: numbers by piecewise-linear encoding, categories by embeddings.

Source: Gorishniy, Rubachev, Babenko, 'On Embeddings for Numerical Features in Tabular Deep Learning' (2022): a number
becomes a vector that says how far it fills each quantile bin, which lets a linear layer bend at the bins' edges.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BINS = 32
MOST_ENCODED = 4_096  # inputs of the first layer that bins may take up together


class NumberBody(nn.Module):
    """float32 [N, F], NaN for missing -> [N, width]: bins, the scaled value, and a flag for missing, a column."""

    low: Tensor
    span: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.bins = max(1, min(BINS, MOST_ENCODED // columns))
        self.register_buffer("low", torch.zeros(columns, self.bins))
        self.register_buffer("span", torch.ones(columns, self.bins))
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(columns))
        self.width = columns * (self.bins + 2)

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Set bin edges (quantiles), centre and spread from train rows [n, F]."""
        marks = torch.linspace(0, 1, self.bins + 1)
        for column, values in enumerate(x.T):
            known = values[~values.isnan()]
            if not len(known):
                continue
            edges = torch.quantile(known[:100_000].double(), marks.double()).float()
            self.low[column] = edges[:-1]
            self.span[column] = (edges[1:] - edges[:-1]).clamp_min(1e-6)
            self.centre[column] = known.mean()
            self.spread[column] = known.std().clamp_min(1e-6) if len(known) > 1 else 1.0

    def forward(self, x: Tensor) -> Tensor:
        missing = x.isnan()
        x = torch.where(missing, self.centre, x)
        filled = ((x.unsqueeze(2) - self.low) / self.span).clamp(0, 1).flatten(1)
        scaled = ((x - self.centre) / self.spread).clamp(-5, 5)
        return torch.cat((filled, scaled, missing.float()), dim=1)


class CategoryBody(nn.Module):
    """int32 codes [N, F] -> embeddings [N, width], one table a column."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        widths = [min(32, max(2, round(1.6 * size**0.4))) for size in sizes]
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size, width in zip(sizes, widths, strict=True))
        self.width = sum(widths)

    @torch.no_grad()
    def prepare(self, codes: Tensor) -> None:
        """Nothing is learned from the data before training."""

    def forward(self, codes: Tensor) -> Tensor:
        return torch.cat([table(codes[:, i]) for i, table in enumerate(self.tables)], dim=1)
