"""Modules, losses and settings of `ll.train` and `ll.trace`, ordinary and odd; each made from a generator alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from odd_values import Odd, Rng, any_array, pick
from torch import Tensor, nn


class Gives(nn.Module):
    """A linear layer, whose output goes through a function of the user."""

    def __init__(self, give: Callable[[Tensor], Any], width: int = 3) -> None:
        super().__init__()
        self.layer, self.give = nn.Linear(width, 3), give

    def forward(self, x: Tensor) -> Any:
        return self.give(self.layer(x.float().reshape(len(x), -1)))


class Bare(nn.Module):
    """No forward at all."""


class Branches(nn.Module):
    """Goes another way by what it reads, and keeps a state."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(3, 3), nn.Linear(3, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.a(x) if self.calls % 2 else self.b(x)


def _fails(error: BaseException) -> Callable[[Any], Any]:
    def give(out: Any) -> Any:
        raise error

    return give


def _frozen(module: nn.Module) -> nn.Module:
    return module.requires_grad_(False)


def _shared() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


def _filled(value: float) -> nn.Module:
    module = nn.Linear(3, 3)
    nn.init.constant_(module.weight, value)
    return module


def _hooked() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    module[1].register_forward_hook(lambda m, i, o: o[0])
    return module


MODULES: dict[str, Callable[[], Any]] = {
    "linear": lambda: nn.Linear(3, 3),
    "mlp": lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3)),
    "mlp with noise and norm": lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)),
    "one output": lambda: nn.Linear(3, 1),
    "flat output": lambda: nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)),
    "flatten": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 3)),
    "lazy": lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ),
    "cnn of one channel": lambda: nn.Sequential(
        nn.Conv1d(8, 4, 3), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 3)
    ),
    "lstm": lambda: nn.LSTM(8, 3, batch_first=True),
    "attention": lambda: nn.TransformerEncoderLayer(8, 2, 8, batch_first=True),
    "embedding": lambda: nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.LazyLinear(3)),
    "embedding, sparse": lambda: nn.Sequential(nn.Embedding(5, 4, sparse=True), nn.Flatten(), nn.Linear(12, 3)),
    "embedding bag": lambda: nn.EmbeddingBag(5, 3),
    "bilinear": lambda: nn.Bilinear(3, 3, 3),
    "no parameter": lambda: nn.Flatten(),
    "identity": lambda: nn.Identity(),
    "empty": lambda: nn.Sequential(),
    "bare": Bare,
    "branches": Branches,
    "frozen": lambda: _frozen(nn.Linear(3, 3)),
    "shared": _shared,
    "hooked": _hooked,
    "float64": lambda: nn.Linear(3, 3).double(),
    "half": lambda: nn.Linear(3, 3).half(),
    "bfloat16": lambda: nn.Linear(3, 3).bfloat16(),
    "mixed types": lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3).double()),
    "complex": lambda: nn.Linear(3, 3, dtype=torch.complex64),
    "meta": lambda: nn.Linear(3, 3, device="meta"),
    "nan weights": lambda: _filled(math.nan),
    "huge weights": lambda: _filled(1e38),
    "no width": lambda: nn.Linear(3, 0),
    "gives a tuple": lambda: Gives(lambda out: (out, out)),
    "gives a dict": lambda: Gives(lambda out: {"out": out}),
    "gives None": lambda: Gives(lambda out: None),
    "gives an array": lambda: Gives(lambda out: out.detach().numpy()),
    "gives a number": lambda: Gives(lambda out: out.sum()),
    "gives a row less": lambda: Gives(lambda out: out[1:]),
    "gives whole numbers": lambda: Gives(lambda out: out.argmax(1)),
    "gives bools": lambda: Gives(lambda out: out > 0),
    "gives complex": lambda: Gives(lambda out: torch.complex(out, out)),
    "gives no gradient": lambda: Gives(lambda out: out.detach()),
    "gives sparse": lambda: Gives(lambda out: out.to_sparse()),
    "gives nan": lambda: Gives(lambda out: out * math.nan),
    "gives in place": lambda: Gives(lambda out: out.add_(1)),
    "gives meta": lambda: Gives(lambda out: out.to("meta")),
    "KeyError": lambda: Gives(_fails(KeyError("x"))),
    "AttributeError": lambda: Gives(_fails(AttributeError("no such thing"))),
    "ZeroDivisionError": lambda: Gives(_fails(ZeroDivisionError())),
    "AssertionError": lambda: Gives(_fails(AssertionError())),
    "NotImplementedError": lambda: Gives(_fails(NotImplementedError())),
    "StopIteration": lambda: Gives(_fails(StopIteration())),
    "compiled": lambda: torch.jit.script(nn.Linear(3, 3)),
    "no module": lambda: 5,
    "a class": lambda: nn.Linear,
    "a function": lambda: lambda x: x,
    "a list": lambda: nn.ModuleList([nn.Linear(3, 3)]),
    "None": lambda: None,
}

LOSSES: dict[str, Any] = {
    **{
        name: name
        for name in ("cross_entropy", "bce", "mse", "l1", "huber", "quantile", "ctc", "next_token", "no such")
    },
    "own": lambda out, y: ((out.float().squeeze() - y.float().squeeze()) ** 2).mean(),
    "own vector": lambda out, y: (out - 1).flatten(),
    "own float": lambda out, y: 1.0,
    "own None": lambda out, y: None,
    "own no gradient": lambda out, y: out.detach().sum(),
    "own constant": lambda out, y: torch.tensor(1.0),
    "own KeyError": lambda out, y: {}["x"],
    "own inf": lambda out, y: out.sum() * math.inf,
    "own complex": lambda out, y: torch.complex(out.sum(), out.sum()),
    "own double": lambda out, y: out.double().sum(),
    "own one of y": lambda out, y: out[0].sum() / y.sum(),
    "own batch of 1": lambda out, y: out[1].sum(),
    "own of one argument": lambda out: out.sum(),
    "module": nn.CrossEntropyLoss(),
    "module mse": nn.MSELoss(),
    "module weights": nn.CrossEntropyLoss(weight=torch.ones(2)),
    "module none": nn.MSELoss(reduction="none"),
    "module of three": nn.TripletMarginLoss(),
    "a class": nn.MSELoss,
    "a number": 3,
    "nothing": None,
}

