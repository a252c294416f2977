"""Folders: one subfolder a class, a table that names media, IDX pairs, and tables named after their part.

Enters: a folder (or one IDX file). Leaves: a `Layout`: its parts, the target that the layout itself gives, and notes.

    photos/cat/1.jpg  photos/dog/2.jpg                      class folders (media.py)
    manifest.csv  clips/1.wav                               a table that names media (manifest.py)
    manifest.csv  clips.zip                                 the same, packed
    train-images-idx3-ubyte.gz  train-labels-idx1-ubyte.gz  IDX pairs
    train.csv  test.csv                                     tables in parts
"""

import gzip
import math
import posixpath
import re
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.kinds import stated_by
from leadline.readers.archive import is_archive, unpack
from leadline.readers.compression import without_packing
from leadline.readers.glob import one_table
from leadline.readers.manifest import media_columns, with_media
from leadline.readers.media import (
    NOUNS,
    PROSE,
    Layout,
    class_folders,
    files_below,
    listed,
    media_below,
    medium_of,
    parts_note,
    visible,
)
from leadline.readers.part import PART_TOKENS, USUAL_TARGETS, Part, counted, frame_digest, part_of
from leadline.readers.partitions import partition_files
from leadline.readers.tabular import TABLE_SUFFIXES, read_table, table_suffix
from leadline.system.errors import SourceError
from leadline.system.resources import most_threads
from leadline.system.text import enumerated

__all__ = ["base_name", "beside", "idx_stem", "is_idx", "read_folder", "read_idx"]

IDX_NAME = re.compile(r"^(?P<stem>.*?)[-_.]?(?P<what>images|labels)[-.]idx\d-ubyte(\.gz)?$", re.IGNORECASE)
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
# Pictures and sounds that need a decoder of their own.
OTHER_MEDIA = (".heic", ".heif", ".raw", ".cr2", ".nef", ".dng", ".psd", ".svg", ".dcm", ".m4a", ".aac", ".wma", ".mp4")
SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def read_folder(folder: Path, cache: Path) -> Layout:
    """Recognise the layout of a folder and read it.

    Raises SourceError that says what was expected and what was found.
    """
    files, subfolders = visible(folder)
    if not files and not subfolders:
        raise SourceError(
            f"{folder.name}/ is empty, where images or audio in class folders, IDX files or a table were expected"
        )
    if any(is_idx(file) for file in files):
        return read_idx([file for file in files if is_idx(file)])
    if tables_below := partition_files(files, subfolders):
        return one_table(tables_below, cache)
    media = {subfolder.name: media_below(subfolder) for subfolder in subfolders}
    archives = [file for file in files if is_archive(file)]
    if manifest := _manifest(folder, files, media, archives, cache):
        return manifest
    if inner := _wrapped(folder, files, media):
        layout = read_folder(inner, cache)
        note = f"{folder.name}/ holds nothing but {inner.name}/, which is read in its place"
        return replace(layout, notes=(note, *layout.notes))
    tables = _grouped(_table_files(files))
    if any(media.values()):
        layout = class_folders(folder, media, [file.name for file in files], cache)
        unused = [file.name for file in files if table_suffix(file) in TABLE_SUFFIXES]
        notes = [f"{listed(unused)} beside the class folders is not used"] if unused else []
        return replace(layout, notes=(*notes, *layout.notes))
    if len(archives) == 1 and not any(table_suffix(file) in TABLE_SUFFIXES for file in files):
        unpacked, unpack_notes = unpack(archives[0], cache)
        layout = read_folder(unpacked, cache)
        return replace(layout, notes=(*unpack_notes, *layout.notes))
    if not tables:
        if layout_of_parts := _part_folders(subfolders, cache):
            return layout_of_parts
        raise SourceError(_nothing_found(folder, files))
    return _tables(folder, tables, cache)


