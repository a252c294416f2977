"""Tables in files: delimited text, workbooks, JSON, Parquet, Arrow; each but the last two also packed.

Enters: one file (or the shards of one Parquet table). Leaves: a `Part` that scans Parquet. Text is turned into Parquet
once, in bounded memory, under the digest of its content; reading the same content again starts at once. Values of
delimited text all stay text here: the kinds decide what they mean.

    >>> part = read_table(Path("houses/train.csv"), Path("cache"))      # doctest: +SKIP
    >>> part.frame.collect_schema().names()[:2]                         # doctest: +SKIP
    ['age', 'workclass']
"""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl

from leadline.core.note import code_of, noted
from leadline.readers.canonical import plain, unplain_columns
from leadline.readers.compression import packing_of, unpack_file, without_packing
from leadline.readers.csv import convert
from leadline.readers.encoding import NAMES, encoding_of, transcode
from leadline.readers.json import convert_json, convert_json_lines
from leadline.readers.media import medium_of_bytes
from leadline.readers.nested import flat
from leadline.readers.part import BadRow, Part, combine, counted, file_digest
from leadline.readers.workbook import WORKBOOKS, sheet_as_csv
from leadline.system.errors import SourceError

__all__ = ["TABLE_SUFFIXES", "as_utf8", "read_table", "table_suffix"]

PARQUET = (".parquet", ".pq")
ARROW = (".feather", ".arrow", ".ipc")
JSON_LINES = (".jsonl", ".ndjson")
JSON = (".json",)  # often holds settings, so it is a table only where a folder holds nothing surer
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".data", *WORKBOOKS, *PARQUET, *ARROW, *JSON_LINES)
# Raised whenever the conversion would give other rows or notes for the same content.
VERSION = 7
HEAD_BYTES = 2**16
SLICE_ROWS = 2**16

# Files that hold tables of other programs, or none.
FOREIGN = {
    ".arff": "an ARFF file of Weka", ".avro": "an Avro file", ".orc": "an ORC file", ".dta": "a Stata file",
    ".sav": "an SPSS file", ".sas7bdat": "a SAS file", ".rds": "an R file", ".rdata": "an R file",
    ".mat": "a MATLAB file", ".h5": "an HDF5 file", ".hdf5": "an HDF5 file", ".npy": "a NumPy array",
    ".npz": "a NumPy archive", ".pkl": "a pickle, which can run any program and is not opened",
    ".pickle": "a pickle, which can run any program and is not opened", ".xml": "an XML file", ".yaml": "a YAML file",
    ".yml": "a YAML file", ".geojson": "a GeoJSON file", ".html": "a web page", ".htm": "a web page",
    ".sql": "a file of SQL", ".libsvm": "a LIBSVM file", ".svmlight": "a LIBSVM file", ".docx": "a Word file",
    ".pptx": "a PowerPoint file", ".doc": "a Word file", ".mdb": "an Access database", ".accdb": "an Access database",
}  # fmt: skip

MAGIC = {
    b"PK\x03\x04": "a zip file; name it .zip, or .xlsx where it is a workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; name it .xls, or save its sheet as CSV",
    b"\x89PNG": "an image; give the folder that holds one subfolder a class",
    b"\xff\xd8\xff": "an image; give the folder that holds one subfolder a class",
    b"%PDF": "a PDF; save its table as CSV",
    b"SQLite format 3": "an SQLite database; save its table as CSV",
    b"PAR1": "Parquet under another name; rename it to .parquet",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with git lfs pull",
    b"ARROW1": "Arrow under another name; rename it to .arrow",
}


def table_suffix(path: Path) -> str:
    """The suffix that says how a table is written, in lower case and without that of a packing.

    >>> table_suffix(Path("a/Motions_TRAIN.csv.gz"))
    '.csv'
    """
    return without_packing(path).suffix.lower()


