"""How much slower than alone the machine is, here and now.

Beside other work one thread may find a core of its own where a thread a core does not: what uses all cores is measured
by as many threads.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

from leadline.system.resources import most_threads

PROBE_S = 0.06  # seconds of work
BLOCK = 1_000_000  # bytes that are hashed without Python's lock
MOST = 8.0


def slowdown(threads: int = 1) -> float:
    """How many times longer than alone so many threads take, each as much work: measured on a little, 1 to 8.

    Unlike the load average it knows of a share of the cores (a container's), and forgets what has ended.

    Args:
        threads: as many as there are cores to use, at most.
    """
    with ThreadPoolExecutor(most_threads()) as pool:
        found = list(pool.map(lambda _: _one(), range(threads)))
    return sum(found) / threads


def _one() -> float:
    """Of one thread."""
    block = bytes(BLOCK)
    wall, work = time.perf_counter(), time.thread_time()
    while (worked := time.thread_time() - work) < PROBE_S:
        blake2b(block)
    return min(MOST, max(1.0, (time.perf_counter() - wall) / worked))
