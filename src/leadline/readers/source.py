"""Read the user's data into frozen parts.

Enters: a folder, a file, an archive, a frame, arrays, or the name of a sample. Leaves: a `Source`: train rows, the
valid and test rows that the source itself defines, and messages for the user.

    >>> import tempfile, polars as pl
    >>> source = read(pl.DataFrame({"x": [1, 2], "y": [0, 1]}), cache=Path(tempfile.mkdtemp()))
    >>> source.name, source.train.collect().height, source.target
    ('data', 2, None)
"""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from leadline.core.note import TEST_BESIDE, Note, code_of
from leadline.readers.archive import archive_stem, is_archive, unpack
from leadline.readers.folders import base_name, beside, idx_stem, is_idx, read_folder, read_idx
from leadline.readers.glob import is_pattern, matches, one_table
from leadline.readers.manifest import with_media
from leadline.readers.media import MEDIA, NOUNS, Layout, medium_of
from leadline.readers.memory import from_memory, in_memory
from leadline.readers.part import BadRow, Part, combine, is_utf8
from leadline.readers.tabular import read_table
from leadline.readers.text_corpus import is_running, read_parts, texts_below, texts_in
from leadline.readers.workbook import named_sheet
from leadline.system.errors import SourceError
from leadline.system.forks import alive

__all__ = ["BadRow", "Source", "from_parts", "read"]

