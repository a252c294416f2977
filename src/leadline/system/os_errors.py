"""What the system refuses while a run reads and writes, as one sentence: a full disk, a read-only place, a file gone.

Enters: the folders that are written to. Leaves: an `OutputError` or a `SourceError` in place of the system's own.

    >>> with spoken(cache=Path("cache"), out=Path("runs")):
    ...     raise OSError(errno.ENOSPC, "No space left on device", "cache/x.npy")
    Traceback (most recent call last):
    leadline.system.errors.OutputError: cache/x.npy cannot be written (no space left on device); make room there, or ...
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadline.system.errors import BudgetError, LeadlineError, OutputError, SourceError

__all__ = ["removed", "spoken"]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
NUMBERED = re.compile(r"\(os error (\d+)\)(?::\s*(\S+))?")  # how polars quotes the system


@contextmanager
def spoken(*, cache: Path, out: Path) -> Iterator[None]:
    """Run a block; raise what the system refused in it as one sentence. `out` is where results are written."""
    import polars as pl

    try:
        yield
    except BrokenPipeError:  # the reader of our output has gone, which is nobody's mistake
        raise
    except OSError as error:
        number, place = error.errno, error.filename
        if number is None and (match := NUMBERED.search(str(error))):
            number, place = int(match[1]), match[2]
        raise _sentence(number, place, str(error), cache, out) from error
    except pl.exceptions.PolarsError as error:
        if (match := NUMBERED.search(str(error))) is None:
            raise
        raise _sentence(int(match[1]), match[2], str(error), cache, out) from error
    except MemoryError as error:
        raise BudgetError("The memory of this machine is not enough for this source; give fewer rows.") from error


def removed(folder: Path) -> None:
    """Remove a folder that was half written, whatever the user presses meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        removed(folder)
        raise


def _sentence(number: int | None, place: object, message: str, cache: Path, out: Path) -> LeadlineError:
    where = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else ""
    why = os.strerror(number) if number is not None else (message.splitlines() or ["?"])[0]
    why = why[:1].lower() + why[1:]
    if number in FULL:
        where = where or f"{cache} or {out}"
        return OutputError(f"{where} cannot be written ({why}); make room there, or choose another --cache or --out.")
    ours = [place for place in (cache, out) if place.is_relative_to(where) or Path(where).is_relative_to(place)]
    if number in CLOSED and where and not ours:
        return SourceError(f"{where} cannot be opened ({why}); give yourself permission to it.")
    if number in CLOSED:
        where = where or f"{cache} or {out}"
        remedy = "give yourself permission to it, or choose another place by --cache, $LEADLINE_CACHE or --out"
        return OutputError(f"{where} cannot be opened or written ({why}); {remedy}.")
    if number in GONE and where and ours:
        return OutputError(f"{where} cannot be made ({why}); choose another --cache or --out.")
    if number in GONE:
        return SourceError(f"{where or 'a file'} has gone while it was needed ({why}); put it back, and run again.")
    return OutputError(f"{where or f'{cache} or {out}'} cannot be used ({why}); choose another place, and run again.")
