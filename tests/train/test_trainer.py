"""What a training survives: parts, trouble with numbers and memory, a kill; and when it stops by itself."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leadline as ll
from leadline.system.errors import LeadlineError
from leadline.train.losses import CrossEntropy
from leadline.train.module_run import ModuleRun
from leadline.train.optim import Muon


def _net(*layers: nn.Module) -> nn.Module:
    made = nn.Sequential(*layers)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for p in made.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    return made


def _mlp() -> nn.Module:
    return _net(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def _weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.state_dict().values()])


@pytest.mark.parametrize("make", [_mlp, lambda: nn.Sequential(_mlp())])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_parts_of_a_batch_are_the_batch(make: Any, loss: str, points: Any) -> None:
    """Also of the last, smaller one, whose parts are unequal."""
    X, y = points
    y = y if loss == "cross_entropy" else F.one_hot(y, 3).float()
    whole, parts = (
        ll.train(make(), (X, y), loss=loss, epochs=2, batch_size=32, accumulate=n, lr=1e-2, precision="float32")
        for n in (1, 5)
    )
    np.testing.assert_allclose(whole.history.losses, parts.history.losses, rtol=1e-4)
    torch.testing.assert_close(_weights(whole.module), _weights(parts.module), atol=1e-5, rtol=1e-4)


class Two(nn.Module):
    """Numbers and a category."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(4, 5), nn.Linear(11, 3)

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        return self.head(torch.cat((x, self.table(kind)), 1))


def test_several_inputs(points: Any) -> None:
    X, _ = points
    kind = torch.arange(203) % 4
    y = (kind > 1).long()
    trained = ll.train(Two(), ((X, kind), y), epochs=30, lr=1e-2, valid=((X, kind), y))
    assert trained.evaluate(((X, kind), y)).accuracy == 1.0 and trained.predict((X, kind)).shape == (203, 3)
    with pytest.raises(LeadlineError, match="X of data has 203 rows and y has 200"):
        ll.train(Two(), ((X, kind), y[:200]), epochs=1)
    with pytest.raises(LeadlineError, match="empty tuple, where an array for each input"):
        ll.train(Two(), ((), y), epochs=1)


