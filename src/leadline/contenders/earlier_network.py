"""What a network takes from one that an earlier run trained (--init): the weights of its bodies.

Enters: network.npz, which a run keeps of each of its networks, and a network of this run whose bodies are prepared by
the rows of this run. Leaves: that network with every weight of the earlier one that has the same role (a body of the
same kind and architecture) and the same shape, from the input on, and a `Taken` that says how many. A table of tokens
takes the row of each token that the earlier vocabulary has. What scales the values of a row stays that of this run, and
so does the head: other classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from leadline.contenders.bodies import architecture_of, block_of
from leadline.core.contender import digest
from leadline.core.json_types import Json
from leadline.core.kind import Body, Resized
from leadline.core.note import FROM_SCRATCH, Note
from leadline.core.tensors import Tensors
from leadline.kinds import KINDS
from leadline.system.errors import SourceError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["NETWORK", "Begins", "EarlierNetwork", "Part", "Taken", "differs", "parts_of", "save", "take"]

NETWORK = "network.npz"  # in the folder of a contender
FACTS = "facts"  # the array of the file that holds everything but weights, as JSON
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Part:
    """A body of a network, and what it reads."""

    tensor: str
    kind: str
    architecture: str
    alike: Mapping[str, Json]  # facts of its block without which its weights mean nothing


@runtime_checkable
class Begins(Protocol):
    """A contender that can begin from the network of an earlier run."""

    def parts(self, store: Tensors) -> tuple[Part, ...]:
        """The bodies of its network over a store."""


@dataclass(frozen=True, kw_only=True)
class EarlierNetwork:
    """A network that an earlier run kept."""

    path: Path
    width: int  # channels of its convolutions; 0 where it has none
    trunk: tuple[int, ...]
    parts: tuple[Part, ...]
    entries: Mapping[str, Sequence[str | None]]  # parameter: what each of its rows stands for

    @classmethod
    def read(cls, path: Path) -> EarlierNetwork:
        """All but the weights. Raises SourceError where the file is damaged, or of a later version."""
        with _opened(path) as held:
            facts = json.loads(held[FACTS].tobytes())
            if facts["format"] != FORMAT:
                raise ValueError("another format")
            return cls(
                path=path, width=facts["width"], trunk=tuple(facts["trunk"]), entries=facts["entries"],
                parts=tuple(Part(**part) for part in facts["parts"]),
            )  # fmt: skip

    @property
    def digest(self) -> str:
        """Of the file."""
        return digest(self.path.read_bytes())

    def weights(self) -> dict[str, np.ndarray]:
        """float32 arrays, by the names that the network has for them. Raises SourceError where the file is damaged."""
        with _opened(self.path) as held:
            return {name: held[name].astype(np.float32) for name in held.files if name != FACTS}

    def verify(self) -> None:
        """Read all weights. Raises SourceError where the file is damaged, or one of them is not finite."""
        for name, array in self.weights().items():
            if not np.isfinite(array).all():
                raise SourceError(f"{self.path} has weights that are not finite ({name}).")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The arrays of a file by name, each with its checksum."""
    try:
        with path.open("rb") as file, np.load(file) as held:
            yield held
    except Exception as error:  # a wrong byte may be anywhere: in a length, a name, a method of compression
        raise SourceError(f"{path} is damaged, or of another version of Leadline.") from error


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a network has of an earlier one, in numbers; the head is in neither."""

    parameters: int
    of: int
    parts: tuple[str, ...]  # tensors of this run whose bodies took something, and 'trunk'

    def describe(self, earlier: EarlierNetwork) -> str:
        """A line for the report."""
        contender, run = earlier.path.parent, earlier.path.parent.parent.parent
        if not self.parameters:
            return Note(FROM_SCRATCH, f"nothing of the {contender.name} of {run.name} fits here: it began from scratch")
        share = self.parameters / self.of
        return (
            f"began from the {contender.name} of {run.name} ({', '.join(self.parts)}): {self.parameters:,} of "
            f"{self.of:,} parameters ({share:.0%}); the head is new"
        )


def parts_of(store: Tensors, bodies: Mapping[str, Body]) -> tuple[Part, ...]:
    """The bodies {tensor: body} of a network over a store."""
    found = []
    for tensor, body in bodies.items():
        block = block_of(store, tensor)
        alike = {name: block.settings[name] for name in body.alike}
        found.append(
            Part(tensor=tensor, kind=block.kind, architecture=architecture_of(store, tensor, body), alike=alike)
        )
    return tuple(found)


def differs(here: Sequence[Part], earlier: EarlierNetwork) -> str | None:
    """Why no body of a network can be taken from an earlier one, as the end of a sentence; None: one can."""
    pairs = list(_pairs(here, earlier.parts))
    if not pairs:
        read = ", ".join(sorted({part.kind for part in earlier.parts}))
        return f"it reads {read}, and this one {', '.join(sorted({part.kind for part in here}))}"
    unlike = [
        next((name for name in mine.alike if mine.alike[name] != its.alike.get(name)), None) for mine, its in pairs
    ]
    if None in unlike:
        return None
    (mine, its), name = pairs[0], str(unlike[0])
    return f"{name} are {its.alike.get(name)} there, and {mine.alike[name]} here"


def _pairs(here: Sequence[Part], there: Sequence[Part]) -> Iterator[tuple[Part, Part]]:
    """Each body here with the one there of its kind and architecture: of the same name, else the next in order."""
    left = list(there)
    for mine in here:
        same = [its for its in left if (its.kind, its.architecture) == (mine.kind, mine.architecture)]
        if same:
            its = next((each for each in same if each.tensor == mine.tensor), same[0])
            left.remove(its)
            yield mine, its


def save(path: Path, net: Any, store: Tensors, bodies: Mapping[str, Body], width: int) -> None:
    """Keep what a later run can begin from: bodies and trunk in float16, a file of the run folder."""
    import torch

    parts, entries = parts_of(store, bodies), _entries(store, bodies)
    trunk = [layer.out_features for layer in net.trunk.modules() if isinstance(layer, torch.nn.Linear)]
    facts = {
        "format": FORMAT, "width": width, "trunk": trunk, "parts": [asdict(part) for part in parts], "entries": entries,
    }  # fmt: skip
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in _learned(net) if not name.startswith("head.")}
    held = {name: _small(array) for name, array in weights.items()}
    np.savez(path, **{FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)}, **held)  # type: ignore[arg-type]


def _small(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16) if np.abs(array).max(initial=0) < np.finfo(np.float16).max else array


def _entries(store: Tensors, bodies: Mapping[str, Body]) -> dict[str, Sequence[str | None]]:
    found: dict[str, Sequence[str | None]] = {}
    for place, (tensor, body) in enumerate(bodies.items()):
        if body.entries is not None:
            named = body.entries(store, block_of(store, tensor))
            found |= {f"bodies.{place}.{name}": keys for name, keys in named.items()}
    return found


def _learned(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What training changes."""
    yield from module.named_parameters()
    yield from _statistics(module)


