"""A race needs nothing but an executor: here one in memory, that trains where it is and starts no process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Fitted, Resources
from leadline.core.executor import Capacity, Job, Message
from leadline.race.journal import Journal
from leadline.race.race import Race
from leadline.race.setup import Setup
from leadline.race.worker import export, work
from leadline.system.errors import LeadlineError


class Done:
    """A job that has run: it waits for `export`, unless it failed."""

    def __init__(self, job: Job) -> None:
        self.job, self.alive, self.exit_code = job, True, 0
        self.fitted: Fitted | None = None


class InMemory:
    """Runs a job when it is submitted. `broken` ones end without a word; `hungry` ones hold 2 GB and never end."""

    def __init__(self, broken: tuple[str, ...] = (), hungry: tuple[str, ...] = (), memory_gb: float = 8.0) -> None:
        self.broken, self.hungry, self.memory_gb = broken, hungry, memory_gb
        self.handles: list[Done] = []
        self._messages: deque[tuple[Done, Message | None]] = deque()

    def submit(self, job: Job) -> Done:
        handle = Done(job)
        self.handles.append(handle)
        if job.contender in self.broken:
            handle.alive, handle.exit_code = False, 7
            self._messages.append((handle, None))
        elif job.contender not in self.hungry:
            handle.fitted = work(job, time.monotonic(), threading.Event(), self._say(handle))
        return handle

    def _say(self, handle: Done) -> Callable[..., None]:
        return lambda event, **facts: self._messages.append((handle, Message(event=event, facts=facts)))

    def messages(self, wait: float) -> Iterator[tuple[Done, Message | None]]:
        while self._messages:
            yield self._messages.popleft()

    def stop(self, handle: Any) -> None:
        self.kill(handle)

    def export(self, handle: Any) -> None:
        if handle.fitted is not None:
            export(handle.job, handle.fitted, self._say(handle))

    def kill(self, handle: Any) -> None:
        handle.alive = False

    def resources(self) -> Capacity:
        return Capacity(cpus=2, gpus=0, memory_gb=self.memory_gb)

    def held_gb(self, handle: Any = None) -> float:
        held = {id(one): 2.0 for one in self.handles if one.alive and one.job.contender in self.hungry}
        return sum(held.values()) if handle is None else held.get(id(handle), 0.0)

    def close(self) -> None:
        for handle in self.handles:
            handle.alive = False


@pytest.fixture
def race(
    prepare: Any, mixed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Race, list[dict[str, Any]]]]:
    def no_process(*given: Any, **facts: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("leadline.race.spare.subprocess.Popen", no_process)
    store = prepare(mixed(200), target="y").store

    def run(executor: InMemory, names: tuple[str, ...], **settings: Any) -> tuple[Race, list[dict[str, Any]]]:
        events: list[dict[str, Any]] = []
        journal = Journal(tmp_path / "journal.jsonl", time.monotonic(), events.append)
        contest = Race(store, names, tmp_path, Setup(executor=executor, epochs=1), seed=0, journal=journal)
        contest.run(float("inf"), **settings)
        journal.close()
        return contest, events

    return run


def test_a_race_without_processes(race: Any) -> None:
    executor = InMemory(broken=("boosting",))
    contest, events = race(executor, ("baseline", "linear", "boosting"))
    status = {entry.name: entry.status for entry in contest.entries}
    assert status == {"baseline": "waiting", "linear": "finished", "boosting": "failed"}
    assert contest.entries[2].why == "its process ended with code 7; see contenders/boosting/log.txt"
    linear = contest.entries[1]
    assert linear.scores().shape == (len(contest.store.split.test), 2) and linear.facts["digest"]
    assert len(contest.export(linear, patience=1.0)) > 100
    contest.close()
    assert not linear.alive
    with pytest.raises(LeadlineError, match="boosting could not be exported"):
        contest.export(contest.entries[2], patience=0.0)
    assert [event["event"] for event in events].count("start") == 2


def test_the_executor_says_what_is_held(race: Any) -> None:
    executor = InMemory(hungry=("linear",), memory_gb=1.5)
    contest, _ = race(executor, ("linear",))
    (entry,) = contest.entries
    assert (entry.status, entry.code) == ("failed", "memory") and not entry.alive
    assert entry.why == "the run needed more memory (2,000 MB) than it may use (1,500 MB); raise --memory"


@pytest.mark.parametrize(
    ("needs", "code", "why"),
    [
        (Resources(memory=9.0), "memory", "it needs 9 GB of memory, where 7.7 GB are free; raise --memory"),
        (Resources(gpus=1), "gpus", "it needs 1 GPU, where 0 can be used"),
    ],
)
def test_one_that_needs_more_than_there_is_is_not_started(
    needs: Resources, code: str, why: str, race: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(PORTFOLIO["boosting"]), "resources", needs)
    executor = InMemory()
    contest, _ = race(executor, ("linear", "boosting"))
    entry = contest.entries[1]
    assert (entry.status, entry.code, entry.why) == ("skipped", code, why)
    assert contest.entries[0].status == "finished" and len(executor.handles) == 1


def test_a_job_holds_no_moment_of_a_clock(tmp_path: Path) -> None:
    job = Job(
        contender="mlp", store=tmp_path, folder=tmp_path, seed=1, seconds=3.5, epochs=None, threads=2, memory_gb=1.0,
        leaves=True,
    )  # fmt: skip
    assert Job.read(job.text()) == job
    assert str(int(time.monotonic())) not in job.text()


def test_a_process_knows_how_long_ago_it_was_started() -> None:
    code = "import time; time.sleep(0.5); from leadline.race.worker import _age; print(_age())"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path("/proc/self/stat").exists() or 0.5 <= float(done.stdout) <= time.monotonic() - began + 0.02
