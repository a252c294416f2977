"""Table + split -> encoded tensors in a memory-mapped store, one path for every size of source.

Every row passes once through the kinds' decode step and their ONNX encode graphs, in bounded memory, into .npy files
that all contenders map. The store lives in the cache under a key made of everything that shaped it, so a second run of
the same source starts at once. The labels of test rows are not in it (`heldout.py`).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.json_types import whole
from leadline.core.kind import Decoded, Fit, Kind, Limits, absent, decode_columns
from leadline.core.task import Task
from leadline.core.tensors import Block, Split
from leadline.dataset.heldout import hidden
from leadline.dataset.sampling import FEWEST, WHOLE, Ration, Sample
from leadline.dataset.table import Column, Table
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.weights import PRETRAINED, FoundBody, find_body
from leadline.system.errors import SourceError
from leadline.system.resources import most_threads
from leadline.tasks import task_of

FORMAT = 16  # raised when the content of a store changes
USUAL = 300.0  # seconds, by which a kind chooses its size where there is no budget
CHUNK = 4_096  # rows read at once, at least
MOST_READ = 2**21  # values read at once
MOST_VALUES = 2**21  # encoded values in one call of a feature view's graph, which may hold a hundred bytes for each
# Share of the budget for decoding and encoding all images and audio; where it is too short, a random sample of the rows
# is decoded.
DECODING = 0.35
TRIED, LEAST_TRIED = 0.01, 4  # share of the budget, and rows, to measure the seconds of a row


class Store:
    """Encoded tensors by name, memory-mapped; `labels` has HIDDEN (or NaN) on test rows."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        facts = json.loads((self.path / "store.json").read_text())
        self.rows: int = facts["rows"]
        self.task: Task = task_of(facts["task"])
        self.blocks = tuple(
            Block(**{**block, "columns": tuple(block["columns"]), "shape": tuple(block["shape"])})
            for block in facts["blocks"]
        )
        self.bad: list[tuple[int, str]] = [(row, reason) for row, reason in facts["bad"]]
        self.share: float = facts["share"]  # of the rows that were sampled to be decoded
        self.a_row: float = facts["a_row"]  # seconds to decode and encode an image or audio file
        self.unread: int = facts["unread"]  # rows that there was no time to decode
        self.dependent: bool = facts["dependent"]
        self.weights: str | None = facts["weights"]  # the setting by which pretrained bodies were found
        self.split = Split(**{name: np.load(self.path / f"{name}.npy") for name in ("train", "valid", "calib", "test")})
        self.labels: np.ndarray = np.load(self.path / "labels.npy")
        self._open: dict[str, np.ndarray] = {}  # tensors in use: a batch asks for them thousands of times

    @property
    def cache(self) -> Path:
        """The folder of the cache that it lies in."""
        return self.path.parent.parent

    def block(self, name: str) -> Block:
        return next(block for block in self.blocks if block.name == name)

    def tensor(self, name: str) -> np.ndarray:
        """'image_photo' (encoded) or 'image_photo.dense' (a feature view): [rows, ...], read-only."""
        if name not in self._open:
            path = self.path / f"{name}.npy"
            if not path.exists():
                self._make_view(*name.rsplit(".", 1))
            self._open[name] = np.asarray(np.load(path, mmap_mode="r"))
        return self._open[name]

    def graph(self, name: str) -> bytes:
        """The ONNX graph behind a tensor: 'B' maps decoded columns to it, 'B.view' maps tensor 'B' to it."""
        return (self.path / f"{name}.onnx").read_bytes()

    def _make_view(self, block_name: str, view: str) -> None:
        block = self.block(block_name)
        shape, dtype = block.forms[view]
        encoded = self.tensor(block_name)
        session = Session(self.graph(f"{block_name}.{view}"))

        rows = np.flatnonzero(Ration(self.rows, self.share).drawn())
        step = max(1, min(CHUNK // 8, MOST_VALUES // max(1, math.prod(block.shape))))

        def one(start: int) -> None:
            chunk = rows[start : start + step]
            part = encoded[chunk]
            if block.padding is not None:  # padding costs as much as samples
                part = part[:, : max(whole(block.settings, "least", 1), _filled(part, block.padding))]
            out[chunk] = session({"encoded": part})[view]

        temporary = self.path / f".{os.getpid()}-{block_name}.{view}.npy"
        try:
            out = _mapped(temporary, dtype, (self.rows, *shape))
            with ThreadPoolExecutor(most_threads()) as pool:
                list(pool.map(one, range(0, len(rows), step)))
            out.flush()
            temporary.replace(self.path / f"{block_name}.{view}.npy")
        finally:
            temporary.unlink(missing_ok=True)


def build(
    table: Table, split: Split, cache: Path, *, seconds: float, key: Mapping[str, Any],
    sample: Sample = WHOLE, like: Store | None = None, weights: str | None = None,
) -> Store:  # fmt: skip
    """Encode every row, or reuse a cached store.

    Args:
        seconds: the budget, by which a kind chooses its size (an image its pixels).
        key: everything else that shaped the split, for the name of the store; its `group` or `time_column` make rows
            dependent.
        sample: how many of the rows are decoded, where that takes long.
        like: a store of the same rows in another split, whose images and audio need not be decoded again.
        weights: of pretrained bodies, as the settings name them.
    """
    costly = any(KINDS[column.kind].costly for column in table.inputs)
    facts = {
        "format": FORMAT, "digest": table.source.digest, "task": table.task.as_dict(), "key": dict(key),
        "seconds": str(round(seconds, 0)) if costly else None,
        "columns": [(c.name, c.kind, dict(c.settings)) for c in table.inputs],
        "weights": {c.kind: found.facts for c in table.inputs if (found := find_body(KINDS[c.kind], weights))},
    }  # fmt: skip
    name = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
    final, share = cache / "stores" / name, sample.share
    for known in (final, _of_share(final, share)):
        if (known / "store.json").exists() and share in (None, Store(known).share):
            os.utime(known)
            return Store(known)
    if (final / "store.json").exists():
        final = _of_share(final, share)
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=final.parent))
    temporary = scratch / "store"  # a folder of mkdtemp is closed to all others, who may share the cache
    try:
        temporary.mkdir()
        dependent = bool(key.get("group") or key.get("time_column"))
        if like is not None:
            sample = Sample(share=like.share)
        _write(temporary, table, split, seconds, sample, like, weights, dependent)
        if sample.spent and sample.share is None and (made := Store(temporary).share) < 1.0:
            final = _of_share(final, made)  # a run that has its whole budget decodes more
        try:
            temporary.rename(final)
        except OSError:  # another run has just made the same store
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Store(final)


