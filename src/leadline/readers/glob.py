"""Several files as one source, by a pattern: `leadline fit "sales/*.csv"`.

Enters: a pattern with `*`, `?`, `[...]` or `**`. Leaves: a `Layout`. Tables of the same columns are one table, in order
of name; where the names state parts (train-1.csv, test-1.csv), one table a part. Folders called COLUMN=VALUE are
columns (`partitions.py`).
"""

import glob
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from leadline.readers import partitions
from leadline.readers.media import NOUNS, Layout, listed, litter, medium_of, parts_note
from leadline.readers.part import Part, combine, counted, part_of
from leadline.readers.tabular import read_table
from leadline.system.errors import SourceError

__all__ = ["is_pattern", "matches", "one_table"]


def is_pattern(text: str) -> bool:
    """Whether a path is a pattern; a file that is there is never one.

    >>> is_pattern("sales/*.csv"), is_pattern("sales.csv")
    (True, False)
    """
    return glob.has_magic(text) and not os.path.lexists(text)


def matches(pattern: str) -> list[Path]:
    """The files of a pattern in order of name. Raises SourceError where there are none, or only media or folders."""
    paths = sorted(Path(name) for name in glob.glob(_literal_folders(pattern), recursive=True))
    files = [path for path in paths if path.is_file() and not litter(path.name)]
    if kinds := [kind for kind in (medium_of(file.name) for file in files) if kind]:
        raise SourceError(
            f"{pattern!r} names {counted(len(kinds), NOUNS[kinds[0]])} without a label; give the folder that holds one "
            "subfolder a class, or a table of file names and labels"
        )
    if not files:
        what = f"nothing but {counted(len(paths), 'folder')}" if paths else "no file"
        remedy = "give one folder, or a pattern of files" if paths else "check the pattern, and quote it"
        raise SourceError(f"{pattern!r} names {what} in {Path.cwd()}; {remedy}")
    return files


def _literal_folders(pattern: str) -> str:
    """The pattern with signs that stand in the names of folders taken as they are, as in 'sales [2024]/*.csv'."""
    whole, literal = Path(pattern), Path()
    for part in whole.parts:
        if not (literal / part).is_dir():
            break
        literal /= part
    rest = whole.relative_to(literal) if literal.parts else whole
    return os.path.join(glob.escape(str(literal)), str(rest)) if literal.parts else pattern


def one_table(files: list[Path], cache: Path) -> Layout:
    """Read files as one table, or as one a part. Raises SourceError where their columns differ."""
    root = Path(os.path.commonpath([file.parent for file in files]))
    by_part: dict[str, list[Path]] = {}
    for file in files:
        by_part.setdefault(part_of(file.stem) or "", []).append(file)
    if "" in by_part or "train" not in by_part:
        by_part = {"train": files}
    named = {file: partitions.partition_values(file, root) for file in files}
    columns = [column for column in named[files[0]] if all(column in values for values in named.values())]
    values = {file: {column: named[file][column] for column in columns} for file in files}
    parts = {part: _joined(part_files, cache, values) for part, part_files in by_part.items()}
    notes = (parts_note({part: listed(f.name for f in part_files) for part, part_files in by_part.items()}),)
    partition_notes = (partitions.note(columns),) if columns else ()
    return Layout(root=root, parts=parts, notes=(*partition_notes, *(notes if len(parts) > 1 else ())))


def _joined(files: list[Path], cache: Path, values: Mapping[Path, dict[str, str | None]]) -> Part:
    parts = [partitions.with_partitions(read_table(file, cache), values[file]) for file in files]
    if len(parts) == 1:
        return parts[0]
    names = parts[0].frame.collect_schema().names()
    for file, part in zip(files, parts, strict=True):
        if differ := set(names) ^ set(part.frame.collect_schema().names()):
            raise SourceError(
                f"{file.name} and {files[0].name} differ in {counted(len(differ), 'column')} "
                f"({listed(sorted(differ))}), where files with the same columns were expected; give one of them, or a "
                "narrower pattern"
            )
    try:
        frame = pl.concat([part.frame.select(names) for part in parts], how="vertical_relaxed")
        frame.collect_schema()
    except pl.exceptions.PolarsError as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise SourceError(
            f"{listed(f.name for f in files)} have columns of one name and unlike types ({reason}); save them alike"
        ) from error
    summary = f"{len(files)} files are read as one table, in order of name: {listed(file.name for file in files)}"
    notes = (summary, *(note for part in parts for note in part.notes))
    bad = tuple(row for part in parts for row in part.bad)
    return replace(parts[0], frame=frame, digest=combine(part.digest for part in parts), notes=notes, bad=bad)
