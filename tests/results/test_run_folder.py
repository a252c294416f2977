"""Where a run is written: a name that nobody else has, whatever the clock says and whoever else is at work."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.config import Settings
from leadline.results.run_folder import made_by, remarks, run_folder
from leadline.system.errors import OutputError


class _Stopped(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime(2026, 3, 29, 2, 30)


def test_runs_that_begin_within_one_second_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leadline.results.run_folder.datetime", _Stopped)
    with run_folder(Settings(), "a[b]") as (_, first), run_folder(Settings(), "a[b]") as (_, second):
        pass
    with run_folder(Settings(), "a[b]") as (_, third):
        pass
    names = [path.name for path in (first, second, third)]
    assert names == ["a[b]-20260329-023000", "a[b]-20260329-023000-2", "a[b]-20260329-023000-3"]
    assert all(path.is_dir() for path in (first, second, third))


def test_a_run_does_not_write_where_another_is_at_work(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    code = "import sys; from leadline.results.run_folder import *; from leadline.config import Settings\n"
    code += "with run_folder(Settings(out=sys.argv[1]), 't'): print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"\n"
        said = f"{out} is being made by process {other.pid}; choose another --out, or wait for it."
        with pytest.raises(OutputError, match=f"^{re.escape(said)}$"), run_folder(Settings(out=str(out)), "t"):
            pass
        other.kill()
        assert other.wait() != 0 and not out.exists()
    with run_folder(Settings(out=str(out)), "t"):
        pass
    assert out.is_dir() and not list(out.iterdir())  # the other was killed: its name is free again


def test_a_run_is_not_stopped_by_one_that_was_killed_under_its_own_number(tmp_path: Path) -> None:
    """In a container every run may be process 7."""
    (tmp_path / f".mine.partial-{os.getpid()}").mkdir()
    with run_folder(Settings(out=str(tmp_path / "mine")), "t") as (partial, final):
        assert partial.name == f".mine.partial-{os.getpid()}-2" and made_by(partial) == os.getpid()
        said = f"An earlier run into {final} was killed: leadline resume {final} continues it."
        assert remarks(partial, final) == [said]
        with pytest.raises(OutputError, match="is being made by process"), run_folder(Settings(out=str(final)), "t"):
            pass
    assert final.is_dir()


def test_where_files_cannot_be_locked_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, shared: bool) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("leadline.system.lock._lock", refuse)
    with run_folder(Settings(out=str(tmp_path / "mine")), "t") as (partial, final):
        (said,) = remarks(partial, final)
    assert said == f"Files in {tmp_path} cannot be locked: do not resume this run while it is under way."
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_clock_that_jumps_changes_nothing_but_the_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the wall clock is hours from the last one, forward and back."""
    told, real = list[float](), time.time

    def jumping() -> float:
        told.append(real() + (-1) ** len(told) * 7_200 * (1 + len(told)))
        return told[-1]

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(days=30)

    monkeypatch.setattr("time.time", jumping)
    monkeypatch.setattr("leadline.results.build.datetime", Jumping)
    began = time.monotonic()
    run = ll.fit("digits", budget="8s", only="linear", out=tmp_path / "run", cache=tmp_path / "cache")
    assert time.monotonic() - began < 12 and run.result["spent_s"] < 12
    assert run.result["shipped"] and run.result["created"] < datetime.now().isoformat()