def read_table(path: Path | list[Path], cache: Path, sheet: str | None = None) -> Part:
    """Read one table from its file, or from its Parquet shards; of a workbook the sheet that is named.

    Raises SourceError for what is empty, binary, damaged, or bad in more than half of its lines.
    """
    paths = path if isinstance(path, list) else [path]
    binary = table_suffix(paths[0]) in (*PARQUET, *ARROW)
    part, unplain = _read_typed(paths, cache) if binary else _read_text(paths[0], cache, sheet)
    frame, notes = flat(part.frame, part.kinds)
    frame = plain(frame, part.kinds, unplain)
    return replace(part, frame=frame, notes=(*part.notes, *(f"column {note}" for note in notes)))


# --- text, by way of a Parquet file in the cache ---------------------------------------------------------------------


def _read_text(path: Path, cache: Path, sheet: str | None) -> tuple[Part, list[str]]:
    """The part, and the columns of text that `plain` has to change."""
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name} is empty, where a table was expected; check that it was saved or copied whole")
    digest = file_digest(path, cache)
    if sheet is not None:
        digest = combine([digest, sheet])
    suffix = table_suffix(path)
    if suffix in FOREIGN:
        raise SourceError(f"{path.name} is {FOREIGN[suffix]}; save its table as CSV")
    converters = {**dict.fromkeys(JSON_LINES, convert_json_lines), **dict.fromkeys(JSON, convert_json)}
    file_format = suffix.lstrip(".") if suffix in (*converters, *WORKBOOKS) else "delimited"
    stored = cache / "tables" / f"{digest}-{file_format}-v{VERSION}.parquet"
    facts_file = stored.with_suffix(".json")
    if not (stored.exists() and facts_file.exists()):
        stored.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=stored.parent) as name:
            folder = Path(name)
            if suffix in WORKBOOKS and path.suffix.lower() == suffix:
                plain, notes = sheet_as_csv(path, folder, sheet)
                done = convert(plain, folder, path.name, separator=",", unit="row")
            else:
                plain, notes = as_utf8(path, folder, "a table")
                done = converters.get(suffix, convert)(plain, folder, path.name)
            unplain = unplain_columns(flat(pl.scan_parquet(done.table), {})[0])
            all_notes = [*notes, *done.notes]
            facts = {
                "notes": all_notes, "codes": [code_of(note) for note in all_notes], "bad": done.bad, "unit": done.unit,
                "unplain": unplain,
            }  # fmt: skip
            (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
            # The table comes last: where it stands, its facts stand too.
            os.replace(folder / "facts.json", facts_file)
            os.replace(done.table, stored)
    facts = json.loads(facts_file.read_text(encoding="utf-8"))
    part = Part(
        frame=pl.scan_parquet(stored),
        digest=digest,
        # The name is not content, so it is put in here and not in the cache.
        notes=tuple(
            noted(code, f"{path.name} {note}") for code, note in zip(facts["codes"], facts["notes"], strict=True)
        ),
        bad=tuple(BadRow(f"{path.name} {facts['unit']} {line}", reason) for line, reason in facts["bad"]),
    )
    return part, facts["unplain"]


def as_utf8(path: Path, folder: Path, wanted: str) -> tuple[Path, list[str]]:
    """The same text as a plain UTF-8 file without a byte order mark: the file itself, where it is that already.

    `folder` takes what has to be written; `wanted` is what errors say was expected.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    source = path
    if packing := packing_of(path, head):
        source = unpack_file(path, packing, folder / "unpacked")
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not head:
            raise SourceError(f"{path.name} holds nothing once unpacked, where {wanted} was expected; pack it again")
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            raise SourceError(f"{path.name} is {what}")
    if wanted == "a table" and head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise SourceError(f"{path.name} is a web page; download the file itself, or save the table of the page as CSV")
    encoding = encoding_of(source, head)
    if encoding.startswith("utf-16") or encoding.startswith("utf-32"):
        return transcode(source, folder, encoding), [f"is {encoding[:6].upper()} and was read as such"]
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1a\x1b" for byte in head)
    if b"\0" in head or control > len(head) // 100:
        remedy = "; if it is a table, save it as CSV" if wanted == "a table" else "; save it as plain text"
        expected = "delimited text, JSON Lines or Parquet" if wanted == "a table" else wanted
        raise SourceError(f"{path.name} holds binary data, where {expected} was expected{remedy}")
    if encoding == "utf-8":
        return source, []
    if encoding == "utf-8-sig":
        return transcode(source, folder, encoding), []
    if encoding == "latin-1":
        note = f"is not all UTF-8; the bytes that are not were read as {NAMES[encoding]}"
    else:
        note = f"is not UTF-8; it was read as {NAMES[encoding]}; save it as UTF-8 where letters look wrong"
    return transcode(source, folder, encoding), [note]


# --- Parquet and Arrow -----------------------------------------------------------------------------------------------


def _read_typed(paths: list[Path], cache: Path) -> tuple[Part, list[str]]:
    """The part, and the columns of text that `plain` has to change."""
    name, parquet = paths[0].name, table_suffix(paths[0]) in PARQUET
    digest = combine(file_digest(path, cache) for path in paths)
    known = cache / "tables" / f"{digest}-whole-v{VERSION}"
    try:
        frame = pl.scan_parquet(paths) if parquet else pl.scan_ipc(paths)
        schema = frame.collect_schema()
        rows = frame.select(pl.len()).collect().item()
        metadata = pl.read_parquet_metadata(paths[0]) if parquet else {}
        # Every value is read once, so that a damaged page fails here and not in the middle of a run.
        for start in range(0, rows, SLICE_ROWS) if not known.exists() else ():
            frame.slice(start, SLICE_ROWS).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if isinstance(error, PermissionError | FileNotFoundError):
            raise
        format_name = "Parquet" if parquet else "Arrow"
        raise SourceError(
            f"{name} is not a whole {format_name} file ({_first_line(error)}); copy or download it again"
        ) from error
    if not rows or not len(schema):
        raise SourceError(f"{name} has {counted(len(schema), 'column')} and no row; give a file with at least one row")
    kinds = _media(frame, schema)
    if not known.exists():
        known.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=known.parent) as folder:
            fresh = Path(folder) / known.name
            fresh.write_text(json.dumps(unplain_columns(flat(frame, kinds)[0], kinds)), encoding="utf-8")
            os.replace(fresh, known)
    classes = _class_names(metadata.get("huggingface", ""), schema)
    frame = frame.with_columns(
        pl.col(column).replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)
        for column, names in classes.items()
    )
    part = Part(
        frame=frame,
        digest=digest,
        kinds=kinds,
        notes=tuple(
            f"{name} names the {len(names)} classes of {column!r}; they are used in place of its numbers"
            for column, names in classes.items()
        ),
    )
    return part, list(json.loads(known.read_text(encoding="utf-8")))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["?"])[0]


def _media(frame: pl.LazyFrame, schema: pl.Schema) -> dict[str, str]:
    """The columns that hold encoded images or audio, by the first bytes of their first value."""
    kinds = {}
    for column, dtype in schema.items():
        values = pl.col(column)
        if isinstance(dtype, pl.Struct):
            fields = {inner.name: inner.dtype for inner in dtype.fields}
            if fields.get("bytes") != pl.Binary:
                continue
            values = values.struct.field("bytes")
        elif dtype != pl.Binary:
            continue
        first = frame.select(values.drop_nulls().first()).collect().item() or b""
        if kind := medium_of_bytes(first):
            kinds[column] = kind
    return kinds


def _class_names(text: str, schema: pl.Schema) -> dict[str, list[str]]:
    """Class names in the metadata that the `datasets` library writes: info.features.COLUMN.names."""
    try:
        features = json.loads(text)["info"]["features"]
        names_of = {column: feature.get("names") for column, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {
        column: names
        for column, names in names_of.items()
        if isinstance(names, list) and column in schema and schema[column].is_integer()
    }
