"""States of pretrained bodies: rows through ONNX Runtime, each content once.

Enters: the stored tensors that bodies read. Leaves: pooled states float16 [rows, width], those of all bodies side by
side. What a body gives is kept in the cache by the content of the row and the digest of the body's graph, so that
repeats, folds, seeds and later runs compute no state again. The shipped file rounds to float16 too.
"""

from __future__ import annotations

import copy
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.json_types import Json
from leadline.core.pretrained import Layer, Precision
from leadline.core.tensors import Block, Tensors
from leadline.graph.digest import content_digest
from leadline.graph.runtime import Session
from leadline.kinds.weights import FoundBody, body_of
from leadline.system.cache import STATES
from leadline.system.resources import give_back, most_threads

if TYPE_CHECKING:
    import onnx

AT_ONCE = 16  # rows in one call: short enough for a clock, long enough for threads
ROOM = 1 << 21  # values in one call, at most: of long sounds and large pictures it takes fewer rows
STEPS = 4  # such calls a thread between two looks at the clock
KEY = 16  # bytes of a row's digest
MOST_READY = 2  # graphs that a process keeps for its next job
CALIBRATION = 128  # train rows by which activations of static int8 are scaled


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A block with its body."""

    block: Block
    found: FoundBody

    @property
    def tensor(self) -> str:
        """The name of the tensor that the body reads."""
        view = self.found.body.view
        return self.block.name if view is None else f"{self.block.name}.{view}"

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.found.body.layers

    @property
    def width(self) -> int:
        return sum(layer.width for layer in self.layers)

    def facts(self, precision: Precision, rates: Mapping[str, float]) -> dict[str, Json]:
        """As `BodyResult` of result.json, without what the layers give.

        Args:
            precision: in which it answers.
            rates: rows a second, by precision.
        """
        body = self.found.body
        return {
            "block": self.block.name, "name": body.name, "package": body.package, "licence": body.licence,
            "source": body.source, "paper": body.paper, "digest": self.found.facts["digest"],
            "precision": str(precision), "rows_per_s": dict(rates),
        }  # fmt: skip

    def pace(self, store: Tensors) -> tuple[float, float] | None:
        """Seconds of a core until its body can answer, and of a row; None where nobody has measured that.

        Of a store without rows, such as that of a check, of a usual row.
        """
        if (found := self.found.pace()) is None:
            return None
        padding = 0 if self.found.body.view is not None else self.block.padding
        padded = padding is not None and store.rows > 0
        filled = float((self.calibration(store) != padding).mean()) if padded else None
        return found[0], found[1] * self.found.body.size(self.block, filled)

    @staticmethod
    def some(store: Tensors) -> np.ndarray:
        """Some train rows."""
        train = store.split.train
        return np.asarray(train[np.linspace(0, len(train) - 1, min(CALIBRATION, len(train))).astype(int)])

    def calibration(self, store: Tensors) -> np.ndarray:
        """Some train rows of the tensor."""
        return np.asarray(store.tensor(self.tensor)[self.some(store)])

    def graph(self, store: Tensors, precision: Precision) -> onnx.ModelProto:
        """From the tensor to 'states'."""
        return self.found.body.graph(self.found.folder, self.block, precision, self.calibration(store))

    def ready(self, store: Tensors, precision: Precision, keep: bool) -> Ready:
        """The graph with its session; `keep`: as this process made it for an earlier job, or for its next one."""
        if not keep:
            return Ready(self.graph(store, precision))
        body, block = self.found.body, self.block
        read = (block.shape, block.dtype, block.settings) if body.view is None else block.forms[body.view]
        of_rows = blake2b(self.calibration(store).tobytes()).digest() if body.calibrated else b""
        key = str(self.found.folder), f"{self.tensor} {read}", precision, of_rows
        if key not in _READY:
            while len(_READY) >= MOST_READY:
                del _READY[next(iter(_READY))]
            _READY[key] = Ready(self.graph(store, precision))
        return _READY[key]


class Ready:
    """A graph of a body that can run."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.session, self.digest = model, Session(model), content_digest(model)
        give_back()  # what the graph was made of is several times its size
        self._mirrored: Ready | None = None

    def mirrored(self, change: Callable[[onnx.ModelProto], onnx.ModelProto]) -> Ready:
        """The same of the changed graph, made once."""
        self._mirrored = self._mirrored or Ready(change(self.model))
        return self._mirrored


_READY: dict[tuple[str, str, Precision, bytes], Ready] = {}  # the oldest first


def readers(store: Tensors) -> list[Reader]:
    """The blocks that a body can read."""
    found = ((block, body_of(block)) for block in store.blocks)
    return [Reader(block=block, found=body) for block, body in found if body is not None]


