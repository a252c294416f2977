"""Optimizers on one flat tensor against PyTorch's own on many, step by step; schedules against PyTorch's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from leadline.train import optim
from leadline.train.flat import Flat
from leadline.train.optim import SGD, Adam, AdamW, Muon, Optimizer
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
@pytest.mark.parametrize("way", ["float32", "float64", "plain operations"])
def test_each_step_is_that_of_pytorch(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype = torch.float64 if way == "float64" else torch.float32
    if way == "plain operations":  # as on devices without fused kernels
        monkeypatch.setattr(optim, "UNFUSED", ("cpu",))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours: nn.Module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    theirs = copy.deepcopy(ours)
    flat = Flat(ours)
    (rule, share), reference = PAIRS[name][0].begin(ours, flat)[0], PAIRS[name][1](theirs.parameters())
    assert share == 1.0
    for step in range(STEPS):
        rate = 0.02 * (1 - step / STEPS)
        for group in reference.param_groups:
            group["lr"] = rate
        x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step)).to(dtype)
        flat.gradient.zero_()
        ours(x).square().mean().backward()
        with torch.no_grad():
            rule(rate)
        reference.zero_grad()
        theirs(x).square().mean().backward()
        reference.step()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, atol=1e-6 if dtype == torch.float32 else 1e-12, rtol=1e-5)


def test_each_step_of_muon_is_that_of_pytorch() -> None:
    """Hidden matrices by `torch.optim.Muon`, whose iteration runs in bfloat16 too, and the rest by its AdamW."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 3))
    theirs = copy.deepcopy(ours)
    flat = Flat(ours)
    rules = Muon(weight_decay=0.1, rest=0.5).begin(ours, flat)
    hidden = [theirs[0].weight, theirs[2].weight]
    rest = [p for p in theirs.parameters() if all(p is not h for h in hidden)]
    references = [
        torch.optim.Muon(hidden, weight_decay=0.1, momentum=0.95),
        torch.optim.AdamW(rest, weight_decay=0.1, betas=(0.9, 0.95)),
    ]
    for step in range(STEPS):
        rate = 0.02 * (1 - step / STEPS)
        x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
        flat.gradient.zero_()
        ours(x).square().mean().backward()
        with torch.no_grad():
            for rule, share in rules:
                rule(share * rate)
        theirs.zero_grad()
        theirs(x).square().mean().backward()
        for reference, share in zip(references, (1.0, 0.5), strict=True):
            reference.param_groups[0]["lr"] = share * rate
            reference.step()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, atol=2e-3, rtol=0.0)  # bfloat16 rounds the two iterations differently


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
