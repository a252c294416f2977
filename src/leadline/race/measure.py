"""What the machine has, and what a process uses of it."""

from __future__ import annotations

import os
import platform
import re
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "polars", "scikit-learn", "lightgbm", "onnx", "onnxruntime", "pillow")


LOOKS_S = 0.2  # seconds between two looks at the memory


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy() -> float:
    """How many times longer than on a quiet machine something takes beside what else is running now, about: 1 to 4."""
    try:
        return min(4.0, max(1.0, os.getloadavg()[0] / cores()))
    except (AttributeError, OSError):  # this system does not say
        return 1.0


def memory_gb() -> float:
    """Memory of the machine, in GB (10^9 bytes); 0 where it cannot be told."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return 0.0


def peak_mb() -> float:
    """The most memory that this process has held, in MB; 0 where it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def used_gb(pid: int) -> float:
    """Memory that process `pid` holds for itself now, in GB; 0 where it cannot be told.

    Mapped files (the store, libraries) are left out: the system takes those pages back when it needs them.
    """
    try:
        held = re.findall(r"Rss(?:Anon|Shmem):\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return sum(map(int, held)) / 1e6


def tree_gb(pid: int) -> float:
    """Memory that process `pid` and all that it started hold now, in GB; 0 where it cannot be told."""
    children: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    except OSError:  # it has ended, or the system does not say
        pass
    return used_gb(pid) + sum(tree_gb(child) for child in children)


class Gauge:
    """The most memory that this process and all that it started have held, in GB; a context manager."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Gauge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOKS_S):
            self.peak = max(self.peak, tree_gb(os.getpid()))


def machine() -> dict[str, Any]:
    """A description of the machine for the journal and the report."""
    processor = platform.processor() or platform.machine()
    try:
        if named := re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()):
            processor = named[1].strip()
    except OSError:
        pass
    return {"processor": processor, "cores": cores(), "memory_gb": memory_gb(), "system": platform.platform()}


def versions() -> dict[str, str]:
    """Versions of what shaped the result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
