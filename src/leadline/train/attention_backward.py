"""Attention with its backward pass written out: four plain products and a softmax, all of them whole matrices.

Enters: queries, keys and values [..., T, D]. Leaves: mixed values [..., T, D]. PyTorch's fused kernel saves the memory
of the scores [..., T, T], but on processors its way back takes several times as long as these products. Inside
`written_out()` every call of `scaled_dot_product_attention` comes here that can: without a mask of its own, without
dropout, and with scores that fit into memory; all others go to PyTorch's as before, and so do those of other threads.

    >>> q = torch.randn(2, 4, 8, 16, dtype=torch.float64)
    >>> with written_out():
    ...     ours = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    >>> torch.allclose(ours, F.scaled_dot_product_attention(q, q, q, is_causal=True))
    True
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

MOST_SCORES = 2**26  # numbers in [..., T, T] of one call, which are kept for the way back
FUSED = F.scaled_dot_product_attention


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> Tensor:
        ahead = q.new_zeros(())
        if causal:
            ahead = q.new_full((q.shape[1], k.shape[1]), -torch.inf).triu_(1)
        odds = torch.baddbmm(ahead, q, k.mT, alpha=scale).softmax(dim=-1)
        ctx.save_for_backward(q, k, v, odds)
        ctx.scale = scale
        return torch.bmm(odds, v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, odds = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_odds = torch.bmm(gradient, v.mT)
        of_scores = torch._softmax_backward_data(of_odds, odds, -1, odds.dtype).mul_(ctx.scale)
        return torch.bmm(of_scores, k), torch.bmm(of_scores.mT, q), torch.bmm(odds.mT, gradient), None, None


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """`torch.nn.functional.scaled_dot_product_attention`, under its own names."""
    scores = query.shape[:-1].numel() * key.shape[-2]
    alike = query.shape[:-2] == key.shape[:-2] == value.shape[:-2] and query.ndim > 2
    if attn_mask is not None or dropout_p or enable_gqa or not alike or scores > MOST_SCORES:
        made: Tensor = FUSED(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        return made
    if torch.is_autocast_enabled(query.device.type):
        low = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(low), key.to(low), value.to(low)
    # Rows of one block of memory each: products of strided views are several times slower.
    q, k, v = (t.reshape(-1, *t.shape[-2:]).contiguous() for t in (query, key, value))
    mixed: Tensor = _Attention.apply(q, k, v, is_causal, scale or query.shape[-1] ** -0.5)  # type: ignore[no-untyped-call]
    return mixed.view(*query.shape[:-1], value.shape[-1])


class _Here(TorchFunctionMode):
    """Calls of this thread; PyTorch's own function stays as it is, for others and in every other thread."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return INSTEAD.get(func, func)(*args, **(kwargs or {}))


class AttentionCalls(TorchFunctionMode):
    """Notes whether PyTorch's attention is called. (A `TorchDispatchMode` would load PyTorch's compiler: seconds.)"""

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen = self.seen or func in INSTEAD
        return func(*args, **(kwargs or {}))


def written_out() -> AbstractContextManager[object]:
    """Within it this thread's calls of PyTorch's attention come here."""
    return _Here()


# nn.MultiheadAttention is one call for the mode, which does not see the calls inside: so this is the same code with our
# attention under that name.
_MULTI_HEAD = F.multi_head_attention_forward
_OURS = FunctionType(_MULTI_HEAD.__code__, {**vars(F), "scaled_dot_product_attention": attention}, _MULTI_HEAD.__name__)
_OURS.__defaults__, _OURS.__kwdefaults__ = _MULTI_HEAD.__defaults__, _MULTI_HEAD.__kwdefaults__
INSTEAD: dict[Any, Any] = {FUSED: attention, _MULTI_HEAD: _OURS}
