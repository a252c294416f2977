"""What the machine has, what of it this process may use, and what it uses: the one place that counts cores.

The cores are those that the process may run on (its affinity), or fewer where a container has a quota of their time:
`cpu.max` of cgroups v2, or the quota of v1, of its own group and of all groups around it.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import re
import sys
import threading
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "polars", "scikit-learn", "lightgbm", "onnx", "onnxruntime", "pillow")
LOOKS_S = 0.2  # seconds between two looks at the memory
LOADS, BETWEEN_S = 3, 0.004  # looks at what other processes run, and seconds between two of them
LIMITS = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS")  # by which a user bounds the threads of a process


def cores() -> int:
    """Cores that this process may use; half a core counts as one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(count, quota())))


def most_threads() -> int:
    """Threads that this process may keep busy: a core each, and no more than the user's environment allows."""
    return min([cores(), *(most for name in LIMITS if (most := limit(os.environ.get(name, ""))) is not None)])


def give_back() -> None:
    """Memory that was freed goes back to the system, where the C library would keep it: glibc keeps large blocks."""
    with suppress(AttributeError, OSError, TypeError):  # other libraries
        ctypes.CDLL(None).malloc_trim(0)


def limit(text: str) -> int | None:
    """A limit as OpenMP reads it, of several levels the first; None where there is none."""
    first = text.split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def quota(process: Path = Path("/proc/self")) -> float:
    """CPU quota of the process's control groups, in cores; inf without a limit."""
    try:
        groups = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
        mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    except OSError:
        return math.inf
    smallest = math.inf
    for mount in mounts:
        root, place, kind = mount[3], Path(mount[4]), mount[mount.index("-") + 1]
        if kind == "cgroup2":
            own = next((group for number, _, group in groups if number == "0"), None)
        elif kind == "cgroup" and "cpu" in mount[-1].split(","):
            own = next((group for _, names, group in groups if "cpu" in names.split(",")), None)
        else:
            continue
        if own is not None:
            # In a container the mount may begin at its own group, which the group's path then begins with, too.
            inner = own.removeprefix(root) if root != "/" else own
            folder = place / inner.strip("/")
            folders = [each for each in (folder, *folder.parents) if each == place or place in each.parents]
            smallest = min([smallest, *map(_allowed, folders)])
    return smallest


def _allowed(group: Path) -> float:
    """The quota of one group, in cores."""
    try:
        if (group / "cpu.max").exists():
            most, period = (group / "cpu.max").read_text().split()
        else:
            most, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return float(most) / float(period) if float(most) > 0 else math.inf
    except (OSError, ValueError):  # no such file, or 'max'
        return math.inf


def running() -> int | None:
    """Threads of the whole machine that want to run at this moment, this one included; None where it does not say."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].split("/")[0])
    except (OSError, ValueError, IndexError):
        return None


def idle_cores() -> int:
    """Cores of the machine that no other process keeps busy at this moment; all where the machine does not say."""
    return max(0, (os.cpu_count() or 1) - (running_elsewhere() or 0))


def running_elsewhere() -> int | None:
    """Threads of other processes that want to run at this moment; None where the machine does not say.

    The fewest of a few looks: a thread that wakes up for a moment takes no core.
    """
    fewest = None
    for number in range(LOADS):
        time.sleep(BETWEEN_S * bool(number))
        total, own = running(), running_here()
        if total is None or own is None:
            return None
        others = max(0, total - own)
        fewest = others if fewest is None else min(fewest, others)
    return fewest


def running_here() -> int | None:
    """Threads of this process that want to run at this moment; None where the machine does not say."""
    try:
        states = [_state(thread / "stat") for thread in Path("/proc/self/task").iterdir()]
    except OSError:
        return None
    return states.count("R")


def _state(stat: Path) -> str:
    """The state of one thread; empty where it has ended meanwhile."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def memory_gb() -> float:
    """Memory of the machine, in GB (10^9 bytes); 0 where unknown."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return 0.0


def peak_mb() -> float:
    """Peak memory of this process, in MB; 0 where unknown.

    Linux keeps two numbers. That of getrusage starts at the peak of the process that started this one.
    """
    with suppress(OSError, ValueError, KeyError):
        facts = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
        return round(int(facts["VmHWM"].split()[0]) * 1.024e-3, 1)
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def used_gb(pid: int) -> float:
    """Private memory of process `pid` now, in GB; 0 where unknown.

    Mapped files (the store, libraries) are left out: the system takes those pages back when it needs them.
    """
    try:
        sizes = re.findall(r"Rss(?:Anon|Shmem):\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return sum(map(int, sizes)) / 1e6


def tree_gb(pid: int) -> float:
    """Memory of process `pid` and all its children now, in GB; 0 where unknown."""
    children: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    except OSError:  # it has ended, or the system does not say
        pass
    return used_gb(pid) + sum(tree_gb(child) for child in children)


class MemoryMonitor:
    """The most memory that this process and all that it started have held, in GB; a context manager."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryMonitor:
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
    result = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            result[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return result
