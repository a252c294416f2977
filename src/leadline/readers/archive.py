"""Archives: .zip and .tar, the latter packed by gzip, bzip2, xz or Zstandard; unpacked once into the cache, and safely.

Enters: the path of an archive. Leaves: a folder of its files and what was left out. Nothing is written outside that
folder: entries that are links or devices, and those whose names lead elsewhere, are left out. What unpacks to far more
than its packed size is refused (`compression.py`).
"""

import json
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import IO

from leadline.readers.compression import BLOCK_BYTES, check_size, opened, packing_of, zstd
from leadline.readers.part import file_digest, is_utf8
from leadline.system.errors import SourceError

__all__ = ["archive_stem", "is_archive", "names_in", "unpack"]

SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst")


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
        scratch = Path(tempfile.mkdtemp(prefix=f".{stored.name}-", dir=stored.parent))
        fresh = scratch / "made"  # a folder of mkdtemp is closed to all others, who may share the cache
        try:
            folder = fresh / archive_stem(path)
            folder.mkdir(parents=True)
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
            shutil.rmtree(scratch, ignore_errors=True)
    stored_facts = json.loads((stored / "facts.json").read_text(encoding="utf-8"))
    return stored / stored_facts["folder"], tuple(f"{path.name}: {note}" for note in stored_facts["notes"])


def _unpack(path: Path, folder: Path) -> list[str]:
    """Write an archive's files below `folder`; returns messages about those left out."""
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
                    check_size(path, packed, written)
                    file.write(block)
    if not any(folder.iterdir()):
        raise SourceError(f"{path.name} holds no file that can be unpacked; pack it again")
    if not left_out:
        return []
    many = "1 entry is" if len(left_out) == 1 else f"{len(left_out):,} entries are"
    return [f"{many} left out, such as {left_out[0].name!r}: {left_out[0].why}"]


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    try:
        with ExitStack() as files:
            yield _archive(path, files)
    except NotImplementedError as error:  # zipfile, of a way to pack that it does not know
        raise SourceError(
            f"{path.name} is packed in a way that cannot be read here ({error}); pack it again as plain zip or tar.gz"
        ) from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError, zlib.error, LZMAError, zstd.ZstdError) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2, of what is damaged; the disk's own have a number
            raise _damaged(path, error) from error
        raise


def _archive(path: Path, files: ExitStack) -> zipfile.ZipFile | tarfile.TarFile:
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK") or path.suffix.lower() == ".zip":
        return files.enter_context(zipfile.ZipFile(path))
    if packing_of(path, head) == "Zstandard":  # tarfile finds out by itself whether it is any other
        return files.enter_context(tarfile.open(fileobj=files.enter_context(opened(path, "Zstandard"))))
    return files.enter_context(tarfile.open(path))


def _damaged(path: Path, error: Exception) -> SourceError:
    reason = (str(error).splitlines() or ["?"])[0]
    return SourceError(f"{path.name} is not a whole archive ({reason}); copy or download it again")


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
    """Why a file of this name must not be written: it could lead out of the folder, on any system, or is no text."""
    if not is_utf8(name) or "\0" in name:
        return "its name is not UTF-8"
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
