"""Media in files: which files are images or audio, and class folders of them.

Enters: a folder. Leaves: a `Layout` with one column of paths, named after the kind, and the column `label`.

    photos/cat/1.jpg  photos/dog/2.jpg                  class folders
    sounds/train/cat/1.wav  sounds/test/cat/9.wav       class folders in parts
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from leadline.kinds import KINDS
from leadline.readers.canonical import composed
from leadline.readers.part import Part, counted, files_digest, is_utf8, part_of
from leadline.system.errors import SourceError

__all__ = [
    "MEDIA",
    "NOUNS",
    "PROSE",
    "Layout",
    "class_folders",
    "files_below",
    "listed",
    "litter",
    "media_below",
    "medium_of",
    "medium_of_bytes",
    "nameless_below",
    "parts_note",
    "visible",
]

MEDIA = {kind.name: kind.suffixes for kind in reversed(KINDS.values()) if kind.is_file}  # images are tried first
NOUNS = {name: KINDS[name].noun for name in MEDIA}  # one of them, in sentences
LITTER = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir", "icon\r"})
# Files about the data, not of it.
PROSE = frozenset({"readme", "license", "licence", "notice", "authors", "changelog", "citation", "sha256sums"})


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The content of a folder: its parts by name, and messages about it."""

    root: Path
    parts: dict[str, Part]
    target: str | None = None
    notes: tuple[str, ...] = ()


def medium_of(name: str) -> str | None:
    """The kind of media of a file's suffix.

    >>> medium_of("cat/1.JPG"), medium_of("2.wav"), medium_of("3.csv")
    ('image', 'audio', None)
    """
    suffix = os.path.splitext(name)[1].lower()
    return next((kind for kind, suffixes in MEDIA.items() if suffix in suffixes), None)


def medium_of_bytes(head: bytes) -> str | None:
    """The kind of media by the first bytes of a file.

    >>> medium_of_bytes(b"RIFF....WAVEfmt "), medium_of_bytes(b"RIFF....WEBPVP8 "), medium_of_bytes(b"%PDF")
    ('audio', 'image', None)
    """
    return next((name for name in MEDIA if (magic := KINDS[name].magic) and magic.match(head)), None)


def visible(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and subfolders in order of name, without the litter that operating systems leave."""
    entries = sorted(entry for entry in folder.iterdir() if not litter(entry.name) and is_utf8(entry.name))
    # A link to a folder above would hold everything once more.
    folders = [
        e for e in entries if e.is_dir() and not (e.is_symlink() and folder.resolve().is_relative_to(e.resolve()))
    ]
    return [e for e in entries if e.is_file()], folders


def litter(name: str) -> bool:
    """Whether a file or folder is what a system or a program left, not what a user put there.

    >>> [name for name in (".DS_Store", "~$sales.xlsx", "THUMBS.DB", "1.png") if not litter(name)]
    ['1.png']
    """
    return name.startswith((".", "~$")) or name.lower() in LITTER


def files_below(folder: Path) -> Iterator[str]:
    """Files at any depth, relative to `folder`, with '/' between."""
    return (name for name in _walk(folder) if is_utf8(name))


def _walk(folder: Path) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not litter(name)]
        below = Path(here).relative_to(folder).as_posix()
        for name in files:
            # A pipe would be waited for, and a link may lead nowhere.
            if not litter(name) and os.path.isfile(os.path.join(here, name)):
                yield name if below == "." else f"{below}/{name}"


def nameless_below(folder: Path) -> list[str]:
    """A message about files whose names are not UTF-8: no table and no report could contain such a name."""
    names = [name for name in _walk(folder) if not is_utf8(name)]
    if not names:
        return []
    shown = names[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    many = "1 file has a name" if len(names) == 1 else f"{len(names):,} files have names"
    return [f"{many} that is not UTF-8, such as {shown}, left out; to use what is left out, rename it"]


def media_below(folder: Path) -> list[str]:
    """Images and audio at any depth, relative to `folder`, in order."""
    return sorted(name for name in files_below(folder) if medium_of(name))


def class_folders(folder: Path, media: dict[str, list[str]], others: list[str], cache: Path) -> Layout:
    """Read one subfolder a class, or such subfolders in folders named after parts.

    `media` holds what lies below each subfolder, with '/' between; `others` are the files beside the subfolders.
    """
    counts = Counter(medium_of(name) for names in media.values() for name in names)
    (kind, _), *rest = counts.most_common()
    assert kind is not None
    notes = [
        f"{counted(number, NOUNS[other])} in {folder.name}/ left out, because most of it is {kind}"
        for other, number in rest
        if other is not None
    ]
    media = {name: [file for file in names if medium_of(file) == kind] for name, names in media.items()}
    notes += nameless_below(folder)
    if loose := sum(medium_of(name) == kind for name in others):
        notes.append(f"{counted(loose, NOUNS[kind])} directly in {folder.name}/ without a class, left out")
    if any(part_of(name) == "train" and names and all("/" in file for file in names) for name, names in media.items()):
        parts, more = _parts(folder, media, kind, cache)
        notes += more
    else:
        parts = {"train": _class_part(folder, "", kind, cache)}
    return Layout(root=folder, parts=parts, target="label", notes=tuple(notes))


def _parts(folder: Path, media: dict[str, list[str]], kind: str, cache: Path) -> tuple[dict[str, Part], list[str]]:
    names: dict[str, str] = {}
    notes = []
    for name, files in media.items():
        part = part_of(name)
        if part is None:
            notes.append(f"{name}/ is no part (train, valid, test); it is left out")
        elif not any("/" in file for file in files):
            notes.append(f"{name}/ holds {counted(len(files), NOUNS[kind])} but no subfolder a class; it is left out")
        elif part in names:
            raise SourceError(
                f"{folder.name}/ holds {names[part]}/ and {name}/, where one {part} folder was expected; "
                "join or remove one"
            )
        else:
            names[part] = name
    parts = {part: _class_part(folder, name, kind, cache) for part, name in names.items()}
    return parts, [parts_note({part: f"{name}/" for part, name in names.items()}), *notes]


def _class_part(root: Path, below: str, kind: str, cache: Path) -> Part:
    """The class folders in `root`/`below`; paths are relative to `root`."""
    paths: list[str] = []
    labels: list[str] = []
    notes = []
    others: list[str] = []
    for folder in visible(root / below)[1]:
        files = sorted(files_below(folder))
        media = [name for name in files if medium_of(name) == kind]
        prefix = f"{below}/{folder.name}" if below else folder.name
        if not media:
            notes.append(f"class folder {prefix}/ holds no {NOUNS[kind]}; it is left out")
            continue
        others += [f"{prefix}/{name}" for name in files if medium_of(name) is None]
        paths += [f"{prefix}/{name}" for name in media]
        labels += [composed(folder.name)] * len(media)
    if others:
        notes.append(
            f"{counted(len(others), 'file')} in class folders not {KINDS[kind].wanted}, such as {others[0]}, left out"
        )
    frame = pl.DataFrame({kind: paths, "label": labels}, schema={kind: pl.String, "label": pl.String})
    digest = files_digest(root, paths, cache)
    return Part(frame=frame.lazy(), digest=digest, kinds={kind: kind}, notes=tuple(notes))


def parts_note(names: dict[str, str]) -> str:
    """Which file or folder is which part, as a sentence."""
    words = {"train": "the training set", "valid": "the validation set", "test": "the test set"}
    return ", ".join(f"{names[part]} is {word}" for part, word in words.items() if part in names)


def listed(names: Iterable[str]) -> str:
    """The first five names, and how many more there are."""
    shown = list(names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
