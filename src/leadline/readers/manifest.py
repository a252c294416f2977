"""Manifests: tables with a column of paths to images or audio, which lie beside the table or in an archive beside it.

Enters: a `Layout` of tables. Leaves: the same with the kind of each such column, and paths that lead from its root.

    clips.csv (path,label,fold)  recordings/1.wav        paths as they are, below the folder
    clips.csv  audio/fold1/1.wav  audio/fold2/2.wav      names alone, found where they lie
    clips.csv (id,label)     recordings/1.wav            names without their suffix
    clips.csv  clips.zip                                 the same in .zip, .tar, .tar.gz or .tgz

Names may differ in case, where no file has the exact name. Missing files are reported here, and their rows quarantined
where rows are decoded.
"""

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl

from leadline.readers.archive import names_in, unpack
from leadline.readers.canonical import composed
from leadline.readers.media import MEDIA, NOUNS, PROSE, Layout, files_below, listed, litter, medium_of
from leadline.readers.part import combine, counted, files_digest, part_of
from leadline.system.errors import SourceError
from leadline.system.text import enumerated

__all__ = ["media_columns", "with_media"]

LOOKED_AT = 1_000  # rows from which a column of paths is inferred
TRIED = 64  # of its values, from which the folder of the files is inferred
MOST_FILES = 200_000  # beside a table that are listed: it may be in a home folder
MOST_SUFFIXES = 30  # of letters, of files of no media among them: no set of data has so many, a home has hundreds
FEWEST = 8  # files that names without a suffix must fit, to be no chance
MOST_ROWS = 10  # rows that name the same file, on average
LONGEST = 255  # characters of a name
NAMES = 0.9  # share of the values that end like a file of media
PROSE_WORDS = re.compile(r"readme|licen[cs]e", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the files lie: a folder, or an archive unpacked into one."""

    root: Path
    archive: Path | None = None
    notes: tuple[str, ...] = ()


def media_columns(frame: pl.LazyFrame) -> dict[str, str]:
    """{column: kind} of the text columns whose values end like files of one kind of media.

    >>> media_columns(pl.LazyFrame({"path": ["a/1.wav", None, "b/2.WAV"], "url": ["http://x/1.png"] * 3}))
    {'path': 'audio'}
    """
    names = [name for name, dtype in frame.collect_schema().items() if dtype == pl.String]
    if not names:
        return {}
    values = pl.col(names).str.strip_chars().str.to_lowercase()
    head = frame.select(values).head(LOOKED_AT).collect()
    filled = head.select((pl.all() != "").sum()).row(0, named=True)
    kinds: dict[str, str] = {}
    for kind, suffixes in MEDIA.items():
        ends = pl.all().str.contains(rf"(?:{'|'.join(map(re.escape, suffixes))})$")
        paths = head.select((ends & ~pl.all().str.contains("://")).sum()).row(0, named=True)
        kinds |= {name: kind for name in names if filled[name] and paths[name] >= NAMES * filled[name]}
    return {name: kinds[name] for name in names if name in kinds}


def _without_suffix(frame: pl.LazyFrame, root: Path) -> dict[str, str]:
    """{column: kind} of the text columns whose values name files of one kind of media without their suffix."""
    head = frame.select(name for name, dtype in frame.collect_schema().items() if dtype == pl.String)
    columns = _may_name(head.head(LOOKED_AT).collect())
    if not columns:
        return {}
    ends: dict[str, str] = {}
    others: set[str] = set()
    for name in islice(files_below(root), MOST_FILES):
        stem, suffix = posixpath.splitext(posixpath.basename(name))
        if kind := medium_of(name):
            ends[stem.lower()] = kind
        elif suffix[1:].isalpha():
            others.add(suffix.lower())
            if len(others) > MOST_SUFFIXES:
                break
    kind_of_column: dict[str, str] = {}
    for column in columns if ends else []:
        kinds = [
            ends.get(posixpath.basename(_plain(value)).lower()) for value in column.drop_nulls().unique().to_list()
        ]
        first = next((kind for kind in kinds if kind), None)
        if first and kinds.count(first) >= max(FEWEST, NAMES * len(kinds)):
            kind_of_column[column.name] = first
    return kind_of_column


def _may_name(frame: pl.DataFrame) -> list[pl.Series]:
    """Columns whose values differ enough to be file names, which few rows share, and are short enough."""
    if not frame.width:
        return []
    longest = frame.select(pl.all().str.len_chars().max()).row(0)
    nulls, different = frame.null_count().row(0), frame.select(pl.all().n_unique()).row(0)
    return [
        column
        for column, most, missing, count in zip(frame.get_columns(), longest, nulls, different, strict=True)
        if count - (missing > 0) >= max(FEWEST, len(column) / MOST_ROWS) and most is not None and most <= LONGEST
    ]


def with_media(layout: Layout, archives: list[Path], cache: Path) -> Layout | None:
    """The layout with its columns of paths resolved; None where it has none, or none of the files is there.

    Raises SourceError where one name could mean several files.
    """
    frame = layout.parts["train"].frame
    columns = media_columns(frame) or _without_suffix(frame, layout.root)
    if not columns:
        return None
    values = {
        name: _distinct(part.frame.select(list(columns)).collect())
        for name, part in layout.parts.items()
        if set(columns) <= set(part.frame.collect_schema().names())
    }
    place = _find(layout.root, archives, values["train"], cache)
    if place is None:
        return None
    paths = {name: _paths(place.root, part_values, name) for name, part_values in values.items()}
    prefixes = {_prefix(value, path) for mapping in paths.values() for value, path in mapping.items()}
    # Where all lie below one folder, that folder is the root, and values stay as the user wrote them.
    prefix = prefixes.pop() if len(prefixes) == 1 else None
    root = place.root if prefix is None else place.root / prefix
    parts = dict(layout.parts)
    for name, mapping in paths.items():
        part = layout.parts[name]
        frame = part.frame
        if prefix is None:
            frame = frame.with_columns(pl.col(column).replace(mapping) for column in columns)
        digest = combine([part.digest, files_digest(place.root, sorted(set(mapping.values())), cache)])
        parts[name] = replace(part, frame=frame, digest=digest, kinds={**part.kinds, **columns})
    notes = _notes(columns, values, paths, place)
    return Layout(root=root, parts=parts, target=layout.target, notes=(*layout.notes, *notes))


def _distinct(frame: pl.DataFrame) -> list[str]:
    """The distinct values of all columns, in order."""
    return list(
        dict.fromkeys(value for column in frame.get_columns() for value in column.drop_nulls() if value.strip())
    )


def _find(folder: Path, archives: list[Path], values: list[str], cache: Path) -> _Place | None:
    """The folder or the archive that holds most of a sample of the files."""
    few = values[:: max(1, len(values) // TRIED)]
    here = sum(os.path.isfile(folder / value) for value in few)
    here = here if here == len(few) else len(_options(few, files_below(folder)).keys() | _direct(folder, few).keys())
    best, most, damaged = None, here, None
    for archive in archives if here < len(few) else []:
        try:
            inside = len(_options(few, names_in(archive)))
        except SourceError as error:
            damaged = error
            continue
        if inside > most:
            best, most = archive, inside
    if not most:
        if damaged is not None:
            raise damaged
        return None
    if best is None:
        return _Place(root=folder)
    root, notes = unpack(best, cache)
    return _Place(root=root, archive=best, notes=notes)


def _direct(root: Path, values: Iterable[str]) -> dict[str, str]:
    return {value: value for value in values if os.path.isfile(root / value)}


def _options(values: Iterable[str], names: Iterable[str]) -> dict[str, list[str]]:
    """{value: names that it could mean}: one of the two is the end of the other, folder by folder."""
    wanted = {value: _plain(value) for value in values}
    ends = {posixpath.basename(plain).lower() for plain in wanted.values()}
    named: dict[str, list[str]] = {}
    for name in names:
        end = composed(posixpath.basename(name)).lower()
        for key in (end, posixpath.splitext(end)[0] if medium_of(end) else end):
            if key in ends and name not in (known := named.setdefault(key, [])):
                known.append(name)
    options = {}
    for value, plain in wanted.items():
        there = named.get(posixpath.basename(plain).lower(), [])
        fits = (
            [name for name in there if _ends(composed(name), plain)]
            or [name for name in there if _ends(composed(name).lower(), plain.lower())]
            or [
                name
                for name in there
                if medium_of(name) and _ends(posixpath.splitext(composed(name))[0].lower(), plain.lower())
            ]
        )
        if fits:
            options[value] = sorted(fits)
    return options


def _ends(name: str, plain: str) -> bool:
    return name == plain or name.endswith(f"/{plain}") or plain.endswith(f"/{name}")


def _plain(value: str) -> str:
    """A path as another system or another folder may have written it, as one from here.

    >>> _plain("..\\\\clips\\\\1.wav"), _plain("./clips//1.wav")
    ('clips/1.wav', 'clips/1.wav')
    """
    return re.sub(r"^(\.\./|/)+", "", posixpath.normpath(composed(value).strip().replace("\\", "/")))


def _paths(root: Path, values: list[str], part: str) -> dict[str, str]:
    """{value: path relative to `root`} of the files that exist."""
    paths = _direct(root, values)
    lacking = [value for value in values if value not in paths]
    if not lacking:
        return paths
    options = _options(lacking, files_below(root))
    popular = Counter(_prefix(value, name) for value, names in options.items() for name in names)
    for value, names in options.items():
        # The same name in train/ and in test/ is that of the part which the table itself is.
        same_part = [name for name in names if part_of(posixpath.dirname(name)) == part] or names
        ranked = sorted(same_part, key=lambda name: -popular[_prefix(value, name)])
        if len(ranked) > 1 and popular[_prefix(value, ranked[0])] == popular[_prefix(value, ranked[1])]:
            raise SourceError(
                f"{value!r} could mean {listed(ranked)} in {root.name}/; write paths that lead from that folder"
            )
        paths[value] = ranked[0]
    return paths


def _prefix(value: str, path: str) -> str | None:
    """The prefix that makes a value a path; None where no prefix does."""
    return path[: -len(value)].rstrip("/") if path == value or path.endswith(f"/{value}") else None


def _notes(
    columns: dict[str, str], values: dict[str, list[str]], paths: dict[str, dict[str, str]], place: _Place
) -> list[str]:
    named = {value for part_values in values.values() for value in part_values}
    used = {path for mapping in paths.values() for path in mapping.values()}
    kinds = enumerated(list(dict.fromkeys(f"{NOUNS[kind]}s" for kind in columns.values())))
    where = f"{place.root.name}/" if place.archive is None else place.archive.name
    notes = [
        f"{enumerated([repr(column) for column in columns])} names {len(named):,} {kinds} in {where}",
        *place.notes,
    ]
    if missing := [value for part, part_values in values.items() for value in part_values if value not in paths[part]]:
        are = "1 of them is" if len(missing) == 1 else f"{len(missing):,} of them are"
        notes.append(f"{are} missing, such as {missing[0]}")
    if place.archive is not None:
        extra = [name for name in sorted(files_below(place.root)) if name not in used and not _prose(name)]
        if extra:
            notes.append(f"{counted(len(extra), 'file')} in {where} named by no row, such as {extra[0]}, left out")
    return notes


def _prose(name: str) -> bool:
    end = posixpath.basename(name)
    return litter(end) or PROSE_WORDS.search(end) is not None or posixpath.splitext(end)[0].lower() in PROSE
