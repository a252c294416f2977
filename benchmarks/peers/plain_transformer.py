"""What a user would write: the same small GPT in plain PyTorch modules, trained by a plain eager loop.

Same maths as `leadline.nets.transformer.Transformer` without n-grams (pre-norm by RMSNorm, normalised queries and keys,
rotary positions, squared ReLU, no biases), so that only the way it is run differs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = self.qkv(F.rms_norm(x, (width,))).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = (rotate(F.rms_norm(part, part.shape[-1:]), cos, sin) for part in (q, k))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, width))
        return x + self.down(F.relu(self.up(F.rms_norm(x, (width,)))).square())


class GPT(nn.Module):
    def __init__(self, vocabulary: int, layers: int, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.zeros_(self.head.weight)
        half = width // heads // 2
        angles = torch.arange(window).unsqueeze(1) * 10_000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids)
        x = F.rms_norm(x, x.shape[-1:])
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.head(F.rms_norm(x, x.shape[-1:]))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    one, two = x[..., 0::2], x[..., 1::2]
    return torch.stack((one * cos - two * sin, two * cos + one * sin), dim=-1).flatten(-2)


class Loop:
    """AdamW as it comes, random windows, one step at a time."""

    def __init__(self, net: GPT, tokens: Tensor, window: int, batch: int, steps: int, fused: bool = False) -> None:
        self.net, self.tokens, self.window, self.batch = net, tokens, window, batch
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=fused)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 3e-3, total_steps=steps + 1, pct_start=0.05)

    def step(self) -> None:
        starts = torch.randint(len(self.tokens) - self.window - 1, (self.batch,))
        x = torch.stack([self.tokens[i : i + self.window] for i in starts])
        y = torch.stack([self.tokens[i + 1 : i + self.window + 1] for i in starts])
        loss = F.cross_entropy(self.net(x).flatten(0, 1), y.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
