"""Files and folders that appear whole or not at all, and what a killed process left of its attempts.

Enters: where a result will lie. Leaves: the result, with the mode of what it replaces; nothing beside it.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "result"
    >>> with scratch(place) as folder:
    ...     (folder / "made").mkdir()
    ...     appear(folder / "made", place)
    >>> [path.name for path in place.parent.iterdir()]
    ['result']
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from leadline.system.arguments import checked
from leadline.system.errors import OutputError
from leadline.system.interrupts import deaf
from leadline.system.lock import Lock, holder, take
from leadline.system.os_errors import removed

__all__ = ["appear", "appearing", "maker", "named", "replace_text", "saved", "scratch"]

SCRATCH = re.compile(r"\..+\.scratch-\d+-\d+")  # the process that made it, and which of its folders
LOCK = "lock"  # the file in it
THERE = (errno.EEXIST, errno.ENOTEMPTY)


@contextmanager
def scratch(final: Path) -> Iterator[Path]:
    """A folder beside what will be `final`; it is removed afterwards, like those of killed processes.

    Raises OSError where there can be none.
    """
    folder, lock = _begun(final)
    try:
        if lock is not None:  # else the file system knows no locks, and nobody can tell who is alive
            for other in _beside(final):
                _sweep(other)
        yield folder
    finally:
        with deaf():
            if lock is not None:
                lock.release()
            removed(folder)


def maker(final: Path) -> int | None:
    """The process that has a scratch folder for `final` now; None where none has."""
    return next((process for each in _beside(final) if (process := holder(each / LOCK)) is not None), None)


def appear(made: Path, final: Path) -> None:
    """Give a folder that is complete its name. Raises OutputError where another process was faster."""
    try:
        made.rename(final)
    except OSError as error:
        if error.errno not in THERE and not final.exists():
            raise
        raise OutputError(f"{final} already exists; choose another --out, or remove it.") from error


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Where to write a file: it gets its name at the end of the block, and keeps the mode of an earlier one.

    What is no file (a pipe), or lies where no other may be made, is written in place. Raises OSError.
    """
    target = path.resolve()
    if target.exists() and (not target.is_file() or not os.access(target.parent, os.W_OK)):
        yield target
        return
    with scratch(target) as folder:
        made = folder / target.name
        yield made
        with suppress(FileNotFoundError):
            shutil.copymode(target, made)
        made.replace(target)


def replace_text(path: Path, text: str) -> None:
    """Write a file in place of an earlier one."""
    with appearing(path) as made:
        made.write_text(text, encoding="utf-8")


@checked
def saved(text: str, path: str | Path) -> Path:
    """Write a file that the user named. Raises OutputError where it cannot be written."""
    place = Path(path)
    try:
        replace_text(place, text)
    except OSError as error:
        raise OutputError(f"{place} cannot be written ({error.strerror}); choose another place.") from error
    return place


def named(path: Path) -> Path:
    """The path of a folder, by its name where it was given as '.' or '..'."""
    return path.resolve() if path.name in ("", "..") else path


def _begun(final: Path) -> tuple[Path, Lock | None]:
    """A new folder, and its lock; another process may sweep a folder away before it is locked."""
    for number in count(1):
        folder = final.with_name(f".{final.name}.scratch-{os.getpid()}-{number}")
        try:
            folder.mkdir()
            lock = take(folder / LOCK)
        except (FileExistsError, FileNotFoundError):
            if not final.parent.is_dir():
                raise
            continue
        except OSError:
            if not folder.is_dir():
                raise
            return folder, None
        if lock is not None:
            return folder, lock
    raise AssertionError  # the numbers do not end


def _beside(final: Path) -> list[Path]:
    found = final.parent.glob(f".{glob.escape(final.name)}.scratch-*")
    return [path for path in found if SCRATCH.fullmatch(path.name)]


def _sweep(folder: Path) -> None:
    """Remove a folder whose process is dead."""
    with suppress(OSError):
        lock = None if holder(folder / LOCK) is not None else take(folder / LOCK)
        if lock is not None:
            if os.name == "nt":  # Windows removes no file that is open
                lock.release()
            with lock:
                removed(folder)