@contextmanager
def again(store: Store, table: Table, split: Split) -> Iterator[Store]:
    """The same rows in another split, temporarily: what is fitted on train rows is fitted anew.

    Images and audio are not decoded again: their encoding fits nothing but a size.
    """
    with tempfile.TemporaryDirectory(prefix=".fold-", dir=store.path.parent, ignore_cleanup_errors=True) as folder:
        _write(Path(folder), table, split, USUAL, Sample(share=store.share), store, store.weights, store.dependent)
        yield Store(folder)


def _write(
    folder: Path, table: Table, split: Split, seconds: float, sample: Sample, like: Store | None,
    weights: str | None, dependent: bool,
) -> None:  # fmt: skip
    groups = grouped(table.inputs)
    reused = []
    if like is not None:  # where a column was left out, others may have its number now
        whole = {name: tuple(column.name for column in columns) for name, columns in groups}
        reused = [b for b in like.blocks if not KINDS[b.kind].fit_depends_on_rows and whole.get(b.name) == b.columns]
    for block in reused:
        assert like is not None
        for path in like.path.glob(f"{block.name}.*"):
            os.link(path, folder / path.name)
    names = {block.name for block in reused}
    fits = [
        _fit(folder, name, columns, table, split, seconds, weights) for name, columns in groups if name not in names
    ]
    fitted = [block for block, _ in fits]
    order = [name for name, _ in groups]
    blocks = sorted([*reused, *fitted], key=lambda block: order.index(block.name))
    a_row = sum(cost for _, cost in fits) if like is None else like.a_row
    if sample.share is None:
        costly = any(KINDS[block.kind].costly for block in fitted)
        limit = DECODING * (seconds - sample.spent) if costly else math.inf
        ration = Ration(table.rows, _affordable(table.rows, a_row, limit), limit, len(fitted))
    else:
        ration = Ration(table.rows, sample.share)
    bad: dict[int, str] = {} if like is None else dict(like.bad)
    made = {block.name: _made(folder, block, table.rows) for block in fitted}
    with ThreadPoolExecutor(most_threads()) as pool:
        for start, frame in table.batches([c for b in fitted for c in b.columns], at_once(fitted)) if fitted else ():
            for block in fitted:
                _Job(block, table, made[block.name], bad, ration).encode(frame, start, pool)
    if refusal := unreadable(bad, table.rows):
        raise SourceError(refusal)
    for _, out in (one for each in made.values() for one in each):
        out.flush()
    unread = np.flatnonzero(~ration.drawn())
    split = split.without([*bad, *unread])
    np.save(folder / "labels.npy", hidden(table.labels, split.test))
    for part, rows in vars(split).items():
        np.save(folder / f"{part}.npy", rows)
    facts = {
        "source": table.source.name, "rows": table.rows, "task": table.task.as_dict(),
        "blocks": [asdict(block) for block in blocks],
        "bad": sorted(bad.items()), "share": ration.share, "a_row": a_row, "unread": len(unread), "weights": weights,
        "dependent": dependent,
    }  # fmt: skip
    (folder / "store.json").write_text(json.dumps(facts, ensure_ascii=False))


