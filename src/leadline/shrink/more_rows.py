"""Rows without labels that a teacher answers: the user's, or other texts made of those of the train rows.

Enters: a finished run, and frames of rows. Leaves: a store that has them behind its own rows, as train rows.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.tensors import Block, Split, Tensors
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.readers import samples
from leadline.readers.glob import is_pattern
from leadline.readers.source import Source
from leadline.system.errors import LeadlineError, SourceError
from leadline.use.input_check import Watch
from leadline.use.predict import batches, source_to_predict

if TYPE_CHECKING:
    import polars as pl

    from leadline.core.task import Task
    from leadline.dataset.table import Table
    from leadline.use.model import Model

__all__ = ["Longer", "check_unlabelled", "longer", "read_some", "unlabelled", "variants"]

AT_ONCE = 512  # rows
MOST = 200_000  # rows without labels


@dataclasses.dataclass(frozen=True)
class _Joined:
    """A tensor and the rows behind it, read like one array."""

    first: np.ndarray
    second: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.first) + len(self.second), *self.first.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.first.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if not isinstance(rows, np.ndarray):
            return np.asarray(self.first[rows] if rows < len(self.first) else self.second[rows - len(self.first)])
        own = rows < len(self.first)
        made = np.empty((len(rows), *self.first.shape[1:]), self.first.dtype)
        made[own], made[~own] = self.first[rows[own]], self.second[rows[~own] - len(self.first)]
        return made


class Longer:
    """A store with more train rows; `labels` of theirs are zero until a teacher's answers are set in their place."""

    def __init__(self, store: Tensors, more: dict[str, np.ndarray]) -> None:
        self._store, self._more = store, more
        rows = len(next(iter(more.values())))
        self.labels = np.concatenate([np.asarray(store.labels), np.zeros(rows, store.labels.dtype)])
        split, new = store.split, np.arange(len(store.labels), len(self.labels))
        self.split = Split(
            train=np.concatenate([split.train, new]), valid=split.valid, calib=split.calib, test=split.test
        )

    @property
    def rows(self) -> int:
        return len(self.labels)

    @property
    def task(self) -> Task:
        return self._store.task

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self._store.blocks

    @property
    def dependent(self) -> bool:
        return self._store.dependent

    @property
    def cache(self) -> Path:
        return self._store.cache

    def block(self, name: str) -> Block:
        return self._store.block(name)

    def graph(self, name: str) -> bytes:
        return self._store.graph(name)

    def tensor(self, name: str) -> Any:
        if name not in self._more:  # a view of encoded rows that nobody asked for before
            encoded, session = self._more[self.block(name.split(".")[0]).name], Session(self.graph(name))
            parts = [session.only({"encoded": encoded[i : i + AT_ONCE]}) for i in range(0, len(encoded), AT_ONCE)]
            self._more[name] = _filled(self._store, name, np.concatenate(parts))
        return _Joined(self._store.tensor(name), self._more[name])


def longer(
    store: Tensors, model: Model, frames: Iterable[tuple[pl.DataFrame, Path | None]], names: Sequence[str]
) -> Longer | None:
    """The store with the rows of some frames behind its own; None where there are none.

    Args:
        names: of the tensors that are read.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    sessions: dict[str, Session] = {}
    for frame, root in frames:
        for start in range(0, len(frame), AT_ONCE):
            for _, columns in model.calls(frame.slice(start, AT_ONCE), root):
                for name in names:
                    parts[name].append(_filled(store, name, _encoded(store, sessions, columns, name)))
    if not parts[names[0]]:
        return None
    return Longer(store, {name: np.concatenate(found) for name, found in parts.items()})


def _encoded(store: Tensors, sessions: dict[str, Session], columns: dict[str, Any], name: str) -> np.ndarray:
    """A tensor of rows whose columns are decoded, by the graphs of the store."""
    block = store.block(name.split(".")[0])
    own = {column: columns[column] for column in block.columns}
    if name != block.name and name.rpartition(".")[2] not in block.from_values:
        own = {"encoded": _encoded(store, sessions, columns, block.name)}
    if name not in sessions:
        sessions[name] = Session(store.graph(name))
    return sessions[name].only(own)


def _filled(store: Tensors, name: str, rows: np.ndarray) -> np.ndarray:
    """Rows as long as the store's."""
    held, padding = store.tensor(name), store.block(name.split(".")[0]).padding
    short = held.shape[1] - rows.shape[1] if rows.ndim > 1 else 0
    if short > 0:
        fill = np.full((len(rows), short, *rows.shape[2:]), 0 if padding is None else padding, rows.dtype)
        rows = np.concatenate([rows, fill], axis=1)
    return rows[:, : held.shape[1]].astype(held.dtype) if rows.ndim > 1 else rows.astype(held.dtype)


def check_unlabelled(source: Any, task: type[Task]) -> None:
    """Raises LeadlineError where a source of rows without labels is not there, or the task cannot learn from any."""
    if task.multilabel:
        raise LeadlineError("--unlabelled cannot be used where a row has several labels; leave it out.")
    if isinstance(source, str | os.PathLike) and not _there(os.fspath(source)):
        raise SourceError(f"--unlabelled {source} is not there; name a file or a folder that is, or leave it out.")


def _there(source: str) -> bool:
    path = Path(source).expanduser()
    return path.exists() or is_pattern(source) or "#" in path.name or samples.is_known(source)


def read_some(model: Model, source: Any, cache: Path) -> None:
    """Read the first rows without labels; raises LeadlineError where they are not what the model reads."""
    try:
        next(unlabelled(model, source_to_predict(source, model, cache)), None)
    except LeadlineError as error:
        raise type(error)(f"--unlabelled cannot be used: {error}") from error


def variants(
    table: Table, model: Model, rows: np.ndarray, times: int, seed: int
) -> Iterator[tuple[pl.DataFrame, Path | None]]:
    """Frames of rows whose texts are made of those of the given rows; none where no column is of such a kind."""
    import polars as pl

    columns = list(model.contract["inputs"])
    rng = np.random.default_rng(seed)
    frame = table.take(rows, columns)
    for _ in range(times):
        made = {}
        for name in columns:
            kind = KINDS[model.contract["inputs"][name]["kind"]]
            values = kind.variants(frame[name], rng)
            if values is not None:
                made[name] = values
        if not made:
            return
        yield frame.with_columns(**{name: pl.Series(values) for name, values in made.items()}), table.source.root


def unlabelled(model: Model, source: Source) -> Iterator[tuple[pl.DataFrame, Path | None]]:
    """Frames of a source of rows without labels."""
    rows = 0
    for frame in batches(model, source, Watch(model.contract["inputs"])):
        if rows >= MOST:
            return
        rows += len(frame)
        yield frame, source.root
