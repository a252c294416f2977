"""The journal of a run: one JSON line an event, appended as it happens and never changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


class Journal:
    """Events with the seconds since the run began."""

    def __init__(self, path: Path, began: float) -> None:
        if path.exists():
            whole = path.read_bytes()
            if not whole.endswith(b"\n"):  # the run was killed while it wrote this line
                os.truncate(path, whole.rfind(b"\n") + 1)
        self._file = path.open("a", encoding="utf-8")
        self._began = began

    def write(self, event: str, **facts: Any) -> dict[str, Any]:
        """Append one event and return it."""
        line = {"t": round(time.monotonic() - self._began, 3), "event": event, **facts}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        return line

    def close(self) -> None:
        self._file.close()
