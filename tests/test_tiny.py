"""The whole journey in seconds: a table of mixed kinds in, a verdict, a report and one file out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import leadline
from leadline.cli.commands import main
from leadline.metrics.metrics import METRICS

WORDS = {"deep": "deep learning", "classical": "classical", "tie": "tie", "unsure": "unsure"}
KEYS = {
    "leadline", "source", "target", "task", "metric", "rows", "budget_s", "spent_s", "machine", "versions",
    "contenders", "verdict", "shipped", "warnings",
}  # fmt: skip


def test_from_raw_rows_to_answers(
    tmp_path: Path, mixed: Any, messages: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = mixed(300).with_columns(id=pl.int_range(300) + 1, remark=messages(300)["text"])
    frame.write_csv("table.csv")
    began = time.monotonic()
    assert main(["fit", "table.csv", "--target", "y", "--budget", "16s", "--out", "run"]) == 0
    assert time.monotonic() - began < 18
    said = capsys.readouterr().out
    run = tmp_path / "run"

    result = json.loads((run / "result.json").read_text())
    assert result.keys() >= KEYS and result["task"] == "binary" and result["rows"]["test"] == 60
    assert {column["name"]: column["kind"] for column in result["columns"] if column["role"] == "input"} == {
        "size": "number", "weight": "number", "colour": "category", "when": "time", "remark": "text",
    }  # fmt: skip
    assert "Column 'id' is left out: it counts the rows, as an identifier does." in result["warnings"]
    scores = {row["name"]: row["score"] for row in result["contenders"] if row["score"] is not None}
    shipped = result["shipped"]
    assert {"baseline", "linear", "boosting", "bag"} == scores.keys()
    assert shipped["score"] == scores[shipped["contender"]] > scores["baseline"]
    assert shipped["parity"]["rows"] == 60 and shipped["parity"]["decisions_differ"] == 0
    _told_by_its_interval(result, scores)
    assert said.splitlines()[-4] == f"{WORDS[result['verdict']['answer']]}: {result['verdict']['why']}"

    for name in ("model.onnx", "report.html", "predictions.parquet", "config.yaml", "journal.jsonl"):
        assert (run / name).stat().st_size > 0, name
    journal = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    events = [event["event"] for event in journal if "round" not in event]  # further rounds open folds of their own
    assert events[0] == "begin" and events.count("test opened") == 1 and events[-1] == "verdict"
    assert events.index("test opened") > max(i for i, event in enumerate(events) if event == "end")

    frame.drop("y").write_csv("new.csv")
    assert main(["predict", "run", "new.csv", "--out", "answers.parquet"]) == 0
    answers, judged = pl.read_parquet("answers.parquet"), pl.read_parquet(run / "predictions.parquet")
    rows = judged["row"].to_numpy()
    assert answers["prediction"].gather(rows).to_list() == judged["prediction"].to_list()
    assert frame["y"].gather(rows).to_list() == judged["truth"].to_list()
    hits = judged["prediction"] == judged["truth"]
    assert float(hits.mean() or 0) == pytest.approx(shipped["score"]) and METRICS[result["metric"]].higher_is_better


def _told_by_its_interval(result: dict[str, Any], scores: dict[str, float]) -> None:
    """The answer is what README's four rows say of the interval, and the gap is that of the scores that are shown."""
    verdict = result["verdict"]
    family = {row["name"]: row["family"] for row in result["contenders"]}
    deep, classical = sorted((verdict["winner"], verdict["against"]), key=lambda name: family[name] != "deep")
    assert (family[deep], family[classical]) == ("deep", "classical")
    low, gap, high, region = (verdict[name] for name in ("low", "gap", "high", "region"))
    rounds = [one["scores"] for one in result["rounds_run"]] or [scores]  # the gap is over all of them
    gaps = [one[deep] - one[classical] for one in rounds]
    assert gap == pytest.approx(sum(gaps) / len(gaps), abs=0.005) and low <= gap <= high and region == 0.005
    answer = "unsure"
    if max(abs(low), abs(high)) <= region:
        answer = "tie"
    elif low > 0 or high < 0:
        answer = "deep" if low > 0 else "classical"
    behind = deep if gap < 0 else classical
    undertrained = f"{behind} had too little time to learn" in verdict["why"]
    assert verdict["answer"] == ("unsure" if undertrained else answer)
    assert ("too close to call" in verdict["why"]) == (verdict["answer"] == "unsure" and not undertrained)


def test_rows_that_do_not_tell_their_target_may_be_most(tmp_path: Path, mixed: Any) -> None:
    told = pl.when(pl.int_range(pl.len()) % 5 < 2).then(pl.col("y"))
    run = leadline.fit(mixed(300).with_columns(y=told), target="y", budget="10s", only="linear", out=tmp_path / "run")
    assert sum(run.result["rows"].values()) == 120 and run.result["quarantined"] == 180
    (said,) = [note for note in run.result["warnings"] if "quarantine" in note]
    assert said == "180 rows were moved to quarantine.csv, such as data row 3: the target 'y' is missing."
