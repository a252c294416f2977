"""Flaws planted in small sources are found by a run, with their impact, and removed on demand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import leadline as ll
from leadline.config import FIXES
from leadline.flaws import FLAWS
from leadline.system.errors import LeadlineError


def _table(rows: int = 1_200, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).round(3)
    y = x[:, 0] + 0.5 * x[:, 1] + rng.normal(0, 0.8, rows) > 0
    frame = {f"x{i}": x[:, i] for i in range(4)} | {"town": rng.choice(["Ulm", "Köln", "Bonn"], rows)}
    return pl.DataFrame(frame | {"label": np.where(y, "yes", "no")})


def _fit(source: Any, folder: Path, **settings: Any) -> dict[str, Any]:
    run = ll.fit(source, out=folder / "run", budget="45s", only="linear", **settings)
    found: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
    return found


def _flaw(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(flaw for flaw in result["flaws"] if flaw["name"] == name)


def test_sound_data_have_no_flaw(tmp_path: Path) -> None:
    result = _fit(_table(), tmp_path)
    assert [flaw["name"] for flaw in result["flaws"]] == []
    assert "Nothing was found" in (tmp_path / "run" / "report.html").read_text()


def test_near_duplicates_are_found_with_their_impact_and_removed(tmp_path: Path) -> None:
    table = _table()
    copies = table.sample(80, seed=1).with_columns(pl.lit("Rom").alias("town"))
    both = pl.concat([table, copies]).sample(fraction=1.0, shuffle=True, seed=2)
    result = _fit(both, tmp_path)
    flaw = _flaw(result, "near_duplicates")
    assert flaw["fixes"] == 80
    assert flaw["impact"]["low"] <= flaw["impact"]["size"] <= flaw["impact"]["high"]
    listed = pl.read_csv(tmp_path / "run" / "flaws.csv")
    assert both[listed["row"][0] - 1, "x0"] == both[listed["duplicate_of"][0] - 1, "x0"]
    fixed = _fit(both, tmp_path / "fixed", fix="near_duplicates")
    assert sum(fixed["rows"].values()) == 1_200
    assert fixed["quarantined"] == 80
    assert "removed: near duplicate of row" in (tmp_path / "fixed" / "run" / "quarantine.csv").read_text()


def test_one_flaw_is_reported_in_the_singular(tmp_path: Path) -> None:
    table = _table(600)
    other = pl.when(pl.col("label") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes"))
    both = pl.concat([table, table.slice(7, 1).with_columns(label=other)])
    says = _flaw(_fit(both, tmp_path, fix="near_duplicates"), "near_duplicates")["message"]
    assert "1 of 601 rows is a near duplicate" in says and "; 1 pair has different labels." in says
    assert "1 near duplicate was removed." in (tmp_path / "run" / "result.json").read_text()


def test_a_column_that_predicts_the_target_is_asked_about_and_dropped_on_demand(tmp_path: Path) -> None:
    table = _table().with_columns(pl.col("label").replace({"yes": "p", "no": "q"}).alias("code"))
    flaw = _flaw(_fit(table, tmp_path), "target_leakage")
    assert flaw["columns"] == ["code"]
    assert flaw["impact"]["high"] < -0.1
    fixed = _fit(table, tmp_path / "fixed", fix="all")
    dropped = next(column for column in fixed["columns"] if column["name"] == "code")
    assert dropped["role"] == "dropped"
    assert fixed["shipped"]["score"] < 0.9


def test_wrong_labels_are_found_and_excluded_from_training_but_still_tested_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 3))
    truth = x[:, 0] + x[:, 1] > 0
    wrong = rng.random(4_000) < 0.08
    table = pl.DataFrame({f"x{i}": x[:, i] for i in range(3)} | {"label": np.where(truth ^ wrong, "yes", "no")})
    result = _fit(table, tmp_path)
    flaw = _flaw(result, "label_errors")
    assert flaw["noise"]["low"] < wrong.mean() < flaw["noise"]["high"]
    listed = pl.read_csv(tmp_path / "run" / "flaws.csv").filter(pl.col("flaw") == "label_errors")
    suspect = listed["row"].to_numpy() - 1
    assert wrong[suspect].mean() > 0.5
    assert wrong[suspect].sum() > 0.6 * wrong.sum()
    assert listed["suggested_label"][0] != table[int(suspect[0]), "label"]
    fixed = _fit(table, tmp_path / "fixed", fix="label_errors")
    assert fixed["rows"]["test"] == result["rows"]["test"]
    assert fixed["rows"]["train"] < result["rows"]["train"]


def test_quality_that_follows_the_class_is_found_in_the_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for label, quality in (("cat", 90), ("dog", 30)):
        (folder / label).mkdir(parents=True)
        for i in range(150):
            pixels = rng.integers(0, 255, (6, 6, 3), np.uint8)
            picture = Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC)
            picture.save(folder / label / f"{i:03}.jpg", quality=quality)
    flaw = _flaw(_fit(folder, tmp_path), "spurious_features")
    assert flaw["file_properties"]["quality"] > 0.9
    assert "JPEG quality" in (tmp_path / "run" / "report.html").read_text()


def test_rows_of_one_group_on_both_sides_of_the_split_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(150), 8)
    centre = rng.normal(size=(150, 3))
    table = pl.DataFrame(
        {f"x{i}": centre[patient, i] + rng.normal(0, 0.02, 1_200) for i in range(3)}
        | {"patient": [f"p{k}" for k in patient], "label": np.where(rng.random(150) < 0.5, "ill", "well")[patient]}
    )
    result = _fit(table.sample(fraction=1.0, shuffle=True, seed=1), tmp_path)
    flaw = _flaw(result, "group_leakage")
    assert flaw["columns"] == ["patient"]
    assert flaw["impact"]["high"] < 0
    kept = _fit(table, tmp_path / "kept", group="patient")
    assert "group_leakage" not in [each["name"] for each in kept["flaws"]]


def test_every_flaw_that_can_be_removed_is_in_the_help() -> None:
    assert {name for name, each in FLAWS.items() if each.removal} == set(FIXES)


def test_a_wrong_fix_is_refused_in_one_sentence() -> None:
    with pytest.raises(LeadlineError, match="--fix dust is not known; it can be all, or some of near_duplicates"):
        ll.fit(_table(100), fix="dust")


def test_temporal_drift_is_found_where_the_split_is_random(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    day = np.arange(1_500)
    x = rng.normal(size=(1_500, 2))
    turned = np.sin(day / 120) * x[:, 0] + np.cos(day / 120) * x[:, 1]  # what matters turns, slowly
    dates = pl.Series(day).cast(pl.Int32).cast(pl.Date)
    table = pl.DataFrame({"day": dates, "a": x[:, 0], "b": x[:, 1], "label": np.where(turned > 0, "up", "down")})
    flaw = _flaw(_fit(table.sample(fraction=1.0, shuffle=True, seed=1), tmp_path), "temporal_drift")
    assert flaw["columns"] == ["day"]
    assert flaw["impact"]["high"] < 0
    assert "--time-column day" in flaw["message"]
    kept = _fit(table, tmp_path / "kept", time_column="day")
    assert "temporal_drift" not in [each["name"] for each in kept["flaws"]]
