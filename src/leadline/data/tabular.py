"""Tables in files: delimited text, JSON Lines, Parquet.

Enters: one file (or the shards of one Parquet table). Leaves: a `Part` that scans Parquet. Text is turned into Parquet
once, in bounded memory, under the digest of its content; reading the same content again starts at once. Cells of
delimited text all stay text here: what they mean is for the kinds to say.

    >>> part = read_table(Path("houses/train.csv"), Path("cache"))      # doctest: +SKIP
    >>> part.frame.collect_schema().names()[:2]                         # doctest: +SKIP
    ['age', 'workclass']
"""

import codecs
import gzip
import json
import os
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from leadline.data.delimited import Converted, convert
from leadline.data.media import medium_of_bytes
from leadline.data.part import BadRow, Part, combine, counted, file_digest
from leadline.errors import SourceError

__all__ = ["TABLE_SUFFIXES", "as_utf8", "read_table", "table_suffix"]

PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv", ".data", *PARQUET, *JSON_LINES)
# Raised whenever the conversion would give other rows for the same content.
VERSION = 1
BLOCK_BYTES = 2**20
HEAD_BYTES = 2**16
PIECE_BYTES = 2**26

MAGIC = {
    b"PK\x03\x04": "a zip file; unzip it and give the folder",
    b"\x89PNG": "an image; give the folder that holds one subfolder a class",
    b"\xff\xd8\xff": "an image; give the folder that holds one subfolder a class",
    b"%PDF": "a PDF; save its table as CSV",
    b"SQLite format 3": "an SQLite database; save its table as CSV",
    b"PAR1": "Parquet under another name; rename it to .parquet",
}


def table_suffix(path: Path) -> str:
    """The suffix that says how a table is written, in lower case and without .gz.

    >>> table_suffix(Path("a/Motions_TRAIN.csv.gz"))
    '.csv'
    """
    path = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return path.suffix.lower()


def read_table(path: Path | list[Path], cache: Path) -> Part:
    """Read one table from its file, or from its Parquet shards.

    Raises SourceError for what is empty, binary, damaged, or bad in more than half of its lines.
    """
    paths = path if isinstance(path, list) else [path]
    return _read_parquet(paths, cache) if table_suffix(paths[0]) in PARQUET else _read_text(paths[0], cache)


# --- text, by way of a Parquet file in the cache ---------------------------------------------------------------------


def _read_text(path: Path, cache: Path) -> Part:
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name} is empty, where a table was expected; check that it was saved or copied whole")
    digest = file_digest(path, cache)
    form = "jsonl" if table_suffix(path) in JSON_LINES else "text"
    stored = cache / "tables" / f"{digest}-{form}-v{VERSION}.parquet"
    facts = stored.with_suffix(".json")
    if not (stored.exists() and facts.exists()):
        stored.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=stored.parent) as name:
            folder = Path(name)
            plain, notes = as_utf8(path, folder, "a table")
            done = (_convert_json if form == "jsonl" else convert)(plain, folder, path.name)
            found = {"notes": [*notes, *done.notes], "bad": done.bad}
            (folder / "facts.json").write_text(json.dumps(found), encoding="utf-8")
            # The table comes last: where it stands, its facts stand too.
            os.replace(folder / "facts.json", facts)
            os.replace(done.table, stored)
    found = json.loads(facts.read_text(encoding="utf-8"))
    return Part(
        frame=pl.scan_parquet(stored),
        digest=digest,
        # The name is not content, so it is put in here and not in the cache.
        notes=tuple(f"{path.name} {note}" for note in found["notes"]),
        bad=tuple(BadRow(f"{path.name} line {line}", reason) for line, reason in found["bad"]),
    )


