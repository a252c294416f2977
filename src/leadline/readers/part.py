"""One part (train, valid or test) of a source, and the digests of its content.

Enters: files and frames. Leaves: `Part`, which every reader of `data/` returns, and blake2b digests (16 bytes, hex).
A digest is of content alone, never of a path or a time, so the same data has the same digest on every machine.

    >>> import polars as pl
    >>> frame_digest(pl.DataFrame({"a": [1, 2]}).lazy()) == frame_digest(pl.DataFrame({"a": [1, 2]}).lazy())
    True
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.readers.canonical import composed
from leadline.system.errors import SourceError
from leadline.system.whole import replace_text

__all__ = [
    "PART_TOKENS",
    "USUAL_TARGETS",
    "BadRow",
    "Part",
    "agreed",
    "called_as",
    "combine",
    "counted",
    "file_digest",
    "files_digest",
    "frame_digest",
    "is_utf8",
    "part_of",
]

# Hashing runs at about 1 GB/s, so remembering a digest pays only for files that take a noticeable time.
REMEMBER_BYTES = 64 * 2**20
BLOCK_BYTES = 2**20
SLICE_ROWS = 65_536

PART_TOKENS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
    "t10k": "test",
}
# Names of columns that are the target where none is given.
USUAL_TARGETS = ("label", "target", "class", "y")


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read at all.

    >>> BadRow("train.csv line 17", "3 fields where 2 were expected").place
    'train.csv line 17'
    """

    place: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One table as read: its rows in source order, and what its reader has to say about it."""

    frame: pl.LazyFrame
    digest: str
    kinds: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    bad: tuple[BadRow, ...] = ()


def part_of(stem: str) -> str | None:
    """The part that a file or folder name states, or None where it states none or several.

    >>> part_of("GunPoint_TRAIN"), part_of("t10k-images"), part_of("housing")
    ('train', 'test', None)
    """
    words = "".join(c if c.isalnum() else " " for c in stem.lower()).split()
    parts = {PART_TOKENS[word] for word in words if word in PART_TOKENS}
    return parts.pop() if len(parts) == 1 else None


def is_utf8(name: str) -> bool:
    """Whether a file's name is text: names on Linux may be any bytes, and those that are not UTF-8 fit into no column.

    >>> is_utf8("café.png"), is_utf8("caf\\udce9.png")
    (True, False)
    """
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def counted(number: int, thing: str) -> str:
    """A number with its thing, for sentences.

    >>> counted(1, "line"), counted(7223, "blank line")
    ('1 line', '7,223 blank lines')
    """
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def called_as(frame: pl.LazyFrame, wanted: Sequence[str]) -> tuple[pl.LazyFrame, dict[str, str]]:
    """The frame with its columns called as wanted, where they differ in large letters and spaces alone, and {old: new}.

    >>> called_as(pl.LazyFrame({"Sepal Length": [1], "k": [2]}), ["sepal_length", "k"])[1]
    {'Sepal Length': 'sepal_length'}
    """
    there = frame.collect_schema().names()
    known, wanted_names = set(there), set(wanted)
    lacking = [name for name in wanted if name not in known]
    if not lacking:
        return frame, {}
    others: dict[str, list[str]] = {}
    for name in there:
        others.setdefault(_bare(name), []).extend([name] if name not in wanted_names else [])
    renamed = {same[0]: name for name in lacking if len(same := others.get(_bare(name), [])) == 1}
    return frame.rename(renamed), renamed


def _bare(name: str) -> str:
    return re.sub(r"[\s_]+", " ", composed(name).casefold()).strip()


def agreed(number: int, one: str, many: str) -> str:
    """Words that agree with a number, which stands where `{}` does.

    >>> agreed(1, "1 pair bears", "{} pairs bear"), agreed(2_000, "1 pair bears", "{} pairs bear")
    ('1 pair bears', '2,000 pairs bear')
    """
    return one if number == 1 else many.replace("{}", f"{number:,}")


def combine(digests: Iterable[str]) -> str:
    """One digest of several, in their order."""
    return _hash("\n".join(digests).encode()).hexdigest()


def file_digest(path: Path, cache: Path) -> str:
    """The digest of a file's bytes; that of a large file is remembered by path, size and time of change."""
    return _remembered(f"{path.resolve()}", [path], cache, lambda: _hash_file(path))


