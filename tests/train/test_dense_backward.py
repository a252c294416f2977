"""Backpropagation written out gives autograd's gradients, for any stack, batch size, type and loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leadline.train.dense_backward import Stack, why_not
from leadline.train.flat import Flat
from leadline.train.losses import BCE, L1, MSE, CrossEntropy, Huber, Loss, Own
from leadline.train.optim import Adam

STACKS = {
    "one layer": lambda: [nn.Linear(12, 3)],
    "no bias": lambda: [nn.Linear(12, 7, bias=False), nn.ReLU(), nn.Linear(7, 3, bias=False)],
    "relu": lambda: [nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)],
    "tanh": lambda: [nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 3)],
    "gelu": lambda: [nn.Linear(12, 9), nn.GELU(), nn.Linear(9, 9), nn.GELU(), nn.Linear(9, 3)],
    "activation last": lambda: [nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3), nn.Tanh()],
    "two in a row": lambda: [nn.Linear(12, 9), nn.Tanh(), nn.ReLU(), nn.GELU(), nn.Linear(9, 3)],
    "linear after linear": lambda: [nn.Linear(12, 2), nn.Linear(2, 3)],
    "flattened": lambda: [nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3)],
}
LOSSES: dict[str, Loss] = {
    "cross_entropy": CrossEntropy(),
    "smoothed": CrossEntropy(label_smoothing=0.1),
    "bce": BCE(),
    "mse": MSE(),
    "l1": L1(),
    "huber": Huber(delta=0.7),
    "own": Own(lambda out, y: (out.sin() * y).mean()),
}


def _net(name: str, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(*STACKS[name]()).to(dtype)


def _batch(rows: int, name: str, loss: str, dtype: torch.dtype = torch.float64, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, *((3, 4) if name == "flattened" else (12,)), generator=generator, dtype=torch.float64)
    if loss in ("cross_entropy", "smoothed"):
        return x.to(dtype), torch.randint(0, 3, (rows,), generator=generator)
    return x.to(dtype), torch.rand(rows, 3, generator=generator, dtype=torch.float64).to(dtype)


def _written_out(net: nn.Sequential, stack: Stack, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, list[Tensor]]:
    with torch.no_grad():
        out = stack.forward(x)
        into = torch.empty_like(out)
        value = loss.gradient(out, y, into)
        stack.backward(into)
    return value, [p.grad.clone() for p in net.parameters()]  # type: ignore[union-attr]


def _by_autograd(net: nn.Sequential, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, list[Tensor]]:
    value = loss(net(x), y)
    return value.detach(), list(torch.autograd.grad(value, list(net.parameters())))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_are_those_of_autograd(name: str, loss: str, dtype: torch.dtype) -> None:
    net, twin = _net(name, dtype), _net(name, dtype)
    Flat(net)
    x, y = _batch(17, name, loss, dtype)
    value, found = _written_out(net, Stack(net), x, y, LOSSES[loss])
    reference, expected = _by_autograd(twin, x, y, LOSSES[loss])
    close = {"atol": 1e-12, "rtol": 1e-10} if dtype == torch.float64 else {"atol": 1e-6, "rtol": 1e-4}
    torch.testing.assert_close(value, reference, **close)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **close)


@pytest.mark.parametrize("name", ["gelu", "tanh", "flattened"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    """Independent of autograd: every weight moved a little up and down."""
    net = _net(name)
    flat, loss = Flat(net), CrossEntropy(label_smoothing=0.1)
    x, y = _batch(9, name, "smoothed")
    stack = Stack(net)
    _, found = _written_out(net, stack, x, y, loss)
    step = 1e-6
    for place in range(0, len(flat.values), 7):
        ends = []
        for sign in (1, -1):
            flat.values[place] += sign * step
            ends.append(_written_out(net, stack, x, y, loss)[0])
            flat.values[place] -= sign * step
        slope = float(ends[0] - ends[1]) / (2 * step)
        assert torch.cat([g.flatten() for g in found])[place].item() == pytest.approx(slope, abs=1e-8, rel=1e-6)


def test_batches_of_any_size_one_after_another() -> None:
    """Memory of one size must not show in another: large, small, one row, large again with other rows."""
    net, twin = _net("relu"), _net("relu")
    Flat(net)
    stack = Stack(net)
    for seed, rows in enumerate((64, 5, 1, 64, 5)):
        x, y = _batch(rows, "relu", "cross_entropy", seed=seed)
        value, found = _written_out(net, stack, x, y, CrossEntropy())
        reference, expected = _by_autograd(twin, x, y, CrossEntropy())
        torch.testing.assert_close(value, reference)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_training_with_weight_decay_is_that_of_pytorch() -> None:
    net, twin = _net("relu"), _net("relu")
    flat = Flat(net)
    stack, (rule, _) = Stack(net), Adam(weight_decay=0.1).begin(net, flat)[0]
    reference = torch.optim.Adam(twin.parameters(), lr=1e-2, weight_decay=0.1, foreach=False)
    for seed in range(20):
        x, y = _batch(7 if seed % 3 else 32, "relu", "cross_entropy", seed=seed)
        _written_out(net, stack, x, y, CrossEntropy())
        with torch.no_grad():
            rule(1e-2)
        for p, g in zip(twin.parameters(), _by_autograd(twin, x, y, CrossEntropy())[1], strict=True):
            p.grad = g
        reference.step()
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-7)


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def _with_hook() -> nn.Module:
    net = _net("tanh")
    net[1].register_forward_hook(lambda module, inputs, out: out * 2)
    return net


def _tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    net[2].weight = net[0].weight
    return net


def _frozen() -> nn.Module:
    net = copy.deepcopy(_net("tanh"))
    net[0].requires_grad_(False)
    return net


def _with_weight_hook() -> nn.Module:
    net = _net("tanh")
    net[0].weight.register_post_accumulate_grad_hook(lambda p: None)
    return net


def _replaced() -> nn.Module:
    net = copy.deepcopy(_net("tanh"))
    net[0].forward = lambda x: x
    return net


REFUSED: dict[str, tuple[Any, str]] = {
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout()), "it holds a layer of type Dropout"),
    "a norm": (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), "it holds a layer of type BatchNorm1d"),
    "a subclass": (lambda: nn.Sequential(nn.Linear(4, 4), Doubled(4, 4)), "it holds a layer of type Doubled"),
    "nested": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU())), "it holds a layer of type Sequential"),
    "no sequence": (lambda: nn.Linear(4, 4), "it is a Linear, not an nn.Sequential"),
    "another GELU": (lambda: nn.Sequential(nn.Linear(4, 4), nn.GELU("tanh")), "its GELU is the approximate one"),
    "a hook": (_with_hook, "it has hooks"),
    "a hook on a weight": (_with_weight_hook, "it has hooks"),
    "a replaced forward": (_replaced, "the forward of its Linear is replaced"),
    "tied": (_tied, "layers share a parameter"),
    "frozen": (_frozen, "some parameters are frozen"),
    "empty": (lambda: nn.Sequential(), "it does not begin with a Linear layer"),
    "parametrised": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))),
        "it holds a layer of type ParametrizedLinear",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_stack_is_told_why(name: str) -> None:
    make, why = REFUSED[name]
    assert why_not(make(), axes=2) == why


def test_what_changes_every_module_forbids_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, out: None)
    assert why_not(_net("relu"), 2) == "it has hooks"
    handle.remove()
    with torch.autocast("cpu", torch.bfloat16):
        assert why_not(_net("relu"), 2) == "autocast is on around it"
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: 2 * x)
    assert why_not(_net("relu"), 2) == "the forward of its ReLU is replaced"


def test_what_is_a_stack_and_which_batches_it_takes() -> None:
    assert [why_not(_net(name), 2) for name in STACKS] == [""] * len(STACKS)
    assert why_not(_net("flattened"), 4) == ""
    assert why_not(_net("relu"), 4) == "its batches have 4 axes and no Flatten comes first"
