"""The journal of a run: one JSON line an event, appended as it happens and never changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]


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

    def write(self, event: str, **facts: Any) -> Event:
        """Append one event and return it."""
        line = {"t": round(time.monotonic() - self._began, 3), "event": event, **facts}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        return line

    def tell(self, event: str, **facts: Any) -> None:
        """Append one event, and show it."""
        self.watch(self.write(event, **facts))

    def close(self) -> None:
        self._file.close()
