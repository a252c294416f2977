"""What an earlier go left behind, read back from its journal."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leadline.core.records import Ending
from leadline.race import journal as module
from leadline.race.history import read
from leadline.race.journal import Journal
from leadline.race.stages import EARLIER, Stages


def test_a_race_its_codes_and_why_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    journal = Journal(tmp_path / "journal.jsonl", 0.0)

    def write(at: float, event: str, **facts: Any) -> None:
        nonlocal now
        now = at
        journal.write(event, **facts)

    write(0.5, "begin", digest="d")
    write(2.0, "start", contender="linear", seconds=4.0, threads=1)
    write(3.0, "start", contender="mlp", seconds=9.0, threads=1)
    write(5.0, "end", contender="linear", status="finished", why=None, code=None, score=0.9)
    write(11.0, "end", contender="mlp", status="failed", why="it ran over its 9 s", code="overran")
    write(12.0, "start", contender="linear", seconds=4.0, threads=1, round=1)
    write(15.0, "end", contender="linear", status="finished", why=None, code=None, score=0.8, round=1)
    write(15.0, "rounds", count=2)
    write(15.1, "race ended", code="used", why="The time for racing is used up.")
    journal.close()
    past = read(tmp_path)
    assert past.raced == pytest.approx({0: 9.0, 1: 3.0}) and past.ended == 2 and past.spent_s == 15.1
    assert past.ending == Ending(code="used", why="The time for racing is used up.")
    assert past.records["mlp"].code == "overran" and past.records["mlp"].facts == {}
    assert past.records["linear"].code is None and past.records["linear"].facts == {"score": 0.9}


def test_stages_add_up_to_all_that_was_spent(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", time.monotonic())
    began = time.monotonic()
    stages = Stages(journal=journal, last=began)
    stages.put(EARLIER, 40.0)
    for name in ("read", "encode", "flaws", "encode"):
        time.sleep(0.02)
        stages.end(name)
    journal.close()
    assert sum(stages.rounded().values()) == pytest.approx(40.0 + stages.last - began, abs=0.01)
    assert stages.seconds["encode"] > stages.seconds["flaws"] > 0.01
    with pytest.raises(AssertionError):
        stages.end("lunch")


def test_a_kill_ends_what_ran_and_a_second_go_adds_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    journal = Journal(tmp_path / "journal.jsonl", 0.0)

    def write(at: float, event: str, **facts: Any) -> None:
        nonlocal now
        now = at
        journal.write(event, **facts)

    write(0.0, "begin", digest="d")
    write(1.0, "start", contender="linear", seconds=4.0, threads=1)
    write(2.0, "end", contender="linear", status="finished", why=None, code=None, score=0.9)
    write(2.0, "start", contender="cnn", seconds=20.0, threads=2)
    write(5.0, "progress", contender="cnn", score=0.5, step=3, note=None)
    write(10.0, "alive")  # it was killed later than its last message
    past = read(tmp_path)
    cnn = past.records["cnn"]
    assert (cnn.status, cnn.ran_s, cnn.granted, past.spent_s) == ("running", 8.0, None, 10.0)
    assert past.raced == {0: 4.0}
    write(11.0, "resumed", digest="d")
    write(12.0, "start", contender="cnn", seconds=20.0, threads=2, left=6.0, before=8.0)
    write(15.0, "alive")
    cnn = read(tmp_path).records["cnn"]
    assert (cnn.status, cnn.ran_s, cnn.granted, cnn.seconds) == ("running", 11.0, 14.0, 20.0)
    write(16.0, "end", contender="cnn", status="finished", why=None, code=None, score=0.8)
    write(17.0, "start", contender="linear", seconds=4.0, threads=1, again=True)  # for its file, when it was killed
    write(18.0, "progress", contender="linear", score=0.1, step=3, note="one")
    journal.close()
    past = read(tmp_path)
    linear = past.records["linear"]
    assert (linear.status, linear.facts, linear.curve, linear.notes) == ("finished", {"score": 0.9}, [], [])
    assert past.raced == {0: 8.0} and past.records["cnn"].facts == {"score": 0.8}