LISTS = ("manifest", "metadata", "meta", "labels", "index")  # names of files that are no title


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data as the user gave it, before any column is interpreted."""

    name: str  # short, for titles: "photos", "houses"
    train: pl.LazyFrame  # rows in source order
    valid: pl.LazyFrame | None  # defined by the source itself: valid and test files or folders
    test: pl.LazyFrame | None
    target: str | None  # the column that the layout itself gives: "label" for class folders and IDX
    root: Path | None  # media paths are relative to it
    digest: str  # blake2b (16 bytes, hex) of the content of all parts
    kinds: dict[str, str]  # kinds that the layout itself defines: {"image": "image"}
    notes: tuple[str, ...]  # messages for the user
    bad: tuple[BadRow, ...]  # rows that could not be read at all


def read(source: object, test: object = None, *, cache: Path, running: bool | None = None) -> Source:
    """Read a source, and a test source of the same or another form.

    `running` says whether text files are a text corpus to learn to write from; None: inferred from their content.

    `source` is one of: a folder, file or archive; a sheet, as in 'sales.xlsx#May'; a pattern of files, such as
    'sales/*.csv'; a polars or pandas frame;
    an array X or a pair (X, y) of NumPy arrays or PyTorch tensors; a dict of name -> array; the name of a sample; a
    `Source`. Text is converted and archives are unpacked once into `cache`.

    Raises SourceError: one sentence that says what was found, what was expected and how to fix it.
    """
    alive("Reading data")
    result = _read(source, cache, running)
    return result if test is None else _with_test(result, _read(test, cache, running))


def from_parts(name: str, layout: Layout | dict[str, Part], *, target: str | None = None) -> Source:
    """Join parts read apart into one source; `train` must be among them."""
    if isinstance(layout, Layout):
        parts, target, root, notes = layout.parts, layout.target, layout.root, layout.notes
    else:
        parts, root, notes = layout, None, ()
    ordered = {key: parts[key] for key in ("train", "valid", "test") if key in parts}
    frames = {key: part.frame for key, part in ordered.items()}
    kinds: dict[str, str] = {}
    for part in ordered.values():
        kinds |= part.kinds
    return Source(
        name=name,
        train=frames["train"],
        valid=frames.get("valid"),
        test=frames.get("test"),
        target=target,
        root=root,
        digest=combine(line for key, part in ordered.items() for line in (key, part.digest)),
        kinds=kinds,
        notes=(*notes, *(note for part in ordered.values() for note in part.notes)),
        bad=tuple(row for part in ordered.values() for row in part.bad),
    )


def _read(source: object, cache: Path, running: bool | None) -> Source:
    if isinstance(source, Source):
        return source
    if in_memory(source):
        part, target = from_memory(source, cache=cache)
        return from_parts("data", {"train": part}, target=target)
    if not isinstance(source, str | os.PathLike):
        raise SourceError(
            f"the source is a {type(source).__name__}, where a folder, a file, a data frame, arrays (X, y) or the name "
            "of a sample was expected"
        )
    try:
        path = Path(source).expanduser()
    except RuntimeError as error:  # a home that is not there
        raise SourceError(f"{source} cannot be found ({error}); write the path out") from error
    if not is_utf8(str(path)):
        shown = os.fsencode(path).decode("utf-8", "replace")
        raise SourceError(f"the path {shown} is not UTF-8, so no report could name it; rename it")
    try:
        if is_pattern(str(path)):
            return _read_several(str(path), cache, running)
        path, sheet = named_sheet(path)
        if sheet is not None:
            return _read_file(path, cache, sheet)
        if not path.exists():
            return _read_name(str(source), path, cache)
        return _read_path(path, cache, running)
    except PermissionError as error:
        # The absolute path only here: it is the one thing that says which of several folders of a name is meant.
        place = Path(error.filename or path)
        if place.is_relative_to(cache) or cache.is_relative_to(place):
            raise  # not the source's: whoever chose the cache says how to choose another
        raise SourceError(f"{place} may not be opened by this user; give yourself permission to it") from error


def _read_name(text: str, path: Path, cache: Path) -> Source:
    # Imported here because samples are read as sources themselves.
    from leadline.readers import samples

    if samples.is_known(text):
        return samples.load(text, cache=cache)
    where = path.parent
    beside_it = sorted(entry.name for entry in where.iterdir()) if where.is_dir() else []
    near = difflib.get_close_matches(path.name, [*beside_it, *samples.SAMPLES], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "check the path"
    place = where.resolve() if where.is_dir() else where
    raise SourceError(
        f"there is no file, folder or sample {path.name!r} in {place}; {hint} (samples: {', '.join(samples.SAMPLES)})"
    )


def _read_path(path: Path, cache: Path, running: bool | None) -> Source:
    if path.is_dir():
        # A name such as '.' or '..' says nothing until it is resolved.
        path = path.resolve() if path.name in ("", "..") else path
        if texts := texts_below(path) if running else texts_in(path) if running is None else []:
            return from_parts(path.name, Layout(root=path, parts=read_parts(path, texts, cache)))
        return from_parts(path.name, read_folder(path, cache))
    if is_archive(path):
        folder, archive_notes = unpack(path, cache)
        source = _read_path(folder, cache, running)
        return replace(source, name=archive_stem(path), notes=(*archive_notes, *source.notes))
    name = base_name(path) or path.resolve().parent.name
    if running or (running is None and is_running(path)):
        return from_parts(name, Layout(root=path.parent, parts=read_parts(path.parent, [path.name], cache)))
    if is_idx(path):
        layout = read_idx([f for f in path.parent.iterdir() if is_idx(f) and idx_stem(f) == idx_stem(path)])
        return from_parts(path.resolve().parent.name, layout)
    if kind := medium_of(path.name):
        raise SourceError(f"{path.name} is one {NOUNS[kind]}; give the folder that holds one subfolder a class")
    return _read_file(path, cache)


def _read_file(path: Path, cache: Path, sheet: str | None = None) -> Source:
    """One table, and the media that it names, where it does."""
    name = base_name(path) or path.resolve().parent.name
    notes = tuple(Note(TEST_BESIDE, f"{other} stands beside it; pass --test to use it") for other in beside(path))
    layout = Layout(root=path.parent, parts={"train": read_table(path, cache, sheet)}, notes=notes)
    if manifest := with_media(layout, sorted(filter(is_archive, path.parent.iterdir())), cache):
        # Such a table only lists what the folder is about, so the folder's name says more.
        return from_parts(path.resolve().parent.name if name.lower() in LISTS else name, manifest)
    return from_parts(name, layout)


def _read_several(pattern: str, cache: Path, running: bool | None) -> Source:
    files = matches(pattern)
    if len(files) == 1:
        return _read_path(files[0], cache, running)
    name = files[0].resolve().parent.name
    if running or (running is None and all(map(is_running, files))):
        root = Path(os.path.commonpath([file.parent for file in files]))
        names = [file.relative_to(root).as_posix() for file in files]
        return from_parts(name, Layout(root=root, parts=read_parts(root, names, cache)))
    layout = one_table(files, cache)
    archives = sorted(filter(is_archive, layout.root.iterdir()))
    return from_parts(name, with_media(layout, archives, cache) or layout)


def _with_test(source: Source, test: Source) -> Source:
    if test.valid is not None or test.test is not None:
        raise SourceError(
            f"the test source {test.name!r} holds parts of its own, where one table or one set of class folders "
            "was expected; name its test file or folder"
        )
    notes = source.notes
    if source.test is not None:
        notes += ("the test source given replaces the one that the source holds",)
    else:
        notes = tuple(note for note in notes if code_of(note) != TEST_BESIDE)
    root, train, valid, rows = source.root or test.root, source.train, source.valid, test.train
    if source.root and test.root and source.root.resolve() != test.root.resolve():
        root = Path(os.path.commonpath([source.root.resolve(), test.root.resolve()]))
        train = _rebased(train, source, root)
        valid = None if valid is None else _rebased(valid, source, root)
        rows = _rebased(rows, test, root)
        if train is source.train and rows is test.train:
            root = source.root
    return replace(
        source,
        train=train,
        valid=valid,
        test=rows,
        root=root,
        target=source.target,
        digest=combine([source.digest, "test", test.digest]),
        kinds={**test.kinds, **source.kinds},
        notes=(*notes, *test.notes),
        bad=(*source.bad, *test.bad),
    )


def _rebased(frame: pl.LazyFrame, source: Source, root: Path) -> pl.LazyFrame:
    """Media paths of a source made relative to a folder above its own."""
    assert source.root is not None
    below = source.root.resolve().relative_to(root).as_posix()
    schema = frame.collect_schema()
    paths = [name for name, kind in source.kinds.items() if kind in MEDIA and schema.get(name) == pl.String]
    if not paths or below == ".":
        return frame
    return frame.with_columns(pl.concat_str(pl.lit(f"{below}/"), pl.col(name)).alias(name) for name in paths)
