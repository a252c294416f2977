"""A kind that lives in `fakes/` alone goes through all of Leadline: no other file knows of it."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.kinds import KINDS

FAKES = Path(__file__).parent / "fakes"
ROWS, COPIES = 240, 12
ONLY = "mlp,linear"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to run in, in processes that know the fake."""
    before, folder = dict(KINDS), tmp_path_factory.mktemp("fake")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FAKES))
        patch.setenv("LEADLINE_CACHE", str(folder / "cache"))
        patch.syspath_prepend(FAKES)
        runpy.run_path(str(FAKES / "sitecustomize.py"))
        yield folder
    KINDS.clear()
    KINDS.update(before)


@pytest.fixture(scope="module")
def source(home: Path) -> Path:
    """Colours, and whether each is warm; the last rows repeat the first."""
    rgb = np.random.default_rng(0).integers(0, 256, (ROWS, 3))
    rgb[-COPIES:] = rgb[:COPIES]
    shade = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb.tolist()]
    path = home / "colours.csv"
    pl.DataFrame({"shade": shade, "warm": np.where(rgb[:, 0] > rgb[:, 2], "yes", "no")}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(home: Path, source: Path) -> ll.Run:
    return ll.fit(source, target="warm", epochs=20, only=ONLY, out=home / "run")


def test_a_fake_kind_is_one_file_of_under_70_lines() -> None:
    assert len((FAKES / "colour.py").read_text().splitlines()) < 70


def test_a_fake_kind_is_checked(source: Path) -> None:
    (column,) = [each for each in ll.check(source, target="warm").columns if each["role"] == "input"]
    assert column["kind"] == "colour"


def test_a_fake_kind_is_fitted_with_a_deep_contender_near_duplicates_and_a_preview(run: ll.Run) -> None:
    scores = {each["name"]: each["score"] for each in run.result["contenders"]}
    assert min(scores["mlp"], scores["linear"]) > 0.8
    (twins,) = [each for each in run.result["flaws"] if each["name"] == "near_duplicates"]
    assert twins["rows"] >= COPIES
    page = run.report().read_text(encoding="utf-8")
    assert "colour" in page and page.count("data:image/png;base64") >= COPIES // 2


def test_a_fake_kind_is_predicted(run: ll.Run, source: Path) -> None:
    said = run.model.predict(source)
    assert (said["prediction"] == pl.read_csv(source)["warm"]).mean() > 0.8
    odd = run.model.predict(pl.DataFrame({"shade": ["#ff0000", "red", None]}))
    assert odd["prediction"][0] == "yes" and odd["prediction"].null_count() == 0  # what is no colour counts as missing


def test_a_fake_kind_is_replayed(run: ll.Run) -> None:
    assert ll.replay(run.folder).same


def test_a_fake_kind_is_resumed(home: Path, source: Path) -> None:
    words = ["--target", "warm", "--epochs", "100", "--only", ONLY, "--out", str(home / "cut"), "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "leadline", "fit", str(source), *words], env={**os.environ})
    until = time.monotonic() + 120
    while not list(home.glob(".cut.partial-*/contenders/mlp")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert ll.resume(home / "cut").result["shipped"]["contender"] in ONLY.split(",")
