"""Ctrl-C and SIGTERM: where an exception would do harm, and where one is needed to clear away what was begun.

An exception may be raised in the middle of any import, and be lost there or turned into another; in the middle of a
removal it would leave half of the files. This module is loaded before all others, so it imports next to nothing.

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

__all__ = ["STOPPED", "at_once", "deaf", "ended", "noted", "warned_once"]

STOPPED = "leadline: stopped; nothing was written."
WRITING = "leadline: writing the result, which takes seconds; press Ctrl-C again to leave without it."


class _Meanwhile:
    """Another handler of signals inside the block. Only the main thread can set one: elsewhere nothing changes."""

    def __init__(self, handler: Any, *numbers: int) -> None:
        self._handler, self._numbers = handler, numbers or (signal.SIGINT,)
        self._held: dict[int, Any] = {}

    def __enter__(self) -> None:
        try:
            self._held = {number: signal.signal(number, self._handler) for number in self._numbers}
        except ValueError:
            self._held = {}

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._held.items():
            signal.signal(number, handler)


def at_once() -> _Meanwhile:
    """Before anything is read or written: Ctrl-C ends the process, with a message and the exit code 130."""
    previous = signal.getsignal(signal.SIGINT)  # where it is ignored (nohup) or another's (a notebook), it stays so
    return _Meanwhile(_leave if previous is signal.default_int_handler else previous)


def deaf() -> _Meanwhile:
    """During a removal that takes a moment: Ctrl-C and SIGTERM change nothing."""
    return _Meanwhile(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM)


def ended() -> _Meanwhile:
    """While something is made that nobody can continue: SIGTERM is an exception, as Ctrl-C is, and it is removed."""
    previous = signal.getsignal(signal.SIGTERM)
    return _Meanwhile(_end if previous is signal.SIG_DFL else previous, signal.SIGTERM)


def noted(note: Callable[[], None]) -> _Meanwhile:
    """While contenders race: the first Ctrl-C calls `note`; the next one raises KeyboardInterrupt."""
    previous = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        note()

    return _Meanwhile(first if previous is signal.default_int_handler else previous)


def warned_once() -> _Meanwhile:
    """While results are written: the first Ctrl-C prints what would be lost, the next one ends the run."""
    previous = signal.getsignal(signal.SIGINT)
    return _Meanwhile(_tell if previous is signal.default_int_handler else previous)


def _tell(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.write(2, f"{WRITING}\n".encode())


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(130)