def rows_at_once(row: Sequence[int]) -> int:
    """Rows of such a shape in one call."""
    return max(1, min(AT_ONCE, ROOM // math.prod(row)))


def in_parts(session: Session, values: np.ndarray, threads: int) -> list[np.ndarray]:
    """What a graph of one input and one output gives, a few rows at once, on several threads."""
    (feed,), step = session.inputs, rows_at_once(values.shape[1:])

    def one(start: int) -> np.ndarray:
        return session.only({feed: values[start : start + step]})

    starts = range(0, len(values), step)
    if len(starts) <= 1 or threads == 1:
        return [one(start) for start in starts]
    with ThreadPoolExecutor(most_threads()) as pool:
        return list(pool.map(one, starts))


class Encoder:
    """One body at one precision, and the states that were computed by it."""

    def __init__(
        self, reader: Reader, store: Tensors, precision: Precision, threads: int, keep: bool = False
    ) -> None:  # fmt: skip
        """
        Args:
            keep: the graph may be one of an earlier job of this process, and is kept for its next one.
        """
        self.reader, self.precision, self.threads = reader, precision, threads
        self._run(reader.ready(store, precision, keep), store)

    def mirrored(self, store: Tensors) -> Encoder:
        """The same, whose states are means over a row and its mirror image, where rows have one."""
        change = self.reader.found.body.mirrored
        if change is None:
            return self
        other = copy.copy(self)
        other._run(self._ready.mirrored(change), store)
        return other

    def _run(self, ready: Ready, store: Tensors) -> None:
        """States come from this graph."""
        reader, self._ready = self.reader, ready
        self.model, self.session, self.digest = ready.model, ready.session, ready.digest
        self._kept = _Kept(store.cache / STATES / self.digest, reader.width)
        self.at_once = rows_at_once(store.tensor(reader.tensor).shape[1:])
        self._padding = 0 if reader.found.body.view is not None else reader.block.padding

    def states(self, store: Tensors, rows: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """float16 [n, width] of one chunk of rows after another, and how many of them were not computed anew."""
        tensor = store.tensor(self.reader.tensor)
        step = self.at_once * STEPS * self.threads
        try:
            for start in range(0, len(rows), step):
                chunk = np.asarray(tensor[rows[start : start + step]])
                keys = [self._key(row) for row in chunk]
                made, known = self._kept.get(keys)
                if not known.all():
                    new = np.flatnonzero(~known)
                    made[new] = self.fresh(chunk[new])
                    self._kept.add([keys[place] for place in new], made[new])
                yield made, int(known.sum())
        finally:
            self._kept.write()

    def fresh(self, values: np.ndarray) -> np.ndarray:
        """float16 [n, width] of stored values, computed."""
        parts = [part.astype(np.float16) for part in in_parts(self.session, values, self.threads)]
        return np.concatenate([np.empty((0, self.reader.width), np.float16), *parts])

    def _key(self, row: np.ndarray) -> bytes:
        """Of a row's content, without padding."""
        if self._padding is not None:
            held = np.flatnonzero((row != self._padding).reshape(len(row), -1).any(axis=1))
            row = row[: held[-1] + 1 if len(held) else 0]
        found = blake2b(f"{row.dtype.str} {row.shape}".encode(), digest_size=KEY)
        found.update(np.ascontiguousarray(row).tobytes())
        return found.digest()


class _Kept:
    """States in a folder, by keys. A file of them is never changed: each process adds its own."""

    def __init__(self, folder: Path, width: int) -> None:
        self._folder, self._width = folder, width
        self._places: dict[bytes, tuple[np.ndarray, int]] = {}
        self._new: list[tuple[list[bytes], np.ndarray]] = []
        for path in sorted(folder.glob("*.keys.npy")):
            try:
                keys = np.load(path)
                states = np.load(path.with_name(path.name.replace(".keys.", ".states.")), mmap_mode="r")
            except (OSError, ValueError):  # cleared meanwhile, or cut by a full disk: computed again
                continue
            if keys.shape == (len(states), KEY) and states.shape[1] == width:
                self._places |= {key.tobytes(): (states, place) for place, key in enumerate(keys)}

    def get(self, keys: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """float16 [n, width], and which of them are known."""
        made = np.zeros((len(keys), self._width), np.float16)
        known = np.array([key in self._places for key in keys], bool)
        for place in np.flatnonzero(known):
            states, row = self._places[keys[place]]
            made[place] = states[row]
        return made, known

    def add(self, keys: list[bytes], states: np.ndarray) -> None:
        self._new.append((keys, states))
        self._places |= {key: (states, place) for place, key in enumerate(keys)}

    def write(self) -> None:
        """What is new, as a file of keys and one of states. A disk that is full keeps nothing, and loses nothing."""
        if not self._new:
            return
        keys = np.frombuffer(b"".join(key for part, _ in self._new for key in part), np.uint8).reshape(-1, KEY)
        stem = uuid.uuid4().hex
        parts = {"states": np.concatenate([states for _, states in self._new]), "keys": keys}
        self._new = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for what, array in parts.items():  # the keys last: whoever sees them sees the states
                partial = self._folder / f".{stem}.{what}.npy"
                np.save(partial, array)
                os.replace(partial, self._folder / f"{stem}.{what}.npy")
        except OSError:
            for path in self._folder.glob(f"*{stem}*"):
                path.unlink(missing_ok=True)
