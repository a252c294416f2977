"""Optimizers whose rate is a function of the share of the steps that is done, and nothing else.

Muon: Jordan et al., 'Muon: an optimizer for hidden layers in neural networks' (2024), with the filters' norms held
fixed as in airbench94 (BatchNorm makes their scale moot). AdamW and SGD call PyTorch's fused and batched kernels:
`torch.optim` itself imports its compiler on first use, which takes longer than many of our trainings (seconds).
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
            _adam(group, rate, self.BETA1, self.BETA2, self.EPS)


class _Moments:
    """Parameters with Adam's state of each."""

    def __init__(self, parameters: list[Tensor], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.steps = [torch.zeros(()) for _ in parameters]


def _adam(group: _Moments, rate: float, beta1: float, beta2: float, eps: float) -> None:
    """One step of AdamW by PyTorch's fused kernel; gradients are cleared."""
    if not group.parameters:
        return
    torch._foreach_add_(group.steps, 1.0)
    torch._fused_adamw_(
        group.parameters, _gradients(group.parameters), group.first, group.second, [], group.steps, lr=rate,
        beta1=beta1, beta2=beta2, weight_decay=group.decay, eps=eps, amsgrad=False, maximize=False,
    )  # fmt: skip
    _clear(group.parameters)


class MuonSGD:
    """Muon for convolution filters, Nesterov SGD for biases and a linear head; rates fall linearly to zero.

    Matrices elsewhere (recurrence, a trunk, embeddings) move by Adam, and so does the head behind them.
    """

    MUON_RATE, MUON_MOMENTUM = 0.12, 0.6
    BIAS_RATE, HEAD_RATE, SGD_MOMENTUM = 3.0, 2.0, 0.85
    ADAM_RATE, BETA1, BETA2, EPS = 3e-3, 0.9, 0.99, 1e-8
    DECAY, WARMUP = 5e-4, 0.1

    def __init__(self, module: nn.Module, head: nn.Module, scale: float = 1.0) -> None:
        """`scale` multiplies the rates of SGD: a squared loss needs far smaller ones than cross-entropy."""
        trained: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        in_head = {id(p) for p in head.parameters()}
        self._filters = [p for p in trained if p.ndim == 4]
        self._momenta = [torch.zeros_like(p) for p in self._filters]
        matrices = [p for p in trained if p.ndim in (2, 3) and id(p) not in in_head]
        last = [p for p in trained if id(p) in in_head]
        biases = [p for p in trained if p.ndim < 2 and id(p) not in in_head]
        if matrices:  # their biases are not those of a norm: SGD's rate would be far too large
            normed = {id(p) for m in module.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
            matrices += last + [p for p in biases if id(p) not in normed]
            biases, last = [p for p in biases if id(p) in normed], []
        self._matrices = _Moments(matrices, 1e-2)
        self._groups = [_Velocity(biases, scale * self.BIAS_RATE), _Velocity(last, scale * self.HEAD_RATE)]

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
        _adam(self._matrices, self.ADAM_RATE * left * warm, self.BETA1, self.BETA2, self.EPS)


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


class MuonAdam:
    """Muon for the matrices of a Transformer's blocks, Adam for the rest, row by row for tables with sparse gradients.

    Rates rise over the first fiftieth and fall linearly over the last `COOLING`. Matrices of one shape are made
    orthogonal together, in bfloat16: a fifth of the time of one by one in float32.
    """

    MUON_RATE, MUON_MOMENTUM, MUON_DECAY = 0.02, 0.95, 0.02
    ADAM_RATE, BETA1, BETA2, EPS = 3e-3, 0.9, 0.95, 1e-8
    TABLE_RATE, TABLE_BETA = 3e-3, 0.99
    WARMUP, COOLING = 0.02, 0.6

    def __init__(self, hidden: Iterable[Tensor], tables: Iterable[Tensor], others: Iterable[Tensor]) -> None:
        shapes: dict[torch.Size, list[Tensor]] = {}
        for p in hidden:
            shapes.setdefault(p.shape, []).append(p)
        self._hidden = [(group, torch.zeros(len(group), *shape)) for shape, group in shapes.items()]
        self._tables = [(p, torch.zeros(len(p), 1)) for p in tables]
        self._others = _Moments(list(others), 0.0)

    @torch.no_grad()
    def step(self, done: float) -> None:
        share = min(1.0, (done + 1e-3) / self.WARMUP) * min(1.0, (1 - done) / self.COOLING)
        for group, momentum in self._hidden:
            gradients = torch.stack(_gradients(group))
            momentum.lerp_(gradients, 1 - self.MUON_MOMENTUM)
            updates = orthogonalise(gradients.lerp(momentum, self.MUON_MOMENTUM).bfloat16(), iterations=5).float()
            tall = max(1.0, group[0].shape[0] / group[0].shape[1]) ** 0.5
            torch._foreach_mul_(group, 1 - share * self.MUON_RATE * self.MUON_DECAY)
            torch._foreach_add_(group, list(updates.unbind()), alpha=-share * self.MUON_RATE * tall)
            _clear(group)
        for p, spread in self._tables:
            _move_rows(p, spread, share * self.TABLE_RATE, self.TABLE_BETA)
        _adam(self._others, share * self.ADAM_RATE, self.BETA1, self.BETA2, self.EPS)


def _move_rows(table: Tensor, spread: Tensor, rate: float, beta: float) -> None:
    """Move the rows that a sparse gradient touches, each by its gradient over the root mean square of those it has
    had.
    """
    assert table.grad is not None
    gradient = table.grad.coalesce()
    rows, values = gradient.indices()[0], gradient.values()
    squares = spread[rows].mul_(beta).add_(values.square().mean(1, keepdim=True), alpha=1 - beta)
    spread[rows] = squares
    table.index_add_(0, rows, values / (squares.sqrt() + 1e-10), alpha=-rate)
    table.grad = None


def orthogonalise(gradient: Tensor, iterations: int = 3) -> Tensor:
    """The nearest semi-orthogonal matrix to each of [..., R, C], roughly, by Muon's quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = gradient.shape[-2] <= gradient.shape[-1]
    x = gradient if wide else gradient.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    multiply = torch.addmm if x.ndim == 2 else torch.baddbmm
    for _ in range(iterations):
        gram = x @ x.mT
        x = multiply(x, multiply(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