def _wrapped(folder: Path, files: list[Path], media: dict[str, list[str]]) -> Path | None:
    """The one folder that unpacking an archive often wraps around all; taken for a class, it would be the only one."""
    filled = [name for name, names in media.items() if names]
    if len(filled) == 1:
        nested = media[filled[0]]
        if all("/" in name for name in nested) and len({posixpath.dirname(name) for name in nested}) > 1:
            return folder / filled[0]
    if len(media) == 1 and all(file.stem.lower() in PROSE for file in files):
        inner = folder / next(iter(media))
        if any(table_suffix(f) in TABLE_SUFFIXES or is_idx(f) or is_archive(f) for f in visible(inner)[0]):
            return inner
    return None


def _manifest(
    folder: Path, files: list[Path], media: dict[str, list[str]], archives: list[Path], cache: Path
) -> Layout | None:
    """Tables whose values name media in this folder or in an archive in it; None where there are none such."""
    if not (any(media.values()) or archives or any(medium_of(file.name) for file in files)):
        return None
    # Class folders say the label themselves, so a table beside them has to say it too.
    classes = sum(map(bool, media.values())) > 1
    # The tables of some data sets lie in a folder of their own, such as meta/ beside audio/.
    apart = [file for name, names in media.items() if not names for file in visible(folder / name)[0]]
    for tables in (_grouped(_table_files(files)), _grouped(_table_files(apart))):
        naming = {key: shards for key, shards in tables.items() if _names_media(shards, classes, cache)}
        if not naming:
            continue
        if layout := with_media(_tables(folder, naming, cache), archives, cache):
            unused = [shards[0].name for key, shards in tables.items() if key not in naming]
            notes = (f"{listed(unused)} in {folder.name}/ names no such files; it is left out",) if unused else ()
            return replace(layout, notes=(*layout.notes, *notes))
    return None


def _names_media(shards: list[Path], labelled: bool, cache: Path) -> bool:
    try:
        frame = read_table(shards, cache).frame
        names = frame.collect_schema().names()
        return bool(media_columns(frame)) and (not labelled or any(name.lower() in USUAL_TARGETS for name in names))
    except SourceError:  # what is no table names nothing; where it is all that there is, it is read again and said
        return False


# --- IDX pairs -------------------------------------------------------------------------------------------------------


def is_idx(path: Path) -> bool:
    """Whether a file is named like one of an IDX pair.

    >>> is_idx(Path("t10k-images-idx3-ubyte.gz")), is_idx(Path("train-labels.idx1-ubyte"))
    (True, True)
    """
    return IDX_NAME.match(path.name) is not None


def idx_stem(path: Path) -> str:
    """What the two files of a pair share: 'train' for train-images-idx3-ubyte.gz."""
    match = IDX_NAME.match(path.name)
    return match["stem"] if match else path.stem


def read_idx(files: list[Path]) -> Layout:
    """Read pairs of images and labels. Raises SourceError that names the file that is missing or damaged."""
    pairs: dict[str, dict[str, Path]] = {}
    for file in sorted(files, key=lambda file: file.suffix == ".gz"):
        match = IDX_NAME.match(file.name)
        assert match is not None
        # Plain files come first: the packed copy of the same file is not needed.
        pairs.setdefault(match["stem"], {}).setdefault(match["what"].lower(), file)
    if len(pairs) == 1:
        names = {"train": next(iter(pairs))}
    else:
        names = {}
        for stem in pairs:
            part = part_of(stem)
            if part is None or part in names:
                raise SourceError(
                    f"the IDX pairs {listed(pairs)} are not one train and one test pair; "
                    "keep one pair a part in the folder"
                )
            names[part] = stem
        if "train" not in names:
            raise SourceError(f"the IDX pairs {listed(pairs)} hold none for training; add the train pair")
    with ThreadPoolExecutor(min(2, most_threads())) as pool:  # unpacking lets the other one go on
        parts = dict(zip(names, pool.map(lambda stem: _idx_pair(pairs[stem]), names.values()), strict=True))
    shown = {part: pairs[stem]["images"].name for part, stem in names.items()}
    notes = (parts_note(shown),) if len(shown) > 1 else ()
    return Layout(root=files[0].parent, parts=parts, target="label", notes=notes)


