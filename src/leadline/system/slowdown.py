"""How much slower than alone the machine is, here and now."""

from __future__ import annotations

import time
from hashlib import blake2b

PROBE_S = 0.06  # seconds of work
MOST = 8.0


def slowdown() -> float:
    """How many times longer than alone one thread takes: measured on a little work, 1 to 8.

    Unlike the load average it knows of a share of the cores (a container's), and forgets what has ended.
    """
    block = bytes(100_000)
    wall, work = time.perf_counter(), time.thread_time()
    while (worked := time.thread_time() - work) < PROBE_S:
        blake2b(block)
    return min(MOST, max(1.0, (time.perf_counter() - wall) / worked))
