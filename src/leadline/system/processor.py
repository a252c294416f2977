"""The class of the processor, as far as integer arithmetic depends on it.

Products of 8-bit numbers are summed exactly where there are VNNI instructions; AVX2 and AVX-512 without them add pairs
in 16 bits, which saturate (Intel, 'Lower Numerical Precision Deep Learning Inference and Training', 2018).
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

__all__ = ["processor_class"]


def processor_class() -> str:
    """For example 'x86_64 with VNNI', 'x86_64 without VNNI' or 'arm64'."""
    machine = platform.machine() or "unknown"
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return machine
    if flags is None:
        return machine
    return f"{machine} {'with' if 'vnni' in flags[1] else 'without'} VNNI"
