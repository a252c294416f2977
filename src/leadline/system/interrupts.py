"""Ctrl-C where an exception would not do: while modules load, and while a run is being cleared away.

An exception may come up in the middle of anybody's import, and be lost there or turned into another; in the middle of
clearing away it would leave half of it behind. This module is loaded before all others, so it imports next to nothing.

    >>> with at_once():
    ...     import json
    >>> with deaf():
    ...     json.dumps("cleared away")
    '"cleared away"'
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # as `typing` has it, which would be much to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

__all__ = ["STOPPED", "at_once", "deaf", "noted", "told_once"]

STOPPED = "leadline: stopped; nothing was written."
WRITING = "leadline: the result is being written, a matter of seconds; Ctrl-C again leaves without it."


class _Meanwhile:
    """SIGINT is handled otherwise inside the block. Only the main thread can do that: elsewhere nothing is changed."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._held: Any = None

    def __enter__(self) -> None:
        try:
            self._held = signal.signal(signal.SIGINT, self._handler)
        except ValueError:
            self._held = None

    def __exit__(self, *raised: object) -> None:
        if self._held is not None:
            signal.signal(signal.SIGINT, self._held)


def at_once() -> _Meanwhile:
    """While nothing has been read or written: Ctrl-C ends the process, with a sentence and the exit code 130."""
    held = signal.getsignal(signal.SIGINT)  # ignored, as under nohup, or somebody else's, as in a notebook, it stays so
    return _Meanwhile(_leave if held is signal.default_int_handler else held)


def deaf() -> _Meanwhile:
    """While something is cleared away that takes a moment: Ctrl-C changes nothing."""
    return _Meanwhile(signal.SIG_IGN)


def noted(note: Callable[[], None]) -> _Meanwhile:
    """While contenders race: the first Ctrl-C is noted, to be acted on between two looks; the next one raises."""
    held = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        note()

    return _Meanwhile(first if held is signal.default_int_handler else held)


def told_once() -> _Meanwhile:
    """While results are written: the first Ctrl-C prints what would be lost, the next one ends the run."""
    held = signal.getsignal(signal.SIGINT)
    return _Meanwhile(_tell if held is signal.default_int_handler else held)


def _tell(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.write(2, f"{WRITING}\n".encode())


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(130)