def _statistics(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The running statistics of norms over a batch."""
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, inner in module.named_modules():
        if isinstance(inner, _BatchNorm):
            for each in ("running_mean", "running_var"):
                yield f"{name}.{each}", getattr(inner, each)


def take(net: Any, store: Tensors, bodies: Mapping[str, Body], earlier: EarlierNetwork) -> Taken:
    """Set weights of an earlier network into `net`, over the tensors {name: body} of a store, in place."""
    import torch

    weights = {name: torch.from_numpy(array) for name, array in earlier.weights().items()}
    here, entries = parts_of(store, bodies), _entries(store, bodies)
    found: dict[str, int] = {}
    with torch.no_grad():
        for mine, its in _pairs(here, earlier.parts):
            at, there = f"bodies.{here.index(mine)}.", f"bodies.{earlier.parts.index(its)}."
            module, own = net.bodies[here.index(mine)], _below(weights, there)
            if isinstance(module, Resized):
                own = module.resized(own)
            found[mine.tensor] = _taken(module, own, _below(entries, at), _below(earlier.entries, there))
        if _same_inputs(here, earlier.parts):
            found["trunk"] = _taken(net.trunk, _below(weights, "trunk."), {}, {})
    every = sum(tensor.numel() for name, tensor in _learned(net) if not name.startswith("head."))
    parts = tuple(name for name, count in found.items() if count)
    return Taken(parameters=sum(found.values()), of=every, parts=parts)


def _below(held: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): each for name, each in held.items() if name.startswith(prefix)}


Entries = Mapping[str, Sequence[str | None]]


def _taken(module: nn.Module, own: Mapping[str, Tensor], here: Entries, there: Entries) -> int:
    """Set what agrees, from the input on: behind a layer that is new, weights mean nothing. How many numbers."""
    count, done = 0, set[str]()
    for name, tensor in module.named_parameters():
        added = _set(tensor, own[name], (here.get(name), there.get(name))) if name in own else 0
        if not added:
            break
        count, done = count + added, done | {name}
    for name, statistic in _statistics(module):
        if f"{name.rpartition('.')[0]}.bias" in done:
            count += _set(statistic, own[name], (None, None))
    return count


def _set(tensor: Tensor, held: Tensor, rows: tuple[Sequence[str | None] | None, Sequence[str | None] | None]) -> int:
    """Set what has the same shape, or the rows of a table that stand for the same; how many numbers that were."""
    here, there = rows
    if here is None or there is None:
        if tensor.shape != held.shape:
            return 0
        tensor.copy_(held)
        return tensor.numel()
    if tensor.shape[1:] != held.shape[1:]:
        return 0
    places = {key: place for place, key in enumerate(there) if key is not None}
    both = [(place, places[key]) for place, key in enumerate(here) if key in places]
    if both:
        mine, its = (list(each) for each in zip(*both, strict=True))
        tensor[mine] = held[its]
    return len(both) * (tensor.numel() // max(1, len(tensor)))


def _same_inputs(here: Sequence[Part], there: Sequence[Part]) -> bool:
    """Whether the joined vectors of two networks mean the same: one body each, which reads no table of columns."""
    if len(here) != 1 or len(there) != 1 or KINDS[here[0].kind].joint:
        return False
    return (here[0].kind, here[0].architecture) == (there[0].kind, there[0].architecture)
