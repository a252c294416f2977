"""What an earlier go at a run left behind: its journal, read back, so that it can go on or be run again.

Enters: a run folder, whole or cut short by a kill. Leaves: `Past`, with the begin of the run, the seconds it had spent,
and what had become of each contender.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leadline.core.records import Ending, EndingCode
from leadline.system.errors import SourceError

ENVELOPE = (
    "t",
    "event",
    "round",
    "contender",
    "status",
    "why",
    "code",
)  # the rest of an end are facts
AGAIN = "again"  # of a start: one that had ended is trained once more, for its file
# Journals of earlier versions.
FORMER_ENDINGS: dict[str, EndingCode] = {"rounds": "repeats", "one_round": "one_repeat"}
FORMER_FACTS = {"starved": "undertrained"}


@dataclass(kw_only=True)
class ContenderRecord:
    """A contender as the journal tells it. `status` is running where no end was written."""

    seconds: float  # that its clock began with; inf without a budget
    threads: int
    granted: float | None = None  # seconds that it was given in all, where a resumed run changed them
    ran_s: float = 0.0  # seconds that it ran, up to the end of the go in which it did last
    status: str = "running"
    why: str | None = None
    code: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    curve: list[tuple[float, int, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Past:
    """What an earlier process of this run left in its journal."""

    begin: Mapping[str, Any]
    spent_s: float
    share: float | None  # of the rows that were decoded; None where the run did not come so far
    repeats: Mapping[int, Mapping[str, ContenderRecord]]  # of every repeat; the first is number 0
    ended: int | None  # repeats that the run had in all; None where it had not come so far
    ending: Ending | None = None  # why its race ended
    init: Mapping[str, str] | None = None  # digests of the networks that it began from; None where it began from none
    raced: Mapping[int, float] = field(default_factory=dict)  # seconds that each repeat has raced
    costs: Mapping[str, float] = field(default_factory=dict)  # microseconds a row, where a replay is to ship by them

    @property
    def records(self) -> Mapping[str, ContenderRecord]:
        """Of the run's own contenders."""
        return self.repeats[0]

    @property
    def digest(self) -> str:
        """Of the source."""
        return str(self.begin["digest"])


def read(folder: Path) -> Past:
    """Raises SourceError where the folder holds no journal that began, or one that was damaged."""
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []  # what follows the last newline is torn
    try:
        return _told(folder, [json.loads(line) for line in lines])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path} is damaged and cannot be followed; start the run again with leadline fit."
        ) from error


def _told(folder: Path, events: Any) -> Past:
    if not events or events[0]["event"] != "begin":
        raise SourceError(f"{folder} holds no journal of a run that began; start it again with leadline fit.")
    share, ended, ending, init = None, None, None, None
    races, before = defaultdict[int, _RaceEvents](_RaceEvents), 0.0
    for event in events:
        of = races[event.get("round", 0)]
        if event["event"] == "encoded":
            share = event["share"]
        elif event["event"] == "init":
            init = event["networks"]
        elif event["event"] == "rounds":
            ended = event["count"]
        elif event["event"] == "race ended":
            ending = Ending(code=FORMER_ENDINGS.get(event["code"], event["code"]), why=event["why"])
        elif event["event"] == "resumed":
            for each in races.values():
                each.killed(before)
        elif "contender" in event:
            of.take(event)
        before = event["t"]
    for each in races.values():
        each.killed(before)
    return Past(
        begin=events[0], spent_s=before, share=share, repeats={number: of.records for number, of in races.items()},
        ended=ended, ending=ending, init=init, raced={number: of.raced_s for number, of in races.items()},
    )  # fmt: skip


class _RaceEvents:
    """A race, event by event."""

    def __init__(self) -> None:
        self.records: dict[str, ContenderRecord] = {}
        self.raced_s = 0.0
        self._began: dict[str, float] = {}  # moments at which contenders started, in this go
        self._again = set[str]()
        self._last: float | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """An event of a contender."""
        name, what, t = event["contender"], event["event"], event["t"]
        if what == "start" and event.get(AGAIN):
            self._again.add(name)
        if name in self._again or what not in ("start", "progress", "end"):
            return
        if self._began or what == "start":
            self.raced_s += t - (t if self._last is None else self._last)
            self._last = t
        if what == "start":
            self._start(name, event)
        elif what == "progress":
            self._progress(self.records[name], t - self._began[name], event)
        else:
            record = self.records.setdefault(name, ContenderRecord(seconds=0.0, threads=1))
            record.status, record.why, record.code = event["status"], event["why"], event.get("code")
            record.facts = {FORMER_FACTS.get(key, key): value for key, value in event.items() if key not in ENVELOPE}

    def _start(self, name: str, event: Mapping[str, Any]) -> None:
        self._began[name] = event["t"]
        record = ContenderRecord(
            seconds=math.inf if event["seconds"] is None else event["seconds"], threads=event["threads"]
        )  # fmt: skip
        if (left := event.get("left")) is not None:
            record.granted, record.ran_s = event["before"] + left, event["before"]
        self.records[name] = record

    @staticmethod
    def _progress(record: ContenderRecord, seconds: float, event: Mapping[str, Any]) -> None:
        if event["score"] is not None:
            record.curve.append((round(seconds, 2), event["step"], event["score"]))
        if event["note"]:
            record.notes.append(event["note"])

    def killed(self, t: float) -> None:
        """The go ended at this moment."""
        for name, began in self._began.items():
            self.records[name].ran_s += t - began
        self._began, self._last = {}, None
        self._again = set()
