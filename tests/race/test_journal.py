"""The journal: valid JSON, in order, only ever longer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from leadline.race import journal as module
from leadline.race.journal import Journal


def test_lines_are_json_and_only_ever_added(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, time.monotonic())
    seen = b""
    for number in range(5):
        event = journal.write("progress", step=number, note="naïve\n\u2028 '\"")
        written = path.read_bytes()
        assert written.startswith(seen) and len(written) > len(seen)  # on disk at once, nothing before it changed
        seen = written
        assert json.loads(written.splitlines()[-1]) == event
    journal.close()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [line["step"] for line in lines] == list(range(5)) and {line["event"] for line in lines} == {"progress"}
    times = [line["t"] for line in lines]
    assert times == sorted(times) and times[0] >= 0


def test_opening_it_again_adds(tmp_path: Path) -> None:
    for event in ("begin", "resume"):
        journal = Journal(tmp_path / "journal.jsonl", time.monotonic())
        journal.write(event)
        journal.close()
    events = [json.loads(line)["event"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert events == ["begin", "resume"]


def test_a_silent_run_leaves_a_line_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is killed, they say how long it had run."""
    monkeypatch.setattr(module, "QUIET_S", 0.2)
    journal = Journal(tmp_path / "journal.jsonl", time.monotonic())
    journal.write("begin")
    time.sleep(1.0)
    journal.close()
    events = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [each["event"] for each in events[:2]] == ["begin", "alive"] and 2 <= len(events) <= 6
    assert events[-1]["t"] > 0.5
