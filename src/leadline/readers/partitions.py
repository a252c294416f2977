"""Folders whose names are columns: `region=north/year=2022/part-0.parquet`, as Spark, DuckDB and polars write tables.

Enters: the files of such a table, and the folder above them. Leaves: the values in the names of its folders for each
file, and these as columns. A value is text, as in a CSV: a kind reads it like any other.

    >>> partition_values(Path("sales/region=north/year=2022/part-0.parquet"), Path("sales"))
    {'region': 'north', 'year': '2022'}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from leadline.readers.media import files_below
from leadline.readers.part import Part, combine
from leadline.readers.tabular import TABLE_SUFFIXES, table_suffix

__all__ = ["note", "partition_files", "partition_values", "with_partitions"]

NAMED = re.compile(r"(?P<column>[^=]+)=(?P<value>.*)")
MISSING = "__HIVE_DEFAULT_PARTITION__"  # what Hive writes where a value is missing


def partition_files(files: Sequence[Path], subfolders: Sequence[Path]) -> list[Path]:
    """The tables below a folder that holds these, in order of name; none where its folders name no column."""
    subfolders = [folder for folder in subfolders if not folder.name.startswith("_")]  # a log, as Delta keeps one
    names = [NAMED.fullmatch(folder.name) for folder in subfolders]
    if not names or not all(names) or len({name["column"] for name in names if name}) > 1:
        return []
    if any(table_suffix(file) in TABLE_SUFFIXES for file in files if not file.name.startswith("_")):
        return []
    below = [folder / name for folder in subfolders for name in files_below(folder)]
    return sorted(file for file in below if table_suffix(file) in TABLE_SUFFIXES and not file.name.startswith("_"))


def partition_values(file: Path, root: Path) -> dict[str, str | None]:
    """{column: value} from the names of the folders between `root` and a file."""
    names = [NAMED.fullmatch(folder) for folder in file.relative_to(root).parts[:-1]]
    return {
        unquote(name["column"]): None if name["value"] == MISSING else unquote(name["value"]) for name in names if name
    }


def with_partitions(part: Part, values: dict[str, str | None]) -> Part:
    """A part with these as further columns; a column of the file itself stays unchanged."""
    present = part.frame.collect_schema().names()
    values = {column: value for column, value in values.items() if column not in present}
    if not values:
        return part
    columns = [pl.lit(value, dtype=pl.String).alias(column) for column, value in values.items()]
    digest = combine([part.digest, *(f"{column}={value}" for column, value in values.items())])
    return replace(part, frame=part.frame.with_columns(columns), digest=digest)


def note(columns: Sequence[str]) -> str:
    """The message about it."""
    named = ", ".join(map(repr, columns))
    return (
        f"names of folders such as {columns[0]}=... are read as {'column' if len(columns) == 1 else 'columns'} {named}"
    )