def files_digest(root: Path, names: list[str], cache: Path) -> str:
    """The digest of many files: their names relative to `root` and their bytes, in the order given."""

    def compute() -> str:
        return combine(line for name in names for line in (name, _hash_file(root / name)))

    return _remembered(f"{root.resolve()} {combine(names)}", [root / name for name in names], cache, compute)


def frame_digest(frame: pl.LazyFrame) -> str:
    """The digest of a frame's columns: names, types and values, whatever chunks they lie in."""
    total = _hash(b"")
    schema = frame.collect_schema()
    start = 0
    while True:
        rows = frame.slice(start, SLICE_ROWS).collect()
        for name in schema.names():
            _feed(total, rows[name], name)
        start += rows.height
        if rows.height < SLICE_ROWS:
            return total.hexdigest()


def _hash(data: bytes) -> "hashlib.blake2b":
    return hashlib.blake2b(data, digest_size=16)


def _hash_file(path: Path) -> str:
    total = _hash(b"")
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            total.update(block)
    return total.hexdigest()


def _remembered(key: str, paths: list[Path], cache: Path, compute: Any) -> str:
    stats = [path.stat() for path in paths]
    if sum(stat.st_size for stat in stats) <= REMEMBER_BYTES:
        return str(compute())
    key = combine([key, *(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)])
    memory = cache / "digests.json"
    known = _load_digests(memory)
    if key not in known:
        digest = str(compute())
        # Read again before writing: another run may have added its own in the meantime.
        known = {**_load_digests(memory), key: digest}
        cache.mkdir(parents=True, exist_ok=True)
        replace_text(memory, json.dumps(known))
    return known[key]


def _load_digests(memory: Path) -> dict[str, str]:
    # The memory only saves time, so a damaged one is the same as none.
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _feed(total: "hashlib.blake2b", column: pl.Series, name: str) -> None:
    """Add a column to a digest, in a form that doesn't depend on how polars lays it out in memory."""
    column = column.alias("")  # methods of a series named '*' would ask for every column
    dtype = column.dtype
    total.update(f"{name}\n{dtype}\n{len(column)}\n".encode())
    if _holds_objects(dtype):
        raise SourceError(
            f"column {name!r} holds Python objects, where numbers, text, bytes or lists of them were expected; "
            "turn its values into one of these"
        )
    if column.null_count():
        total.update(np.packbits(column.is_null().to_numpy()).tobytes())
    if isinstance(dtype, pl.Struct):
        for child in column.struct.unnest().get_columns():
            _feed(total, child, f"{name}.{child.name}")
    elif isinstance(dtype, pl.List):
        _feed(total, column.list.len(), f"{name}#")
        _feed(total, column.explode(), f"{name}[]")
    elif isinstance(dtype, pl.Array):
        values = column.to_numpy() if not column.null_count() else None
        if values is not None and values.dtype.kind in "iufb":
            _feed_numbers(total, values)
        else:
            _feed(total, column.cast(pl.List(dtype.inner)), name)
    elif dtype == pl.Binary:
        items = column.drop_nulls().to_list()
        total.update(np.array([len(value) for value in items], np.int64).tobytes())
        total.update(b"".join(items))
    elif isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Decimal | pl.Int128 | pl.UInt128):
        text = column.drop_nulls().cast(pl.String)
        total.update(text.str.len_bytes().cast(pl.Int64).to_numpy().tobytes())
        total.update("".join(text.to_list()).encode())
    elif dtype != pl.Null:
        plain = column.cast(pl.UInt8) if dtype == pl.Boolean else column.to_physical()
        _feed_numbers(total, plain.fill_null(0).to_numpy())


def _holds_objects(dtype: Any) -> bool:
    """Whether values are Python objects, or contain some."""
    if isinstance(dtype, pl.Struct):
        return any(_holds_objects(field.dtype) for field in dtype.fields)
    return bool(dtype == pl.Object) or (isinstance(dtype, pl.List | pl.Array) and _holds_objects(dtype.inner))


def _feed_numbers(total: "hashlib.blake2b", values: "np.ndarray[Any, Any]") -> None:
    total.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
