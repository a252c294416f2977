"""Optimizers on one flat tensor against PyTorch's own on many, step by step; schedules against PyTorch's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from leadline.train.flat import SGD, Adam, AdamW, Flat, Optimizer
from leadline.train.schedule import SCHEDULES

STEPS = 25
PAIRS: dict[str, tuple[Optimizer, Any]] = {
    "sgd": (SGD(), lambda p: torch.optim.SGD(p)),
    "sgd, decay": (SGD(weight_decay=0.1), lambda p: torch.optim.SGD(p, weight_decay=0.1)),
    "momentum": (SGD(momentum=0.9, weight_decay=0.1), lambda p: torch.optim.SGD(p, momentum=0.9, weight_decay=0.1)),
    "nesterov": (SGD(momentum=0.9, nesterov=True), lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True)),
    "adam": (Adam(), lambda p: torch.optim.Adam(p)),
    "adam, decay": (
        Adam(beta1=0.8, weight_decay=0.1), lambda p: torch.optim.Adam(p, betas=(0.8, 0.999), weight_decay=0.1),
    ),
    "adamw": (AdamW(weight_decay=0.1), lambda p: torch.optim.AdamW(p, weight_decay=0.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_step_is_that_of_pytorch(name: str, dtype: torch.dtype) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours: nn.Module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    theirs = copy.deepcopy(ours)
    flat = Flat(ours)
    update, reference = PAIRS[name][0].begin(flat), PAIRS[name][1](theirs.parameters())
    for step in range(STEPS):
        rate = 0.02 * (1 - step / STEPS)
        for group in reference.param_groups:
            group["lr"] = rate
        x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step)).to(dtype)
        flat.gradient.zero_()
        ours(x).square().mean().backward()
        update(rate)
        reference.zero_grad()
        theirs(x).square().mean().backward()
        reference.step()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, atol=1e-6 if dtype == torch.float32 else 1e-12, rtol=1e-5)


@pytest.mark.parametrize("length", [10, 100])
def test_one_cycle_is_that_of_pytorch(length: int) -> None:
    """PyTorch reaches the end at its last step, step / steps just after it: the two differ by that much."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=length, cycle_momentum=False)
    for step in range(length):
        # Its rise ends at 0.3 * length - 1 and its fall at length - 1.
        peak = 0.3 * length - 1
        done = 0.3 * step / peak if step <= peak else 0.3 + 0.7 * (step - peak) / (length - 1 - peak)
        assert SCHEDULES["one_cycle"](done) == pytest.approx(reference.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        reference.step()


def test_clipping_is_that_of_pytorch() -> None:
    net = nn.Linear(4, 3)
    flat = Flat(net)
    for size in (0.1, 10.0):
        flat.gradient.copy_(size * torch.arange(len(flat.gradient)))
        twin = [nn.Parameter(p.detach().clone()) for p in net.parameters()]
        for p, q in zip(net.parameters(), twin, strict=True):
            q.grad = p.grad.clone()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(twin, 3.0)
        flat.clip(3.0)
        torch.testing.assert_close(flat.gradient, torch.cat([q.grad.flatten() for q in twin]))  # type: ignore[union-attr]
