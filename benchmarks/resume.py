"""Runs that are killed where nobody collects the dead: they go on, to the same bytes.

    python benchmarks/resume.py [NAME ...]

A parent starts each run and never waits for it, as in a container without an init, so the killed run stays as a zombie
that keeps its number. Each is killed (-9) at another moment, and resumed. Appends to benchmarks/results/resume.csv.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import Found, run

RESULTS = Path(__file__).parent / "results" / "resume.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "wall_s", "machine", "versions")
KILLS = 20
FIT = [sys.executable, "-m", "leadline", "fit", "digits", "--epochs", "4", "--only", "linear,mlp", "--quiet"]
PARENT = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(3600)"


def uncollected(data: Path, folder: Path) -> Found:
    """Twenty runs by epochs, killed at moments spread over their length, against one that was let alone."""
    began = time.perf_counter()
    whole = folder / "whole"
    subprocess.run([*FIT, "--out", str(whole)], check=True, capture_output=True)
    begun = time.perf_counter()
    subprocess.run([*FIT, "--out", str(folder / "timed")], check=True, capture_output=True)
    length = time.perf_counter() - begun  # once more: the first filled the cache
    wanted = _made(whole)
    same, zombies, states, wrong = 0, 0, list[str](), list[str]()
    for number, share in enumerate(np.linspace(0.1, 0.9, KILLS)):
        out = folder / f"killed-{number}"
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, *FIT, "--out", str(out)], stdout=subprocess.PIPE
        ) as parent:
            assert parent.stdout is not None
            process = int(parent.stdout.readline())
            state = _kill(process, out, time.monotonic() + float(share) * length)
            zombies += Path(f"/proc/{process}/status").read_text().partition("State:\t")[2].startswith("Z")
            command = [sys.executable, "-m", "leadline", "resume", str(out), "--quiet"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            parent.kill()
        good = done.returncode == 0 and _made(out) == wanted
        same += good
        states.append(state)
        if not good:
            wrong.append(f"{number} ({state}): {done.stderr[-300:] or 'other bytes'}")
    seen = (
        f"{same} of {KILLS} go on to the same bytes; {zombies} were zombies when they were resumed; last event before "
        f"the kill: {', '.join(f'{states.count(each)} {each}' for each in dict.fromkeys(states))}"
    )
    return [{
        "what": "resume of a killed run that nobody collects", "must": f"{KILLS} of {KILLS} go on, to the same bytes",
        "seen": seen + "".join(f"; {each}" for each in wrong[:5]), "met": same == zombies == KILLS, "n": KILLS,
        "wall_s": round(time.perf_counter() - began, 1),
    }]  # fmt: skip


def _kill(process: int, out: Path, when: float) -> str:
    """Kill the run at this moment, or as soon as its journal has begun; returns the last event in it."""
    journal = out.with_name(f".{out.name}.partial-{process}") / "journal.jsonl"
    while not (journal.is_file() and journal.read_bytes().count(b"\n")):
        time.sleep(0.01)
    while time.monotonic() < when and _events(journal)[-1] != "verdict":
        time.sleep(0.01)
    os.kill(process, 9)
    while "State:\tZ" not in Path(f"/proc/{process}/status").read_text():
        time.sleep(0.01)
    return _events(journal)[-1]


def _events(journal: Path) -> list[str]:
    lines = journal.read_bytes().split(b"\n")[:-1]
    return [json.loads(line)["event"] for line in lines]


def _made(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """What the same bytes are promised of: the file, and what every contender learned."""
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    digests = {e["contender"]: e["digest"] for e in events if e["event"] == "end" and "digest" in e}
    return (folder / "model.onnx").read_bytes(), digests


ROWS: dict[str, Callable[[Path, Path], Found]] = {"uncollected": uncollected}

if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
