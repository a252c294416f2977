"""Where a module is trained. An accelerator is played by the processor, which the engine is told is none."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leadline as ll
from leadline.system import device
from leadline.system.errors import LeadlineError
from leadline.train import api, batches, module_run, trainer

CPU = torch.device("cpu")


def _net(*more: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), *more, nn.Linear(16, 3))


def _bytes(module: nn.Module) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in module.state_dict().values())


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor works behind the calls, as far as the engine knows."""
    for place in (batches, trainer, module_run, api):
        monkeypatch.setattr(place, "CPU", torch.device("meta"))


def test_the_processor_is_always_there() -> None:
    assert device.chosen("cpu") == CPU
    assert device.chosen() == device.chosen("auto")


@pytest.mark.parametrize("found", ["cuda:1", "mps", None])
def test_the_accelerator_is_taken_where_there_is_one(found: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    there = None if found is None else torch.device(found)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: there)
    monkeypatch.setattr(device, "_xla", lambda: None)
    assert device.chosen("auto") == (CPU if there is None else there)


@pytest.mark.parametrize("name", ["cuda:99", "mps" if not torch.backends.mps.is_available() else "xpu", "toaster"])
def test_a_device_that_is_not_there_is_one_sentence(name: str, points: Any) -> None:
    with pytest.raises(LeadlineError, match=rf"^device='{name}' cannot be used: .*; use 'cpu', or 'auto'") as caught:
        ll.train(_net(), points, epochs=1, device=name)
    assert "\n" not in str(caught.value)


def test_an_accelerator_comes_to_the_same_weights_as_the_processor(
    points: Any, played: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are read in one go and times told from few steps; nothing of that may reach the weights."""
    there = _net(nn.Dropout(0.2))
    trained = ll.train(there, points, epochs=9, batch_size=16, ema=0.9, clip=1.0, accumulate=2, device="cpu")
    monkeypatch.undo()
    here = _net(nn.Dropout(0.2))
    plain = ll.train(here, points, epochs=9, batch_size=16, ema=0.9, clip=1.0, accumulate=2, device="cpu")
    assert _bytes(there) == _bytes(here)
    assert trained.history.losses == pytest.approx(plain.history.losses, abs=1e-6)
    assert "cpu; the rows lie there" in trained.describe()
    spent = trained.history.seconds
    assert all(part >= 0 for part in spent.values()) and spent["forward"] > 0


def test_an_accelerator_steps_back_though_it_reads_its_losses_late(points: Any, played: None) -> None:
    class Trips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = _net(), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            return self.inner(x) * (torch.nan if self.calls == 133 else 1.0)

    trained = ll.train(Trips(), points, lr=1e-2, batch_size=32, epochs=40, precision="float32", device="cpu")
    lost = [step for step, loss in enumerate(trained.history.losses, 1) if math.isnan(loss)]
    assert lost in ([132, 133], [133])  # read at the check after step 133; the look at a layer is a call, too
    assert f"the loss became nan at step {lost[0]}: back to the weights of step 100" in trained.history.notes[0]
    assert trained.evaluate(points).accuracy > 0.8


def test_numbers_too_small_to_matter_do_not_stay(points: Any) -> None:
    """What Adam remembers of a unit that died would else stay tiny for ever, and each step take 30 times as long."""
    X, y = points
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        net[0].bias[:4] = 0.5
    rules: list[Any] = []
    began = api.ModuleRun._start

    def start(self: Any) -> None:
        began(self)
        rules.extend(self.trainer.optimizer._rules)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.ModuleRun, "_start", start)

        def die(check: Any) -> None:
            with torch.no_grad():
                net[0].bias[:4] = -100.0

        ll.train(net, (X, y), batch_size=16, epochs=120, callbacks=[die], device="cpu")
    remembered = torch.cat([tensor.flatten() for rule, _ in rules for tensor in rule.tensors])
    assert not bool(((remembered != 0) & (remembered.abs() < 1e-37)).any())
    assert bool((remembered == 0).any())


def test_the_thread_takes_tiny_numbers_as_it_did_before(points: Any) -> None:
    for flushed in (False, True):
        torch.set_flush_denormal(flushed)
        try:
            ll.train(_net(), points, epochs=1, device="cpu")
            assert (float(torch.tensor(1e-39) * 2) == 0.0) == flushed
        finally:
            torch.set_flush_denormal(False)


def test_a_module_goes_back_to_where_it_was() -> None:
    net = nn.Linear(2, 1)
    with device.on(net, torch.device("meta")):
        assert device.home(net).type == "meta"
        net.to_empty(device="cpu")
    assert device.home(net) == CPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_trains_as_the_processor_does(points: Any) -> None:
    here, there, again = _net(), _net(), _net()
    slow = ll.train(here, points, epochs=3, batch_size=16, device="cpu")
    fast = ll.train(there, points, epochs=3, batch_size=16, device="cuda")
    ll.train(again, points, epochs=3, batch_size=16, device="cuda")
    assert fast.history.losses == pytest.approx(slow.history.losses, rel=1e-3)
    assert device.home(there) == CPU and _bytes(there) == _bytes(again)
    assert fast.predict(points[0]).device == CPU


@pytest.mark.skipif(importlib.util.find_spec("torch_xla") is None, reason="torch_xla is not installed")
def test_xla_trains_as_the_processor_does_and_goes_on_from_its_checkpoints(points: Any, tmp_path: Path) -> None:
    here, there, again = (_net(nn.Dropout(0.0)) for _ in range(3))
    slow = ll.train(here, points, epochs=2, batch_size=32, device="cpu")
    fast = ll.train(there, points, epochs=2, batch_size=32, device="xla", folder=tmp_path)
    assert fast.history.losses == pytest.approx(slow.history.losses, rel=1e-4)
    ll.train(again, points, epochs=2, batch_size=32, device="xla", folder=tmp_path)  # from its last checkpoint
    assert device.home(there) == CPU and _bytes(there) == _bytes(again)
