"""A contender is one file and one line: a fake one, which only this folder knows, goes through a whole run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.contenders.portfolio import PORTFOLIO

FAKES = Path(__file__).parent / "fakes"
EPOCHS, ROWS = 100, 240
START = """
import os, time
import fake_contender

if "DESCENT_PAUSE_S" in os.environ:
    progress, pause = fake_contender.Progress, float(os.environ["DESCENT_PAUSE_S"])
    fake_contender.Progress = lambda **facts: time.sleep(pause) or progress(**facts)
"""


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The fake in this process, and in all that a run starts: Python imports sitecustomize at its start."""
    start, before = tmp_path_factory.mktemp("start"), dict(PORTFOLIO)
    (start / "sitecustomize.py").write_text(START)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(start), str(FAKES)]))
        patch.setenv("LEADLINE_CACHE", str(start / "cache"))
        patch.syspath_prepend(str(FAKES))
        import fake_contender  # type: ignore[import-not-found]

        PORTFOLIO["descent"] = fake_contender.Descent()
        yield
    PORTFOLIO.clear()
    PORTFOLIO.update(before)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in which a sum decides."""
    x = np.random.default_rng(0).normal(size=(ROWS, 3))
    path = tmp_path_factory.mktemp("data") / "sums.csv"
    frame = pl.DataFrame(x, schema=["a", "b", "c"])
    frame.with_columns(sign=pl.Series(np.where(x.sum(axis=1) > 0, "above", "below"))).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    out = tmp_path_factory.mktemp("runs") / "whole"
    return ll.fit(source, target="sign", epochs=EPOCHS, only="descent", interpretable=True, out=out)


def test_a_fake_contender_is_one_file_of_under_70_lines() -> None:
    assert len((FAKES / "fake_contender.py").read_text().splitlines()) < 70


def test_a_fake_contender_is_checked(source: Path) -> None:
    assert "descent" in ll.check(source, target="sign").contenders["classical"]


def test_a_fake_contender_is_fitted_shipped_and_reported(run: ll.Run) -> None:
    scores = {each["name"]: each["score"] for each in run.result["contenders"]}
    assert scores["descent"] > 0.9 > scores["baseline"]
    assert run.result["shipped"]["contender"] == "descent" and run.result["needs"]["ruled_out"] == {}
    assert "descent" in run.report().read_text(encoding="utf-8")


def test_a_fake_contender_predicts_from_the_file(run: ll.Run, source: Path) -> None:
    said = run.model.predict(source)["prediction"]
    assert (said == pl.read_csv(source)["sign"]).mean() > 0.9


def test_a_fake_contender_is_replayed(run: ll.Run, tmp_path: Path) -> None:
    again = ll.replay(run.folder, out=tmp_path / "again")
    assert again.same and again.contenders == {"descent": True}


def test_a_fake_contender_that_was_killed_goes_on_from_its_checkpoint(
    run: ll.Run, source: Path, tmp_path: Path
) -> None:
    words = ["--target", "sign", "--epochs", str(EPOCHS), "--only", "descent", "--interpretable", "--quiet"]
    command = [sys.executable, "-m", "leadline", "fit", str(source), "--out", str(tmp_path / "cut"), *words]
    paused = {**os.environ, "DESCENT_PAUSE_S": "0.2"}  # 20 s in all: on any machine it is at work when it is killed
    process = subprocess.Popen(command, env=paused)
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".cut.partial-*/contenders/descent/checkpoints/0*")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.wait()
    resumed = ll.resume(tmp_path / "cut")
    events = [json.loads(line) for line in (resumed.folder / "journal.jsonl").read_text().splitlines()]
    assert "goes on from its last checkpoint" in [event.get("note") for event in events]
    assert (resumed.folder / "model.onnx").read_bytes() == (run.folder / "model.onnx").read_bytes()