def test_muon_moves_hidden_matrices_and_adamw_the_rest(points: Any) -> None:
    net = _net(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
    before = [layer.weight.detach().clone() for layer in net if isinstance(layer, nn.Linear)]
    trained = ll.train(net, points, optimizer=Muon(weight_decay=0.0), lr=0.02, steps=1)
    moves = [layer.weight.detach() - old for layer, old in zip(list(net)[::2], before, strict=True)]
    for move in moves[:2]:  # nearly orthogonal, times the rate
        values = torch.linalg.svdvals(move) / 0.02 / max(1.0, move.shape[0] / move.shape[1]) ** 0.5
        assert values[:4].min() > 0.5 and values.max() < 1.4
    assert float(moves[2].abs().max()) == pytest.approx(0.02 * 0.15, rel=1e-3)  # Adam's first step is the rate
    trained = ll.train(net, points, optimizer="muon", lr=0.02, epochs=10, schedule="linear")
    assert trained.evaluate(points).accuracy > 0.8
    with pytest.raises(LeadlineError, match="without a hidden matrix.*use 'adamw'"):
        ll.train(_net(nn.Linear(6, 3)), points, optimizer="muon", epochs=1)


def test_patience_stops_and_keeps_the_best_weights(points: Any) -> None:
    X, y = points
    held = (X[:60], y[:60])
    trained = ll.train(_mlp(), (X[60:90], y[60:90]), valid=held, lr=0.1, epochs=200, patience=4, optimizer="adam")
    losses = [check.valid.loss for check in trained.history.checks if check.valid is not None]
    assert len(losses) < 200 and int(np.argmin(losses)) == len(losses) - 5
    assert "stopped at step" in trained.history.notes[-1]
    assert trained.evaluate(held).loss == pytest.approx(min(losses), rel=1e-5)
    with pytest.raises(LeadlineError, match="patience=4 was given without valid rows"):
        ll.train(_mlp(), points, epochs=3, patience=4)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """No looks at the layers, so that each call of the module is a step."""
    monkeypatch.setattr(ModuleRun, "look", lambda course: None)


class Trips(nn.Module):
    """A network whose outputs are not finite at some of its steps."""

    def __init__(self, at: set[int]) -> None:
        super().__init__()
        self.inner, self.at, self.calls = _mlp(), at, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
            if self.calls in self.at:
                return self.inner(x) * torch.nan
        return self.inner(x)


def test_a_loss_that_is_not_finite_steps_back_at_half_the_rate(points: Any, blind: None) -> None:
    trained = ll.train(Trips({150, 160}), points, lr=1e-2, batch_size=32, epochs=40, precision="float32")
    notes = trained.history.notes
    assert "became nan at step 150: back to the weights of step 100, at a rate of 0.005, not 0.01" in notes[0]
    assert "at a rate of 0.0025, not 0.005" in notes[1]
    assert trained.evaluate(points).accuracy > 0.8
    with pytest.raises(LeadlineError, match="became nan at step 13, and 3 times before"):
        ll.train(Trips({10, 11, 12, 13}), points, epochs=40, batch_size=32, precision="float32")


def test_weights_that_were_lost_come_back(points: Any, blind: None, one_thread: None) -> None:
    """The gradient of one step is not finite though its loss is: the next loss shows it."""

    class Poisoned(torch.autograd.Function):
        calls = 0

        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            Poisoned.calls += 1
            return gradient * (torch.inf if Poisoned.calls == 120 else 1)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = _mlp()

        def forward(self, x: Tensor) -> Tensor:
            return Poisoned.apply(self.inner(x))

    trained = ll.train(Net(), points, lr=1e-2, batch_size=32, epochs=40, precision="float32")
    assert "at step 121: back to the weights of step 100" in trained.history.notes[0]
    assert trained.evaluate(points).accuracy > 0.8


class Hungry(nn.Module):
    """Runs out of memory on more rows than it can hold."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.inner, self.most = _mlp(), most

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > self.most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried...")
        return self.inner(x)


def test_a_step_that_does_not_fit_is_cut_into_parts(points: Any) -> None:
    plain = ll.train(nn.Sequential(_mlp()), points, batch_size=32, epochs=3, precision="float32")
    tight = ll.train(Hungry(10), points, batch_size=32, epochs=3, precision="float32")
    assert "did not fit into memory: gradients of 4 parts are added up" in tight.history.notes[-1]
    torch.testing.assert_close(_weights(plain.module), _weights(tight.module), atol=1e-5, rtol=1e-4)
    chosen = ll.train(Hungry(10), points, batch_size=32, epochs=3)  # its trial of precisions does not fit either
    torch.testing.assert_close(_weights(chosen.module), _weights(tight.module))
    with pytest.raises(LeadlineError, match="One row alone does not fit into memory"):
        ll.train(Hungry(0), points, batch_size=4, epochs=1, precision="float32")
    with pytest.raises(LeadlineError, match="The loss function could not compare .*something else"):

        def broken(out: Tensor, y: Tensor) -> Tensor:
            raise RuntimeError("something else")

        ll.train(nn.Sequential(_mlp()), points, loss=broken, epochs=1, precision="float32")


SCRIPT = """
import sys, time, torch
from pathlib import Path
from torch import nn
import leadline as ll
from leadline.train import checkpoint
checkpoint.SOONEST, checkpoint.SHARE = 0.0, 1.0  # as many as there are chances

torch.manual_seed(0)
X = torch.randn(400, 1, 8, 8)
y = (X[:, 0, :, :4].mean((1, 2)) > X[:, 0, :, 4:].mean((1, 2))).long()
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(144, 2))
calls = []
net[0].register_forward_hook(lambda *_: calls.append(time.sleep(0.004)))
trained = ll.train(net, (X, y), batch_size=16, epochs=8, folder=sys.argv[1], ema=0.9, precision="float32",
                   optimizer="muon", valid=(X, y), schedule="one_cycle")