def _idx_pair(pair: dict[str, Path]) -> Part:
    for what, other in (("images", "labels"), ("labels", "images")):
        if what not in pair:
            wanted = pair[other].name.replace(other, what)
            wanted = wanted.replace("idx3", "idx1") if what == "labels" else wanted.replace("idx1", "idx3")
            raise SourceError(f"{pair[other].name} has no {what} beside it, where {wanted} was expected; add that file")
    images, labels = _idx_array(pair["images"]), _idx_array(pair["labels"])
    if images.ndim not in (3, 4) or labels.ndim != 1:
        raise SourceError(
            f"{pair['images'].name} has {images.ndim} axes and {pair['labels'].name} {labels.ndim}, where 3 (images) "
            "and 1 (labels) were expected; check that they are not swapped"
        )
    if len(images) != len(labels):
        raise SourceError(
            f"{pair['images'].name} holds {len(images)} images and {pair['labels'].name} {len(labels)} labels, "
            "where as many were expected; copy or download both again"
        )
    if not len(images):
        raise SourceError(f"{pair['images'].name} holds no image; copy or download it again")
    # The series shares its memory with the file's bytes: tens of thousands of images cost nothing more.
    pixels = pl.Series(images)
    kind = stated_by(pixels.dtype) or "x"
    frame = pl.DataFrame([pixels.alias(kind), pl.Series("label", labels.astype(np.int64))])
    return Part(frame=frame.lazy(), digest=frame_digest(frame.lazy()), kinds={kind: kind})


def _idx_array(path: Path) -> np.ndarray[Any, Any]:
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b") or path.suffix.lower() == ".gz":
        try:
            data = gzip.decompress(data)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise SourceError(f"{path.name} is not a whole gzip file ({error}); copy or download it again") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES or len(data) < 4 + 4 * data[3]:
        raise SourceError(f"{path.name} does not begin like an IDX file; copy or download it again")
    dtype, axes = np.dtype(IDX_TYPES[data[2]]), data[3]
    shape = np.frombuffer(data, ">u4", axes, offset=4).tolist()
    start, size = 4 + 4 * axes, math.prod(shape) * dtype.itemsize
    if len(data) != start + size:
        raise SourceError(
            f"{path.name} holds {len(data):,} bytes, where its header {shape} promises {start + size:,}; "
            "copy or download it again"
        )
    values = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


# --- tables named after their part -----------------------------------------------------------------------------------


def beside(path: Path) -> list[str]:
    """Files next to `path` that state another part of the same data: test.csv for train.csv."""
    if part_of(_stem(path)) != "train":
        return []
    files = [file for file in visible(path.parent)[0] if table_suffix(file) == table_suffix(path)]
    return [f.name for f in files if part_of(_stem(f)) in ("test", "valid") and base_name(f) == base_name(path)]


def base_name(path: Path) -> str:
    """A file's name without suffixes and without the words that state a part.

    >>> base_name(Path("GunPoint_TRAIN.tsv")), base_name(Path("train.csv"))
    ('GunPoint', '')
    """
    words = re.split(r"([^A-Za-z0-9]+)", SHARD.sub("", _stem(path)))
    rest = [word for word in words if word.lower() not in PART_TOKENS]
    return re.sub(r"^[\W_]+|[\W_]+$", "", "".join(rest))


def _stem(path: Path) -> str:
    return without_packing(path).stem


def _grouped(files: list[Path]) -> dict[tuple[str, str], list[Path]]:
    """The files of each table: the shards of one Parquet table count as one."""
    tables: dict[tuple[str, str], list[Path]] = {}
    for file in files:
        stem = SHARD.sub("", _stem(file)) if table_suffix(file) == ".parquet" else _stem(file)
        tables.setdefault((stem, table_suffix(file)), []).append(file)
    return tables


