"""Where contenders are trained: a race says what and how long, an executor says where.

A job carries seconds and no moment of anybody's clock, and names its data by a folder that the cache names by its
content: it can run in another process, or on another machine that has the same folder.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from leadline.core.json_types import JsonObject

PRINTED = "printed.json"  # in the folder of a job


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a job reports."""

    event: str  # progress, fitted, exported or failed
    facts: JsonObject


@dataclass(frozen=True, kw_only=True)
class Job:
    """One contender to be trained on the rows of a store."""

    contender: str
    store: Path
    folder: Path  # for its answers, its graph, its clock and checkpoints, which it resumes from where they are there
    seed: int
    seconds: float  # counted from the moment at which it reads the job; inf for none
    epochs: int | None  # passes of a network, in place of seconds
    threads: int
    memory_gb: float  # that it may hold
    leaves: bool  # it writes its graph and ends; else it waits for `export`
    init: Path | None = None  # a network of an earlier run to begin from
    first: bool = False  # of a run: it leaves what a later one can begin from, and measures what the report shows
    left: float | None = None  # of its seconds, where a resumed run has a time limit: what its folder holds counts
    prints: bool = False  # with its graph it writes itself as a person reads it, where one can (core/printed.py)

    def text(self) -> str:
        """The job as JSON."""
        facts = dataclasses.asdict(self) | {
            "store": str(self.store), "folder": str(self.folder), "init": None if self.init is None else str(self.init),
        }  # fmt: skip
        return json.dumps(facts | {"seconds": None if math.isinf(self.seconds) else self.seconds})

    @classmethod
    def read(cls, text: str) -> Job:
        """A job that `text` wrote.

        Example:
            >>> job = Job(contender="linear", store=Path("s"), folder=Path("f"), seed=0, seconds=math.inf, epochs=2,
            ...           threads=1, memory_gb=1.0, leaves=False)
            >>> Job.read(job.text()) == job
            True
        """
        facts = json.loads(text)
        seconds = math.inf if facts["seconds"] is None else facts["seconds"]
        init = None if facts["init"] is None else Path(facts["init"])
        paths = {"store": Path(facts["store"]), "folder": Path(facts["folder"]), "init": init}
        return cls(**{**facts, **paths, "seconds": seconds})


class Handle(Protocol):
    """A job that was submitted."""

    @property
    def alive(self) -> bool:
        """Whether it runs, or waits for `export`."""

    @property
    def exit_code(self) -> int:
        """Of one that has ended; negative: the signal that ended it."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the jobs of a race may use together."""

    cpus: int
    gpus: int
    memory_gb: float  # the process of the run included


class Executor(Protocol):
    """Runs the jobs of one race."""

    def submit(self, job: Job) -> Handle:
        """Start a job."""

    def messages(self, wait: float) -> Iterator[tuple[Handle, Message | None]]:
        """The messages that have come, after at most `wait` seconds for the first; None: the job has ended."""

    def stop(self, handle: Handle) -> None:
        """Ask a job to end with its best so far."""

    def export(self, handle: Handle) -> None:
        """Ask a job that has learned to write its graph into its folder, as graph.onnx, and `printed.json`."""

    def kill(self, handle: Handle) -> None:
        """End a job at once."""

    def resources(self) -> Capacity:
        """What there is for all jobs."""

    def held_gb(self, handle: Handle | None = None) -> float:
        """Memory that a job holds now, or the run with all its jobs; 0 where that is not known."""

    def close(self) -> None:
        """End every job."""
