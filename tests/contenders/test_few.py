"""Contenders where there is little: few rows, little time, rare labels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

import leadline as ll
from leadline.contenders.boosting import Boosting, _Trial
from leadline.contenders.deep import LEAST_BATCH, _Run
from leadline.contenders.linear import STRENGTHS, Linear
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Progress
from leadline.metrics.metrics import METRICS
from leadline.system.errors import LeadlineError


def _labels(rows: int, columns: int, count: int) -> pl.DataFrame:
    """Labels that a tenth of the rows bear, each told by a column."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns)).round(3)
    borne = x[:, :count] > 1.28
    tags = [[f"l{k}" for k in np.flatnonzero(row)] for row in borne]
    return pl.DataFrame({f"x{i}": x[:, i] for i in range(columns)}).with_columns(pl.Series("tags", tags))


def test_linear_tries_every_strength_on_few_rows_however_late_it_is(mixed: Any, prepare: Any) -> None:
    store = prepare(mixed(60), target="y").store
    seen = list(Linear().fit(Data(store=store, clock=Clock(1e-6), threads=1), 0))
    assert sum(isinstance(one, Progress) for one in seen) == len(STRENGTHS)
    fitted: Any = seen[-1]
    assert "fitted again on train and valid rows" in fitted.describe[-1]


def test_trees_of_many_labels_start_from_their_odds_and_keep_their_seconds(prepare: Any) -> None:
    store = prepare(_labels(3_000, 40, 20), target="tags").store
    began = time.monotonic()
    fitted: Any = list(Boosting().fit(Data(store=store, clock=Clock(6.0), threads=1), 0))[-1]
    assert time.monotonic() - began < 6.0 + 5.0  # what a race lets pass
    likely = fitted.predict(store, store.split.test)
    assert abs(float(likely.mean()) - 0.1) < 0.03
    assert fitted.score > 0.5


@pytest.mark.parametrize(("load", "least"), [("load_iris", 0.8), ("load_wine", 0.75), ("load_breast_cancer", 0.8)])
def test_trees_learn_from_forty_rows(load: str, least: float, prepare: Any) -> None:
    """With twenty rows in every leaf they would give one answer to all: a third of iris, 0.4 of wine, 0.63."""
    x, y = getattr(datasets, load)(return_X_y=True)
    right = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(x))
        frames = [
            pl.DataFrame({f"x{i}": x[rows, i] for i in range(x.shape[1])} | {"y": [f"k{k}" for k in y[rows]]})
            for rows in (order[:40], order[40:140])
        ]
        made = prepare(frames[0], test=frames[1], target="y")
        store = made.store
        fitted: Any = list(Boosting().fit(Data(store=store, clock=Clock(3.0), threads=1), seed))[-1]
        answers = fitted.predict(store, store.split.test)
        right.append(float((answers.argmax(axis=1) == made.table.labels[store.split.test]).mean()))
    assert np.mean(right) > least


@pytest.mark.parametrize("rows", [40, 320, 900])
def test_only_few_rows_make_leaves_of_fewer(rows: int, mixed: Any, prepare: Any) -> None:
    store = prepare(mixed(rows), target="y").store
    leaf = 20 if rows > 300 else len(store.split.train) // 10
    fitted: Any = list(Boosting().fit(Data(store=store, clock=Clock(1e-3), threads=1), 0))[-1]
    assert f"[min_data_in_leaf: {leaf}]" in fitted._booster.model_to_string()


def test_a_network_of_slow_steps_takes_smaller_ones_and_a_short_trial(
    bars: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with minutes of sound a row: ten steps to choose a way by would take all the time there is."""
    store = prepare(bars(600, 16)).store
    step, taken = _Run._step_once, []

    def slow(run: _Run) -> None:
        began = time.monotonic()
        step(run)
        time.sleep(run.batch * 0.02)
        taken.append(time.monotonic() - began)

    monkeypatch.setattr(_Run, "_step_once", slow)
    run = _Run(PORTFOLIO["cnn"], Data(store=store, clock=Clock(8.0), threads=1), 0)  # type: ignore[arg-type]
    first = run.batch
    run.prepare()
    assert run.batch == LEAST_BATCH < first
    assert sum(taken) < 4.0


def test_trees_end_where_only_trifles_are_gained() -> None:
    """On a hundred rows that can be told apart the loss falls by less and less for thousands of rounds."""
    trial = _Trial(None, {}, 0.0)  # type: ignore[arg-type]
    while not trial.looks or not trial.stale(METRICS["accuracy"]):
        loss = 0.05 + 1.0 / (trial.rounds + 1) ** 1.5
        trial.note([("valid", "multi_logloss", loss, False)], (0.97, 0.02), 0.01 * trial.rounds)
    assert 50 < trial.rounds < 800


def test_one_row_a_class_is_learned_from_where_other_rows_test(tmp_path: Path) -> None:
    """Nothing can be chosen: those that need no valid rows race, with default settings, and a verdict is made."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 4)) * 3
    truth = np.concatenate([np.arange(3), rng.integers(0, 3, 60)])
    x = centres[truth] + rng.normal(size=(len(truth), 4))
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(4)}).with_columns(y=pl.Series([f"k{k}" for k in truth]))
    run = ll.fit(frame[:3], test=frame[3:], target="y", budget=6, out=tmp_path / "run")
    found = {each["name"]: each for each in run.result["contenders"]}
    assert run.result["rows"] == {"train": 3, "valid": 0, "calib": 0, "test": 60}
    assert found["linear"]["score"] > 0.7 and found["linear"]["valid_score"] is None
    assert found["linear"]["describe"] == ["C = 1, by default: there are no valid rows to choose by"]
    assert {each["code"] for name, each in found.items() if name not in ("linear", "baseline")} == {"no_valid"}
    assert "give at least two rows a class, or a valid part" in run.verdict.why
    assert any("no rows are left to choose by" in warning for warning in run.result["warnings"])
    assert "Once the valid rows had chosen" not in (run.folder / "report.html").read_text()
    assert "NaN" not in (run.folder / "result.json").read_text() + (run.folder / "journal.jsonl").read_text()
    with pytest.raises(LeadlineError, match="has no valid rows"):
        run.shrink(frame[:3], frame[3:])
    with pytest.raises(LeadlineError, match="choose by valid rows"):
        ll.learning_curves(run, frame[:3], frame[3:])
