"""A run that was fixed, on two folds, is repeated to the same bytes: its clock says how much was looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

import leadline as ll
from leadline.config import FIXES


def _digests(run: ll.Run) -> dict[tuple[int | None, str], str]:
    events = [json.loads(line) for line in (run.folder / "journal.jsonl").read_text().splitlines()]
    return {(e.get("round"), e["contender"]): e["digest"] for e in events if e["event"] == "end" and "digest" in e}


def test_a_mended_run_is_repeated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000, 3)).round(3)
    y = (x[:, 0] + x[:, 1] > 0) ^ (rng.random(1_000) < 0.08)
    code = np.where(rng.random(1_000) < 0.03, ~y, y)
    table = pl.DataFrame({f"x{i}": x[:, i] for i in range(3)} | {"code": code.astype(str), "label": y.astype(str)})
    pl.concat([table, table.sample(20, seed=1)]).write_csv(tmp_path / "table.csv")
    run = ll.fit(
        tmp_path / "table.csv", target="label", fix="all", budget="10m", repeats=2, only="linear", out=tmp_path / "run"
    )  # fmt: skip
    assert {flaw["name"] for flaw in run.result["flaws"] if flaw["fixed"]} == set(FIXES)
    events = [json.loads(line) for line in (run.folder / "journal.jsonl").read_text().splitlines()]
    said = [event["said"] for event in events if event["event"] == "flaws"]
    assert any("labels of train and valid rows" in line for line in said[0])
    again = ll.replay(run.folder)
    assert again.same and _digests(again.run) == _digests(run) and len(_digests(run)) == 2
    assert (again.run.folder / "flaws.csv").read_bytes() == (run.folder / "flaws.csv").read_bytes()
