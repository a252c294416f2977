"""The journal of a run: one JSON line an event, appended as it happens and never changed."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]
QUIET_S = 2.0  # after which a line says that the run lives: one that is killed has spent its budget up to there


class Journal:
    """Events with the seconds since the run began; `watch` is called with those that a user is to see."""

    def __init__(self, path: Path, began: float, watch: Callable[[Event], None] = lambda event: None) -> None:
        self.watch = watch
        if path.exists():
            whole = path.read_bytes()
            if not whole.endswith(b"\n"):  # the run was killed while it wrote this line
                os.truncate(path, whole.rfind(b"\n") + 1)
        self._file = path.open("a", encoding="utf-8")
        self._began = began
        self._written, self._lock, self._closed = time.monotonic(), threading.Lock(), threading.Event()
        threading.Thread(target=self._go_on, daemon=True).start()

    def write(self, event: str, **facts: Any) -> Event:
        """Append one event and return it."""
        with self._lock:
            return self._append(event, facts)

    def _append(self, event: str, facts: Event) -> Event:
        self._written = time.monotonic()
        line = {"t": round(self._written - self._began, 3), "event": event, **facts}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        return line

    def _go_on(self) -> None:
        while not self._closed.wait(max(0.1, self._written + QUIET_S - time.monotonic())):
            with self._lock:
                if not self._closed.is_set() and time.monotonic() - self._written >= QUIET_S:
                    self._append("alive", {})

    def tell(self, event: str, **facts: Any) -> None:
        """Append one event, and show it."""
        self.watch(self.write(event, **facts))

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            self._file.close()
