"""A worker that imports its libraries before there is a job for it.

PyTorch takes two seconds to import, and three times as many beside other work. Where memory is not short, a process
does so while the run reads and encodes, and takes the first deep contender over.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable


class Spares:
    """At most one process that waits; a context of a run closes it.

    `spawn` starts a worker without a job; None where memory is short or no deep contender is to race.
    """

    def __init__(self, spawn: Callable[[], subprocess.Popen[str]] | None) -> None:
        self._spawn = spawn
        self._waiting: subprocess.Popen[str] | None = None

    def ready(self) -> None:
        """Have one import, where none does."""
        if self._spawn is not None and (self._waiting is None or self._waiting.poll() is not None):
            self._waiting = self._spawn()

    def take(self) -> subprocess.Popen[str] | None:
        """The one that waits, if it still lives: it reads the path of its job from its input."""
        process, self._waiting = self._waiting, None
        return process if process is not None and process.poll() is None else None

    def close(self) -> None:
        """End the one that waits."""
        if (process := self.take()) is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
