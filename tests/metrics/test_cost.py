"""Conditions: read, applied to what was measured, and priced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.config import from_mapping
from leadline.metrics.cost import INTERPRETABLE, Need, price, ruled_out
from leadline.metrics.metrics import METRICS
from leadline.system.errors import LeadlineError

CNN: dict[str, Any] = {"interpretable": False, "one_us": 7_000.0, "bytes": 3_000_000, "peak_mb": 900.0, "fit_s": 61.0}
LINEAR: dict[str, Any] = {"interpretable": True, "one_us": 90.0, "bytes": 30_000, "peak_mb": 180.0, "fit_s": 2.0}


BOUND = Need.bound("max_latency", "5ms")


@pytest.mark.parametrize(
    ("name", "text", "most"),
    [
        ("max_latency", "5ms", 5_000.0), ("max_latency", "300 us", 300.0), ("max_size", "2MB", 2e6),
        ("max_size", "0.5mb", 5e5), ("max_memory", "1GB", 1_000.0), ("max_train_time", "2m", 120.0),
    ],
)  # fmt: skip
def test_conditions_are_read(name: str, text: str, most: float) -> None:
    assert Need.bound(name, text).most == most


@pytest.mark.parametrize(
    ("name", "text"),
    [("max_latency", ""), ("max_latency", "5"), ("max_latency", "<5ms"), ("max_size", "2s"), ("max_latency", "0ms")],
)
def test_what_is_no_quantity_is_refused(name: str, text: str) -> None:
    with pytest.raises(LeadlineError, match="is not a quantity; write a number and a unit"):
        Need.bound(name, text)


@pytest.mark.parametrize(
    "need",
    [
        BOUND, Need.bound("max_size", "2MB"), Need.bound("max_memory", "500MB"), Need.bound("max_train_time", "60s"),
        INTERPRETABLE,
    ],
)  # fmt: skip
def test_each_rules_out_who_misses_it(need: Need) -> None:
    assert set(ruled_out([need], {"cnn": CNN, "linear": LINEAR})) == {"cnn"}


def test_a_setting_of_an_earlier_version_works_and_says_its_name_of_today() -> None:
    with pytest.warns(FutureWarning, match="need is now called max_latency, max_size, max_memory"):
        assert from_mapping({"need": "latency<5ms"}).needs == [BOUND]
    with pytest.warns(FutureWarning, match="rounds, time is now called repeats, time_column"):
        found = from_mapping({"rounds": 3, "time": "day"})
    assert (found.repeats, found.time_column) == (3, "day")
    with pytest.warns(FutureWarning, match=r"ll.kept is now called ll.cache.list"):
        assert ll.kept is ll.cache.list


def test_the_price_is_what_the_best_would_have_scored() -> None:
    needs = [BOUND]
    ruled = ruled_out(needs, {"cnn": CNN, "linear": LINEAR})
    scores = {"cnn": 0.97, "linear": 0.95}
    told = price(needs, ruled, "cnn", scores, "linear", METRICS["accuracy"])
    assert told == (
        "--max-latency 5ms costs 2.00 points of accuracy: cnn is ruled out (one row takes it 7.00 ms, not under 5ms), "
        "and linear is the best that is left."
    )
    told = price(needs, ruled, "linear", scores, "linear", METRICS["accuracy"])
    assert told == "--max-latency 5ms rules out cnn, and costs nothing: linear is not worse on valid."
    assert price([], {}, "cnn", scores, "linear", METRICS["accuracy"]) is None
    whole = price(needs, {}, "cnn", scores, "linear", METRICS["accuracy"])
    assert whole == "The conditions exclude none of the contenders that finished."  # others were not measured
    none = price(needs, {"cnn": "slow", "linear": "slow"}, "cnn", scores, None, METRICS["accuracy"])
    assert none == "No contender satisfies --max-latency 5ms: cnn: slow; linear: slow."


def test_the_verdict_is_among_those_that_satisfy_it(mixed: Any, tmp_path: Path, capsys: Any) -> None:
    source = tmp_path / "data.csv"
    mixed(300).write_csv(source)
    run = ll.fit(
        source, target="y", interpretable=True, budget="25s", only="linear,mlp", repeats=1, out=tmp_path / "run"
    )
    assert run.result["shipped"]["contender"] == "linear" and set(run.result["needs"]["excluded"]) == {"mlp"}
    assert run.verdict.why == run.result["needs"]["cost"] and "interpretable" in run.verdict.why
    made = {c["name"]: c for c in run.result["contenders"]}
    assert made["mlp"]["score"] is not None  # it raced: its score is the price
    assert made["linear"]["one_us"] > 0 and made["linear"]["fit_cpu_s"] > 0
    none = ["fit", str(source), "--target", "y", "--max-size", "1B", "--budget", "15s", "--only", "linear"]
    assert main([*none, "--out", str(tmp_path / "none"), "--quiet"]) == 1
    assert "No contender satisfies --max-size 1B" in capsys.readouterr().out
    assert (tmp_path / "none" / "report.html").exists()