def as_utf8(path: Path, folder: Path, wanted: str) -> tuple[Path, list[str]]:
    """The same text as a plain UTF-8 file without a byte order mark: the file itself, where it is that already.

    `folder` takes what has to be written; `wanted` is what errors say was expected.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    source = path
    if head.startswith(b"\x1f\x8b") or path.suffix.lower() == ".gz":
        source = _gunzip(path, folder / "gunzipped")
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not head:
            raise SourceError(f"{path.name} holds nothing once unpacked, where {wanted} was expected; pack it again")
    if table_suffix(path) in (".xlsx", ".xls"):
        raise SourceError(f"{path.name} is an Excel workbook; save its sheet as CSV")
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            raise SourceError(f"{path.name} is {what}")
    encoding = _encoding(source, head)
    if encoding == "utf-16":
        return _transcode(source, folder, encoding), ["is UTF-16 and was read as such"]
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1a\x1b" for byte in head)
    if b"\0" in head or control > len(head) // 100:
        remedy = "; if it is a table, save it as CSV" if wanted == "a table" else "; save it as plain text"
        expected = "delimited text, JSON Lines or Parquet" if wanted == "a table" else wanted
        raise SourceError(f"{path.name} holds binary data, where {expected} was expected{remedy}")
    if encoding == "utf-8":
        return source, []
    if encoding == "utf-8-sig":
        return _transcode(source, folder, encoding), []
    return _transcode(source, folder, encoding), ["is not UTF-8; it was read as Latin-1 (Windows-1252)"]


def _gunzip(path: Path, target: Path) -> Path:
    try:
        with gzip.open(path) as packed, target.open("wb") as plain:
            while block := packed.read(BLOCK_BYTES):
                plain.write(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(
            f"{path.name} is not a whole gzip file ({error}); copy or download it again, or drop .gz from its name"
        ) from error
    return target


def _encoding(path: Path, head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"


def _transcode(source: Path, folder: Path, encoding: str) -> Path:
    # What is called Latin-1 is nearly always Windows-1252, which adds curly quotes and the euro where Latin-1 has
    # control codes; bytes that it leaves undefined fall back to Latin-1 itself.
    reader = "cp1252" if encoding == "latin-1" else encoding
    codecs.register_error("leadline-latin-1", _latin)
    target = folder / "utf8"
    errors = "leadline-latin-1" if encoding == "latin-1" else "replace"
    with (
        source.open(encoding=reader, errors=errors, newline="") as old,
        target.open("w", encoding="utf-8", newline="") as new,
    ):
        while block := old.read(BLOCK_BYTES):
            new.write(block)
    return target


def _latin(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


# --- JSON Lines ------------------------------------------------------------------------------------------------------


def _convert_json(plain: Path, folder: Path, name: str) -> Converted:
    table = folder / "table.parquet"
    done = Converted(table=table)
    try:
        _sink_json(plain, table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        clean, done = _clean_json(plain, folder, name)
        try:
            _sink_json(clean, table)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise SourceError(f"{name} could not be read as JSON Lines: {str(error).splitlines()[0]}") from error
    if not pl.scan_parquet(table).select(pl.len()).collect().item():
        raise SourceError(f'{name} holds no row; add at least one line such as {{"text": "..."}}')
    return done


def _sink_json(plain: Path, table: Path) -> None:
    """In pieces, because finding the type of every key takes memory in proportion to what is read at once."""
    pieces: list[Path] = []
    with plain.open("rb") as file:
        while block := file.read(PIECE_BYTES):
            lines = table.with_name(f"piece-{len(pieces)}.jsonl")
            lines.write_bytes(block + file.readline())
            pieces.append(lines.with_suffix(".parquet"))
            pl.scan_ndjson(lines, infer_schema_length=None).sink_parquet(pieces[-1], compression="lz4")
            lines.unlink()
    if len(pieces) == 1:
        pieces[0].replace(table)
    else:
        # A key may be absent from a piece, or whole numbers in one and fractions in another.
        frame = pl.concat([pl.scan_parquet(piece) for piece in pieces], how="diagonal_relaxed")
        frame.sink_parquet(table, compression="lz4")


@dataclass
class _Shapes:
    """Whether each key of JSON Lines holds a value, a list or an object: polars can't join these in one column."""

    seen: dict[str, tuple[str, int]]

    def check(self, row: dict[str, Any], line: int, name: str) -> None:
        for key, value in row.items():
            if value is None:
                continue
            shape = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "a value"
            first, at = self.seen.setdefault(key, (shape, line))
            if shape != first:
                raise SourceError(
                    f"{name} has {first} under {key!r} on line {at} and {shape} on line {line}, where one form was "
                    "expected; write it the same way on every line"
                )


