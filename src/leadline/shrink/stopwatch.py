"""Microseconds and memory of a file in a process of its own: python -m leadline.shrink.stopwatch MODEL INPUTS

Enters: a file, and its inputs for one row and for a batch, pickled by the process that asks. Leaves: one JSON line.
One thread, as one row on a small device has; the process loads ONNX Runtime and nothing of the training. Where the
system can tell, its own time on the processor counts, and of all calls the fastest: what else the machine does
meanwhile does not make a file slower.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TypedDict

from leadline.graph.runtime import Session
from leadline.system.errors import ModelError
from leadline.system.resources import peak_mb

__all__ = ["Measured", "here", "measure"]

SECONDS = 0.4  # of repetitions for one row, and for a batch
FEWEST, MOST = 5, 400  # repetitions
LONGEST = 120.0  # seconds for all of it
FINE = 1e-6  # seconds that a clock has to tell apart


class Measured(TypedDict):
    """What a file takes."""

    one_us: float  # microseconds of one row, on one thread, the least of all repetitions
    batch_us: float  # of a row in a batch
    batch_rows: int
    peak_mb: float  # memory that loading and running it added to the process


def measure(path: Path, one: dict[str, Any], batch: dict[str, Any], rows: int) -> Measured:
    """Run a file on the inputs of one row and of a batch of `rows`. Raises ModelError where it cannot be run."""
    with tempfile.NamedTemporaryFile(suffix=".pickle") as file:
        file.write(pickle.dumps((one, batch, rows, SECONDS)))
        file.flush()
        command = [sys.executable, "-m", "leadline.shrink.stopwatch", str(path), file.name]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ModelError(f"{path.name} could not be timed: {_last_line(error)}.") from error
    found: Measured = json.loads(ran.stdout)
    return found


def _last_line(error: subprocess.CalledProcessError | subprocess.TimeoutExpired) -> str:
    text = error.stderr if isinstance(error.stderr, str) else ""
    return text.strip().rpartition("\n")[2] or f"no answer in {LONGEST:.0f} s"


def _least_us(session: Session, feeds: dict[str, Any], seconds: float) -> float:
    fine = time.get_clock_info("thread_time").resolution <= FINE
    clock = time.thread_time if fine else time.perf_counter
    session(feeds)
    times: list[float] = []
    while len(times) < FEWEST or (sum(times) < seconds and len(times) < MOST):
        began = clock()
        session(feeds)  # on one thread, which is this one
        times.append(clock() - began)
    return min(times) * 1e6  # what else the machine does only ever adds to a call


def _peak_mb() -> float:
    """The most memory that this process has held; what getrusage says includes its parent's, as of before exec."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return float(found[1]) / 1e3 if found else peak_mb()


def _now_mb() -> float:
    """What the process holds now, from which on its peak counts: on Linux the mark of the peak is set back to it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_mb()


def here(path: Path, one: dict[str, Any], batch: dict[str, Any], rows: int, seconds: float) -> Measured:
    """The same in this process, of whose memory nothing of the file may be there before."""
    before = _now_mb()
    session = Session(path.read_bytes(), threads=1)  # as `Model` opens it
    one_us, batch_us = _least_us(session, one, seconds), _least_us(session, batch, seconds) / rows
    return {
        "one_us": one_us, "batch_us": batch_us, "batch_rows": rows, "peak_mb": max(0.0, _peak_mb() - before),
    }  # fmt: skip


def main(model: str, inputs: str) -> None:
    """Print what a file takes."""
    import onnxruntime  # noqa: F401  its own memory is there for any file

    print(json.dumps(here(Path(model), *pickle.loads(Path(inputs).read_bytes()))))


if __name__ == "__main__":
    main(*sys.argv[1:])
