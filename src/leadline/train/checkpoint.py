"""Checkpoints: the whole state of a training, on disk, so that it can be killed at any moment and go on.

Enters: a state: names to tensors, numbers, words, None, lists, or such mappings again. Leaves: a folder a checkpoint,
`STEP/` with `tensors.safetensors` and `state.json`. It is written beside its place and takes it by one rename, so it is
whole or not there; the newest two are kept, and one whose bytes have changed is passed over.

    >>> import tempfile
    >>> kept = Checkpoints(Path(tempfile.mkdtemp()))
    >>> kept.save(7, {"weights": [torch.ones(2)], "step": 7})
    >>> kept.newest()
    {'weights': [tensor([1., 1.])], 'step': 7}
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

KEPT = 2
SHARE = 0.02  # of the time that writing them may take
SOONEST = 1.0  # seconds between two of them, at least
TENSOR = "tensor of"  # what state.json holds in the place of a tensor: {TENSOR: its name}


class Checkpoints:
    """The checkpoints of one training, in a folder that is made with the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._due = time.monotonic() + SOONEST

    def due(self) -> bool:
        """Whether it is time for another one; when they are taken changes nothing in the training."""
        return time.monotonic() >= self._due

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write one, then remove those before the last two."""
        began = time.monotonic()
        tensors: dict[str, Tensor] = {}
        outline = _outline(state, "", tensors)
        packed = save(tensors)
        final = self.folder / f"{step:012d}"
        partial = self.folder / f".{final.name}-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(partial / "tensors.safetensors", packed)
        _write(partial / "state.json", json.dumps({"digest": _digest(packed), "state": outline}).encode())
        shutil.rmtree(final, ignore_errors=True)  # of an earlier try, from before the last checkpoint
        partial.rename(final)
        torn = [path for path in self.folder.glob(".*-*") if path.is_dir()]  # by a kill while it was written
        for old in [*self._all()[:-KEPT], *torn]:
            shutil.rmtree(old, ignore_errors=True)
        now = time.monotonic()
        self._due = now + max(SOONEST, (now - began) / SHARE)

    def newest(self) -> dict[str, Any] | None:
        """The state of the newest that is sound; None where there is none."""
        for folder in reversed(self._all()):
            try:
                packed = (folder / "tensors.safetensors").read_bytes()
                held = json.loads((folder / "state.json").read_bytes())
                if held["digest"] == _digest(packed):
                    state: dict[str, Any] = _filled(held["state"], load(packed))
                    return state
            except (OSError, ValueError, KeyError, SafetensorError):
                continue  # a disk that lost power may hold half of it; the one before is whole
        return None

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdecimal())


def _outline(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value with its tensors taken out, into `tensors`."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {TENSOR: name}
    if isinstance(value, Mapping):
        return {key: _outline(held, f"{name}/{key}", tensors) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_outline(held, f"{name}/{place}", tensors) for place, held in enumerate(value)]
    return value


def _filled(outline: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(outline, dict):
        if set(outline) == {TENSOR}:
            return tensors[outline[TENSOR]]
        return {key: _filled(held, tensors) for key, held in outline.items()}
    return [_filled(held, tensors) for held in outline] if isinstance(outline, list) else outline


def _digest(packed: bytes) -> str:
    return blake2b(packed, digest_size=16).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # on the disk before the rename that says so


def restore(held: list[Tensor], saved: list[Tensor]) -> None:
    """Copy saved tensors into those in use, which keep their place in memory."""
    with torch.no_grad():
        for into, value in zip(held, saved, strict=True):
            into.copy_(value)
