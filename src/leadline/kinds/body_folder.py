"""Files in a folder of the user's with the weights of a body, as hubs hand them out: read strictly.

What is wrong in one is the end of a sentence (`FolderError`), which begins with how the user named the folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leadline.system.errors import LeadlineError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
HEADER = 8  # bytes that say how long the header is
# How safetensors names numbers that are weights, and as what they lie there. bfloat16 is the upper half of float32.
FLOATS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
MOST = 1 << 24  # of any size that a configuration says
AGAIN = "download the folder again"


class FolderError(LeadlineError):
    """What is wrong in a folder, as the end of a sentence."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where a tensor lies in a file of safetensors."""

    dtype: str  # as the file names it
    shape: tuple[int, ...]
    start: int  # byte of the file


def configuration(path: Path) -> dict[str, Any]:
    """What a file of JSON says, {} where there is none. Raises FolderError where it holds no object."""
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise FolderError(f"has a {path.name} that cannot be read as JSON ({error}); {AGAIN}.") from error
    if not isinstance(facts, dict):
        raise FolderError(f"has a {path.name} that holds a {type(facts).__name__}, where an object was expected.")
    return facts


def positive(facts: Mapping[str, Any], name: str, default: int | None = None, least: int = 1) -> int:
    """A whole number of a configuration. Raises FolderError where it is none, or out of range."""
    if name not in facts and default is None:
        raise FolderError(f"has a {CONFIG} that says no {name}; take the one that came with the weights.")
    value = facts.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise FolderError(
            f"has a {CONFIG} with {name} {value!r}, where a whole number from {least} to {MOST:,} was expected; take "
            "the one that came with the weights."
        )
    return value


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def header(path: Path) -> dict[str, Stored]:
    """{name: where it lies} of a file of safetensors, without reading the weights.

    Raises FolderError where the file is no such file, or is cut.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(HEADER), "little")
            if HEADER + length > size:
                raise ValueError("it ends within its header")
            facts = json.loads(file.read(length))
        return {
            name: _stored(name, each, HEADER + length, size) for name, each in facts.items() if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = (
            str(error) if isinstance(error, ValueError) and not isinstance(error, UnicodeDecodeError) else "no header"
        )
        raise FolderError(f"has a {path.name} that is damaged ({said}); {AGAIN}.") from error


def _stored(name: str, facts: Mapping[str, Any], begin: int, size: int) -> Stored:
    """An entry of the header. Raises ValueError where it does not lie in the file."""
    shape, (start, end) = tuple(facts["shape"]), facts["data_offsets"]
    if not all(isinstance(each, int) and each >= 0 for each in (*shape, start, end)):
        raise ValueError(f"{name} is nowhere")
    if begin + max(start, end) > size:
        raise ValueError(f"it ends before its {name}")
    if (dtype := FLOATS.get(facts["dtype"])) is not None and end - start != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{name} has not the bytes of its shape")
    return Stored(dtype=facts["dtype"], shape=shape, start=begin + start)


def agrees(stored: Mapping[str, Stored], expected: Mapping[str, tuple[int, ...]], model: str) -> None:
    """Raise FolderError where a tensor that a model needs is missing, has another shape, or holds no floats."""
    for name, shape in expected.items():
        if name not in stored:
            raise FolderError(f"has no {name} in its {WEIGHTS}, which {model} needs; {AGAIN}.")
        if stored[name].shape != shape:
            raise FolderError(
                f"has {name} of shape {list(stored[name].shape)}, where {model} needs {list(shape)} by its {CONFIG}; "
                "take the one that came with the weights."
            )
        if stored[name].dtype not in FLOATS:
            raise FolderError(f"has its {name} as {stored[name].dtype}, where one of {', '.join(FLOATS)} is read.")


def values(path: Path, stored: Mapping[str, Stored]) -> dict[str, np.ndarray]:
    """{name: float32} of these tensors of a file of safetensors."""
    found = {}
    for name, each in stored.items():
        raw = np.fromfile(path, FLOATS[each.dtype], math.prod(each.shape), offset=each.start).reshape(each.shape)
        if each.dtype == "BF16":
            found[name] = (raw.astype(np.uint32) << 16).view(np.float32)
        else:
            with np.errstate(over="ignore"):  # a float64 out of range is found to be not finite
                found[name] = raw.astype(np.float32, copy=False)
    return found


def finite(weights: Mapping[str, np.ndarray]) -> None:
    """Raise FolderError where a weight is not finite."""
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise FolderError(f"has weights in {name} that are not finite; {AGAIN}, or take other weights.")