def _clean_json(plain: Path, folder: Path, name: str) -> tuple[Path, Converted]:
    """Set aside the lines that are no JSON object, so that the rest can be read."""
    clean, shapes = folder / "clean.jsonl", _Shapes({})
    done = Converted(table=folder / "table.parquet")
    kept = lost = 0
    with plain.open(encoding="utf-8") as old, clean.open("w", encoding="utf-8") as new:
        for number, text in enumerate(old, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
                reason = "" if isinstance(row, dict) else "not a JSON object"
            except ValueError as error:
                reason = f"not JSON: {error}"
            if reason:
                lost += 1
                done = done.with_bad(number, reason)
                continue
            shapes.check(row, number, name)
            kept += 1
            new.write(json.dumps(row) + "\n")
    if lost > kept:
        raise SourceError(
            f"{name} has {counted(lost, 'line')} of {kept + lost:,} that are no JSON object (first: "
            f"line {done.bad[0][0]}, {done.bad[0][1]}), where one object a line was expected; save it as JSON Lines"
        )
    return clean, replace(done, notes=(f"has {counted(lost, 'line')} that could not be read, left out",))


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _read_parquet(paths: list[Path], cache: Path) -> Part:
    name = paths[0].name
    try:
        frame = pl.scan_parquet(paths)
        schema = frame.collect_schema()
        rows = frame.select(pl.len()).collect().item()
        metadata = pl.read_parquet_metadata(paths[0])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise SourceError(f"{name} is not a whole Parquet file ({reason}); copy or download it again") from error
    if not rows or not len(schema):
        raise SourceError(f"{name} has {len(schema)} columns and no row; give a file with at least one row")
    kinds = _media(frame, schema)
    classes = _class_names(metadata.get("huggingface", ""), schema)
    frame = frame.with_columns(
        pl.col(column).replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)
        for column, names in classes.items()
    )
    return Part(
        frame=frame,
        digest=combine(file_digest(path, cache) for path in paths),
        kinds=kinds,
        notes=tuple(
            f"{name} names the {len(names)} classes of {column!r}; they are used in place of its numbers"
            for column, names in classes.items()
        ),
    )


def _media(frame: pl.LazyFrame, schema: pl.Schema) -> dict[str, str]:
    """The columns that hold encoded images or audio, by the first bytes of their first value."""
    found = {}
    for column, dtype in schema.items():
        cell = pl.col(column)
        if isinstance(dtype, pl.Struct):
            fields = {inner.name: inner.dtype for inner in dtype.fields}
            if fields.get("bytes") != pl.Binary:
                continue
            cell = cell.struct.field("bytes")
        elif dtype != pl.Binary:
            continue
        first = frame.select(cell.drop_nulls().first()).collect().item() or b""
        if kind := medium_of_bytes(first):
            found[column] = kind
    return found


def _class_names(text: str, schema: pl.Schema) -> dict[str, list[str]]:
    """Class names in the metadata that the `datasets` library writes: info.features.COLUMN.names."""
    try:
        features = json.loads(text)["info"]["features"]
        found = {column: feature.get("names") for column, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {
        column: names
        for column, names in found.items()
        if isinstance(names, list) and column in schema and schema[column].is_integer()
    }
