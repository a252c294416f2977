"""JSON to Parquet: JSON Lines, an array of objects, or an object of columns.

Enters: a plain UTF-8 file. Leaves: a Parquet file with the types of JSON, notes, and the lines that could not be read.

    {"a": 1}⏎{"a": 2}                    JSON Lines, in bounded memory
    [{"a": 1}, {"a": 2}]                 an array, or such an array under one key of an object
    {"a": [1, 2]}  {"a": {"0": 1}}       columns
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from leadline.readers.csv import Converted
from leadline.readers.media import listed
from leadline.readers.part import counted
from leadline.system.errors import SourceError

__all__ = ["convert_json", "convert_json_lines"]

PIECE_BYTES = 2**26
ARRAY = (
    'an array of objects such as [{"text": "...", "label": "..."}], columns of one length, or an object a line '
    "were expected"
)


def convert_json(plain: Path, folder: Path, name: str) -> Converted:
    """Turn a .json file into `folder`/table.parquet. Raises SourceError for what holds no table."""
    text = plain.read_text(encoding="utf-8")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if _begins_with_object(text):
            return convert_json_lines(plain, folder, name)
        raise SourceError(f"{name} is not whole JSON ({error}); copy or download it again") from error
    rows = _rows(value)
    if rows is None:
        raise SourceError(f"{name} holds JSON of another form, where {ARRAY}; write its rows in one of these forms")
    lines = folder / "rows.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return convert_json_lines(lines, folder, name, counted_in="row")


def _begins_with_object(text: str) -> bool:
    """Whether the first line that is not blank is an object by itself, as in JSON Lines."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _rows(data: Any) -> Iterable[Any] | None:
    """The rows that a JSON value holds; None where it holds none."""
    if isinstance(data, list):
        return data
    if not isinstance(data, dict) or not data:
        return None
    values = list(data.values())
    if all(isinstance(value, dict) for value in values):  # as pandas writes columns: {"a": {"0": 1, "1": 2}}
        values = [list(value.values()) for value in values]
    alike = all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1
    if alike and (len(values) > 1 or not all(isinstance(item, dict) for item in values[0])):
        return (dict(zip(data, row, strict=True)) for row in zip(*values, strict=True))
    lists = [value for value in values if isinstance(value, list) and value and isinstance(value[0], dict)]
    return lists[0] if len(lists) == 1 else [data] if not any(isinstance(v, list | dict) for v in values) else None


def convert_json_lines(plain: Path, folder: Path, name: str, *, counted_in: str = "line") -> Converted:
    """Turn JSON Lines into `folder`/table.parquet; lines that are no object are quarantined."""
    table = folder / "table.parquet"
    done = Converted(table=table, unit=counted_in)
    if not plain.stat().st_size:
        raise SourceError(f'{name} holds no row; add at least one such as {{"text": "...", "label": "..."}}')
    try:
        _sink_json(plain, table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        clean, done = _clean_json(plain, folder, name, counted_in)
        try:
            _sink_json(clean, table)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            reason = (str(error).splitlines() or ["?"])[0]
            raise SourceError(
                f"{name} could not be read as JSON Lines ({reason}); write every key in one form on every {counted_in}"
            ) from error
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


def _clean_json(plain: Path, folder: Path, name: str, unit: str) -> tuple[Path, Converted]:
    """Drop the lines that are no JSON object, and write keys of mixed types (now a number, now a list) as text."""
    done = Converted(table=folder / "table.parquet", unit=unit)
    types: dict[str, set[type]] = {}
    good = bad = 0
    for number, row, reason in _lines(plain):
        if row is None:
            bad += 1
            done = done.with_bad(number, reason)
            continue
        good += 1
        for key, value in row.items():
            if value is not None:
                types.setdefault(key, set()).add(float if type(value) is int else type(value))
    if bad > good or not good:
        first = f" (first: {unit} {done.bad[0][0]}, {done.bad[0][1]})" if done.bad else ""
        raise SourceError(
            f"{name} has {counted(bad, unit)} of {good + bad:,} that are no JSON object{first}, where one object a "
            f"{unit} was expected; save it as JSON Lines"
        )
    mixed = {key for key, key_types in types.items() if len(key_types) > 1}
    clean = folder / "clean.jsonl"
    with clean.open("w", encoding="utf-8") as file:
        for _, row, _ in _lines(plain):
            if row is not None:
                file.write(json.dumps({k: _as_text(v) if k in mixed else v for k, v in row.items()}) + "\n")
    notes = [f"has {counted(bad, unit)} that could not be read, left out"] if bad else []
    if mixed:
        notes.append(f"holds values of several types under {listed(map(repr, sorted(mixed)))}; all are read as text")
    return clean, replace(done, notes=tuple(notes))


def _lines(plain: Path) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """(number, object, "") of each line that is not blank, or (number, None, why it is none)."""
    with plain.open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text, parse_constant=lambda word: None)  # NaN and Infinity are no JSON
            except (ValueError, RecursionError) as error:
                yield number, None, f"not JSON: {error}"
                continue
            yield (number, row, "") if isinstance(row, dict) else (number, None, "not a JSON object")


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
