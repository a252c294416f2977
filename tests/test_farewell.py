"""The last lines of a run: why nothing is shipped, and from when its budget counts."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.terminal import farewell


@pytest.mark.parametrize(
    ("winner", "warnings", "status", "why"),
    [
        (None, ["2 classes have fewer than 10 rows."], "skipped", "no contender finished."),
        (None, [], "failed", "no contender finished. linear: the sea is too deep."),
        ("mlp", ["rows were set aside", "mlp could not be exported."], "failed", "mlp could not be exported."),
    ],
)
def test_nothing_shipped_has_its_own_reason(winner: str | None, warnings: list[str], status: str, why: str) -> None:
    contenders = [{"name": "floor", "status": "finished"}, {"name": "linear", "status": status}]
    contenders[1]["why"] = "the sea is too deep"
    run: Any = SimpleNamespace(
        result={
            "shipped": None, "warnings": warnings, "budget_s": 30.0, "spent_s": 3.0, "contenders": contenders,
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
