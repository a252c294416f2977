"""Resampling of a run: drawn, raced, weighed, repeated; and how many there are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.config import from_mapping
from leadline.dataset.split import split
from leadline.race.repeats import plan
from leadline.system.errors import LeadlineError
from leadline.tasks import Binary


def test_folds_are_raced_weighed_and_repeated(mixed: Any, tmp_path: Path) -> None:
    frame = mixed(150, "multiclass")
    source = tmp_path / "data.csv"
    frame.write_csv(source)
    out = tmp_path / "run"
    run = ll.fit(source, target="y", repeats=3, budget="60s", only="linear,mlp", out=out)
    verdict, repeats = run.verdict, run.result["repeats_run"]
    assert (verdict.of, verdict.by, verdict.repeats) == ("method", "folds", 3)
    assert verdict.why.startswith("Over 3 folds: ")
    assert [one["fold"] for one in repeats] == [0, 1, 2] and [one["seed"] for one in repeats] == [0, 1, 2]
    gaps = [one["scores"]["mlp"] - one["scores"]["linear"] for one in repeats]
    assert verdict.gap == pytest.approx(np.mean(gaps))
    assert run.result["contenders"][1]["score"] == repeats[0]["scores"]["linear"]  # the first repeat is the run's own
    assert "All 3 repeats" in run.report().read_text() and not list((out / "rounds").glob("*/*/checkpoints"))
    events = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    assert [e["count"] for e in events if e["event"] == "rounds"] == [3]
    assert {e.get("round") for e in events if e["event"] == "end"} == {None, 1, 2}
    chosen = {one["of"]: (one["contender"], one["by"]) for one in run.result["chosen"]}
    assert {of: name for of, (name, _) in chosen.items()} == {"classical": "linear", "deep": "mlp", "scratch": "mlp"}
    told = {e["of"]: (e["contender"], e["by"]) for e in events if e["event"] == "chosen"}
    assert told == chosen and "Chosen on the valid rows: " in run.report().read_text()
    again = ll.replay(out)
    assert again.same and again.run.result["chosen"] == run.result["chosen"]
    assert again.run.result["repeats_run"][2]["scores"] == repeats[2]["scores"]
    assert again.run.verdict.why == verdict.why


def test_a_stated_test_is_judged_over_seeds_until_it_is_sure(mixed: Any, tmp_path: Path) -> None:
    """A target that a line cannot follow: three seeds are enough to be sure."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1_200, 2)).astype(np.float64)
    y = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    run = ll.fit(
        (x[:900], y[:900]), test=(x[900:], y[900:]), until_sure=True, budget="90s", only="linear,mlp",
        out=tmp_path / "run",
    )  # fmt: skip
    verdict = run.verdict
    assert (verdict.answer, verdict.of, verdict.by, verdict.repeats) == ("deep", "method", "seeds", 3)
    assert verdict.level == pytest.approx(0.975) and "(97.5% interval" in verdict.why
    assert {one["fold"] for one in run.result["repeats_run"]} == {None}


@pytest.mark.parametrize(
    ("settings", "rows", "seconds", "each", "most"),
    [
        ({}, 4_000, 300.0, 100.0, 25),  # few rows: folds, as many as there is time for
        ({}, 4_000, 30.0, 30.0, 25),  # too little time to share: others follow in what the first repeat leaves
        ({}, 6_000, 300.0, 300.0, 25),  # many rows: the same
        ({"repeats": 4}, 6_000, 300.0, 75.0, 4),
        ({"repeats": 1}, 4_000, 300.0, 300.0, 1),
        ({"until_sure": True}, 6_000, 300.0, 100.0, 100),
        ({"epochs": 3}, 4_000, math.inf, math.inf, 1),
    ],
)
def test_the_seconds_are_shared_by_a_rule(
    settings: dict[str, Any], rows: int, seconds: float, each: float, most: int
) -> None:
    class Made:
        part = np.zeros(rows)

        task = Binary(target="y", classes=("a", "b"), metric="accuracy")

    store: Any = Made()
    store.split = split(np.arange(rows) % 2, store.part, 0)
    found = plan(store, store, from_mapping(settings), seconds, None)
    assert (found.each, found.most, found.folds) == (each, most, 5)
    assert plan(store, store, from_mapping(settings), seconds, 7).most == 7  # as many as an earlier go had
    assert plan(store, store, from_mapping({**settings, "time_column": "when"}), seconds, None).folds == 1


def test_wrong_rounds_are_refused(tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(LeadlineError, match="--repeats 0 was given, where a whole number of at least 1 was expected"):
        from_mapping({"repeats": 0})
    assert main(["fit", "digits", "--repeats", "3", "--until-sure"]) == 2
    assert "--repeats and --until-sure both say how often to repeat the race" in capsys.readouterr().err
    assert main(["fit", "digits", "--metric", "rmse", "--out", str(tmp_path / "x")]) == 2
    assert "--metric rmse does not fit a multiclass task; it can be accuracy" in capsys.readouterr().err
