"""Folders: one subfolder a class, IDX pairs, and tables named after their part.

Enters: a folder (or one IDX file). Leaves: a `Layout`: its parts, the target that the layout itself gives, and notes.

    photos/cat/1.jpg  photos/dog/2.jpg                      class folders
    photos/train/cat/1.jpg  photos/test/cat/9.jpg           class folders in parts
    train-images-idx3-ubyte.gz  train-labels-idx1-ubyte.gz  IDX pairs
    train.csv  test.csv                                     tables in parts
"""

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.data.part import PART_TOKENS, Part, counted, files_digest, frame_digest, part_of
from leadline.data.tabular import TABLE_SUFFIXES, read_table, table_suffix
from leadline.errors import SourceError

__all__ = ["IMAGE_SUFFIXES", "Layout", "base_name", "beside", "idx_stem", "is_idx", "read_folder", "read_idx"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
IDX_NAME = re.compile(r"^(?P<stem>.*?)[-_.]?(?P<what>images|labels)[-.]idx\d-ubyte(\.gz)?$", re.IGNORECASE)
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
SHARD = re.compile(r"-\d{5}-of-\d{5}$")
PROSE = frozenset({"readme", "license", "licence", "notice", "authors", "changelog", "citation", "sha256sums"})


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a folder was found to be: its parts by name, and what to tell the user about it."""

    root: Path
    parts: dict[str, Part]
    target: str | None = None
    notes: tuple[str, ...] = ()


def read_folder(folder: Path, cache: Path) -> Layout:
    """Recognise the layout of a folder and read it.

    Raises SourceError that says what was looked for and what was found.
    """
    files, subfolders = _visible(folder)
    if not files and not subfolders:
        raise SourceError(f"{folder.name}/ is empty, where images in class folders, IDX files or a table were expected")
    if any(is_idx(file) for file in files):
        return read_idx([file for file in files if is_idx(file)])
    images = {subfolder.name: _images(subfolder) for subfolder in subfolders}
    if any(images.values()):
        return _image_folders(folder, images, files, cache)
    return _tables(folder, files, cache)


def _visible(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and subfolders in order of name, without the litter that operating systems leave."""
    entries = sorted(entry for entry in folder.iterdir() if not _litter(entry.name))
    return [e for e in entries if e.is_file()], [e for e in entries if e.is_dir()]


def _litter(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


# --- class folders ---------------------------------------------------------------------------------------------------


def _images(folder: Path) -> list[str]:
    """Images at any depth, relative to `folder`, with '/' between, in order."""
    return sorted(name for name in _files_below(folder) if _is_image(name))


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _files_below(folder: Path) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _litter(name)]
        below = Path(here).relative_to(folder).as_posix()
        for name in files:
            if not _litter(name):
                yield name if below == "." else f"{below}/{name}"


def _image_folders(folder: Path, images: dict[str, list[str]], files: list[Path], cache: Path) -> Layout:
    """`images` holds those of each subfolder, so that parts, classes and wrappers can be told apart."""
    nested = [name for name, found in images.items() if found and all("/" in image for image in found)]
    if len(images) == 1 and nested and len({image.split("/")[0] for image in images[nested[0]]}) > 1:
        # Unpacking an archive often wraps all in one more folder; taken for a class, it would be the only one.
        layout = read_folder(folder / nested[0], cache)
        note = f"{folder.name}/ holds nothing but {nested[0]}/, which is read in its place"
        return replace(layout, notes=(note, *layout.notes))
    notes = _beside_classes(folder, files)
    if any(part_of(name) == "train" for name in nested):
        parts, more = _parts_of_images(folder, images, cache)
        notes += more
    else:
        parts = {"train": _class_part(folder, "", cache)}
    return Layout(root=folder, parts=parts, target="label", notes=tuple(notes))


def _beside_classes(folder: Path, files: list[Path]) -> list[str]:
    notes = []
    loose = sum(file.suffix.lower() in IMAGE_SUFFIXES for file in files)
    if loose:
        notes.append(f"{counted(loose, 'image')} directly in {folder.name}/ without a class, left out")
    tables = [file.name for file in files if table_suffix(file) in TABLE_SUFFIXES]
    if tables:
        notes.append(f"{', '.join(tables)} beside the class folders is not used")
    return notes


def _parts_of_images(folder: Path, images: dict[str, list[str]], cache: Path) -> tuple[dict[str, Part], list[str]]:
    names: dict[str, str] = {}
    notes = []
    for name, found in images.items():
        part = part_of(name)
        if part is None:
            notes.append(f"{name}/ is no part (train, valid, test); it is left out")
        elif not any("/" in image for image in found):
            notes.append(f"{name}/ holds {counted(len(found), 'image')} but no subfolder a class; it is left out")
        elif part in names:
            raise SourceError(
                f"{folder.name}/ holds {names[part]}/ and {name}/, where one {part} folder was expected; "
                "join or remove one"
            )
        else:
            names[part] = name
    parts = {part: _class_part(folder, name, cache) for part, name in names.items()}
    return parts, [_parts_note({part: f"{name}/" for part, name in names.items()}), *notes]


def _class_part(root: Path, below: str, cache: Path) -> Part:
    """The class folders in `root`/`below`; paths are relative to `root`."""
    paths: list[str] = []
    labels: list[str] = []
    notes = []
    others: list[str] = []
    for folder in _visible(root / below)[1]:
        files = sorted(_files_below(folder))
        images = [name for name in files if _is_image(name)]
        prefix = f"{below}/{folder.name}" if below else folder.name
        if not images:
            notes.append(f"class folder {prefix}/ holds no image; it is left out")
            continue
        others += [f"{prefix}/{name}" for name in files if not _is_image(name)]
        paths += [f"{prefix}/{name}" for name in images]
        labels += [folder.name] * len(images)
    if others:
        notes.append(f"{counted(len(others), 'file')} in class folders not an image, such as {others[0]}, left out")
    frame = pl.DataFrame({"image": paths, "label": labels}, schema={"image": pl.String, "label": pl.String})
    digest = files_digest(root, paths, cache)
    return Part(frame=frame.lazy(), digest=digest, kinds={"image": "image"}, notes=tuple(notes))


def _parts_note(names: dict[str, str]) -> str:
    words = {"train": "the training set", "valid": "the validation set", "test": "the test set"}
    return ", ".join(f"{names[part]} is {word}" for part, word in words.items() if part in names)


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
                    f"the IDX pairs {_listed(pairs)} are not one train and one test pair; "
                    "keep one pair a part in the folder"
                )
            names[part] = stem
        if "train" not in names:
            raise SourceError(f"the IDX pairs {_listed(pairs)} hold none for training; add the train pair")
    parts = {part: _idx_pair(pairs[stem]) for part, stem in names.items()}
    shown = {part: pairs[stem]["images"].name for part, stem in names.items()}
    notes = (_parts_note(shown),) if len(shown) > 1 else ()
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
    frame = pl.DataFrame([pl.Series("image", images), pl.Series("label", labels.astype(np.int64))])
    return Part(frame=frame.lazy(), digest=frame_digest(frame.lazy()), kinds={"image": "image"})


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
    files = [file for file in _visible(path.parent)[0] if table_suffix(file) == table_suffix(path)]
    return [f.name for f in files if part_of(_stem(f)) in ("test", "valid") and base_name(f) == base_name(path)]


