"""Folders of pictures, texts and numbers, all the way; then ONNX Runtime alone on the raw rows, with no Leadline."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from PIL import Image, ImageDraw

import leadline

CLASSES = ("circle", "square")


def _pictures(folder: Path, count: int = 60) -> None:
    """Circles and squares in colour, of mixed sizes and formats."""
    rng = np.random.default_rng(0)
    for i in range(count):
        width, height = (int(v) for v in rng.integers(24, 60, 2))
        picture = Image.new("RGB", (width, height), tuple(int(v) for v in rng.integers(0, 90, 3)))
        radius = int(rng.integers(8, min(width, height) // 2))
        x, y = (int(rng.integers(radius, side - radius + 1)) for side in (width, height))
        box, fill = (
            (x - radius, y - radius, x + radius - 1, y + radius - 1),
            tuple(int(v) for v in rng.integers(160, 256, 3)),
        )
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if i % 2 == 0 else draw.rectangle)(box, fill=fill)
        place = folder / CLASSES[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{i:02}.{('png', 'jpg')[i // 2 % 2]}")


def _alone(run: leadline.Run, cells: Mapping[str, list[Any]], rows: int) -> list[dict[str, np.ndarray]]:
    """The answers of ONNX Runtime, a row at a time, from values decoded without Leadline."""
    session = onnxruntime.InferenceSession(run.folder / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = [value.name for value in session.get_outputs()]
    names = {value.name for value in session.get_inputs()}
    assert names <= set(cells)
    return [
        dict(zip(outputs, session.run(outputs, {name: cells[name][row] for name in names}), strict=True))
        for row in range(rows)
    ]


def _sound(run: leadline.Run) -> dict[str, Any]:
    """What every finished run holds; its result."""
    result: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
    assert result == json.loads(json.dumps(run.result))
    assert run.verdict.winner is not None and result["shipped"]["parity"]["decisions_differ"] == 0
    page = run.report().read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and html.escape(run.verdict.why) in page
    families = {row["family"] for row in result["contenders"] if row["status"] in ("finished", "cut")}
    assert "classical" in families and "baseline" in families
    for row in result["contenders"]:
        if row["status"] in ("finished", "cut"):
            assert isinstance(row["undertrained"], bool) and isinstance(row["trained_on_valid"], bool), row["name"]
    assert result["spent_s"] < result["budget_s"] + 10
    _timed(run)
    return result


def _timed(run: leadline.Run) -> None:
    """Every second is of a stage, and the race ended for a reason; the page and the journal say so too."""
    result, page = run.result, run.report().read_text(encoding="utf-8")
    events = [json.loads(line) for line in (run.folder / "journal.jsonl").read_text().splitlines()]
    assert sum(result["seconds"].values()) == pytest.approx(result["spent_s"], abs=0.06)
    assert {"read", "audit", "encode", "flaws", "race", "judge", "export", "parity", "report"} <= set(result["seconds"])
    summed: dict[str, float] = {}
    for event in events:
        if event["event"] == "stage":
            summed[event["stage"]] = summed.get(event["stage"], 0.0) + event["seconds"]
    assert summed == pytest.approx(result["seconds"], abs=0.01)
    ((code, why),) = [(event["code"], event["why"]) for event in events if event["event"] == "race ended"]
    assert result["ended"] == {"code": code, "why": why}
    assert "Where the seconds went" in page and f"The race ended for this reason: {why}" in page
    race = result["seconds"]["race"]
    for row in result["contenders"]:
        if row["family"] != "baseline" and row["status"] in ("finished", "cut"):
            assert 0 < row["ran_s"][1] - row["ran_s"][0] < race + 0.1


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    _pictures(tmp_path / "shapes")
    run = leadline.fit(tmp_path / "shapes", budget="15s", out=tmp_path / "run")
    result = _sound(run)
    assert (result["task"], result["classes"], sum(result["rows"].values())) == ("binary", list(CLASSES), 60)
    judged = pl.read_parquet(run.folder / "predictions.parquet")
    paths = sorted((tmp_path / "shapes").rglob("*.*"))
    decoded = [np.asarray(Image.open(path).convert("RGB"))[None] for path in paths]
    answers = _alone(run, {"image": decoded}, 60)
    assert [answers[row]["prediction"][0] for row in judged["row"]] == judged["prediction"].to_list()
    assert [paths[row].parent.name for row in judged["row"]] == judged["truth"].to_list()
    probabilities = np.concatenate([answer["probabilities"] for answer in answers])
    np.testing.assert_allclose(probabilities[judged["row"].to_numpy(), 0], judged["p_circle"], atol=1e-4)
    ours = run.model.predict(tmp_path / "shapes")
    np.testing.assert_allclose(probabilities[:, 1], ours["p_square"], atol=1e-5)
    (tmp_path / "new").mkdir()
    Image.open(paths[0]).save(tmp_path / "new" / "one.png")
    assert run.model.predict(tmp_path / "new").columns == ["prediction", "p_circle", "p_square", "image"]


def test_a_table_of_texts(tmp_path: Path, messages: Any) -> None:
    frame = messages(300)
    frame.write_csv(tmp_path / "messages.csv")
    run = leadline.fit(tmp_path / "messages.csv", budget="14s", repeats=1, out=tmp_path / "run")
    result = _sound(run)
    assert result["shipped"]["score"] > 0.9
    judged = pl.read_parquet(run.folder / "predictions.parquet")
    answers = _alone(run, {"text": [np.array([text], object) for text in frame["text"]]}, 300)
    assert [answers[row]["prediction"][0] for row in judged["row"]] == judged["prediction"].to_list()
    odd = pl.DataFrame({"text": ["", None, "免费 赠品", "WIN a FREE prize", "lunch\0home"]})
    assert run.model.predict(odd)["prediction"].to_list()[-2:] == ["spam", "ham"]


def test_a_table_of_numbers(tmp_path: Path, mixed: Any) -> None:
    frame = mixed(400, "regression").drop("when")
    frame.write_csv(tmp_path / "houses.csv")
    run = leadline.fit(tmp_path / "houses.csv", target="y", budget="14s", repeats=1, out=tmp_path / "run")
    result = _sound(run)
    assert (result["task"], result["metric"]) == ("regression", "rmse")
    floor = next(row["score"] for row in result["contenders"] if row["name"] == "baseline")
    assert result["shipped"]["score"] < 0.6 * floor
    cells = {
        "size": [np.array([np.nan if v is None else v]) for v in frame["size"]],
        "weight": [np.array([v]) for v in frame["weight"]],
        "colour": [np.array([v or ""], object) for v in frame["colour"]],
    }
    answers = np.concatenate([answer["prediction"] for answer in _alone(run, cells, 400)])
    judged = pl.read_parquet(run.folder / "predictions.parquet")
    np.testing.assert_allclose(answers[judged["row"].to_numpy()], judged["prediction"], rtol=1e-5)
    np.testing.assert_allclose(answers, run.model.predict(frame)["prediction"], rtol=1e-5)


def test_the_same_settings_start_from_the_same_split(tmp_path: Path, mixed: Any) -> None:
    runs = [
        leadline.fit(mixed(200), target="y", budget="1s", seed=seed, out=tmp_path / str(i))
        for i, seed in enumerate((0, 0, 1))
    ]
    rows = [pl.read_parquet(run.folder / "predictions.parquet").select("row", "truth") for run in runs]
    assert rows[0].equals(rows[1]) and rows[0]["row"].to_list() != rows[2]["row"].to_list()


@pytest.mark.parametrize("option", ["group", "time_column"])
def test_a_stated_split_is_kept(option: str, tmp_path: Path, mixed: Any) -> None:
    frame = mixed(240).with_columns(who=pl.int_range(240) % 24, when=pl.int_range(240).cast(pl.Datetime("ms")))
    run = leadline.fit(
        frame,
        target="y",
        budget="1s",
        out=tmp_path / "run",
        **{option: {"group": "who", "time_column": "when"}[option]},
    )
    rows = pl.read_parquet(run.folder / "predictions.parquet")["row"].to_list()
    if option == "time_column":
        assert rows == list(range(192, 240))
    else:
        whole = {row % 24 for row in rows}
        assert sorted(rows) == [row for row in range(240) if row % 24 in whole] and 0 < len(whole) < 24
