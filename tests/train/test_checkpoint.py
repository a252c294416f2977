"""A checkpoint is whole or not there, gives back what it was given, and one that rotted is passed over."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from leadline.train.checkpoint import Checkpoints, restore

STATE = {
    "step": 3, "rate": 0.1 + 0.2, "endless": math.inf, "nothing": None, "name": "ß",
    "net": {"a.weight": torch.arange(6.0).view(2, 3).t(), "count": torch.tensor(7)},
    "list": [torch.tensor([True, False]), [1.5, {"low": torch.zeros(2, dtype=torch.bfloat16)}]],
    "noise": torch.get_rng_state(), "empty": torch.empty(0, dtype=torch.long),
}  # fmt: skip


def test_it_gives_back_what_it_was_given(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "kept")
    assert kept.newest() is None
    kept.save(3, STATE)
    found = kept.newest()
    assert found is not None
    for name in ("step", "rate", "endless", "nothing", "name"):
        assert found[name] == STATE[name]
    assert torch.equal(found["net"]["a.weight"], STATE["net"]["a.weight"]) and found["net"]["count"] == 7
    assert torch.equal(found["list"][0], torch.tensor([True, False])) and found["list"][1][0] == 1.5
    assert found["list"][1][1]["low"].dtype == torch.bfloat16 and torch.equal(found["noise"], STATE["noise"])
    assert found["empty"].shape == (0,)


def test_the_newest_two_are_kept_and_a_rotten_one_is_passed_over(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for step in (5, 10, 200):
        kept.save(step, {"step": step, "x": torch.full((9,), float(step))})
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["000000000010", "000000000200"]
    path = tmp_path / "000000000200" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert kept.newest()["step"] == 10  # type: ignore[index]
    (tmp_path / "000000000010" / "state.json").write_text("{")
    assert kept.newest() is None


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    (tmp_path / ".000000000010-77").mkdir()
    assert Checkpoints(tmp_path).newest() is None


def test_tensors_in_use_keep_their_place() -> None:
    held = [torch.zeros(3), torch.zeros(2, 2).t()]
    before = [t.data_ptr() for t in held]
    restore(held, [torch.arange(3.0), torch.arange(4.0).view(2, 2)])
    assert [t.data_ptr() for t in held] == before and held[1].tolist() == [[0, 1], [2, 3]]
