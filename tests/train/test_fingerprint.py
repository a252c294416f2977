"""A folder of checkpoints belongs to one training, which always goes on from it; another one is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leadline as ll
from leadline.system.errors import LeadlineError
from leadline.train.fingerprint import fingerprint, of_structure


def _net(act: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), act(), nn.Linear(8, 3))


def _weighted(weight: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda out, y: weight * F.cross_entropy(out, y)


class Focal:
    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y) ** self.gamma


class ByMethod(nn.Module):
    """The activation stands in the code alone."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.layer, self._act = nn.Linear(6, 3), act

    def forward(self, x: Tensor) -> Tensor:
        return self._act(self.layer(x))


def _other(points: tuple[Tensor, Tensor]) -> dict[str, tuple[dict[str, Any], dict[str, Any], str]]:
    """name: (a training, another, what the sentence says)."""
    X, y = points
    changed = y.clone()
    changed[7] = (changed[7] + 1) % 3
    moved = X.clone()
    moved[-1, -1] += 1e-3
    named = "whose module has other layers, settings or code"
    return {
        "a label": ({}, {"data": (X, changed)}, "whose data has other values or labels"),
        "a value": ({}, {"data": (moved, y)}, "whose data has other values or labels"),
        "valid rows": (
            {"valid": (X[:50], y[:50])}, {"valid": (X[:50], changed[:50])}, "whose valid rows have other values",
        ),
        "an activation": ({"net": _net(nn.Tanh)}, {"net": _net()}, named),
        "a function in the module": ({"net": ByMethod(F.relu)}, {"net": ByMethod(torch.tanh)}, named),
        "class weights": (
            {"loss": nn.CrossEntropyLoss(weight=torch.ones(3))},
            {"loss": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 9, 1]))}, "with loss=CrossEntropyLoss",
        ),
        "a value that a loss holds": ({"loss": _weighted(1.0)}, {"loss": _weighted(2.0)}, "with loss="),
        "a setting of a loss": ({"loss": Focal(1.0)}, {"loss": Focal(2.0)}, "with loss=Focal"),
        "an argument": (
            {"loss": partial(F.cross_entropy, label_smoothing=0.1)},
            {"loss": partial(F.cross_entropy, label_smoothing=0.2)}, "with loss=partial",
        ),
        "a schedule": ({"schedule": lambda done: 1.0}, {"schedule": lambda done: 1 - done}, "with schedule=<lambda>"),
        "the seed": ({"seed": 1}, {"seed": 2}, "with seed=1 where 2"),
        "the optimizer": ({"optimizer": "adam"}, {"optimizer": "sgd"}, "with optimizer="),
    }  # fmt: skip


OTHER = [
    "a label", "a value", "valid rows", "an activation", "a function in the module", "class weights",
    "a value that a loss holds", "a setting of a loss", "an argument", "a schedule", "the seed", "the optimizer",
]  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_another_training_is_refused_and_the_same_goes_on(
    name: str, points: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    assert list(_other(points)) == OTHER

    def run(settings: dict[str, Any]) -> ll.Trained:
        settings = {"net": _net(), "data": points, **settings}
        return ll.train(settings.pop("net"), settings.pop("data"), epochs=1, folder=tmp_path, **settings)

    first = run(_other(points)[name][0])
    again = run(_other(points)[name][0])  # other first weights: they come from the folder
    assert first.history.losses == again.history.losses
    with pytest.raises(LeadlineError, match=f"{_other(points)[name][2]}.*choose another folder, or remove it"):
        run(_other(points)[name][1])


SCRIPT = """
import sys
import torch
from torch import nn
import leadline as ll

SCALE = 2.0
calls = []

def scaled(out):
    return SCALE * out

def loss(out, y):
    calls.append(len(y))
    return nn.functional.cross_entropy(scaled(out), y, label_smoothing=0.1 if y.ndim in {1, 2} else 0.0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(4, 2), []

    def forward(self, x):
        return torch.relu(self.layer(x))

torch.manual_seed(0)
X, y = torch.randn(64, 4), torch.arange(64) % 2
net = Net()  # other first weights each time
trained = ll.train(net, (X, y), loss=loss, epochs=2, folder=sys.argv[1])
print(len(calls))
"""


def test_the_same_script_goes_on_and_a_changed_constant_does_not(tmp_path: Path) -> None:
    def run(text: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(text)
        return subprocess.run(
            [sys.executable, str(script), str(tmp_path / "kept")], capture_output=True, text=True, check=False
        )

    assert int(run(SCRIPT).stdout) > 2
    commented = SCRIPT.replace("SCALE = 2.0", "SCALE = 2.0  # a remark")
    for text in (SCRIPT, commented):
        again = run(text)
        assert again.returncode == 0, again.stderr
    changed = run(SCRIPT.replace("SCALE = 2.0", "SCALE = 3.0"))
    assert "holds the checkpoint of another training, with loss=loss" in changed.stderr


def test_weights_of_the_module_in_training_are_no_part_of_it() -> None:
    net = _net()
    assert of_structure(net) == of_structure(_net())
    assert of_structure(net) != of_structure(_net(nn.Tanh))

    def penalised(net: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda out, y: F.cross_entropy(out, y) + sum(p.square().sum() for p in net.parameters())

    other = _net()
    assert fingerprint(penalised(net), trained=net) == fingerprint(penalised(other), trained=other)
    assert fingerprint(penalised(net), trained=other) != fingerprint(penalised(other), trained=other)
