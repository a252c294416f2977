"""A worker that waits for its job with its libraries imported: the same bytes, and none is left over."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from leadline.race.journal import Journal
from leadline.race.local_executor import Idle, LocalExecutor, Worker
from leadline.race.race import Race
from leadline.race.setup import Setup
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


def test_the_worker_of_a_repeat_learns_in_the_next_one_what_a_new_one_learns(
    prepare: Any, mixed: Any, messages: Any, tmp_path: Path
) -> None:
    """The same bytes from the same process, whose log and messages are those of each job; and it is ended."""
    stores = [prepare(mixed(200), target="y", seed=seed).store for seed in (0, 1)]
    idle, processes, digests = Idle(), [], []
    for number, (store, these) in enumerate([(stores[0], idle), (stores[1], idle), (stores[1], None)], start=1):
        journal = Journal(tmp_path / f"{number}.jsonl", time.monotonic())
        setup = Setup(executor=LocalExecutor(2, 50.0, idle=these), epochs=2)
        contest = Race(store, ["linear", "mlp"], tmp_path / str(number), setup, seed=int(number > 1), journal=journal,
                       number=number)  # fmt: skip
        try:
            contest.run(float("inf"))
            assert [entry.status for entry in contest.entries] == ["finished"] * 2
            assert all((entry.folder / "log.txt").exists() for entry in contest.entries)
            processes.append([entry.handle.process for entry in contest.entries])  # type: ignore[union-attr]
            digests.append([entry.facts["digest"] for entry in contest.entries])
        finally:
            contest.close()
            journal.close()
    assert processes[0] == processes[1] != processes[2] and digests[0] != digests[1] == digests[2]
    assert all(process.poll() is None for process in processes[0])
    assert all(process.poll() is not None for process in processes[2])
    idle.close()
    assert all(process.poll() is not None for process in processes[0]) and idle.empty


def test_a_worker_that_died_between_two_repeats_is_replaced(prepare: Any, mixed: Any, tmp_path: Path) -> None:
    store, idle = prepare(mixed(200), target="y").store, Idle()
    for number in (1, 2):
        journal = Journal(tmp_path / f"{number}.jsonl", time.monotonic())
        setup = Setup(executor=LocalExecutor(2, 50.0, idle=idle), epochs=1)
        contest = Race(store, ["linear"], tmp_path / str(number), setup, seed=0, journal=journal, number=number)
        contest.run(float("inf"))
        (entry,) = contest.entries
        assert entry.status == "finished"
        contest.close()
        journal.close()
        entry.handle.process.kill()  # type: ignore[union-attr]
        entry.handle.process.wait()  # type: ignore[union-attr]
    idle.close()
