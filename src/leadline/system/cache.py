"""The cache of converted sources: list its entries, and clear them.

Enters: the cache folder. Leaves: a list of `CacheEntry`, the largest first. A run holds a lock on its cache until it
ends, so that nothing is removed while it is in use.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from leadline.system.arguments import checked
from leadline.system.errors import LeadlineError, SourceError
from leadline.system.lock import take

STATES, BODIES = "states", "bodies"  # what pretrained bodies give, and their graphs
FOLDERS = {"stores": "encoded", "tables": "table", "unpacked": "unpacked", STATES: STATES, BODIES: "body"}
UNITS = {"h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """One entry of the cache: its type, its source if known, its size, and when it was last used."""

    path: Path
    what: str  # encoded, table, unpacked, states or body
    source: str | None
    bytes: int
    used: float  # seconds since 1970


def cache_folder() -> Path:
    """Where converted tables and downloaded data are kept: $LEADLINE_CACHE, else `leadline` in the user's own cache."""
    if folder := os.environ.get("LEADLINE_CACHE"):
        return Path(folder).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "leadline"
    except RuntimeError as error:
        raise SourceError(
            "there is no home folder to keep a cache in; name a folder by --cache or $LEADLINE_CACHE"
        ) from error


@checked
def entries(cache: str | Path | None = None) -> list[CacheEntry]:
    """All entries of the cache, the largest first.

    >>> entries("no-such-cache")
    []
    """
    return sorted(_found(_folder(cache)), key=lambda each: -each.bytes)


@checked
def clear(cache: str | Path | None = None, *, older_than: str | None = None) -> list[CacheEntry]:
    """Remove entries, and return those that were removed.

    Args:
        older_than: only entries unused for longer than this: 12h, 30d, 2w.

    Raises:
        LeadlineError: where `older_than` is no time, or a run reads the cache now.
    """
    # inf, not now: after the clock was set back, "all" is still all
    before = math.inf if older_than is None else time.time() - _seconds(older_than)
    with _locked(_folder(cache), alone=True) as free:
        if not free:
            raise LeadlineError(f"A run reads {_folder(cache)} now; clear it when that run has ended.")
        removed = [each for each in entries(cache) if each.used <= before]
        for each in removed:
            if each.path.is_dir():
                shutil.rmtree(each.path, ignore_errors=True)
            else:
                each.path.unlink(missing_ok=True)
    return removed


def in_use(cache: Path) -> AbstractContextManager[bool]:
    """Inside the block nobody can clear the cache."""
    return _locked(cache, alone=False)


@contextmanager
def _locked(cache: Path, alone: bool) -> Iterator[bool]:
    """Whether the lock was taken. A cache that cannot be written needs no lock: nobody can clear it."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = take(cache / "lock", shared=not alone)
    except OSError:
        yield True
        return
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _folder(cache: str | Path | None) -> Path:
    return Path(cache) if cache is not None else cache_folder()


def _found(cache: Path) -> Iterator[CacheEntry]:
    for folder, what in FOLDERS.items():
        for path in (cache / folder).glob("*"):
            if path.name.startswith(".") and abs(time.time() - path.stat().st_mtime) < UNITS["d"]:
                continue  # it is being made
            files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
            with contextlib.suppress(FileNotFoundError):  # taken away meanwhile
                size = sum(file.stat().st_blocks * 512 for file in files)
                yield CacheEntry(path=path, what=what, source=_source(path), bytes=size, used=path.stat().st_mtime)


def _source(path: Path) -> str | None:
    try:
        return str(json.loads((path / "store.json").read_text())["source"])
    except (OSError, ValueError, KeyError):
        return None


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)\s*([hdw])", text.strip())
    if match is None:
        raise LeadlineError(f"--older-than {text} is not a time; write a number and a unit, as in 12h, 30d or 2w.")
    return float(match[1]) * UNITS[match[2]]
