"""Jobs in worker processes on this machine (`worker.py`), a process each, or one after another for the same contender.

Enters: `Job`s. Leaves: their messages. Ctrl-C reaches the race alone, which passes it on; a worker whose race is gone
ends by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from leadline.contenders.families import DEEP
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.executor import Capacity, Handle, Job, Message
from leadline.race.spare import TIGHT, Spares, spawn
from leadline.system.interrupts import deaf
from leadline.system.resources import tree_gb, used_gb

CLOSING_S = 2.0  # for all workers to end by themselves


Inbox = SimpleQueue[tuple[Handle, "Message | None"]]
Place = tuple[str, int]  # what a worker is of: a contender, and its threads


class Worker:
    """The handle of a job: its process."""

    def __init__(self, process: subprocess.Popen[str], place: Place, inbox: Inbox) -> None:
        """
        Args:
            inbox: where its messages go.
        """
        self.process, self.place, self.inbox = process, place, inbox
        self.learned = False  # it has said so, and waits

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def exit_code(self) -> int:
        return self.process.wait()

    def command(self, word: str) -> None:
        """Write a line to its input."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError):  # it has died, or its input is closed; its end is already on the way
            return

    def leave(self) -> None:
        """Close its input, which ends it."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except OSError:  # what it did not read is lost
            return


class Idle:
    """Workers of further repeats, between one and the next; a context of a run closes it."""

    def __init__(self) -> None:
        self._workers: dict[Place, Worker] = {}

    @property
    def empty(self) -> bool:
        """Whether none waits."""
        return not self._workers

    def take(self, place: Place) -> Worker | None:
        """The one of this contender, if it still lives."""
        worker = self._workers.pop(place, None)
        if worker is None or worker.alive:
            return worker
        _end([worker])  # it has died meanwhile
        return None

    def keep(self, worker: Worker) -> None:
        """Have it wait, in place of an earlier one."""
        _end([earlier for earlier in [self._workers.pop(worker.place, None)] if earlier is not None])
        self._workers[worker.place] = worker

    def close(self) -> None:
        """End all that wait."""
        _end(list(self._workers.values()))
        self._workers = {}


class LocalExecutor:
    """`cpus` and `memory_gb` are for all jobs together; `spares` have their libraries imported.

    `idle` are of earlier repeats: their workers take a job, and those of this executor join them when it closes.
    """

    def __init__(self, cpus: int, memory_gb: float, spares: Spares | None = None, idle: Idle | None = None) -> None:
        self._capacity = Capacity(cpus=cpus, gpus=0, memory_gb=memory_gb)  # contenders train on the CPU
        self._spares = spares or Spares(None)
        self._idle = None if memory_gb < TIGHT else idle  # there a worker ends with its job
        self._workers: list[Worker] = []
        self._inbox: Inbox = SimpleQueue()

    def submit(self, job: Job) -> Worker:
        path = job.folder / "job.json"
        path.write_text(job.text())
        place = job.contender, job.threads
        worker = None if self._idle is None else self._idle.take(place)
        if worker is not None:
            worker.inbox, worker.learned = self._inbox, False
            worker.command(str(path))
        else:
            worker = self._begun(job, path, place)
            threading.Thread(target=_read, args=(worker,), daemon=True).start()
        self._workers.append(worker)
        return worker

    def _begun(self, job: Job, path: Path, place: Place) -> Worker:
        """A process that has this job: the one that waits with its libraries, or a new one."""
        deep = PORTFOLIO[job.contender].family == DEEP  # the job says how many threads PyTorch uses
        process = self._spares.take() if deep else None
        if process is not None:
            worker = Worker(process, place, self._inbox)
            worker.command(str(path))
            return worker
        with (job.folder / "log.txt").open("w") as log:
            tight = self._capacity.memory_gb < TIGHT
            return Worker(spawn([str(path)], log, 1 if deep else job.threads, tight), place, self._inbox)

    def messages(self, wait: float) -> Iterator[tuple[Handle, Message | None]]:
        try:
            yield self._inbox.get(timeout=wait)
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def stop(self, handle: Handle) -> None:
        _worker(handle).command("stop")

    def export(self, handle: Handle) -> None:
        _worker(handle).command("export")

    def kill(self, handle: Handle) -> None:
        worker = _worker(handle)
        worker.process.kill()
        worker.process.wait()
        worker.leave()

    def resources(self) -> Capacity:
        return self._capacity

    def held_gb(self, handle: Handle | None = None) -> float:
        return tree_gb(os.getpid()) if handle is None else used_gb(_worker(handle).process.pid)

    def close(self) -> None:
        leaving = []
        for worker in self._workers:
            if self._idle is not None and worker.learned and worker.alive:
                self._idle.keep(worker)
            else:
                leaving.append(worker)
        _end(leaving)


def _end(workers: Sequence[Worker]) -> None:
    """End processes: they have a moment to do so by themselves."""
    with deaf():
        for worker in workers:
            worker.leave()
        until = time.monotonic() + CLOSING_S
        for worker in workers:
            try:
                worker.process.wait(timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()


def _read(worker: Worker) -> None:
    """Pass on what a worker says, until it ends."""
    assert worker.process.stdout is not None
    for line in worker.process.stdout:
        if message := _message(line):
            worker.learned |= message.event == "fitted"
            worker.inbox.put((worker, message))
    worker.process.stdout.close()
    worker.inbox.put((worker, None))


def _worker(handle: Handle) -> Worker:
    assert isinstance(handle, Worker)
    return handle


def _message(line: str) -> Message | None:
    """What a worker says; None where something that Python runs at its start, as sitecustomize, printed a line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or "event" not in found:
        return None
    return Message(event=found.pop("event"), facts=found)
