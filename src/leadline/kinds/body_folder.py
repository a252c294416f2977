"""Files in a folder of the user's with the weights of a body, as hubs hand them out: read strictly.

What is wrong in one is the end of a sentence (`FolderError`), which begins with how the user named the folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from leadline.system.errors import LeadlineError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = "model.safetensors.index.json"  # of weights in several files: which of them holds a tensor
UNKNOWN = "unknown"
CARD = "README.md"  # with facts in YAML between two lines of dashes
SUFFIX = ".safetensors"
HEADER = 8  # bytes that say how long the header is
# How safetensors names numbers that are weights, and as what they lie there. bfloat16 is the upper half of float32.
FLOATS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
AT_ONCE = 1 << 24  # bytes of a file that are read for its digest
MOST = 1 << 24  # of any size that a configuration says
AGAIN = "download the folder again"


class FolderError(LeadlineError):
    """What is wrong in a folder, as the end of a sentence."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where a tensor lies in a file of safetensors."""

    file: Path
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


@contextmanager
def read_by(library: str) -> Iterator[None]:
    """What a library says of a folder that it has never seen before ends a sentence (FolderError)."""
    try:
        yield
    except FolderError:
        raise
    except Exception as error:  # of any type
        raise FolderError(f"cannot be read by {library}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What a library says, as the end of a sentence."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said.rstrip('.')}."


def positive(
    facts: Mapping[str, Any], name: str, default: int | None = None, least: int = 1, file: str = CONFIG
) -> int:  # fmt: skip
    """A whole number of a configuration. Raises FolderError where it is none, or out of range."""
    if name not in facts and default is None:
        raise FolderError(f"has a {file} that says no {name}; take the one that came with the weights.")
    value = facts.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise FolderError(
            f"has a {file} with {name} {value!r}, where a whole number from {least} to {MOST:,} was expected; take "
            "the one that came with the weights."
        )
    return value


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def has_weights(folder: Path) -> bool:
    """Whether there are any as safetensors, in one file or in several."""
    return (folder / WEIGHTS).is_file() or (folder / INDEX).is_file()


def header(folder: Path) -> dict[str, Stored]:
    """{name: where it lies} of the weights of a folder, in one file or in several, without reading them.

    Raises FolderError where a file is damaged, cut or missing, or does not hold what the list of files says.
    """
    if (folder / WEIGHTS).is_file():
        return _in_file(folder / WEIGHTS)
    files = _listed(folder)
    shards = {name: _in_file(folder / name) for name in sorted(set(files.values()))}
    for name, file in files.items():
        if name not in shards[file]:
            raise FolderError(f"has an {INDEX} that says {name} is in {file}, which does not hold it; {AGAIN}.")
    return {name: shards[file][name] for name, file in files.items()}


def _listed(folder: Path) -> dict[str, str]:
    """{tensor: name of its file} of weights in several files, all of which are in the folder itself."""
    files = configuration(folder / INDEX).get("weight_map")
    if not isinstance(files, dict) or not files or not all(isinstance(file, str) for file in files.values()):
        raise FolderError(f"has an {INDEX} without a weight_map that says in which file each tensor is; {AGAIN}.")
    for file in sorted(set(files.values())):
        if not file.endswith(SUFFIX) or Path(file).name != file or "\\" in file:
            raise FolderError(f"has an {INDEX} that names {file!r}, where a *{SUFFIX} of the same folder was expected.")
        if not (folder / file).is_file():
            raise FolderError(f"has no {file}, which its {INDEX} names; {AGAIN}.")
    return files


def weight_bytes(stored: Mapping[str, Stored]) -> int:
    """Of the files in which these tensors lie."""
    return sum(file.stat().st_size for file in {each.file for each in stored.values()})


def _in_file(path: Path) -> dict[str, Stored]:
    """{name: where it lies} of a file of safetensors."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(HEADER), "little")
            if HEADER + length > size:
                raise ValueError("it ends within its header")
            facts = json.loads(file.read(length))
        return {
            name: _stored(path, name, each, HEADER + length) for name, each in facts.items() if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = (
            str(error) if isinstance(error, ValueError) and not isinstance(error, UnicodeDecodeError) else "no header"
        )
        raise FolderError(f"has a {path.name} that is damaged ({said}); {AGAIN}.") from error


def _stored(path: Path, name: str, facts: Mapping[str, Any], begin: int) -> Stored:
    """An entry of the header. Raises ValueError where it does not lie in the file."""
    shape, (start, end) = tuple(facts["shape"]), facts["data_offsets"]
    if not all(isinstance(each, int) and each >= 0 for each in (*shape, start, end)):
        raise ValueError(f"{name} is nowhere")
    if begin + max(start, end) > path.stat().st_size:
        raise ValueError(f"it ends before its {name}")
    if (dtype := FLOATS.get(facts["dtype"])) is not None and end - start != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{name} has not the bytes of its shape")
    return Stored(file=path, dtype=facts["dtype"], shape=shape, start=begin + start)


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


def values(stored: Mapping[str, Stored]) -> dict[str, np.ndarray]:
    """{name: float32} of these tensors."""
    found = {}
    for name, each in stored.items():
        raw = np.fromfile(each.file, FLOATS[each.dtype], math.prod(each.shape), offset=each.start).reshape(each.shape)
        if each.dtype == "BF16":
            found[name] = (raw.astype(np.uint32) << 16).view(np.float32)
        else:
            with np.errstate(over="ignore"):  # a float64 out of range is found to be not finite
                found[name] = raw.astype(np.float32, copy=False)
    return found


def floats(stored: Mapping[str, Stored]) -> dict[str, Stored]:
    """Those of these tensors that are weights; others count something, or number positions."""
    return {name: each for name, each in stored.items() if each.dtype in FLOATS}


def finite(weights: Mapping[str, np.ndarray]) -> None:
    """Raise FolderError where a weight is not finite."""
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise FolderError(f"has weights in {name} that are not finite; {AGAIN}, or take other weights.")


def licence(folder: Path) -> str:
    """What the card of the model says, as SPDX names it mostly; 'unknown' where there is none, or it says nothing."""
    try:
        lines = (folder / CARD).read_text(encoding="utf-8").splitlines()
        facts = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)])) if lines[:1] == ["---"] else None
    except (OSError, ValueError, yaml.YAMLError):  # a card is prose for people: none is refused for what it says
        return UNKNOWN
    said = facts.get("license") if isinstance(facts, dict) else None
    return said if isinstance(said, str) and said else UNKNOWN


def digest(path: Path) -> str:
    """Of all bytes of a file, or of the files of a folder."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return _of(tuple((file, (facts := file.stat()).st_size, facts.st_mtime_ns) for file in files))


@cache
def _of(files: tuple[tuple[Path, int, int], ...]) -> str:
    found = blake2b(digest_size=16)
    for file, size, _ in files:
        found.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as opened:
            while part := opened.read(AT_ONCE):
                found.update(part)
    return found.hexdigest()