values = b"".join(p.detach().numpy().tobytes() for p in net.state_dict().values())
Path(sys.argv[2]).write_bytes(values + str(trained.history.losses).encode())
Path(sys.argv[2] + ".calls").write_text(str(len(calls)))
"""


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT))

    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(script), str(tmp_path / name), str(tmp_path / f"{name}.out")])

    assert start("whole").wait() == 0
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = start("killed")
        until = time.monotonic() + 60
        while not (tmp_path / "killed").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.05, 0.4))
        process.kill()
        process.wait()
    assert not (tmp_path / "killed.out").exists()
    assert start("killed").wait() == 0
    assert (tmp_path / "killed.out").read_bytes() == (tmp_path / "whole.out").read_bytes()
    assert start("killed").wait() == 0  # a finished one is not trained again
    assert (tmp_path / "killed.out").read_bytes() == (tmp_path / "whole.out").read_bytes()
    assert int((tmp_path / "whole.out.calls").read_text()) > 200 > int((tmp_path / "killed.out.calls").read_text())
    assert len(list((tmp_path / "killed").iterdir())) == 2


def test_a_checkpoint_of_another_training_is_refused(points: Any, tmp_path: Path) -> None:
    ll.train(_mlp(), points, epochs=1, folder=tmp_path)
    with pytest.raises(LeadlineError, match=r"holds the checkpoint of another training, with lr=0.001 where 0.01 is"):
        ll.train(_mlp(), points, epochs=1, lr=0.01, folder=tmp_path)
    with pytest.raises(LeadlineError, match="with module="):
        ll.train(_net(nn.Linear(6, 3)), points, epochs=1, folder=tmp_path)


def test_a_budget_goes_on_with_what_was_left(points: Any, tmp_path: Path) -> None:
    first = ll.train(_mlp(), points, budget=0.6, folder=tmp_path)
    again = ll.train(_mlp(), points, budget=0.6, folder=tmp_path)
    assert again.history.losses == first.history.losses
    assert torch.equal(_weights(first.module), _weights(again.module))


def test_the_fastest_way_is_tried_once_and_remembered(tmp_path: Path, monkeypatch: Any, one_thread: None) -> None:
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    X, y = torch.randn(256, 3, 16, 16), torch.arange(256) % 4

    def net() -> nn.Module:
        return _net(
            nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.Flatten(), nn.Linear(4608, 4)
        )

    first = ll.train(net(), (X, y), steps=3)
    again = ll.train(net(), (X, y), steps=3)
    assert "a trial of a step: float32 " in first.history.facts["precision"]
    assert again.history.facts["precision"] == first.history.facts["precision"]
    assert torch.equal(_weights(first.module), _weights(again.module))
    assert len(list((tmp_path / "choices").iterdir())) == 1
    forced = ll.train(net(), (X, y), steps=3, precision="bfloat16")
    assert forced.history.facts["precision"].startswith("bfloat16")
    for p in forced.module.parameters():
        assert p.is_contiguous() and p.dtype == torch.float32


def test_a_trial_of_the_ways_leaves_no_trace(tmp_path: Path, monkeypatch: Any, one_thread: None) -> None:
    """Neither in the noise, nor in the norm's statistics: a remembered choice gives the same losses as a fresh one."""
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    X, y = torch.randn(64, 3, 8, 8), torch.arange(64) % 4

    def losses() -> list[float]:
        net = _net(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Flatten(), nn.Linear(288, 4))
        trained = ll.train(net, (X, y), steps=5, loss=CrossEntropy(label_smoothing=0.1))
        assert int(net[1].num_batches_tracked) == 5
        return trained.history.losses

    assert losses() == losses()


def test_what_the_layers_say_is_noted_once(points: Any) -> None:
    net = _net(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        net[0].bias.fill_(-100.0)  # no unit ever speaks
    trained = ll.train(net, points, batch_size=64, epochs=60)
    found = [note for note in trained.history.notes if "16 of 16" in note or "All of 16 units" in note]
    assert len(found) == 1 and "1 (ReLU)" in found[0]
    layers = trained.history.layers()
    assert [layer.type for layer in layers] == ["Linear", "ReLU", "Linear"]
    assert layers[0].output == (64, 16) and layers[0].parameters == 112 and len(layers[1].dead) == 16
    assert not any(p.grad is not None for p in net.parameters())