def base_name(path: Path) -> str:
    """A file's name without suffixes and without the words that state a part.

    >>> base_name(Path("GunPoint_TRAIN.tsv")), base_name(Path("train.csv"))
    ('GunPoint', '')
    """
    words = re.split(r"([^A-Za-z0-9]+)", SHARD.sub("", _stem(path)))
    kept = [word for word in words if word.lower() not in PART_TOKENS]
    return re.sub(r"^[\W_]+|[\W_]+$", "", "".join(kept))


def _stem(path: Path) -> str:
    path = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return path.stem


def _tables(folder: Path, files: list[Path], cache: Path) -> Layout:
    tables: dict[tuple[str, str], list[Path]] = {}
    for file in _table_files(files):
        # The shards of one Parquet table count as one.
        stem = SHARD.sub("", _stem(file)) if table_suffix(file) == ".parquet" else _stem(file)
        tables.setdefault((stem, table_suffix(file)), []).append(file)
    if not tables:
        raise SourceError(_nothing_found(folder, files))
    if len(tables) == 1:
        return Layout(root=folder, parts={"train": read_table(next(iter(tables.values())), cache)})
    found: dict[str, list[Path]] = {}
    others = []
    for (stem, _), shards in tables.items():
        part = part_of(stem)
        if part is None:
            others.append(shards[0].name)
        elif part in found:
            raise SourceError(
                f"{folder.name}/ holds {found[part][0].name} and {shards[0].name}, where one {part} table was "
                "expected; remove one, or name the file to read"
            )
        else:
            found[part] = shards
    if "train" not in found:
        listed = _listed(shards[0].name for shards in tables.values())
        raise SourceError(
            f"{folder.name}/ holds the tables {listed}, where a single table or train and test tables "
            "were expected; name the file to read"
        )
    notes = [_parts_note({part: shards[0].name for part, shards in found.items()})] if len(found) > 1 else []
    if others:
        notes.append(f"{_listed(others)} in {folder.name}/ states no part (train, valid, test); it is left out")
    parts = {part: read_table(shards, cache) for part, shards in found.items()}
    return Layout(root=folder, parts=parts, notes=tuple(notes))


def _table_files(files: list[Path]) -> list[Path]:
    sure = [file for file in files if table_suffix(file) in TABLE_SUFFIXES]
    # Text without a telling suffix counts only where there is nothing surer, and never a README.
    return sure or [f for f in files if table_suffix(f) in ("", ".txt") and f.stem.lower() not in PROSE]


def _nothing_found(folder: Path, files: list[Path]) -> str:
    images = sum(_is_image(file.name) for file in files)
    if images:
        found = counted(images, "image")
        return f"{folder.name}/ holds {found} but no subfolder a class; put each class in its own folder"
    names = [file.name for file in files] + [f"{sub.name}/" for sub in _visible(folder)[1]]
    packed = any(file.suffix.lower() in (".zip", ".tar", ".tgz", ".7z") for file in files)
    remedy = "unpack the archive" if packed else "name the folder or file that holds the data"
    return (
        f"{folder.name}/ holds {_listed(names)}, where images in class folders, IDX files or a table "
        f"({', '.join(TABLE_SUFFIXES)}) were expected; {remedy}"
    )


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
