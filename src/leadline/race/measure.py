"""What the machine has, and what a process uses of it."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "polars", "scikit-learn", "lightgbm", "onnx", "onnxruntime", "pillow")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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

    Mapped files (the store) are left out: the system takes those pages back when it needs them.
    """
    try:
        match = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(match[1]) / 1e6 if match else 0.0


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
