"""How a worker is started, one that imports its libraries before there is a job for it, and those that have had one.

PyTorch takes two seconds to import, and three times as many beside other work. Where memory is not short, a process
does so while the run reads and encodes, and takes the first deep contender over. The workers of a further repeat learn
nothing that is shipped: each takes the same contender's job of the next one too, with its libraries and the body that
it reads at hand. Of few rows a repeat then takes a fourth of the seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import IO

from leadline.race.entry import family_of
from leadline.system.resources import limit

TIGHT = 3.0  # GB; with less, a contender hands over its graph and leaves before the next one starts
LEAST_S = 12.0  # seconds of a budget; with less the fastest contender races alone, and needs the machine for itself


class Spares:
    """At most one process that waits; a context of a run closes it.

    `spawn` starts a worker without a job; None where memory is short or no deep contender is to race.
    """

    def __init__(self, spawn: Callable[[], subprocess.Popen[str]] | None) -> None:
        self._spawn = spawn
        self._waiting: subprocess.Popen[str] | None = None

    def ready(self) -> None:
        """Have one import, where none does."""
        if self._spawn is not None and self._waiting is None:
            self._waiting = self._spawn()

    def take(self) -> subprocess.Popen[str] | None:
        """The one that waits, if it still lives: it reads the path of its job from its input."""
        process, self._waiting = self._waiting, None
        if process is None or process.poll() is None:
            return process
        _ended(process)
        return None

    def close(self) -> None:
        """End the one that waits."""
        if (process := self.take()) is not None:
            _ended(process)


def spares_for(only: str | None, seconds: float, memory_gb: float) -> Spares:
    """Of a run with such an --only and budget: one that imports at once, where there is memory and a use for it."""
    wanted = only is None or any(family_of(word) == "deep" for word in only.split(","))
    if not wanted or memory_gb < TIGHT or seconds < LEAST_S:
        return Spares(None)
    spares = Spares(lambda: spawn([], subprocess.DEVNULL, 1, tight=False))
    spares.ready()
    return spares


def _ended(process: subprocess.Popen[str]) -> None:
    """End a process and let go of it."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def spawn(words: list[str], log: IO[str] | int, threads: int, tight: bool) -> subprocess.Popen[str]:
    """A worker, with its log or none."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "leadline.race.worker", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=log, text=True, encoding="utf-8", env=_environment(threads, tight),
        start_new_session=True,  # Ctrl-C is for the race to pass on
    )  # fmt: skip


def _environment(threads: int, tight: bool) -> dict[str, str]:
    """The process's environment, with the threads of every numerical library set before it is imported.

    What the user set stays, and is never raised. Threads that wait sleep: beside other work one that spins takes the
    core from the one that it waits for, and steps so small that spinning would save something run on one thread.
    """
    arenas = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "1000000"} if tight else {}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
    user = os.environ
    bounds = {name: str(min(threads, limit(user.get(name, "")) or threads)) for name in names}
    return {"OMP_WAIT_POLICY": "PASSIVE", **user, **bounds, **arenas}
