"""A task is one class and one line: a fake one, which only this folder knows, goes through a whole run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.system.errors import LeadlineError
from leadline.tasks import TASKS

FAKES = Path(__file__).parent / "fakes"
SETTINGS = {"target": "visits", "task": "count", "only": "linear,boosting,mlp", "epochs": 4}


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The fake task in this process, and in all that a run starts: Python imports sitecustomize at its start."""
    start = tmp_path_factory.mktemp("start")
    (start / "sitecustomize.py").write_text("import fake_task\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(start), str(FAKES)]))
        patch.setenv("LEADLINE_CACHE", str(start / "cache"))
        patch.syspath_prepend(str(FAKES))
        import fake_task

        TASKS["count"] = fake_task.Count
        yield
        del TASKS["count"]


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 240 counts, many of them 0; row 4 has a fraction, row 8 a number below 0."""
    rng = np.random.default_rng(0)
    size, colour = rng.normal(size=240), rng.choice(["red", "green"], 240)
    counts = rng.poisson(np.exp(1.2 * size - (colour == "red"))).astype(float)
    counts[[3, 7]] = 2.5, -1
    path = tmp_path_factory.mktemp("data") / "visits.csv"
    pl.DataFrame({"size": size, "colour": colour, "visits": counts}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(visits: Path, tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    return ll.fit(visits, out=tmp_path_factory.mktemp("runs") / "count", **SETTINGS)


def test_a_fake_task_is_checked(visits: Path) -> None:
    found = ll.check(visits, target="visits", task="count")
    assert (found.task, found.metric) == ("count", "mae") and not found.problems
    assert "count: visits goes from 0 to" in str(found)
    assert "no whole number from 0 up" in str(found)
    problem = ll.check(visits, target="visits", task="count", metric="accuracy").problems[0]
    assert problem == "--metric accuracy does not fit a count task; it can be mae, rmse."
    with pytest.raises(LeadlineError, match="--task counts is not known; it can be .*, count"):
        ll.check(visits, target="visits", task="counts")


def test_a_fake_task_is_fitted_and_reported(run: ll.Run) -> None:
    result, answers = run.result, pl.read_parquet(run.folder / "predictions.parquet")
    assert (result["task"], result["metric"], result["quarantined"]) == ("count", "mae", 2)
    scores = {each["name"]: each["score"] for each in result["contenders"]}
    assert min(scores["linear"], scores["boosting"]) < scores["baseline"]
    for name in ("linear", "boosting", "mlp"):
        off = (answers[f"prediction_{name}"] - answers["truth"]).abs().mean()
        assert answers[f"prediction_{name}"].min() >= 0 and scores[name] == pytest.approx(off)
    assert (answers["prediction_linear"] == 0).any(), "the activation of the task was at work"
    assert "Predicted and true" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_a_fake_task_predicts_from_the_file(run: ll.Run, visits: Path) -> None:
    answers = pl.read_parquet(run.folder / "predictions.parquet")
    told = ll.Model(run.folder / "model.onnx").predict(visits)
    assert told["prediction"].min() >= 0
    np.testing.assert_allclose(told["prediction"].gather(answers["row"]), answers["prediction"], atol=1e-3)


def test_a_fake_task_is_replayed(run: ll.Run, tmp_path: Path) -> None:
    assert ll.replay(run.folder, out=tmp_path / "again").same


def test_a_fake_task_is_resumed(run: ll.Run, visits: Path, tmp_path: Path) -> None:
    words = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "leadline", "fit", str(visits), "--out", str(tmp_path / "killed"), *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".killed.partial-*/contenders/linear/*")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = ll.resume(tmp_path / "killed")
    assert (resumed.folder / "model.onnx").read_bytes() == (run.folder / "model.onnx").read_bytes()
    assert resumed.result["task"] == "count"
