"""A run that begins from an earlier one: what it says of it, and what it refuses in one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leadline as ll
from leadline import pipeline
from leadline.contenders.earlier_network import NETWORK
from leadline.system.errors import SourceError


def _run(pictures: tuple[np.ndarray, np.ndarray], out: Path, **settings: Any) -> Any:
    return ll.fit(pictures, task="binary", epochs=1, repeats=1, out=out, **{"only": "cnn,linear", **settings})


@pytest.fixture(scope="module")
def earlier(bars: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on bars, with its networks."""
    return Path(_run(bars(120, 16), tmp_path_factory.mktemp("runs") / "earlier").folder)


def test_a_run_begins_from_another_and_is_repeated(earlier: Path, bars: Any, tmp_path: Path) -> None:
    pictures = bars(120, 17, seed=5)
    run = _run(pictures, tmp_path / "run", init=earlier)
    found = {each["name"]: each for each in run.result["contenders"]}
    init = found["cnn"]["init"]
    assert init["network"] == str(earlier / "contenders" / "cnn" / NETWORK) and init["parameters"] == init["of"]
    assert "init" not in found["linear"]
    assert f"--init {earlier}" in run.result["command"]
    assert init["digest"] in run.report().read_text() and "The heads are new" in run.report().read_text()
    assert ll.replay(run.folder, pictures).same
    kept = earlier / "contenders" / "cnn" / NETWORK
    held = kept.read_bytes()
    try:
        kept.write_bytes((run.folder / "contenders" / "cnn" / NETWORK).read_bytes())
        with pytest.raises(SourceError, match="its networks have changed"):
            ll.replay(run.folder, pictures, out=tmp_path / "again")
    finally:
        kept.write_bytes(held)


def test_what_cannot_begin_is_one_sentence(
    earlier: Path, bars: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "prepare", None)  # refused before any row is encoded
    with pytest.raises(SourceError, match="holds no finished run; leadline runs lists those"):
        _run(bars(120, 17, seed=5), tmp_path / "a", init=tmp_path)
    with pytest.raises(SourceError, match="was trained on these rows"):
        _run(bars(120, 16), tmp_path / "b", init=earlier)
    monkeypatch.undo()
    with pytest.raises(SourceError, match="keeps the networks cnn, and mlp would begin from one of the same name"):
        _run(bars(120, 17, seed=5), tmp_path / "c", init=earlier, only="mlp,linear")
    with pytest.raises(SourceError, match=r"none of the contenders of this run \(baseline, linear\) can begin"):
        _run(bars(120, 17, seed=5), tmp_path / "d", init=earlier, only="linear")
    images, labels = bars(120, 17, seed=5)
    coloured = np.stack([images, images // 2, images // 3], axis=3)
    with pytest.raises(SourceError, match="has no body for these columns: channels are 1 there, and 3 here"):
        _run((coloured, labels), tmp_path / "e", init=earlier)
    assert not (tmp_path / "e").exists()


def _cut(held: bytes) -> bytes:
    return held[: len(held) // 2]


def _flipped(held: bytes) -> bytes:
    wrong = bytearray(held)
    wrong[len(wrong) // 2] ^= 0x55
    return bytes(wrong)


@pytest.mark.parametrize("change", [_cut, _flipped])
def test_a_damaged_network_is_one_sentence(
    change: Callable[[bytes], bytes], earlier: Path, bars: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(earlier, tmp_path / "damaged")
    network = folder / "contenders" / "cnn" / NETWORK
    network.write_bytes(change(network.read_bytes()))
    monkeypatch.setattr(pipeline, "prepare", None)
    with pytest.raises(SourceError, match=f"--init {folder} cannot be used: .*{NETWORK} is damaged.*, or leave out --"):
        _run(bars(120, 17, seed=5), tmp_path / "run", init=folder)


def test_weights_that_are_not_finite_are_one_sentence(
    earlier: Path, bars: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(earlier, tmp_path / "nan")
    network = folder / "contenders" / "cnn" / NETWORK
    with np.load(network) as held:
        arrays = dict(held)
    name = next(name for name, array in arrays.items() if array.dtype.kind == "f")
    arrays[name] = np.full_like(arrays[name], np.nan)
    np.savez(network, **arrays)
    monkeypatch.setattr(pipeline, "prepare", None)
    with pytest.raises(SourceError, match=rf"--init {folder} cannot be used: .* not finite \({name}\); train that run"):
        _run(bars(120, 17, seed=5), tmp_path / "run", init=folder)


def test_a_run_without_networks_has_nothing_to_begin_from(bars: Any, tmp_path: Path) -> None:
    none = _run(bars(120, 16), tmp_path / "none", only="linear").folder
    assert json.loads((none / "result.json").read_text())["shipped"] is not None
    with pytest.raises(SourceError, match="keeps no network"):
        _run(bars(120, 17, seed=5), tmp_path / "run", init=none)
