"""A network of another package as a graph and some facts, which the cache keeps by what is in its folder.

Enters: a folder, and how its network becomes a module. Leaves: the same graph and facts in every process and in later
runs: what has been written once needs neither PyTorch nor the package again, nor seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from leadline.kinds.body_folder import FolderError
from leadline.kinds.kept import READ, TRIED, WRITTEN, kept

if TYPE_CHECKING:
    import numpy as np
    import onnx

T = TypeVar("T")
VERSION = 3  # of what is kept
_LOADED: list[Callable[[], None]] = []  # what forgets a module
MOST_BYTES = (1 << 31) - (1 << 26)  # of a graph: a file of ONNX ends at two gigabytes


def loaded(made: Callable[..., T]) -> Callable[..., T]:
    """A function that gives a module, once for each call, until `release`."""
    held = cache(made)
    _LOADED.append(held.cache_clear)
    return held


def release() -> None:
    """Forget all modules: what they are needed for is written."""
    for forget in _LOADED:
        forget()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What is kept of a network."""

    folder: Path
    package: str  # that reads the folder
    what: str  # reads it: pictures or sounds

    def facts(self, made: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """`made` gives them, as values of JSON, where they are not known."""
        found: dict[str, Any] = json.loads(
            self._kept("facts.json", lambda: json.dumps(made()).encode(), READ + WRITTEN + TRIED)
        )
        return found

    def graph(
        self, size: str, module: Callable[[], Any], samples: dict[str, np.ndarray], unequal: Collection[str] = ()
    ) -> onnx.ModelProto:  # fmt: skip
        """As `graph/torch_export.py` writes it.

        Args:
            size: of what it reads, as a word of a file's name.
            module: gives the module, where the graph is not known.

        Raises FolderError where PyTorch cannot write it, or it is too large for a file.
        """
        import onnx

        def written() -> bytes:
            return _written(module(), samples, unequal)

        return onnx.load_from_string(self._kept(f"{size}.onnx", written, WRITTEN + TRIED))

    @property
    def packages(self) -> tuple[str, ...]:
        """On whose versions the graph depends."""
        return self.package, "torch"

    def _kept(self, name: str, made: Callable[[], bytes], per_gb: float) -> bytes:
        return kept(self.folder, f"{self.what}-{VERSION}-{name}", made, self.packages, per_gb)


def _written(module: Any, samples: dict[str, np.ndarray], unequal: Collection[str]) -> bytes:
    from leadline.graph.torch_export import export

    size = sum(weight.numel() * weight.element_size() for weight in module.parameters())
    if size > MOST_BYTES:
        raise FolderError(
            f"holds a network of {size / 1e9:.1f} GB, where one file of ONNX has room for {MOST_BYTES / 1e9:.1f} GB; "
            "take a smaller one."
        )
    try:
        held: bytes = export(module, samples, unequal).SerializeToString()
    except Exception as error:  # of any type
        raise FolderError(f"holds a network that PyTorch cannot write as a graph ({type(error).__name__}).") from error
    return held
