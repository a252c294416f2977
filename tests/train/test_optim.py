"""Optimizers move what they should, by rates that depend on the share done alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from leadline.contenders import recipes
from leadline.train.optim import orthogonalise


@pytest.mark.parametrize("shape", [(16, 16), (8, 72), (72, 8), (1, 9), (64, 3)])
def test_orthogonalise_finds_nearly_the_nearest_semi_orthogonal_matrix(shape: tuple[int, int]) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(gradient, iterations=5)
    values = torch.linalg.svdvals(found)
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    assert found.shape == shape and values.min() > 0.5 and values.max() < 1.3
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.97


def test_three_iterations_already_even_out_a_gradient() -> None:
    gradient = torch.randn(16, 64, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.logspace(0, -1, 64))
    before, after = torch.linalg.svdvals(gradient), torch.linalg.svdvals(orthogonalise(gradient))
    assert after.max() / after.min() < 0.7 * before.max() / before.min()


def test_orthogonalise_ignores_scale_and_survives_zero() -> None:
    gradient = torch.randn(8, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalise(gradient), orthogonalise(gradient * 1e4), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(orthogonalise(gradient).T, orthogonalise(gradient.T))
    assert not orthogonalise(torch.zeros(4, 6)).any()


@pytest.fixture
def net() -> nn.Module:
    """Convolution, bias, norm, head, and a frozen first layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 16, 2)
        )
    made[0].requires_grad_(False)
    return made


def _make(name: str, net: Any) -> Any:
    if name == "adam":
        return recipes.adam(net, peak=1e-3, decay=1e-2)
    return recipes.convolutional(net, net[-1], scale=0.01)


def _backward(net: nn.Module) -> float:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(32, 1, 8, 8, generator=generator), torch.arange(32) % 2
    loss = torch.nn.functional.cross_entropy(net(x + y[:, None, None, None]), y)
    loss.backward()
    return float(loss.detach())


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_a_step_moves_all_that_is_trained_and_clears_gradients(name: str, net: nn.Module) -> None:
    optimizer = _make(name, net)
    before = {key: value.clone() for key, value in net.named_parameters()}
    _backward(net)
    optimizer.step(0.3)
    for key, value in net.named_parameters():
        assert value.requires_grad != torch.equal(value, before[key]), key
        assert value.grad is None or not value.grad.any()


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_a_net_learns(name: str, net: nn.Module) -> None:
    optimizer = _make(name, net)
    losses = []
    for step in range(60):
        losses.append(_backward(net))
        optimizer.step(step / 60)
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_the_rate_warms_up_and_falls_to_nothing(name: str, net: nn.Module) -> None:
    def moved(done: float) -> float:
        made = _make(name, net)
        before = net[-1].weight.clone()
        _backward(net)
        made.step(done)
        after = float((net[-1].weight.detach() - before.detach()).abs().mean())
        with torch.no_grad():
            net[-1].weight.copy_(before)
        return after

    rates = [moved(done) for done in (0.0, 0.1, 0.5, 0.9, 0.9999)]
    assert rates[0] < 0.05 * rates[1] and rates[1] > rates[2] > rates[3] > rates[4] and rates[4] < 0.01 * rates[1]


def test_filters_keep_their_norm(net: nn.Module) -> None:
    optimizer = _make("muon", net)
    for step in range(20):
        _backward(net)
        optimizer.step(step / 20)
    assert float(net[1].weight.detach().norm()) == pytest.approx(8**0.5, rel=0.25)
