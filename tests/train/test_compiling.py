"""When a module is compiled. The compiler is played: what counts is who asks, what it costs, and that it may fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

import leadline as ll
from leadline.system.errors import LeadlineError
from leadline.train import backward, compiling


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.0), nn.Linear(16, 3))


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[nn.Module]:
    """Notes the modules that it is given, and gives them back."""
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    asked: list[nn.Module] = []

    def compiled(module: nn.Module) -> nn.Module:
        asked.append(module)
        return module

    for place in (compiling, backward):
        monkeypatch.setattr(place, "compiled", compiled)
    return asked


def test_it_is_compiled_where_it_is_asked_for(points: Any, compiler: list[nn.Module]) -> None:
    told = ll.train(_net(), points, epochs=2, compile=True, device="cpu").describe()
    assert compiler and "autograd, compiled by torch.compile" in told and "compiled in" in told


def test_a_short_training_does_not_even_try(points: Any, compiler: list[nn.Module]) -> None:
    assert "compiled" not in ll.train(_net(), points, epochs=2, device="cpu").describe()
    ll.train(_net(), points, epochs=2, compile=False, device="cpu")
    assert not compiler


def test_what_gains_nothing_stays_eager(
    points: Any, compiler: list[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "WORTH", 0.0)
    monkeypatch.setattr(compiling, "GAIN", 100.0)
    told = ll.train(_net(), points, epochs=2, device="cpu").describe()
    assert compiler and "eager autograd" in told and "compiled in" in told  # what was tried is said


def test_a_compiler_that_fails(points: Any, compiler: list[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(module: nn.Module) -> nn.Module:
        raise RuntimeError("no g++ here.\nmore")

    monkeypatch.setattr(compiling, "compiled", fails)
    with pytest.raises(LeadlineError, match=r"could not be compiled: no g\+\+ here; leave compile out, or install"):
        ll.train(_net(), points, epochs=1, compile=True, device="cpu")
    monkeypatch.setattr(compiling, "WORTH", 0.0)
    assert "not compiled: no g++ here" in ll.train(_net(), points, epochs=1, device="cpu").describe()


def test_compile_is_yes_no_or_auto(points: Any) -> None:
    with pytest.raises(LeadlineError, match="compile='often' was given, where True, False or 'auto' was expected"):
        ll.train(_net(), points, epochs=1, compile="often")
