"""Our optimizers against PyTorch's own, step by step, from the same weights and gradients."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from leadline.contenders import recipes

STEPS = 20


@pytest.fixture
def twins() -> tuple[nn.Sequential, nn.Sequential]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    return net, copy.deepcopy(net)


def _backward(net: nn.Module, step: int) -> None:
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
    net(x).square().mean().backward()


def test_adam_is_pytorchs_adamw(twins: tuple[nn.Sequential, nn.Sequential]) -> None:
    ours, theirs = twins
    adam = recipes.adam(ours, peak=1e-2, decay=0.1, warmup=0.25)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=1.0, foreach=False)
    for step in range(STEPS):
        done = step / STEPS
        for group in reference.param_groups:
            group["lr"] = 1e-2 * min(1.0, (done + 1e-4) / 0.25) * 0.5 * (1 + math.cos(math.pi * done))
        _backward(ours, step)
        adam.step(done)
        _backward(theirs, step)
        reference.step()
        reference.zero_grad()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-5)


def test_sgd_is_pytorchs_nesterov() -> None:
    ours = nn.Sequential(
        nn.BatchNorm1d(6), nn.Flatten(), nn.Linear(6, 3)
    )  # the norm's at one rate, the head's at its own
    theirs = copy.deepcopy(ours)
    mixed = recipes.convolutional(ours, ours[2], scale=0.01)
    groups = [
        {"params": list(theirs[0].parameters()), "peak": 0.01 * recipes.NORM_RATE},
        {"params": list(theirs[2].parameters()), "peak": 0.01 * recipes.HEAD_RATE},
    ]
    reference = torch.optim.SGD(groups, lr=1.0, momentum=recipes.SGD_MOMENTUM, nesterov=True, foreach=False)
    for step in range(STEPS):
        done = step / STEPS
        _backward(ours, step)
        mixed.step(done)
        _backward(theirs, step)
        for group in reference.param_groups:
            group["lr"] = group["peak"] * (1 - done) * min(1.0, (done + 1e-4) / recipes.WARMUP)
            for p in group["params"]:
                p.data.mul_(1 - group["lr"] * recipes.SGD_DECAY)
        reference.step()
        reference.zero_grad()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-5)
