"""A GPT-style Transformer that predicts the next token, as a step: tokens and a state in, logits and a state out.

Sources: Vaswani et al. 2017, 'Attention Is All You Need'; pre-norm (Xiong et al. 2020) by RMSNorm (Zhang and Sennrich
2019); rotary positions (Su et al. 2021, 'RoFormer'); normalised queries and keys (Henry et al. 2020); squared ReLU (So
et al. 2021, 'Primer').

Shapes: N texts, T tokens, P tokens remembered, D width, H heads, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.nets.embed import Embed

State = tuple[Tensor, ...]
# Added to the score of a token that is hidden. Scores of normalised queries and keys are no larger than the root of a
# head's width, so that its share is far below what float32 holds beside another; exponentials near zero are slow.
HIDDEN = -60.0


class Attention(nn.Module):
    """Causal self-attention over a window: x [N, T, D] and the keys and values before -> [N, T, D]."""

    def __init__(self, width: int, heads: int, *, rotary: bool = True, normalised: bool = True) -> None:
        super().__init__()
        self.heads, self.rotary, self.normalised = heads, rotary, normalised
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, turns: Tensor, mask: Tensor | None, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """`past` [2, N, H, P, D/H]: keys, not yet turned, and values; also returned for the tokens of x."""
        n, t, width = x.shape
        qkv = self.qkv(x).view(n, t, 3, self.heads, width // self.heads)
        if mask is None and self.rotary and self.normalised and torch.is_grad_enabled():
            attended: Tensor = _Attend.apply(qkv, turns)  # type: ignore[no-untyped-call]
            return self.out(attended), x  # what was seen is of no use without a state
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if self.normalised:
            q, k = F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
        seen = torch.stack((k, v)) if past is None else torch.cat((past, torch.stack((k, v))), dim=3)
        k, v = seen[0], seen[1]
        if self.rotary:
            q, k = turn(q, turns[-t:]), turn(k, turns)
        if mask is not None and self.normalised:
            mask = torch.zeros(mask.shape, dtype=q.dtype).masked_fill(~mask, HIDDEN)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.out(mixed.transpose(1, 2).reshape(n, t, width)), seen


class Block(nn.Module):
    """Attention, then a two-layer network with squared ReLU, each on normalised input and added to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        for last in (self.attention.out, self.down):  # a fresh block passes its input on
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor, turns: Tensor, mask: Tensor | None, past: Tensor | None) -> tuple[Tensor, Tensor]:
        mixed, seen = self.attention(normal(x), turns, mask, past)
        x = x + mixed
        return x + self.down(squared_relu(self.up(normal(x)))), seen


