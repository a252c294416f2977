"""Answers in a file, written part by part: memory does not grow with their number.

Enters: frames of answers, all with the same columns. Leaves: a file as its suffix says, whole or not at all: it gets
its name when the last part is written.

    >>> parts = [pl.DataFrame({"prediction": ["yes"]}), pl.DataFrame({"prediction": ["no"]})]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = Path(folder, "answers.csv")
    ...     write(parts, out), out.read_text()
    (2, 'prediction\\nyes\\nno\\n')
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

import polars as pl

from leadline.system.errors import OutputError
from leadline.system.os_errors import NUMBERED
from leadline.system.whole import appearing


def write(parts: Iterable[pl.DataFrame], out: Path) -> int:
    """Write frames one after another as CSV, TSV, Parquet or JSON Lines, by the suffix of `out`.

    Returns:
        The number of rows.

    Raises:
        OutputError: there is no such folder or form of file, or the file cannot be written.
    """
    check_out(out)
    failed: list[Exception] = []
    try:
        with appearing(out) as unfinished:
            return WRITERS[out.suffix.lower()](_kept_apart(parts, failed), unfinished)
    except (OSError, pl.exceptions.PolarsError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number is None and (match := NUMBERED.search(str(error))):
            number = int(match[1])
        if error in failed or isinstance(error, BrokenPipeError) or number is None:
            raise
        raise OutputError(f"{out} cannot be written ({os.strerror(number).lower()}); choose another --out.") from error


def _kept_apart(parts: Iterable[pl.DataFrame], failed: list[Exception]) -> Iterator[pl.DataFrame]:
    """The parts; what goes wrong in making one is noted, since it is no fault of writing."""
    try:
        yield from parts
    except Exception as error:
        failed.append(error)
        raise


def write_delimited(parts: Iterable[pl.DataFrame], file: TextIO, separator: str = ",") -> int:
    """Write frames as delimited text with one header line; returns the number of rows."""
    rows = 0
    for number, part in enumerate(parts):
        file.write(_flat(part).write_csv(separator=separator, include_header=number == 0))
        rows += len(part)
    return rows


def _delimited(parts: Iterable[pl.DataFrame], path: Path, separator: str) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        return write_delimited(parts, file, separator)


def _json_lines(parts: Iterable[pl.DataFrame], path: Path) -> int:
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for part in parts:
            file.write(part.write_ndjson())
            rows += len(part)
    return rows


def _parquet(parts: Iterable[pl.DataFrame], path: Path) -> int:
    """A file of its own for each part, then one that streams them all: polars appends to no Parquet file."""
    rows = 0
    with tempfile.TemporaryDirectory(prefix=".answers-", dir=path.parent) as folder:
        for number, part in enumerate(parts):
            part.write_parquet(Path(folder, f"{number:09}.parquet"))
            rows += len(part)
        pl.scan_parquet(Path(folder, "*.parquet"), glob=True).sink_parquet(path)
    return rows


WRITERS: dict[str, Callable[[Iterable[pl.DataFrame], Path], int]] = {
    ".csv": partial(_delimited, separator=","),
    ".tsv": partial(_delimited, separator="\t"),
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}


def check_out(out: Path) -> None:
    """Refuse a file that `write` would not know how to write, or where."""
    if out.suffix.lower() not in WRITERS:
        raise OutputError(f"--out {out} has no known suffix; use one of {', '.join(WRITERS)}.")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent} to write {out.name} to; make it, or choose another --out.")
    if out.is_dir():
        raise OutputError(f"{out} cannot be written (it is a folder); choose another --out.")


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists as one text, joined by '|', which `fit` reads as labels again: CSV knows no lists."""
    return frame.with_columns(pl.col(pl.List(pl.String)).list.join("|"))
