"""Settings of the whole process that a computation changes, and that are restored when it ends or fails.

Enters: a block of code. Leaves: the process with the settings that its user chose: threads of PyTorch and of BLAS,
filters of warnings, levels of loggers. Several threads may need the same change at once: the first one makes it, the
last one undoes it, so that their order restores no setting that was itself a change.

    >>> before = list(warnings.filters)
    >>> with warnings_ignored(), errors_only("some.library"):
    ...     warnings.warn("not shown")
    >>> list(warnings.filters) == before
    True
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache


class SharedChange:
    """A change of the process, for the time that at least one thread is inside."""

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        """
        Args:
            change: makes it, and returns what undoes it.
        """
        self._change, self._lock, self._inside = change, threading.Lock(), 0
        self._undo: Callable[[], object] = change

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._undo = self._change()
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._undo()


def _ignore_warnings() -> Callable[[], object]:
    caught = warnings.catch_warnings()
    caught.__enter__()
    warnings.simplefilter("ignore")
    return lambda: caught.__exit__(None, None, None)


def _one_blas_thread() -> Callable[[], object]:
    from threadpoolctl import threadpool_limits

    restore: Callable[[], object] = threadpool_limits(1, "blas").restore_original_limits
    return restore


_WARNINGS, _BLAS = SharedChange(_ignore_warnings), SharedChange(_one_blas_thread)


def warnings_ignored() -> SharedChange:
    """No warning is shown or raised inside."""
    return _WARNINGS


def one_blas_thread() -> SharedChange:
    """Matrix products of NumPy and SciPy use one thread inside."""
    return _BLAS


@cache
def errors_only(logger: str) -> SharedChange:
    """The logger of that name reports only errors inside."""

    def change() -> Callable[[], object]:
        named = logging.getLogger(logger)
        before = named.level
        named.setLevel(logging.ERROR)
        return lambda: named.setLevel(before)

    return SharedChange(change)


@cache
def environment(name: str, value: str) -> SharedChange:
    """The environment variable has this value inside, unless the user gave it one."""

    def change() -> Callable[[], object]:
        if name in os.environ:
            return lambda: None
        os.environ[name] = value
        return lambda: os.environ.pop(name, None)

    return SharedChange(change)


@contextmanager
def torch_threads(threads: int | None = None) -> Iterator[None]:
    """PyTorch uses so many threads inside (None: as many as before); whatever changes there is undone."""
    import torch

    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
