"""What an earlier go at a run left behind: its journal, read back, so that it can go on or be run again.

Enters: a run folder, whole or cut short by a kill. Leaves: `Past`, with the begin of the run, the seconds it had spent,
and what had become of each contender.
"""

from __future__ import annotations

import json
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
# Journals of earlier versions.
FORMER_ENDINGS: dict[str, EndingCode] = {"rounds": "repeats", "one_round": "one_repeat"}
FORMER_FACTS = {"starved": "undertrained"}


@dataclass(kw_only=True)
class ContenderRecord:
    """A contender as the journal tells it. `status` is running where no end was written."""

    seconds: float  # that it was given; inf without a budget
    threads: int
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
    raced_s: float = 0.0  # seconds from the first start to the last end of the first repeat
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
    share, ended, ending, init, repeats = None, None, None, None, defaultdict[int, dict[str, ContenderRecord]](dict)
    started: dict[tuple[int, str], float] = {}
    raced_s = 0.0
    for event in events:
        name, number = event.get("contender"), event.get("round", 0)
        records = repeats[number]
        if event["event"] == "encoded":
            share = event["share"]
        elif event["event"] == "init":
            init = event["networks"]
        elif event["event"] == "rounds":
            ended = event["count"]
        elif event["event"] == "race ended":
            ending = Ending(code=FORMER_ENDINGS.get(event["code"], event["code"]), why=event["why"])
        elif event["event"] == "start":
            seconds = float("inf") if event["seconds"] is None else event["seconds"]
            records[name] = ContenderRecord(seconds=seconds, threads=event["threads"])
            started[number, name] = event["t"]
        elif event["event"] == "progress":
            if event["score"] is not None:
                t = round(event["t"] - started[number, name], 2)
                records[name].curve.append((t, event["step"], event["score"]))
            if event["note"]:
                records[name].notes.append(event["note"])
        elif event["event"] == "end":
            record = records.setdefault(name, ContenderRecord(seconds=0.0, threads=1))
            record.status, record.why, record.code = event["status"], event["why"], event.get("code")
            if number == 0 and started:
                raced_s = event["t"] - min(started.values())
            record.facts = {FORMER_FACTS.get(key, key): value for key, value in event.items() if key not in ENVELOPE}
    return Past(
        begin=events[0],
        spent_s=events[-1]["t"],
        share=share,
        repeats=repeats,
        ended=ended,
        ending=ending,
        init=init,
        raced_s=raced_s,
    )