def _made(folder: Path, block: Block, rows: int) -> list[tuple[Session, np.memmap]]:
    """The graph and the rows to write, of the encoded tensor and then of the forms that are made with it."""
    tensors = {block.name: (block.shape, block.dtype)}
    tensors |= {f"{block.name}.{form}": block.forms[form] for form in block.from_values}  # type: ignore[misc]
    return [
        (Session((folder / f"{name}.onnx").read_bytes()), _mapped(folder / f"{name}.npy", dtype, (rows, *shape)))
        for name, (shape, dtype) in tensors.items()
    ]


def at_once(blocks: Sequence[Block]) -> int:
    """Rows to read at once: many where a value is one number or word, so that Python's share of the work is small."""
    if not all(KINDS[block.kind].joint for block in blocks):
        return CHUNK
    return int(np.clip(MOST_READ // sum(len(block.columns) for block in blocks), CHUNK, 32 * CHUNK))


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> np.memmap:
    """A new .npy file to write into, allocated in full: a disk that fills up later would end the process."""
    mapped: np.memmap = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
    return mapped


def _filled(rows: np.ndarray, padding: int) -> int:
    """The length of rows [n, length, ...] without padding."""
    filled = (rows != padding).any(axis=(0, *range(2, rows.ndim)))
    return int(filled.nonzero()[0][-1]) + 1 if filled.any() else 0


def unreadable(bad: Mapping[int, str], rows: int) -> str | None:
    """The error where more than half of the rows cannot be decoded: such a source is refused."""
    if len(bad) <= rows / 2:
        return None
    first = min(bad)
    return (
        f"{len(bad):,} of {rows:,} rows cannot be read, such as row {first + 1}: {bad[first]}; fix these rows, or "
        "leave out what holds them."
    )


def _of_share(final: Path, share: float | None) -> Path:
    """The store of a share of the rows that a run of the same budget does not have."""
    return final.with_name(f"{final.name}-{share}")


def _affordable(rows: int, a_row: float, seconds: float) -> float:
    """The share of the rows that there is time to decode."""
    most = seconds / max(a_row, 1e-9)
    return 1.0 if most >= rows else max(most, FEWEST) / rows


def grouped(columns: Iterable[Column]) -> list[tuple[str, list[Column]]]:
    """Columns by block: one block for all columns of a joint kind, else one a column."""
    groups: dict[str, list[Column]] = {}
    for column in columns:
        kind = KINDS[column.kind]
        position = len(groups)
        groups.setdefault(kind.name if kind.joint else f"{kind.name}_{position}", []).append(column)
    return list(groups.items())


def _fit(
    folder: Path, name: str, columns: list[Column], table: Table, split: Split, seconds: float, weights: str | None
) -> tuple[Block, float]:
    """Fit a block's kind on train rows; also the seconds that one row takes on all cores, where that counts."""
    kind = KINDS[columns[0].kind]
    names = tuple(column.name for column in columns)
    rows = split.train
    if len(rows) > kind.sample:
        rows = np.sort(np.random.default_rng(0).choice(rows, kind.sample, replace=False))
    frame = table.take(rows, names)
    began = time.perf_counter()
    if kind.variable_shape:
        decoded = [_decoded(kind, frame[c.name], table.source.root, c.settings) for c in columns]
    else:
        by_name = decode_columns(kind, frame, table.source.root, {c.name: c.settings for c in columns})
        decoded = [by_name[c.name] for c in columns]
    spent = time.perf_counter() - began
    samples = [item.values for item in decoded]
    if kind.variable_shape and all(value is None for value in samples[0]):
        raise SourceError(
            f"None of {len(frame):,} values of column {names[0]!r} can be read as {kind.name}, such as row "
            f"{int(rows[0]) + 1}: {decoded[0].bad[0]}; check that the files are whole, or --drop {names[0]}."
        )
    limits = Limits(
        rows=len(split.train), seconds=seconds if math.isfinite(seconds) else USUAL, columns=names,
        labels=table.labels[rows], weights=None if (body := find_body(kind, weights)) is None else body.folder,
    )  # fmt: skip
    fit = kind.fit(samples, columns[0].settings, limits)
    (folder / f"{name}.onnx").write_bytes(fit.encode.graph.SerializeToString())
    for view, tensor in fit.forms.items():
        (folder / f"{name}.{view}.onnx").write_bytes(tensor.graph.SerializeToString())
        if tensor.cut is not None:
            (folder / f"{name}.{view}.cut.onnx").write_bytes(tensor.cut.SerializeToString())
    block = described(name, columns, fit, body)
    if not kind.variable_shape:
        missing = {
            each: round(float(absent(np.asarray(values)).mean()), 4)
            for each, values in zip(names, samples, strict=True)
        }
        block = replace(block, settings={**block.settings, "missing": missing})
    if not kind.costly:
        return block, 0.0
    if any(
        block.decode[column.name] != column.settings for column in columns
    ):  # the fit has changed how values are decoded
        began = time.perf_counter()
        samples = [_decoded(kind, frame[each], table.source.root, block.decode[each]).values for each in names]
        spent = time.perf_counter() - began
    return block, spent / len(frame) + _cost(fit, names, samples, TRIED * limits.seconds)


def described(name: str, columns: list[Column], fit: Fit, body: FoundBody | None) -> Block:
    """The block of these columns by a fitted kind, and the pretrained body that can read it."""
    decode = {column.name: {**column.settings, **fit.decode} for column in columns}
    settings = {**fit.settings, **({} if body is None else {PRETRAINED: body.facts})}
    return Block(
        name=name, kind=columns[0].kind, columns=tuple(decode), decode=decode,
        settings=settings, shape=fit.encode.shape, dtype=fit.encode.dtype,
        forms={view: (list(tensor.shape), tensor.dtype) for view, tensor in fit.forms.items()},
        padding=fit.encode.padding, from_values=[view for view, tensor in fit.forms.items() if tensor.from_values],
    )  # fmt: skip


def _decoded(kind: Kind, values: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
    """A sample decoded as all rows will be: one by one on all cores, where each has a shape of its own."""
    if not kind.variable_shape or isinstance(values.dtype, pl.Array):
        return kind.decode(values, root, settings)
    with ThreadPoolExecutor(most_threads()) as pool:
        each = list(pool.map(lambda row: kind.decode(values.slice(row, 1), root, settings), range(len(values))))
    return Decoded(
        values=[one.values[0] for one in each],
        bad={row: why for row, one in enumerate(each) for why in one.bad.values()},
    )


def _cost(fit: Fit, names: tuple[str, ...], samples: list[Any], most: float) -> float:
    """Seconds of a row on all cores from decoded values to the feature views that contenders read.

    Samples are tried in random order for `most` seconds, and at least a few of them.
    """
    whole = [row for row in zip(*samples, strict=True) if all(value is not None for value in row)]
    order = np.random.default_rng(0).permutation(len(whole))
    encode = Session(fit.encode.graph.SerializeToString())
    views = [(name, Session(v.graph.SerializeToString())) for name, v in fit.forms.items() if not v.from_values]
    began, spent, tried = time.perf_counter(), 0.0, 0
    for tried, place in enumerate(order, start=1):
        encoded = encode.only({name: np.asarray(value)[None] for name, value in zip(names, whole[place], strict=True)})
        for name, view in views:
            view({"encoded": encoded})[name]
        spent = time.perf_counter() - began
        if spent > most and tried >= LEAST_TRIED:
            break
    return spent / tried / most_threads()


@dataclass(frozen=True)
class _Job:
    """Decoding and encoding of one block, chunk by chunk, on all cores."""

    block: Block
    table: Table
    made: list[tuple[Session, np.memmap]]
    bad: dict[int, str]
    ration: Ration

    def encode(self, frame: pl.DataFrame, start: int, pool: ThreadPoolExecutor) -> None:
        """Rows are cut fine where each has a shape of its own: a picture may be a hundred megabytes."""
        kind = KINDS[self.block.kind]
        alone = kind.variable_shape and not isinstance(frame[self.block.columns[0]].dtype, pl.Array)
        step = 1 if alone else max(CHUNK // 8, len(frame) // (4 * most_threads()))
        pieces = self.ration.starts(slice(start, start + len(frame)), step)
        list(pool.map(lambda first: self._piece(frame, start, first - start, step), pieces))

    def _piece(self, frame: pl.DataFrame, start: int, first: int, step: int) -> None:
        rows = slice(start + first, start + first + step)
        if self.ration.wants(rows):
            self._encoded(frame, start, first, step)
            self.ration.took(rows)

    def _encoded(self, frame: pl.DataFrame, start: int, first: int, step: int) -> None:
        block, kind = self.block, KINDS[self.block.kind]
        ways = {name: block.decode[name] for name in block.columns}
        decoded = decode_columns(kind, frame.select(block.columns).slice(first, step), self.table.source.root, ways)
        for item in decoded.values():
            for position, reason in item.bad.items():
                self.bad[start + first + position] = reason
        if kind.variable_shape and any(value is None for item in decoded.values() for value in item.values):
            return  # the row stays zero and leaves the split
        feeds = {name: np.asarray(item.values) for name, item in decoded.items()}
        for session, out in self.made:
            encoded = session.only(feeds)
            rows = out[start + first : start + first + len(encoded)]
            if block.padding is not None:
                rows[:, encoded.shape[1] :], rows = block.padding, rows[:, : encoded.shape[1]]
            rows[...] = encoded
