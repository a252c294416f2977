"""A worker that waits for its job with its libraries imported: the same bytes, and none is left over."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from leadline.race.journal import Journal
from leadline.race.local_executor import LocalExecutor, Worker
from leadline.race.race import Race, Setup
from leadline.race.spare import Spares, spawn


def test_one_that_waited_learns_what_a_new_one_learns(prepare: Any, mixed: Any, tmp_path: Path) -> None:
    store = prepare(mixed(200), target="y").store
    spares = Spares(lambda: spawn([], subprocess.DEVNULL, 1, tight=False))
    spares.ready()
    waiting = spares._waiting
    digests = []
    for number, these in enumerate((spares, None)):
        journal = Journal(tmp_path / f"{number}.jsonl", time.monotonic())
        setup = Setup(executor=LocalExecutor(2, 50.0, these), epochs=2)
        contest = Race(store, ["mlp"], tmp_path / str(number), setup, seed=0, journal=journal)
        try:
            contest.run(float("inf"))
            (entry,) = contest.entries
            assert entry.status == "finished" and isinstance(entry.handle, Worker)
            assert (entry.handle.process is waiting) is (number == 0)
            assert (entry.folder / "log.txt").exists()
            digests.append(entry.facts["digest"])
        finally:
            contest.close()
            journal.close()
    assert digests[0] == digests[1]


def test_what_waits_is_ended_with_the_run() -> None:
    spares = Spares(lambda: spawn([], subprocess.DEVNULL, 1, tight=False))
    spares.ready()
    waiting = spares._waiting
    spares.ready()
    assert waiting is not None and spares._waiting is waiting  # one at most
    spares.close()
    assert waiting.poll() is not None and spares.take() is None


def test_one_that_died_is_not_taken() -> None:
    spares = Spares(lambda: spawn([], subprocess.DEVNULL, 1, tight=False))
    spares.ready()
    assert spares._waiting is not None
    spares._waiting.kill()
    spares._waiting.wait()
    assert spares.take() is None
    assert Spares(None).take() is None
