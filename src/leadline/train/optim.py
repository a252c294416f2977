"""Optimizers whose rate is a function of the share of the steps that is done, and nothing else.

Muon: Jordan et al., 'Muon: an optimizer for hidden layers in neural networks' (2024), with the filters' norms held
fixed as in airbench94 (BatchNorm makes their scale moot). Adam and SGD are PyTorch's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn


class Optimizer(Protocol):
    def step(self, done: float) -> None:
        """Update from the gradients and clear them; `done` is step / steps, in [0, 1)."""


class Adam:
    """AdamW (Loshchilov and Hutter 2019), warmed up, then falling along a cosine to zero."""

    def __init__(self, module: nn.Module, rate: float, decay: float, warmup: float = 0.05) -> None:
        decayed = [p for p in module.parameters() if p.requires_grad and p.ndim >= 2]
        others = [p for p in module.parameters() if p.requires_grad and p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        self._inner = torch.optim.AdamW([g for g in groups if g["params"]], lr=rate, fused=True)
        self._rate, self._warmup = rate, warmup

    def step(self, done: float) -> None:
        warm = min(1.0, (done + 1e-4) / self._warmup)
        for group in self._inner.param_groups:
            group["lr"] = self._rate * warm * 0.5 * (1 + math.cos(math.pi * done))
        self._inner.step()
        self._inner.zero_grad(set_to_none=True)


class MuonSGD:
    """Muon for convolution filters, Nesterov SGD for the rest; rates fall linearly to zero."""

    MUON_RATE, MUON_MOMENTUM = 0.12, 0.6
    BIAS_RATE, HEAD_RATE, SGD_MOMENTUM = 3.0, 2.0, 0.85
    DECAY, WARMUP = 5e-4, 0.1

    def __init__(self, module: nn.Module, head: nn.Module, scale: float = 1.0) -> None:
        """`scale` multiplies the rates of SGD: a squared loss needs far smaller ones than cross-entropy."""
        trained = [p for p in module.parameters() if p.requires_grad]
        in_head = {id(p) for p in head.parameters()}
        self._filters = [p for p in trained if p.ndim == 4]
        self._momenta = [torch.zeros_like(p) for p in self._filters]
        others = [p for p in trained if p.ndim != 4 and id(p) not in in_head]
        groups = [(others, scale * self.BIAS_RATE), ([p for p in trained if id(p) in in_head], scale * self.HEAD_RATE)]
        self._sgd = torch.optim.SGD(
            [{"params": params, "peak": peak} for params, peak in groups if params],
            lr=0.0, momentum=self.SGD_MOMENTUM, nesterov=True,
        )  # fmt: skip

    @torch.no_grad()
    def step(self, done: float) -> None:
        left = 1.0 - done
        for p, momentum in zip(self._filters, self._momenta, strict=True):
            assert p.grad is not None
            momentum.mul_(self.MUON_MOMENTUM).add_(p.grad)
            gradient = p.grad.add(momentum, alpha=self.MUON_MOMENTUM)
            p.mul_(len(p) ** 0.5 / p.norm())
            p.add_(orthogonalise(gradient.flatten(1)).view(p.shape), alpha=-self.MUON_RATE * left)
            p.grad = None
        warm = min(1.0, (done + 1e-4) / self.WARMUP)
        for group in self._sgd.param_groups:
            group["lr"] = group["peak"] * left * warm
            _shrink(group["params"], 1.0 - group["lr"] * self.DECAY)
        self._sgd.step()
        self._sgd.zero_grad()


def _shrink(parameters: Iterable[Tensor], factor: float) -> None:
    torch._foreach_mul_([p.data for p in parameters], factor)


def orthogonalise(gradient: Tensor, iterations: int = 3) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly, by Muon's quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = gradient.shape[0] <= gradient.shape[1]
    x = gradient if wide else gradient.T
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T
