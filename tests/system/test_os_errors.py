"""What a system refuses in the midst of a run: one sentence, nothing half written, no process left."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import leadline as ll
from leadline.system.errors import LeadlineError, OutputError, SourceError
from leadline.system.os_errors import spoken

FAST: dict[str, Any] = {"budget": "8s", "only": "linear"}
posix = pytest.mark.skipif(os.name != "posix", reason="limits and signals of POSIX")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=2_000)
    frame = pl.DataFrame({"x": x, "z": x[::-1], "y": np.where(x > 0, "yes", "no")})
    frame.write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / "photos" / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(path)
    return tmp_path / "photos"


def _command(table: Path, *options: str, budget: str = "8s") -> list[str]:
    words = [sys.executable, "-m", "leadline", "fit", str(table), "--target", "y", "--budget", budget, *options]
    return [*words, "--cache", str(table.parent / "cache")]


def _left(folder: Path) -> list[str]:
    """Whatever was half written: partial runs, and files and folders in the cache that have no name of their own."""
    return [str(p) for p in folder.rglob("*") if ".partial-" in p.name or p.name.startswith((".", "tmp"))]


@posix
def test_a_disk_that_fills_up(table: Path) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        _command(table, "--only", "linear", "--out", "run"), cwd=table.parent, preexec_fn=limit, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "cannot be written (file too large); make room there, or choose another --cache or --out." in done.stderr
    assert not _left(table.parent) and not (table.parent / "run").exists()


def test_a_cache_that_cannot_be_made(table: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match=r"taken.* cannot be made \(.*\); choose another --cache or --out"):
        ll.fit(table, target="y", cache=tmp_path / "taken", out=tmp_path / "run", **FAST)
    assert not (tmp_path / "run").exists()


@posix
def test_no_home_to_keep_a_cache_in(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEADLINE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(_: int) -> Any:
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(SourceError, match=r"there is no home folder to keep a cache in; name a folder by --cache"):
        ll.fit(table, target="y", **FAST)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"/c/x cannot be written \(.*\); make room there"),
        (errno.EROFS, r"/c/x cannot be opened or written \(.*\); give yourself permission to it"),
        (errno.ENOENT, r"/c/x cannot be made \(.*\); choose another --cache or --out"),
        (errno.EIO, r"/c/x cannot be used \(.*\); choose another place"),
    ],
)
def test_each_refusal_names_the_place_and_a_remedy(number: int, message: str) -> None:
    with pytest.raises(LeadlineError, match=message), spoken(cache=Path("/c"), out=Path("/runs")):
        raise OSError(number, os.strerror(number), "/c/x")
    with pytest.raises(BrokenPipeError), spoken(cache=Path("/c"), out=Path("/runs")):
        raise BrokenPipeError


def _moved_away(folder: Path) -> Callable[[dict[str, Any]], None]:
    """Something that happens as soon as the source has been read."""

    def watch(event: dict[str, Any]) -> None:
        if event["event"] == "begin":
            folder.rename(folder.with_name("elsewhere"))

    return watch


def test_pictures_that_go_between_reading_and_decoding(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"None of the files that column .image. names, such as cat.1.png, is in photos"
    ):
        ll.fit(photos, watch=_moved_away(photos), cache=tmp_path / "cache", out=tmp_path / "run", **FAST)
    assert not _left(tmp_path) and not (tmp_path / "run").exists()


def test_a_table_that_goes_between_reading_and_decoding(table: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    source = tmp_path / "data" / "t.parquet"
    pl.read_csv(table).write_parquet(source)
    with pytest.raises(
        SourceError, match=r"t\.parquet has gone while it was needed \(.*\); put it back, and run again"
    ):
        ll.fit(source, target="y", watch=_moved_away(source.parent), cache=tmp_path / "c", out=tmp_path / "run", **FAST)


def test_two_runs_at_once_in_one_cache(table: Path) -> None:
    runs = [
        subprocess.Popen(
            _command(table, "--only", "linear", "--out", name),
            cwd=table.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        for name in ("one", "two")
    ]
    for run, name in zip(runs, ("one", "two"), strict=True):
        _, said = run.communicate(timeout=60)
        assert run.returncode == 0 and not said and (table.parent / name / "model.onnx").is_file()
    assert not _left(table.parent)


@posix
def test_ctrl_c_twice_leaves_nothing(table: Path) -> None:
    run = subprocess.Popen(
        _command(table, "--only", "bag,boosting", "--out", "run", budget="60s"), cwd=table.parent,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run.stdout is not None
    for line in run.stdout:
        if "starts" in line:
            break
    time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=20)
    assert run.returncode != 0 and "Traceback" not in said and said == "leadline: stopped; nothing was written.\n"
    assert not _left(table.parent) and not (table.parent / "run").exists()
    mark = str(table.parent).encode()
    if Path("/proc/self/cmdline").exists():
        assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if _holds(p, mark)]


def _holds(path: Path, mark: bytes) -> bool:
    try:
        return b"leadline.race.worker" in path.read_bytes() and mark in path.read_bytes()
    except OSError:  # it has ended meanwhile
        return False


PLAIN = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]  # root, held to permissions as any user is


def _as_any_user() -> list[str] | None:
    """Words before a command that permissions are to hold for; None where root cannot give up its rights."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None or subprocess.run([*PLAIN, "true"], capture_output=True, check=False).returncode:
        return None
    return PLAIN


@posix
@pytest.mark.parametrize(
    ("closed", "words", "message"),
    [
        ("t.csv", "fit t.csv --target y", "t.csv may not be opened by this user; give yourself permission to it"),
        ("shut", "fit shut --target y", "shut may not be opened by this user"),
        (
            "shut",
            "fit shut/t.csv --target y",
            "shut/t.csv cannot be opened (permission denied); give yourself permission",
        ),
        ("shut", "fit t.csv --target y --test shut/t.csv", "shut/t.csv may not be opened by this user"),
        ("shut", "fit t.csv --target y --out shut/run", "shut/run cannot be "),
        (
            "shut",
            "fit t.csv --target y --cache shut/cache",
            "choose another place by --cache, $LEADLINE_CACHE or",
        ),
        ("shut", "check t.csv --target y --cache shut", "choose another place by --cache, $LEADLINE_CACHE or"),
        ("shut", "predict shut/run t.csv", "shut/run may not be opened by this user"),
        ("model.onnx", "predict model.onnx t.csv", "model.onnx may not be opened by this user"),
        ("shut", "resume shut/run", "may not be opened by this user"),
        ("shut", "cache --cache shut/cache", "may not be opened by this user"),
    ],
)
def test_what_a_user_may_not_open_is_one_sentence(closed: str, words: str, message: str, table: Path) -> None:
    if (plain := _as_any_user()) is None:
        pytest.skip("root may open everything here")
    folder = table.parent
    (folder / "shut").mkdir()
    shutil.copy(table, folder / "shut" / "t.csv")
    (folder / "model.onnx").write_bytes(b"x")
    (folder / closed).chmod(0)
    try:
        done = subprocess.run(
            [*plain, sys.executable, "-m", "leadline", *words.split()], cwd=folder, capture_output=True, text=True,
            env={**os.environ, "LEADLINE_CACHE": str(folder / "cache")}, check=False,
        )  # fmt: skip
    finally:
        (folder / closed).chmod(0o700)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (folder / "runs").exists() and not list(folder.glob("**/*.partial-*"))
