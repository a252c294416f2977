"""The data of a finished run come back as they were in the run, or one sentence says why not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.results.run_data import RunData
from leadline.system.errors import LeadlineError, SourceError


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, mixed: Callable[..., pl.DataFrame]) -> Path:
    """A table in which rows repeat and some labels are wrong, with a column of groups."""
    frame = mixed(600)
    wrong = pl.int_range(pl.len()) % 20 == 0
    other = pl.when(pl.col("y") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes"))
    frame = frame.with_columns(y=pl.when(wrong).then(other).otherwise("y"), who=pl.int_range(pl.len()) // 3)
    path = tmp_path_factory.mktemp("data") / "table.csv"
    pl.concat([frame, frame[:60]]).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    """A run under a budget, whose settings shape its rows."""
    return ll.fit(
        table, target="y", only="linear", budget="14s", repeats=1, group="who", kind=("who=category",),
        drop=("weight",), fix="near_duplicates,label_errors", seed=3, out=tmp_path_factory.mktemp("runs") / "run",
    )  # fmt: skip


def test_rows_labels_and_predictions_are_those_of_the_run(run: ll.Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    data = ll.open_run(run.folder).data()
    judged = pl.read_parquet(run.folder / "predictions.parquet")
    task = data.store.task
    assert data.rows("test").tolist() == judged["row"].to_list()
    assert list(task.true(data.labels("test"))) == judged["truth"].to_list()
    assert (data.store.labels[data.rows("test")] == -1).all()  # contenders still do not see them
    assert list(task.predicted(data.predictions("linear"))) == judged["prediction_linear"].to_list()
    assert data.store.split.counts() == run.result["rows"]
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before  # nothing is written there


def test_settings_are_followed(run: ll.Run, table: Path) -> None:
    data = RunData.open(run.folder)
    assert {column.name for column in data.table.inputs} == {"size", "colour", "when", "who"}
    assert {column.name: column.kind for column in data.table.inputs}["who"] == "category"
    who = pl.read_csv(table)["who"].to_numpy()
    parts = [set(who[data.rows(part)]) for part in ("train", "valid", "test")]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    whole = pl.read_csv(table).height
    kept = sum(data.store.split.counts().values())
    assert kept < whole - 50  # rows that --fix removed
    assert {flaw["name"] for flaw in run.result["flaws"] if flaw["fixed"]} >= {"near_duplicates"}


def test_the_shipped_model_answers_the_rows_as_in_the_run(run: ll.Run) -> None:
    data = run.data()
    frame = data.table.take(data.rows("test"), [column.name for column in data.table.inputs])
    answers = data.model.answer(frame, data.table.source.root)[0]["prediction"]
    judged = pl.read_parquet(run.folder / "predictions.parquet")
    place = np.searchsorted(np.unique(data.rows("test")), data.rows("test"))
    assert answers[place].tolist() == judged["prediction"].to_list()


def test_the_cache_may_have_been_cleared(run: ll.Run, own_cache: Path) -> None:
    first = run.data()
    block = first.store.blocks[0].name
    tensor = np.array(first.store.tensor(block))
    shutil.rmtree(own_cache / "stores")
    assert np.array_equal(run.data().store.tensor(block), tensor, equal_nan=True)
    with pytest.raises(LeadlineError, match="A run reads"):
        ll.cache.clear(own_cache)
    del first
    ll.cache.clear(own_cache)


def test_test_rows_that_were_not_decoded_are_known(
    bars: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("leadline.dataset.store._affordable", lambda *_: 0.6)
    source = bars(400)
    data = ll.fit(source, only="linear", epochs=1, repeats=1, out=tmp_path / "run").data(source)
    parts = np.concatenate([data.rows(part) for part in ("train", "valid", "calib", "test")])
    assert 100 < len(parts) < 300 and not np.isin(data.unread_test, parts).any()
    assert len(data.unread_test) + len(data.rows("test")) == 80


def test_what_does_not_come_back_is_said(run: ll.Run, table: Path, tmp_path: Path) -> None:
    data = run.data()
    with pytest.raises(SourceError, match=r"holds no predictions of cnn on test rows; it holds linear on test"):
        data.predictions("cnn")
    changed = tmp_path / "changed.csv"
    changed.write_text(table.read_text().replace("red", "blue", 1))
    with pytest.raises(SourceError, match=r"changed is not what .* was run on: its content has changed"):
        run.data(changed)
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    np.save(copy / "contenders" / "linear" / "test.npy", np.zeros((3, 2)))
    with pytest.raises(SourceError, match=r"test\.npy has 3 predictions, where the run has"):
        RunData.open(copy).predictions("linear")
    judged = pl.read_parquet(copy / "predictions.parquet")
    judged.reverse().write_parquet(copy / "predictions.parquet")
    with pytest.raises(SourceError, match="are split in another way by this version of Leadline"):
        RunData.open(copy)
    (copy / "flaws.f64").unlink()
    with pytest.raises(SourceError, match=r"flaws\.f64 is missing, and --fix depends on it"):
        RunData.open(copy)
    with pytest.raises(SourceError, match="nowhere holds no finished run"):
        RunData.open("nowhere")


def test_sources_in_memory_are_given_again(mixed: Callable[..., pl.DataFrame], tmp_path: Path) -> None:
    frame, test = mixed(200), mixed(60, seed=1)
    run = ll.fit(frame, test=test, target="y", only="linear", epochs=1, out=tmp_path / "run")
    with pytest.raises(SourceError, match="was run on a DataFrame in memory; give it again in Python, as `source`"):
        run.data()
    with pytest.raises(SourceError, match="was tested on rows in memory; give them again in Python, as `test`"):
        run.data(frame)
    data = run.data(frame, test)
    assert list(data.store.task.true(data.labels("test"))) == test["y"].to_list()
    with pytest.raises(SourceError, match="was tested on rows in memory"):
        ll.replay(run.folder, frame)
    assert ll.replay(run.folder, frame, test=test).same


def test_data_that_has_moved_is_said_to_be_a_second_argument(table: Path, tmp_path: Path) -> None:
    place = Path(shutil.copy(table, tmp_path / "rows.csv"))
    run = ll.fit(place, target="y", only="linear", epochs=1, repeats=1, out=tmp_path / "run")
    place.rename(tmp_path / "moved.csv")
    calls: list[Callable[[], Any]] = [
        run.data,
        lambda: run.shrink(max_drop=0.3),
        run.explain,
        lambda: ll.replay(run.folder, out=tmp_path / "again"),
    ]
    for call in calls:
        with pytest.raises(
            SourceError, match=r"rows\.csv: if that has moved, .* as the second argument, after the run"
        ):
            call()
    assert len(run.data(tmp_path / "moved.csv").rows("test")) == run.result["rows"]["test"]
