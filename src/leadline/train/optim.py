"""Optimizers whose rate is a function of the share of the steps that is done, and nothing else.

Muon: Jordan et al., 'Muon: an optimizer for hidden layers in neural networks' (2024), with the filters' norms held
fixed as in airbench94 (BatchNorm makes their scale moot). AdamW and SGD call PyTorch's fused and batched kernels:
`torch.optim` itself imports its compiler on first use, which takes longer than many of our trainings (seconds).
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn


class Optimizer(Protocol):
    def step(self, done: float) -> None:
        """Update from the gradients and clear them; `done` is step / steps, in [0, 1)."""


class Adam:
    """AdamW (Loshchilov and Hutter 2019), warmed up, then falling along a cosine to zero. Only matrices decay."""

    BETA1, BETA2, EPS = 0.9, 0.999, 1e-8

    def __init__(self, module: nn.Module, rate: float, decay: float, warmup: float = 0.05) -> None:
        trained: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self._groups = [
            _Moments([p for p in trained if p.ndim >= 2], decay),
            _Moments([p for p in trained if p.ndim < 2], 0.0),
        ]
        self._rate, self._warmup = rate, warmup

    @torch.no_grad()
    def step(self, done: float) -> None:
        warm = min(1.0, (done + 1e-4) / self._warmup)
        rate = self._rate * warm * 0.5 * (1 + math.cos(math.pi * done))
        for group in self._groups:
            if not group.parameters:
                continue
            torch._foreach_add_(group.steps, 1.0)
            torch._fused_adamw_(
                group.parameters, _gradients(group.parameters), group.first, group.second, [], group.steps, lr=rate,
                beta1=self.BETA1, beta2=self.BETA2, weight_decay=group.decay, eps=self.EPS, amsgrad=False,
                maximize=False,
            )  # fmt: skip
            _clear(group.parameters)


class _Moments:
    """Parameters with Adam's state of each."""

    def __init__(self, parameters: list[Tensor], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.steps = [torch.zeros(()) for _ in parameters]


class MuonSGD:
    """Muon for convolution filters, Nesterov SGD for the rest; rates fall linearly to zero."""

    MUON_RATE, MUON_MOMENTUM = 0.12, 0.6
    BIAS_RATE, HEAD_RATE, SGD_MOMENTUM = 3.0, 2.0, 0.85
    DECAY, WARMUP = 5e-4, 0.1

    def __init__(self, module: nn.Module, head: nn.Module, scale: float = 1.0) -> None:
        """`scale` multiplies the rates of SGD: a squared loss needs far smaller ones than cross-entropy."""
        trained: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        in_head = {id(p) for p in head.parameters()}
        self._filters = [p for p in trained if p.ndim == 4]
        self._momenta = [torch.zeros_like(p) for p in self._filters]
        others = [p for p in trained if p.ndim != 4 and id(p) not in in_head]
        self._groups = [
            _Velocity(others, scale * self.BIAS_RATE),
            _Velocity([p for p in trained if id(p) in in_head], scale * self.HEAD_RATE),
        ]

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
        for group in self._groups:
            if group.parameters:
                group.step(group.peak * left * warm, self.SGD_MOMENTUM, self.DECAY)


class _Velocity:
    """Parameters with their momentum, moved by Nesterov SGD with decoupled decay."""

    def __init__(self, parameters: list[Tensor], peak: float) -> None:
        self.parameters, self.peak = parameters, peak
        self.velocity = [torch.zeros_like(p) for p in parameters]

    def step(self, rate: float, momentum: float, decay: float) -> None:
        gradients = _gradients(self.parameters)
        torch._foreach_mul_(self.parameters, 1.0 - rate * decay)
        torch._foreach_mul_(self.velocity, momentum)
        torch._foreach_add_(self.velocity, gradients)
        torch._foreach_add_(gradients, self.velocity, alpha=momentum)
        torch._foreach_add_(self.parameters, gradients, alpha=-rate)
        _clear(self.parameters)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]


def _clear(parameters: list[Tensor]) -> None:
    for p in parameters:
        p.grad = None


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