def _tables(folder: Path, tables: dict[tuple[str, str], list[Path]], cache: Path) -> Layout:
    """One table, or those that state a part."""
    if len(tables) == 1:
        return Layout(root=folder, parts={"train": read_table(next(iter(tables.values())), cache)})
    shards_by_part: dict[str, list[Path]] = {}
    others = []
    for (stem, _), shards in tables.items():
        part = part_of(stem)
        if part is None:
            others.append(shards[0].name)
        elif part in shards_by_part:
            raise SourceError(
                f"{folder.name}/ holds {shards_by_part[part][0].name} and {shards[0].name}, where one {part} table was "
                "expected; remove one, or name the file to read"
            )
        else:
            shards_by_part[part] = shards
    if "train" not in shards_by_part:
        names = listed(shards[0].name for shards in tables.values())
        suffix = next(iter(tables))[1]
        raise SourceError(
            f"{folder.name}/ holds the tables {names}, where a single table or train and test tables were expected; "
            f"name the file to read, or read several as one by a pattern such as '{folder.name}/*{suffix}'"
        )
    notes = (
        [parts_note({part: shards[0].name for part, shards in shards_by_part.items()})]
        if len(shards_by_part) > 1
        else []
    )
    if others:
        notes.append(f"{listed(others)} in {folder.name}/ states no part (train, valid, test); it is left out")
    parts = {part: read_table(shards, cache) for part, shards in shards_by_part.items()}
    return Layout(root=folder, parts=parts, notes=tuple(notes))


def _part_folders(subfolders: list[Path], cache: Path) -> Layout | None:
    """Tables in folders named train, valid, test; several in one are read as one table. None without such a train."""
    tables = {part: _table_files(visible(sub)[0]) for sub in subfolders if (part := part_of(sub.name))}
    tables = {part: files for part, files in tables.items() if files}
    if "train" not in tables:
        return None
    names = {part: sub.name for sub in subfolders if (part := part_of(sub.name)) in tables}
    parts, notes = {}, [parts_note({part: f"{name}/" for part, name in names.items()})] if len(tables) > 1 else []
    for part, files in tables.items():
        shards = list(_grouped(files).values())
        parts[part] = read_table(shards[0], cache) if len(shards) == 1 else one_table(files, cache).parts["train"]
    return Layout(root=subfolders[0].parent, parts=parts, notes=tuple(notes))


def _table_files(files: list[Path]) -> list[Path]:
    sure = [file for file in files if table_suffix(file) in TABLE_SUFFIXES]
    # JSON may be settings and text prose: these count only where there is nothing surer, and never a README.
    json = [file for file in files if table_suffix(file) == ".json"]
    return sure or json or [f for f in files if table_suffix(f) in ("", ".txt") and f.stem.lower() not in PROSE]


def _nothing_found(folder: Path, files: list[Path]) -> str:
    for kind, noun in NOUNS.items():
        if count := sum(medium_of(file.name) == kind for file in files):
            amount = counted(count, noun)
            return f"{folder.name}/ holds {amount} but no subfolder a class; put each class in its own folder"
    names = [file.name for file in files] + [f"{sub.name}/" for sub in visible(folder)[1]]
    remedy = "name the folder or file that holds the data"
    if any(is_archive(file) for file in files):
        remedy = "name the archive to read"
    elif any(file.suffix.lower() in (".7z", ".rar") for file in files):
        remedy = "unpack the archive"
    endings = Counter(posixpath.splitext(name)[1].lower() for name in files_below(folder))
    if other := [f"{number:,} {ending}" for ending, number in endings.most_common(3) if ending in OTHER_MEDIA]:
        remedy = f"it holds {enumerated(other)}, which are not read: save them as .jpg, .png or .wav"
    return (
        f"{folder.name}/ holds {listed(names)}, where images or audio in class folders, IDX files or a table "
        f"({', '.join(TABLE_SUFFIXES)}) were expected; {remedy}"
    )