class Transformer(nn.Module):
    """ids int64 [N, T], state -> logits float32 [N, T, V] of the token after each, state.

    Args:
        embed: the vectors of the tokens; the network is as wide as they are.
        window: a token sees itself and the `window - 1` tokens before it, in every layer.

    The state: keys and values [layers, 2, N, H, P, D/H] of the last `window - 1` tokens, and the last tokens
    themselves. Keys are kept unturned and turned by their place at every call, so the oldest can be dropped.
    """

    frequencies: Tensor

    def __init__(self, embed: Embed, layers: int, heads: int, window: int) -> None:
        super().__init__()
        vocabulary, width = embed.tokens.weight.shape
        self.window, self.width, self.heads = window, width, heads
        self.embed, self.before = embed, embed.before
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.zeros_(self.head.weight)
        half = width // heads // 2
        self.register_buffer("frequencies", 10_000.0 ** -(torch.arange(half) / half), persistent=False)

    def initial(self, texts: int) -> State:
        """The state before any token."""
        size = self.width // self.heads
        cache = torch.zeros(len(self.blocks), 2, texts, self.heads, 0, size)
        return cache, torch.zeros(texts, self.before, dtype=torch.long)

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        cache, tail = state
        past, length = cache.shape[4], ids.shape[1]
        ahead = torch.arange(past, past + length).unsqueeze(1) - torch.arange(past + length)
        x, after = self._run(ids, tail, self._turns(past + length), (ahead >= 0) & (ahead < self.window), cache)
        kept = torch.stack(after)[:, :, :, :, -(self.window - 1) :]
        return self.head(x).float(), (kept, torch.cat((tail, ids), dim=1)[:, -self.before :])

    def losses(self, windows: Tensor) -> Tensor:
        """windows int64 [N, before + T + 1] -> mean -log p of the last T tokens, each from those before in the
        window.
        """
        tail, ids, aims = windows[:, : self.before], windows[:, self.before : -1], windows[:, self.before + 1 :]
        x, _ = self._run(ids, tail, self._turns(ids.shape[1]), None, None)
        return F.cross_entropy(self.head(x).float().flatten(0, 1), aims.flatten())

    def _run(
        self, ids: Tensor, tail: Tensor, turns: Tensor, mask: Tensor | None, cache: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        x = self.embed(torch.cat((tail, ids), dim=1))
        x = normal(x)
        after = []
        for number, block in enumerate(self.blocks):
            x, seen = block(x, turns, mask, None if cache is None else cache[number])
            after.append(seen)
        return normal(x), after

    def _turns(self, length: int) -> Tensor:
        """Angles [length, D/H/2] of the places 0, 1, 2, ..."""
        return torch.arange(length).unsqueeze(1) * self.frequencies


def turn(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the pairs (x_2i, x_2i+1) of [..., T, size] by the angles [T, size / 2]."""
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    one, two = x[..., 0::2], x[..., 1::2]
    return torch.stack((one * cos - two * sin, two * cos + one * sin), dim=-1).flatten(-2)


def normal(x: Tensor) -> Tensor:
    """x over its root mean square along the last axis."""
    if torch.is_grad_enabled() and x.requires_grad:
        made: Tensor = _Normal.apply(x)  # type: ignore[no-untyped-call]
        return made
    return F.rms_norm(x, x.shape[-1:])


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)^2."""
    if torch.is_grad_enabled() and x.requires_grad:
        made: Tensor = _SquaredReLU.apply(x)  # type: ignore[no-untyped-call]
        return made
    return F.relu(x).square()


# What follows has its backward pass written out: autograd would take three times as many passes over memory.


def _scale(x: Tensor) -> Tensor:
    """One over the root mean square along the last axis [..., 1], in float32 or better."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=dtype)
    scale: Tensor = norm.square_().div_(x.shape[-1]).add_(torch.finfo(dtype).eps).rsqrt_()
    return scale


def _unscale(gradient: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """The gradient of x, where y = x * scale(x)."""
    along = (gradient * y).mean(-1, keepdim=True)
    return torch.addcmul(gradient, y, along, value=-1).mul_(scale)


class _Normal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # Where the next matrix product would cast it, it comes out cast.
        low = torch.is_autocast_enabled("cpu") and x.dtype == torch.float32
        scale = _scale(x)
        y = (x * scale).to(torch.get_autocast_dtype("cpu") if low else x.dtype)
        ctx.save_for_backward(y, scale.to(y.dtype))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _unscale(gradient, *ctx.saved_tensors)


class _SquaredReLU(torch.autograd.Function):
    """Overwrites its input, which the matrix product before it does not need again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        kept = x.clamp_min_(0)
        ctx.save_for_backward(kept.detach())
        return kept.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (kept,) = ctx.saved_tensors
        return torch.mul(gradient, kept).mul_(2)


class _Attend(torch.autograd.Function):
    """Queries, keys and values [N, T, 3, H, size] -> mixed values [N, T, H * size], causal.

    Queries and keys are normalised and turned by the angles [T, size / 2], as complex numbers. Attention is two matrix
    products and a softmax: in bfloat16 PyTorch's fused kernel for CPUs takes three times as long going back.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, angles: Tensor) -> Tensor:
        n, t, _, heads, size = qkv.shape
        scale = _scale(qkv[:, :, :2])
        y = qkv[:, :, :2] * scale
        turns = torch.polar(torch.ones_like(angles), angles)[:, None, None]
        turns = turns.to(torch.promote_types(y.dtype, torch.cfloat))
        turned = torch.view_as_real(_complex(y) * turns).flatten(-2)
        q, k, v = torch.cat((turned.to(qkv.dtype), qkv[:, :, 2:]), dim=2).permute(2, 0, 3, 1, 4).flatten(1, 2)
        ahead = torch.full((t, t), -torch.inf, dtype=q.dtype).triu_(1)
        odds = torch.baddbmm(ahead, q, k.mT, alpha=size**-0.5).softmax(dim=-1)
        ctx.save_for_backward(y, scale, turns, q, k, v, odds)
        mixed: Tensor = torch.bmm(odds, v).view(n, heads, t, size).transpose(1, 2)
        return mixed.reshape(n, t, heads * size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        y, scale, turns, q, k, v, odds = ctx.saved_tensors
        n, t, _, heads, size = y.shape
        gradient = gradient.view(n, t, heads, size).transpose(1, 2).reshape(v.shape)
        of_odds = torch.bmm(gradient, v.mT)
        of_scores = torch._softmax_backward_data(of_odds, odds, -1, odds.dtype).mul_(size**-0.5)
        parts = torch.bmm(of_scores, k), torch.bmm(of_scores.mT, q), torch.bmm(odds.mT, gradient)
        of_qkv = torch.stack([part.view(n, heads, t, size).transpose(1, 2) for part in parts], dim=2)
        turned = _complex(of_qkv[:, :, :2].to(y.dtype)) * turns.conj()
        of_qkv[:, :, :2] = _unscale(torch.view_as_real(turned).flatten(-2), y, scale)
        return of_qkv, None


def _complex(x: Tensor) -> Tensor:
    """The pairs along the last axis as complex numbers."""
    return torch.view_as_complex(x.contiguous().view(*x.shape[:-1], -1, 2))
