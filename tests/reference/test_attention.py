"""Attention with its backward pass written out against PyTorch's own, values and gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.train import attention_backward as ours
from leadline.train.attention_backward import FUSED, attention, written_out


def _drawn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shapes", [((2, 3, 7, 4), (2, 3, 7, 4)), ((5, 7, 4), (5, 7, 6)), ((2, 1, 1, 3), (2, 1, 1, 3))])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_values_and_gradients(causal: bool, shapes: Any, scale: float | None) -> None:
    found = []
    for function in (attention, FUSED):
        q, k = (_drawn(*shapes[0], seed=seed).requires_grad_() for seed in (0, 1))
        v = _drawn(*shapes[1], seed=2).requires_grad_()
        out = function(q, k, v, is_causal=causal, scale=scale)
        found.append((out.detach(), *torch.autograd.grad(out, (q, k, v), _drawn(*out.shape, seed=3))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


def test_its_gradient_is_that_of_finite_differences() -> None:
    q, k, v = (_drawn(2, 5, 3, seed=seed).requires_grad_() for seed in range(3))
    assert torch.autograd.gradcheck(lambda *t: attention(*t, is_causal=True), (q, k, v))


def test_longer_keys_than_queries() -> None:
    q, k = _drawn(2, 3, 4, 8), _drawn(2, 3, 9, 8, seed=1)
    torch.testing.assert_close(attention(q, k, k), FUSED(q, k, k))


@pytest.mark.parametrize("what", ["mask", "dropout", "too large", "groups"])
def test_what_it_cannot_do_goes_to_pytorch(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k = _drawn(2, 4, 6, 8), _drawn(2, 2 if what == "groups" else 4, 6, 8, seed=1)
    settings: dict[str, Any] = {
        "mask": {"attn_mask": torch.ones(6, 6, dtype=torch.bool).tril()}, "dropout": {"dropout_p": 0.5},
        "groups": {"enable_gqa": True}, "too large": {},
    }[what]  # fmt: skip
    monkeypatch.setattr(ours._Attention, "apply", None)
    if what == "too large":
        monkeypatch.setattr(ours, "MOST_SCORES", 10)
    torch.manual_seed(0)
    found = attention(q, k, k, **settings)
    torch.manual_seed(0)
    torch.testing.assert_close(found, FUSED(q, k, k, **settings))


def test_an_encoder_layer_of_pytorch_takes_it_and_learns_the_same() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True, norm_first=True).double()
    x, mask = _drawn(3, 10, 16), nn.Transformer.generate_square_subsequent_mask(10).double()
    plain = torch.autograd.grad(layer(x, src_mask=mask, is_causal=True).sum(), list(layer.parameters()))
    with written_out():
        out = layer(x, src_mask=mask, is_causal=True)
    assert "_AttentionBackward" in _names(out)
    for one, other in zip(torch.autograd.grad(out.sum(), list(layer.parameters())), plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-8)
    assert F.scaled_dot_product_attention is FUSED


def _names(out: Tensor) -> set[str]:
    """Of all functions on the way back."""
    seen, names, waiting = set(), set(), [out.grad_fn]
    while waiting:
        function = waiting.pop()
        if function is not None and function not in seen:
            seen.add(function)
            names.add(function.name())
            waiting += [following for following, _ in function.next_functions]
    return names


def test_it_ends_with_an_error() -> None:
    with pytest.raises(ValueError, match="stop"), written_out():
        raise ValueError("stop")
    q = _drawn(2, 3, 4).requires_grad_()
    assert "_AttentionBackward" not in _names(F.scaled_dot_product_attention(q, q, q))


def test_other_threads_keep_the_attention_of_pytorch() -> None:
    q = _drawn(2, 3, 4).requires_grad_()
    with written_out(), ThreadPoolExecutor(1) as pool:
        here = F.scaled_dot_product_attention(q, q, q)
        there = pool.submit(F.scaled_dot_product_attention, q, q, q).result()
        assert F.scaled_dot_product_attention is FUSED
    assert "_AttentionBackward" in _names(here) and "_AttentionBackward" not in _names(there)
    torch.testing.assert_close(here, there)
