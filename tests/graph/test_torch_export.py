"""A network in its file: traced where that answers as the module does, exported the long way where it does not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from leadline.graph import torch_export
from leadline.graph.runtime import Session


class Held(nn.Module):
    """A mean over the rows' places, whose number Python reads: a trace holds it, the other exporter does not."""

    def forward(self, *given: Tensor) -> Tensor:
        (x,) = given
        return x.sum(dim=1, keepdim=True) / float(x.shape[1])


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, *given: Tensor) -> Tensor:
        (x,) = given
        return torch.as_tensor(self.layer(nn.functional.rms_norm(x, x.shape[-1:])))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which exporters made a graph, in order."""
    made: list[str] = []
    for name in ("_traced", "_exported"):
        whole = getattr(torch_export, name)

        def told(*given: Any, name: str = name, whole: Any = whole) -> Any:
            if found := whole(*given):
                made.append(name.lstrip("_"))
            return found

        monkeypatch.setattr(torch_export, name, told)
    return made


def _rows(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _as_the_module(model: onnx.ModelProto, net: nn.Module, x: np.ndarray) -> None:
    with torch.no_grad():
        np.testing.assert_allclose(Session(model)({"x": x})["raw"], net(torch.from_numpy(x)).numpy(), atol=1e-5)


def test_a_network_is_traced_and_takes_any_number_of_rows(asked: list[str]) -> None:
    net = Normed()
    model = torch_export.export(net, {"x": _rows(2, 6)})
    assert asked == ["traced"]
    for rows in (1, 2, 7):
        _as_the_module(model, net, _rows(rows, 6))


def test_a_trace_that_holds_a_size_is_not_shipped(asked: list[str]) -> None:
    model = torch_export.export(Held(), {"x": _rows(2, 6)}, unequal=("x",))
    assert asked == ["traced", "exported"]
    for length in (6, 9, 14):
        _as_the_module(model, Held(), _rows(3, length))


@pytest.mark.parametrize("why", ["no such exporter", "an unknown operator"])
def test_without_a_trace_the_other_exporter_is_asked(
    why: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.onnx.export

    def without(*given: Any, **more: Any) -> Any:
        if not more["dynamo"]:
            raise TypeError(why)
        return whole(*given, **more)

    monkeypatch.setattr(torch.onnx, "export", without)
    net = Normed()
    model = torch_export.export(net, {"x": _rows(2, 6)})
    assert asked == ["exported"]
    _as_the_module(model, net, _rows(5, 6))


def test_a_log_level_of_the_user_stays() -> None:
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        torch_export.export(torch.nn.Linear(3, 2), {"x": np.zeros((2, 3), np.float32)})
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(before)


class Resized(nn.Module):
    """A picture at another size, as networks resize the positions that they were trained with."""

    def __init__(self, mode: str, sides: tuple[int, int]) -> None:
        super().__init__()
        self.mode, self.sides = mode, sides

    def forward(self, *given: Tensor) -> Tensor:
        (x,) = given
        made = nn.functional.interpolate(x, self.sides, mode=self.mode, antialias=True, align_corners=False)
        return made.flatten(1)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sides", [(5, 3), (20, 31)])
def test_a_smooth_resize_is_traced(mode: str, sides: tuple[int, int], asked: list[str]) -> None:
    net, x = Resized(mode, sides), _rows(2, 3, 11, 9)
    model = torch_export.export(net, {"x": x})
    assert asked == ["traced"]
    _as_the_module(model, net, _rows(5, 3, 11, 9))


class Unknown(nn.Module):
    """An operator that the tracing exporter does not have."""

    def forward(self, *given: Tensor) -> Tensor:
        (x,) = given
        return torch.special.entr(x.abs())


def test_what_the_tracing_exporter_does_not_know_is_not_printed(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert not torch_export._traced(Unknown(), (torch.ones(2, 3),), ["x"], ["raw"], ({0: "N"},), tmp_path / "traced")
    assert capfd.readouterr().out == ""
