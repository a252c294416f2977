"""A lock on a file: a process holds it as long as it lives, and the system lets go of it however the process ends.

A process number says less: it stays taken until the parent has collected a dead process, and is then given to another
one. Processes that are started do not inherit the lock, nor do those that are forked.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "lock"
    >>> with take(path) as lock:
    ...     holder(path) == os.getpid(), take(path)
    (True, None)
    >>> holder(path) is None
    True
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

__all__ = ["Lock", "holder", "take"]

TRIES, BETWEEN_S = 4, 0.05  # of a look at a lock, which holds it for a moment

if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30  # where the byte is that is locked: nobody can read such a byte, and the beginning is to be read

    def _lock(file: int, shared: bool) -> None:
        if not shared:  # Windows lets nobody delete what is read, which is what shared locks are for
            os.lseek(file, FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int, shared: bool) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class Lock:
    """A lock that is held until `release`, or the end of a `with` block."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file
        _held.add(self)

    def release(self) -> None:
        """Let go; once more does nothing."""
        _held.discard(self)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_held: set[Lock] = set()


def _forget() -> None:
    """In a forked child: its copies are closed, or they would hold the lock when the parent is gone."""
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def take(path: Path, *, shared: bool = False) -> Lock | None:
    """The lock on this file, which is made where it is missing; None where another holds it.

    Args:
        shared: several may hold it so at once, and nobody otherwise.

    Raises:
        OSError: the file cannot be written, its folder is gone, or its file system knows no locks.
    """
    for attempt in range(TRIES):
        time.sleep(BETWEEN_S if attempt else 0.0)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(file, shared)
            same = os.path.samestat(os.fstat(file), path.stat())  # or it was moved before it was locked
            if same and not shared:
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                os.write(file, str(os.getpid()).encode())
        except (BlockingIOError, PermissionError):
            os.close(file)
        except BaseException:
            os.close(file)
            raise
        else:
            if same:
                return Lock(file)
            os.close(file)
    return None


def holder(path: Path) -> int | None:
    """The number of the process that holds this lock for itself; None where nobody does, or nobody can tell."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        _lock(file, shared=sys.platform != "win32")
    except (BlockingIOError, PermissionError):
        return int(os.read(file, 20) or b"0")
    except OSError:
        return None
    finally:
        os.close(file)
    return None
