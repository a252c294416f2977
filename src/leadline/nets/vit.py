"""A small vision transformer for images: patches as tokens, an encoder, pooled by attention.

Sources: Dosovitskiy et al. 2021, 'An Image is Worth 16x16 Words'; attention in place of a class token as in Zhai et al.
2022, 'Scaling Vision Transformers'; rotary positions along both axes as in Heo et al. 2024, 'Rotary Position Embedding
for Vision Transformer'; blocks of `transformer.py`. Shapes: N images, H rows, W columns, C channels, P patches, D
width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.nets.transformer import Block, normal

SIDE = 8  # patches along the longer side: attention costs the square of their number
FREQUENCY = 100.0  # of positions, from the first pair of a head to the last


class PatchBody(nn.Module):
    """uint8 images [N, H, W, C] -> vectors [N, width]."""

    mean: Tensor
    inverse_std: Tensor
    turns: Tensor

    def __init__(
        self, height: int, width: int, channels: int, *, size: int = 64, layers: int = 4, heads: int = 4,
        dropped: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("inverse_std", torch.ones(channels))
        patch = -(-max(height, width) // SIDE)
        rows, columns = -(-height // patch), -(-width // patch)
        self.margin = (0, columns * patch - width, 0, rows * patch - height)  # of zeros, at the right and below
        self.embed = nn.Conv2d(channels, size, patch, patch)
        self.blocks = nn.ModuleList(Block(size, heads) for _ in range(layers))
        self.dropout = nn.Dropout(dropped)
        self.query = nn.Linear(size, 1, bias=False)
        nn.init.zeros_(self.query.weight)  # a fresh one pools all patches alike
        quarter = size // heads // 4  # half of a head's pairs turn with the row, half with the column
        frequencies = FREQUENCY ** -(torch.arange(quarter) / quarter)
        place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).unsqueeze(2)
        self.register_buffer("turns", (place * frequencies).flatten(1), persistent=False)
        self.width = size

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Set centre and scale of each channel from train images."""
        pixels = images[: max(16, 2**22 // (images.shape[1] * images.shape[2]))].flatten(0, 2).double()
        self.mean.copy_(pixels.mean(0))
        self.inverse_std.copy_(1.0 / pixels.std(0).clamp_min(1.0))

    def forward(self, images: Tensor) -> Tensor:
        x = ((images.to(torch.float32) - self.mean) * self.inverse_std).permute(0, 3, 1, 2)
        x = self.embed(F.pad(x, self.margin)).flatten(2).transpose(1, 2)
        x = self.dropout(x)
        every = torch.ones(1, 1, 1, x.shape[1], dtype=torch.bool, device=x.device)  # every patch reads every other
        for block in self.blocks:
            x, _ = block(x, self.turns, every, None)
        x = normal(x)
        shares = self.query(x).softmax(dim=1)
        pooled: Tensor = (shares * x).sum(dim=1).float()
        return pooled