SETTINGS: dict[str, tuple[Any, ...]] = {
    "optimizer": ("sgd", "adam", "adamw", "muon", "no such", None, torch.optim.SGD),
    "schedule": (
        "linear",
        "cosine",
        "one_cycle",
        "trapezoid",
        "no such",
        lambda t: 1 - t,
        lambda t: None,
        lambda t: math.nan,
    ),
    "lr": (0.1, 0, -1, math.nan, math.inf, "0.1", None, 1e30, torch.tensor(0.1), np.float32(0.1)),
    "batch_size": (1, 2, 7, 10**9, 0, -1, 2.5, "8", None, np.int64(4), True),
    "precision": ("float32", "bfloat16", "float16", None),
    "normalise": ((0.5, 0.5), ([0.5] * 3, [0.2] * 3), (0, 0), 5, (1,), "ab", (None, None), (math.nan, 1)),
    "clip": (1.0, 0, -1, math.nan, "1"),
    "ema": (0.9, 0, 1, 2, "x", math.nan),
    "accumulate": (2, 3, 0, -1, 1.5, "2", 1000),
    "patience": (1, 0, -1, "x"),
    "seed": (1, -1, 1.5, "x", 2**70, None),
    "device": ("cpu", "cuda", "meta", "nowhere", 5, None),
    "callbacks": (None, [], [lambda check: None], lambda check: None, 5),
    "folder": (5, "\x00"),
    "budget": ("0.1s", "x", 0, -1, math.nan, math.inf),
}


def module(rng: Rng, odd: bool) -> tuple[str, Any]:
    """One that works, or any."""
    name = pick(rng, ("linear", "mlp", "mlp with noise and norm", "one output", "cnn", "flatten"))
    if odd:
        name = pick(rng, list(MODULES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(int(rng.integers(2**31)))  # of the process of this draw alone
        return str(name), MODULES[name]()


def _fits(rng: Rng, name: str, n: int) -> tuple[int, ...]:
    if rng.random() < 0.1:
        return pick(rng, ((), (n,), (n, 0), (n, 4), (0, 3), (n, 2, 2, 2, 2)))
    if name.startswith("cnn of") or name in ("lstm", "attention"):
        return (n, 8, 8)
    return (n, 3, 8, 8) if name == "cnn" else (n, 3)


def batch(rng: Rng, name: str, odd: bool) -> Odd:
    """(X, y) as the module reads it, any pair, or what is none."""
    if not odd:
        n = int(pick(rng, (1, 2, 9, 20, 65)))
        shape = (
            (n, 3, 8, 8)
            if name == "cnn"
            else (n, 8, 8)
            if name in ("lstm", "attention", "cnn of one channel")
            else (n, 3)
        )
        x, y = rng.normal(size=shape).astype("f4"), rng.integers(0, 1 if name == "one output" else 3, n)
        return f"(floats {shape}, classes)", (x, y)
    if rng.random() < 0.03:
        made = pick(
            rng,
            (None, 5, (), (1,), [], {}, "digits", (None, None), ("a", "b"), ((), [1]), (1, 2), {"x": 1}, [[1], [2, 3]]),
        )
        return f"{made!r}", made
    n = int(pick(rng, (0, 1, 2, 3, 9, 9, 20, 20, 65, 65)))
    if rng.random() < 0.6:
        told, x = "floats", rng.normal(size=_fits(rng, name, n)).astype("f4")
    else:
        told, x = any_array(rng, _fits(rng, name, n))
    if rng.random() < 0.65:
        said, y = "classes", rng.integers(0, 1 if name == "one output" else pick(rng, (1, 2, 3, 3, 3, 3, 4)), n)
    else:
        m = n if rng.random() < 0.9 else n + 1
        said, y = any_array(rng, pick(rng, ((m,), (m, 1), (m, 3), (m, 3, 2), (), (m, 0))))
    if rng.random() < 0.05 or name == "bilinear":
        return f"(({told}, {told}), {said})", ((x, x), y)
    return f"({told}, {said})", (x, y)


def settings(rng: Rng, odd: bool) -> tuple[str, dict[str, Any]]:
    """Of a training: one or two steps; or any."""
    chosen: dict[str, Any] = {"steps": int(rng.integers(1, 3))}
    if not odd:
        return "default", chosen
    if rng.random() < 0.06:
        chosen = pick(
            rng,
            (
                {},
                {"epochs": 1},
                {"steps": 0},
                {"epochs": 1, "steps": 1},
                {"steps": "x"},
                {"epochs": -1},
                {"steps": 1.5},
            ),
        )
    chosen = dict(chosen)
    if rng.random() < 0.6:
        chosen["loss"] = LOSSES[loss := str(pick(rng, list(LOSSES)))]
    else:
        loss = "default"
    for name in rng.choice(list(SETTINGS), int(pick(rng, (0, 1, 2))), replace=False):
        chosen[str(name)] = pick(rng, SETTINGS[str(name)])
    rest = {k: v for k, v in chosen.items() if k != "loss"}
    return f"loss {loss}, {rest!r:.80}", chosen
