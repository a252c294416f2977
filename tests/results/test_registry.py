"""Runs on disk are listed and opened again, by command and in Python."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.config import Settings
from leadline.results.run_folder import run_folder
from leadline.system.errors import SourceError


@pytest.fixture
def two(mixed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ll.Run]:
    monkeypatch.chdir(tmp_path)
    frame = mixed(120)
    made = [ll.fit(frame, target="y", only="linear", budget="12s", out=f"runs/{name}") for name in ("b", "a")]
    for run, when in zip(made, ("2026-01-01T10:00:00", "2026-01-02T10:00:00"), strict=True):  # within one second
        run.result["created"] = when
        (run.folder / "result.json").write_text(json.dumps(run.result))
    (tmp_path / "runs" / ".c.partial-4194303").mkdir()
    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "runs" / "other" / "result.json").write_text('{"of": "something else"}')
    return made


def test_runs_are_listed_and_opened(two: list[ll.Run], capsys: Any) -> None:
    found = ll.list_runs()
    assert [run.folder.name for run in found] == ["b", "a"]  # the newest last
    assert found[0].verdict == two[0].verdict and ll.open_run().folder == found[-1].folder
    assert ll.open_run("runs/b").model.classes == ["no", "yes"]
    assert main(["runs"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("runs/b  2026-01-01 10:00  unsure: ships linear, accuracy 0.") and second.startswith(
        "runs/a"
    )
    assert third == "c: killed; leadline resume runs/c goes on with it"
    with run_folder(Settings(out="runs/d"), "d"):
        assert main(["runs"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"d: under way, as process {os.getpid()}"
    assert main(["runs", "--json"]) == 0
    assert [one["folder"] for one in json.loads(capsys.readouterr().out)] == ["runs/b", "runs/a"]
    assert main(["show"]) == 0
    assert "linear is shipped: accuracy" in capsys.readouterr().out
    assert main(["show", "runs/b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shipped"]["contender"] == "linear"


def test_where_there_is_none_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert ll.list_runs() == [] and main(["runs"]) == 0
    assert capsys.readouterr().out == "runs holds no finished run; leadline fit makes one.\n"
    assert main(["show"]) == 2 and main(["show", "nowhere"]) == 2
    assert "nowhere holds no finished run; leadline runs lists those" in capsys.readouterr().err
    assert main(["runs", "nowhere"]) == 2
    assert "there is no folder nowhere; name one that holds runs" in capsys.readouterr().err
    with pytest.raises(SourceError, match="runs holds no finished run"):
        ll.open_run()
