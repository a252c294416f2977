"""What the one engine gives a contender's network: a way back from a loss that is not finite, and parts of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from leadline.contenders.network_objective import NetworkObjective
from leadline.contenders.network_run import NetworkRun
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Progress

NAMES = ("mlp", "lstm")


@pytest.fixture(scope="module")
def stores(mixed: Any, story: Any, prepare: Any) -> dict[str, Any]:
    return {"mlp": prepare(mixed(200), target="y").store, "lstm": prepare(story(200), token_unit="character").store}


def _run(
    name: str, store: Any, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any, int, NetworkRun], Any]
) -> tuple[Any, str]:
    """Six passes, with every batch's loss as `spoil(loss, number of the call, run)` leaves it; and all notes."""
    module = __import__(type(PORTFOLIO[name]).__module__, fromlist=["_Run"])
    loss_of, calls = module._Run.loss_of, []

    def spoiled(self: NetworkRun, batch: Any) -> Any:
        calls.append(batch)
        return spoil(loss_of(self, batch), len(calls), self)

    monkeypatch.setattr(module._Run, "loss_of", spoiled)
    found = list(PORTFOLIO[name].fit(Data(store=store, clock=Clock(math.inf), threads=1, epochs=6), 0))
    return found[-1], "; ".join(item.note for item in found[:-1] if isinstance(item, Progress) and item.note)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_is_not_finite_sends_the_weights_back(
    name: str, stores: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, notes = _run(
        name, stores[name], monkeypatch, lambda loss, call, run: loss * math.nan if call == 3 else loss
    )
    assert "the loss became nan at step 3: back to the weights of step 0, at half the rate" in notes
    assert math.isfinite(fitted.score) and fitted.trained_on_valid


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_stays_so_ends_with_the_best_weights(
    name: str, stores: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, notes = _run(
        name, stores[name], monkeypatch, lambda loss, call, run: loss * math.nan if run.trainer.best else loss
    )
    assert "stopped at step" in notes and "3 times before" in notes
    assert math.isfinite(fitted.score) and not fitted.trained_on_valid


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_that_does_not_fit_into_memory_is_taken_in_parts(
    name: str, stores: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(loss: Any, call: int, run: NetworkRun) -> Any:
        if call == 2:
            raise MemoryError
        return loss

    fitted, notes = _run(name, stores[name], monkeypatch, short)
    assert "rows at once did not fit into memory: gradients of 2 parts are added up" in notes
    assert math.isfinite(fitted.score)


def test_the_gradient_of_parts_is_that_of_the_batch() -> None:
    net = torch.nn.Linear(3, 1).double()
    x, y = torch.randn(7, 3).double(), torch.randn(7).double()
    objective = NetworkObjective(net, lambda batch: (net(batch[0][0])[:, 0] - batch[1]).square().mean())

    def passed(batch: Any) -> torch.Tensor:
        loss = objective.forward(batch)
        objective.backward()
        return loss

    whole = passed(([x], y))
    gradient = net.weight.grad.clone()  # type: ignore[union-attr]
    parts = objective.in_parts(([x], y), 3, passed)
    torch.testing.assert_close(parts.double(), whole, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(net.weight.grad, gradient)
    assert torch.equal(passed(([x], y)), whole)
    torch.testing.assert_close(net.weight.grad, gradient)


def test_the_global_generator_is_given_back(stores: dict[str, Any]) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    list(PORTFOLIO["mlp"].fit(Data(store=stores["mlp"], clock=Clock(math.inf), threads=1, epochs=1), 0))
    assert torch.equal(torch.get_rng_state(), before)
