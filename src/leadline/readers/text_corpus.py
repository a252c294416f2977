"""A text corpus: a file or a folder of files, cut into rows of about a kilobyte, in order.

Enters: paths. Leaves: a `Part` with one column `text` of kind `tokens`. Text is cut once, in bounded memory, under the
digest of its content. Line ends become one newline, as Python reads them. A row ends before a space or a line end where
it can, so that no word is cut in two.

    >>> [row for row in rows_of("one two three", 8)]
    ['one two', ' three']
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from leadline.kinds import CORPUS
from leadline.kinds.tokens import COLUMN, ROW
from leadline.readers.csv_dialect import NO_SEPARATOR, sample_of, sniff
from leadline.readers.csv_preamble import look
from leadline.readers.media import PROSE, files_below, visible
from leadline.readers.part import Part, counted, files_digest, part_of
from leadline.readers.tabular import as_utf8
from leadline.system.errors import SourceError

__all__ = ["is_running", "read_parts", "rows_of", "texts_below", "texts_in"]

TEXT_SUFFIXES = (".txt", ".text", ".md", ".rst")
FEWEST_BYTES = 1_000  # less is too little for a language model
FEWEST_LINES = 3  # of a table that is inferred from its content: fewer cannot agree on a separator
ROWS = 64  # that a short text is cut into at least, so that each part gets some
# Raised whenever the cutting would give other rows for the same content.
VERSION = 1
BLOCK = 2**20  # characters
PIECE = 2**15  # rows held at once


def is_running(path: Path) -> bool:
    """Whether a file is prose rather than a table: a suffix of text, and no separator that cuts its lines evenly."""
    if path.suffix.lower() not in TEXT_SUFFIXES:
        return False
    try:
        text = sample_of(path)
        prose = text.count("\n") < FEWEST_LINES or sniff(text).separator == NO_SEPARATOR
        return prose and not look(text).lined_up
    except UnicodeDecodeError:  # the reader finds the encoding, or says that it is binary
        return True


def texts_in(folder: Path) -> list[str]:
    """Names of the text files in a folder that holds nothing else worth reading; empty where it is another's."""
    files, folders = visible(folder)
    worth = [file for file in files if file.stem.lower() not in PROSE]
    return [file.name for file in worth] if not folders and all(map(is_running, worth)) else []


def texts_below(folder: Path) -> list[str]:
    """Text files at any depth, relative to `folder`, in order of name."""
    return sorted(name for name in files_below(folder) if name.lower().endswith(TEXT_SUFFIXES))


def read_parts(root: Path, names: list[str], cache: Path) -> dict[str, Part]:
    """Parts of a text corpus: by the names of the files (train.txt, test.txt), else all of it is train.

    Raises SourceError for binary files and for less text than there is anything to learn from.
    """
    by_part: dict[str, list[str]] = {}
    for name in names:
        by_part.setdefault(part_of(Path(name).stem) or "", []).append(name)
    if "" in by_part or "train" not in by_part:
        by_part = {"train": names}
    return {part: _read(root, files, cache) for part, files in by_part.items()}


def _read(root: Path, names: list[str], cache: Path) -> Part:
    """Files below `root` as one text corpus, in the order given."""
    title = names[0] if len(names) == 1 else f"{root.name}/"
    size = sum((root / name).stat().st_size for name in names)
    if size < FEWEST_BYTES:
        raise SourceError(
            f"{title} holds {counted(size, 'byte')} of text, where {FEWEST_BYTES:,} or more were expected; give more"
        )
    digest = files_digest(root, names, cache)
    stored = cache / "tables" / f"{digest}-running-v{VERSION}"
    if not stored.exists():
        stored.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=stored.parent) as scratch:
            folder = Path(scratch) / "rows"
            folder.mkdir()
            notes = _convert(root, names, folder, min(ROW, max(16, size // ROWS)))
            (folder / "facts.json").write_text(json.dumps(notes), encoding="utf-8")
            try:
                os.replace(folder, stored)
            except OSError:  # another run has just made the same
                shutil.rmtree(folder, ignore_errors=True)
    frame = pl.scan_parquet(sorted(stored.glob("*.parquet")))
    notes = json.loads((stored / "facts.json").read_text(encoding="utf-8"))
    if len(names) > 1:
        notes = [f"{counted(len(names), 'file')} of text are read as one, in order of name", *notes]
    return Part(frame=frame, digest=digest, kinds={COLUMN: CORPUS}, notes=tuple(notes))


def _convert(root: Path, names: list[str], folder: Path, most: int) -> list[str]:
    """Write pieces of rows into `folder`; returns messages about the files."""
    notes: list[str] = []
    rows: list[str] = []
    pieces = 0

    def write() -> None:
        nonlocal pieces
        pl.DataFrame({COLUMN: rows}, schema={COLUMN: pl.String}).write_parquet(folder / f"{pieces:06}.parquet")
        pieces += 1
        rows.clear()

    for name in names:
        if not (root / name).stat().st_size:
            notes.append(f"{name} is empty; it is left out")
            continue
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            plain, file_notes = as_utf8(root / name, Path(scratch), "a text file")
            notes += [f"{name} {note}" for note in file_notes]
            for row in _rows(plain, most):
                rows.append(row)
                if len(rows) == PIECE:
                    write()
    write()
    return notes


def _rows(plain: Path, most: int) -> Iterator[str]:
    rest = ""
    with plain.open(encoding="utf-8") as file:
        while block := file.read(BLOCK):
            *whole, rest = rows_of(rest + block, most)
            yield from whole
    if rest:
        yield rest


def rows_of(text: str, most: int) -> Iterator[str]:
    """Cut a text into rows of at most `most` bytes of UTF-8."""
    data, start = text.encode(), 0
    while len(data) - start > most:
        end = start + most
        cut = max(data.rfind(b" ", start + most // 2, end), data.rfind(b"\n", start + most // 2, end))
        if cut < 0:
            cut = end
            while data[cut] & 0xC0 == 0x80:  # never inside a character
                cut -= 1
        yield data[start:cut].decode()
        start = cut
    yield data[start:].decode()
