"""Archives: .zip, .tar, .tar.gz and .tgz, unpacked once into the cache, and safely.

Enters: the path of an archive. Leaves: a folder of its files and what was left out. Nothing is written outside that
folder: entries that are links or devices, and those whose names lead elsewhere, are left out. What unpacks to far more
than its packed size is refused (Fifield 2019, A better zip bomb, https://www.bamsoftware.com/hacks/zipbomb/).
"""

import gzip
import json
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from leadline.data.part import file_digest
from leadline.errors import SourceError

__all__ = ["archive_stem", "is_archive", "names_in", "unpack"]

SUFFIXES = (".tar.gz", ".zip", ".tar", ".tgz")
MOST_BYTES = 50 * 10**9
# Lossless audio and pixels shrink to a tenth at best; a bomb unpacks to a thousand times its size and more.
MOST_TIMES, FREE_BYTES = 200, 10**9
BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class _Entry:
    """One file of an archive, and why it must not be unpacked, if so."""

    name: str
    why: str | None
    source: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive.

    >>> is_archive(Path("clips.TAR.gz")), is_archive(Path("houses.csv.gz"))
    (True, False)
    """
    return path.name.lower().endswith(SUFFIXES)


def archive_stem(path: Path) -> str:
    """The name without the suffix of an archive.

    >>> archive_stem(Path("clips.v2.tar.gz"))
    'clips.v2'
    """
    suffix = next(suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix))
    return path.name[: -len(suffix)] or path.name


def names_in(path: Path) -> list[str]:
    """Names of the files that `unpack` would write, with '/' between."""
    with _opened(path) as archive:
        return [entry.name for entry in _entries(archive) if entry.why is None]


def unpack(path: Path, cache: Path) -> tuple[Path, tuple[str, ...]]:
    """(folder of its files, notes on what was left out). Unpacked once a content, under its digest.

    Raises SourceError for what is damaged, locked, empty or a bomb.
    """
    stored = cache / "unpacked" / file_digest(path, cache)
    if not (stored / "facts.json").exists():
        stored.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{stored.name}-", dir=stored.parent))
        try:
            folder = fresh / archive_stem(path)
            folder.mkdir()
            facts = {"folder": folder.name, "notes": _unpack(path, folder)}
            (fresh / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
            try:
                fresh.rename(stored)
            except OSError:  # another run has just unpacked the same
                if not (stored / "facts.json").exists():
                    raise
        except OSError as error:
            why = error.strerror or error
            raise SourceError(
                f"{path.name} cannot be unpacked into {cache} ({why}); make room there, or give it as a folder"
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    found = json.loads((stored / "facts.json").read_text(encoding="utf-8"))
    return stored / found["folder"], tuple(f"{path.name}: {note}" for note in found["notes"])


def _unpack(path: Path, folder: Path) -> list[str]:
    """Write an archive's files below `folder`; returns what is to be said of those left out."""
    packed, written = path.stat().st_size, 0
    left_out: list[_Entry] = []
    with _opened(path) as archive:
        for entry in _entries(archive):
            if entry.why is not None:
                left_out.append(entry)
                continue
            target = folder / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with _content(archive, entry) as source, target.open("wb") as file:
                while block := source.read(BLOCK_BYTES):
                    # What is written is counted: the sizes that an archive states may be a lie.
                    written += len(block)
                    _check_size(path, packed, written)
                    file.write(block)
    if not any(folder.iterdir()):
        raise SourceError(f"{path.name} holds no file that can be unpacked; pack it again")
    if not left_out:
        return []
    many = "1 entry is" if len(left_out) == 1 else f"{len(left_out):,} entries are"
    return [f"{many} left out, such as {left_out[0].name!r}: {left_out[0].why}"]


def _check_size(path: Path, packed: int, written: int) -> None:
    if written > MOST_BYTES or (written > FREE_BYTES and written > MOST_TIMES * packed):
        raise SourceError(
            f"{path.name} ({packed / 1e6:,.1f} MB) unpacks to more than {written // 10**9} GB, which is refused; "
            "if that is right, unpack it yourself and give the folder"
        )


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    try:
        with zipfile.ZipFile(path) if path.suffix.lower() == ".zip" else tarfile.open(path) as archive:
            yield archive
    except NotImplementedError as error:  # zipfile, of a way to pack that it does not know
        raise SourceError(
            f"{path.name} is packed in a way that cannot be read here ({error}); pack it again as plain zip or tar.gz"
        ) from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise SourceError(f"{path.name} is not a whole archive ({reason}); copy or download it again") from error


def _entries(archive: zipfile.ZipFile | tarfile.TarFile) -> Iterator[_Entry]:
    """All entries but folders, in the archive's order."""
    if isinstance(archive, zipfile.ZipFile):
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise SourceError(
                    f"{Path(archive.filename or '').name} is locked by a password; unpack it and give the folder"
                )
            if not info.is_dir():
                link = stat.S_ISLNK(info.external_attr >> 16)
                name = info.filename.replace("\\", "/")  # as some packers on Windows write it
                yield _Entry(name, "it is a link" if link else _leads_out(name), info)
    else:
        for member in archive:
            if not member.isdir():
                plain = None if member.isreg() else "it is a link" if member.issym() or member.islnk() else "no file"
                # Archives of '.' name their files ./a.wav.
                name = member.name.removeprefix("./")
                yield _Entry(name, plain or _leads_out(name), member)


def _leads_out(name: str) -> str | None:
    """Why a name could lead out of the folder, on any system."""
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
        return "its name leads out of the folder"
    return None


def _content(archive: zipfile.ZipFile | tarfile.TarFile, entry: _Entry) -> IO[bytes]:
    if isinstance(archive, zipfile.ZipFile):
        assert isinstance(entry.source, zipfile.ZipInfo)
        return archive.open(entry.source)
    assert isinstance(entry.source, tarfile.TarInfo)
    content = archive.extractfile(entry.source)
    assert content is not None
    return content
