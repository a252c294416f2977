"""A race on a small table, with contenders made for the test in place of real ones."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leadline.race.journal import Journal
from leadline.race.local_executor import LocalExecutor
from leadline.race.race import Race
from leadline.race.setup import Setup

FAKE = """
import json, os, sys, time
job = json.loads(open(sys.argv[1]).read())
def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)
behaviour = BEHAVIOUR[job["contender"]]
say("progress", step=1, steps=2, score=0.5, note=None, facts={})
if behaviour == "crash":
    sys.exit(3)
if behaviour == "killed":
    os.kill(os.getpid(), 9)
if behaviour == "raise":
    say("failed", why="ValueError: the sea is too deep")
    sys.exit(1)
if behaviour == "short" and job["seconds"] < 6:
    say("failed", why="the states take 7 s", needed_s=6.0, wanted_s=7.0)
    sys.exit(1)
if behaviour == "never":
    say("failed", why="the states take 7 s", needed_s=2.0, wanted_s=2.0)
    sys.exit(1)
if behaviour == "silent":
    time.sleep(600)
if behaviour == "hungry":
    held = bytearray(300_000_000)
    time.sleep(600)
import numpy as np
from leadline.dataset.store import Store
store = Store(job["store"])
scores = np.full((len(store.split.test), 2), 0.5, np.float32)
np.save(os.path.join(job["folder"], "test.npy"), scores)
if behaviour == "cut":
    say("progress", step=2, steps=2, score=None, note="time was up", facts={}, code="cut")
if behaviour == "late":
    time.sleep(4)
if behaviour == "waits":
    while sys.stdin.readline().strip() != "stop":
        pass
say("fitted", score=0.5, params=1, bytes=4, describe=[], fit_s=0.1, predict_us=1.0, peak_mb=1.0,
    stopped=behaviour == "waits")
if behaviour == "swells":
    held = bytearray(300_000_000)
    time.sleep(600)
for line in sys.stdin:
    if line.strip() == "export":
        if behaviour == "dies on export":
            os._exit(9)
        open(os.path.join(job["folder"], "graph.onnx"), "wb").write(b"graph")
        say("exported")
"""


@pytest.fixture
def race(
    prepare: Any, mixed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Race, list[dict[str, Any]]]]]:
    """race({contender: behaviour}, seconds) -> (Race after its run, the events that were watched)."""
    store = prepare(mixed(200), target="y").store
    made: list[Race] = []
    popen = subprocess.Popen

    def go(
        behaviour: dict[str, str], seconds: float = 10.0, cores: int = 2, before: Any = None, given: Any = None,
        folder: str = "contenders", memory_gb: float = 50.0, **more: Any,
    ) -> Any:  # fmt: skip
        script = tmp_path / "fake.py"
        script.write_text(FAKE.replace("BEHAVIOUR", json.dumps(behaviour), 1))

        def fake(command: list[str], **options: Any) -> Any:
            assert command[:4] == [sys.executable, "-P", "-m", "leadline.race.worker"]
            return popen([sys.executable, str(script), command[4]], **options)

        monkeypatch.setattr("leadline.race.spare.subprocess.Popen", fake)
        watched: list[dict[str, Any]] = []
        journal = Journal(tmp_path / "journal.jsonl", time.monotonic(), watched.append)
        setup = Setup(executor=LocalExecutor(cores, memory_gb), budget=seconds)
        past = more.pop("past", None)
        contest = Race(store, list(behaviour), tmp_path / folder, setup, seed=0, journal=journal, past=past)
        made.append(contest)
        if before is not None:
            before(contest)
        contest.run(time.monotonic() + seconds, given, **more)
        return contest, watched

    yield go
    for contest in made:
        contest.close()
        contest.journal.close()
        assert not any(entry.alive for entry in contest.entries)
