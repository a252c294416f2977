"""Conditions: read, applied to what was measured, and priced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.metrics.cost import Need, price, ruled_out
from leadline.metrics.metrics import METRICS
from leadline.system.errors import LeadlineError

CNN: dict[str, Any] = {"interpretable": False, "one_us": 7_000.0, "bytes": 3_000_000, "peak_mb": 900.0, "fit_s": 61.0}
LINEAR: dict[str, Any] = {"interpretable": True, "one_us": 90.0, "bytes": 30_000, "peak_mb": 180.0, "fit_s": 2.0}


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("latency<5ms", 5_000.0), ("latency <= 300 us", 300.0), ("size<2MB", 2e6), ("size<0.5mb", 5e5),
        ("memory<1GB", 1_000.0), ("training<2m", 120.0), ("interpretable", None),
    ],
)  # fmt: skip
def test_conditions_are_read(text: str, most: float | None) -> None:
    assert Need.parse(text).most == most


@pytest.mark.parametrize("text", ["", "fast", "latency<5", "latency>5ms", "size<2s", "latency<0ms", "colour<2MB"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(LeadlineError, match="is no condition; it can be interpretable, or as in latency<5ms"):
        Need.parse(text)


@pytest.mark.parametrize("text", ["latency<5ms", "size<2MB", "memory<500MB", "training<60s", "interpretable"])
def test_each_rules_out_who_misses_it(text: str) -> None:
    assert set(ruled_out([Need.parse(text)], {"cnn": CNN, "linear": LINEAR})) == {"cnn"}


def test_the_price_is_what_the_best_would_have_scored() -> None:
    needs = [Need.parse("latency<5ms")]
    ruled = ruled_out(needs, {"cnn": CNN, "linear": LINEAR})
    scores = {"cnn": 0.97, "linear": 0.95}
    told = price(needs, ruled, scores, scores, "linear", METRICS["accuracy"])
    assert told == (
        "latency<5ms costs 2.00 points of accuracy: cnn is ruled out (one row takes it 7.00 ms, not under 5ms), and "
        "linear is the best that is left."
    )
    told = price(needs, ruled, {"cnn": 0.9, "linear": 0.95}, scores, "linear", METRICS["accuracy"])
    assert told == "latency<5ms rules out cnn, and costs nothing: linear is not worse on valid."
    assert price([], {}, scores, scores, "linear", METRICS["accuracy"]) is None
    none = price(needs, {"cnn": "slow", "linear": "slow"}, scores, scores, None, METRICS["accuracy"])
    assert none == "No contender satisfies latency<5ms: cnn: slow; linear: slow."


def test_the_verdict_is_among_those_that_satisfy_it(mixed: Any, tmp_path: Path, capsys: Any) -> None:
    source = tmp_path / "data.csv"
    mixed(300).write_csv(source)
    run = ll.fit(source, target="y", need="interpretable", budget="25s", only="linear,mlp", out=tmp_path / "run")
    assert run.result["shipped"]["contender"] == "linear" and set(run.result["needs"]["ruled_out"]) == {"mlp"}
    assert run.verdict.why == run.result["needs"]["price"] and "interpretable" in run.verdict.why
    made = {c["name"]: c for c in run.result["contenders"]}
    assert made["mlp"]["score"] is not None  # it raced: its score is the price
    assert made["linear"]["one_us"] > 0 and made["linear"]["fit_cpu_s"] > 0
    none = ["fit", str(source), "--target", "y", "--need", "size<1B", "--budget", "15s", "--only", "linear"]
    assert main([*none, "--out", str(tmp_path / "none"), "--quiet"]) == 1
    assert "No contender satisfies size<1B" in capsys.readouterr().out
    assert (tmp_path / "none" / "report.html").exists()
