"""Forked processes: what a child can no longer do, said at once in place of a wait without an end.

A fork copies memory, but of all threads only the one that forked. The pool of threads of polars, once it has begun, is
therefore dead in a child, and whatever asks it for work waits for ever. A child of a process in which the pool had not
begun starts a pool of its own. Where the system names the threads of a process (Linux) the pool is seen there;
elsewhere it counts as begun with the first read of a source.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from leadline.system.errors import LeadlineError

POOL = re.compile(r"polars-\d")  # what polars calls the threads of its pool
_begun = False  # a source has been read in this process, so the pool runs
_had_pool = False  # when this process last forked
_dead = False  # this process is a child of one whose pool had begun


def alive(what: str) -> None:
    """Raise `LeadlineError` where this process cannot do `what`, and note that it does it."""
    global _begun
    if _dead:
        raise LeadlineError(
            f"{what} cannot run in this process: it was forked from one that had already read data, and its threads "
            "did not come along; start it by 'spawn', or load the model in each worker (gunicorn without --preload)."
        )
    _begun = True


def _pool_has_begun() -> bool:
    try:
        names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    except OSError:  # no such system
        return _begun
    return any(POOL.match(name) for name in names)


def _before() -> None:
    global _had_pool
    _had_pool = _pool_has_begun()


def _after_in_child() -> None:
    global _dead, _begun
    _dead, _begun = _dead or _had_pool, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_after_in_child)
