"""The last lines of a run: why nothing is shipped, and from when its budget counts."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.cli.progress import farewell
from leadline.results.evidence import guessed

NEEDS = {"conditions": ["--interpretable"], "excluded": {"linear": "nobody can read how it answers"}}


@pytest.mark.parametrize(
    ("winner", "warnings", "status", "needs", "why"),
    [
        (None, ["2 classes have fewer than 10 rows."], "skipped", None, "no contender finished."),
        (None, [], "failed", None, "no contender finished. linear: the sea is too deep."),
        ("mlp", ["rows were set aside", "mlp could not be exported."], "failed", None, "mlp could not be exported."),
        (None, [], "finished", NEEDS, "no contender that finished satisfies --interpretable."),
    ],
)
def test_nothing_shipped_has_its_own_reason(
    winner: str | None, warnings: list[str], status: str, needs: Any, why: str
) -> None:
    contenders = [{"name": "baseline", "status": "finished"}, {"name": "linear", "status": status}]
    contenders[1]["why"] = "the sea is too deep"
    run: Any = SimpleNamespace(
        result={
            "shipped": None, "warnings": warnings, "budget_s": 30.0, "spent_s": 3.0, "contenders": contenders,
            "needs": needs,
        },
        folder=Path("run"),
        verdict=SimpleNamespace(answer="unsure", why="Nothing finished.", winner=winner),
    )  # fmt: skip
    assert farewell(run).splitlines()[1] == f"Nothing is shipped: {why}"


def test_a_budget_counts_from_when_the_user_started(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"x": rng.normal(size=80), "label": ["a", "b"] * 40})
    run = ll.fit(table, only="linear", budget="60s", began=time.monotonic() - 55.0, out=tmp_path / "run")
    assert 55.0 < run.result["spent_s"] < 110.0
    assert run.result["shipped"] is not None


@pytest.mark.parametrize(
    ("task", "differ", "openings", "said"),
    [
        (
            "binary",
            0,
            1,
            "on 60 test rows, scored once; 12 µs a row, 5 kB; the file predicts the same on all 58 rows.",
        ),
        (
            "binary",
            2,
            3,
            "scored 3 times; 12 µs a row, 5 kB; the file predicts 2 of 58 rows differently, all within rounding",
        ),
        ("regression", 0, 1, "the file differs from it by at most 2.5e-05 on 58 rows."),
        ("language", 0, 1, "the file differs from it by at most 2.5e-05 of the bits of a row on 58 rows."),
    ],
)
def test_the_file_is_said_to_agree_as_far_as_that_was_counted(task: str, differ: int, openings: int, said: str) -> None:
    parity = {"rows": 58, "max_difference": 2.5e-5, "decisions_differ": differ}
    linear = {"name": "linear", "low": 0.8, "high": 0.9, "score": 0.85, "predict_us": 12.0}
    run: Any = SimpleNamespace(
        result={
            "shipped": {"contender": "linear", "bytes": 5_000, "parity": parity}, "metric": "accuracy", "task": task,
            "classes": ["a", "b"] if task == "binary" else None, "rows": {"test": 60}, "budget_s": 30.0, "spent_s": 3.0,
            "test_evaluations": openings, "contenders": [linear],
        },
        folder=Path("run"), verdict=SimpleNamespace(answer="tie", why="They are the same.", winner="linear"),
    )  # fmt: skip
    assert said in farewell(run).splitlines()[1]


@pytest.mark.parametrize(("ours", "said"), [(0.49, True), (0.51, True), (0.6, False)])
def test_a_model_that_is_no_better_than_guessing_is_said_to_be(ours: float, said: bool) -> None:
    contenders = [{"name": "baseline", "score": 0.51}, {"name": "mlp", "score": ours}]
    result = {
        "shipped": {"contender": "mlp"}, "contenders": contenders, "metric": "accuracy", "classes": ["a", "b"],
    }  # fmt: skip
    expected = f"mlp is no better than guessing: accuracy {ours:g}, and 0.51 for always the most frequent class."
    assert guessed(result) == (expected if said else None)
