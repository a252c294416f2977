"""Several labels a row, from however they are written to what the shipped file answers."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

import leadline as ll
from leadline.cli.commands import main
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.kinds.tags import lists
from leadline.metrics.metrics import METRICS
from leadline.metrics.multilabel import packed, unpacked
from leadline.stats.calibration import label_calibrator, summary
from leadline.system.errors import TargetError
from leadline.use.answer_file import write

NAMES = ("rot", "grün", "blau")


def _made(rows: int = 900, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(columns, labels borne [rows, 3]): the labels follow from the columns but for a twentieth."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).round(3)
    borne = np.stack([x[:, 0] > 0.3, x[:, 1] + x[:, 2] > 0, x[:, 3] > 1.0], axis=1)
    return {f"x{i}": x[:, i] for i in range(4)}, borne ^ (rng.random(borne.shape) < 0.05)


def _words(borne: np.ndarray) -> list[list[str]]:
    return [[name for name, yes in zip(NAMES, row, strict=True) if yes] for row in borne]


def _frame(way: str, rows: int = 900) -> pl.DataFrame:
    columns, borne = _made(rows)
    frame = pl.DataFrame(columns)
    if way == "columns":
        return frame.with_columns(pl.Series(name, np.where(borne[:, i], "yes", "no")) for i, name in enumerate(NAMES))
    cells: Any = _words(borne)
    if way != "list":
        cells = [(" | " if way == "bar" else "; ").join(row) for row in cells]
    return frame.with_columns(pl.Series("tags", cells))


@pytest.mark.parametrize("way", ["list", "bar", "semicolon", "columns"])
def test_labels_are_understood_however_they_are_written(way: str, prepare: Any) -> None:
    target = ", ".join(NAMES) if way == "columns" else "tags"
    table = prepare(_frame(way), target=target).table
    assert table.task.name == "multilabel"
    assert table.task.classes == tuple(sorted(NAMES))
    _, borne = _made()
    order = [NAMES.index(name) for name in table.task.classes]
    assert (unpacked(table.labels, 3) == borne[:, order]).all()
    assert (table.labels == 0).sum() > 50  # rows that bear none are rows


@pytest.mark.parametrize(
    "cells",
    [
        ["a;b text, and more", "another; sentence"],
        ["red", "blue", "red"],
        [None, None],
        ["Ulm, DE", "Bonn, DE", "Wien, AT"] * 9,
    ],
)
def test_other_texts_are_no_labels(cells: list[str | None]) -> None:
    assert lists(pl.Series("t", cells, dtype=pl.String), declared=False) is None


def test_json_lists_are_labels() -> None:
    found = lists(pl.Series("t", ['["a", "b"]', "['b']", "[]"]), declared=False)
    assert found is not None and found.to_list() == [["a", "b"], ["b"], []]


def test_metrics_agree_with_their_definitions() -> None:
    borne = np.array([[True, False, True], [False, False, False], [True, True, False]])
    said = np.array([[0.9, 0.6, 0.2], [0.1, 0.2, 0.3], [0.8, 0.7, 0.1]])
    truth = packed(borne)
    assert METRICS["micro f1"](truth, said) == pytest.approx(2 * 3 / (4 + 4))
    assert METRICS["macro f1"](truth, said) == pytest.approx((1.0 + 2 / 3 + 0.0) / 3)
    assert METRICS["macro f1"].influence(truth, said)[1].mean() == pytest.approx(0.0, abs=1e-12)
    assert METRICS["label accuracy"](truth, said) == pytest.approx(7 / 9)
    assert METRICS["exact match"](truth, said) == pytest.approx(2 / 3)
    assert METRICS["micro f1"].influence(truth, said)[1].mean() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("contender", ["linear", "boosting", "mlp"])
def test_every_contender_learns_several_labels_and_its_file_answers_them(contender: str, tmp_path: Path) -> None:
    run = ll.fit(_frame("semicolon"), target="tags", only=contender, budget="12s", out=tmp_path / "run")
    assert run.result["metric"] == "micro f1"
    scores = {each["name"]: each["score"] for each in run.result["contenders"]}
    assert scores[contender] > scores["baseline"] + 0.1
    columns, borne = _made(400, seed=9)
    told = run.model.predict(pl.DataFrame(columns))
    right = np.stack([told[f"p_{name}"].to_numpy() >= 0.5 for name in NAMES], axis=1) == borne
    assert right.mean() > 0.8
    assert told["prediction"][0].to_list() == [n for n in run.model.classes if told[f"p_{n}"][0] >= 0.5]
    write([told], tmp_path / "told.csv")
    assert pl.read_csv(tmp_path / "told.csv")["prediction"].fill_null("")[0] == "|".join(told["prediction"][0])
    write([told], tmp_path / "told.parquet")
    assert pl.read_parquet(tmp_path / "told.parquet")["prediction"].dtype == pl.List(pl.String)
    page = (run.folder / "report.html").read_text()
    assert "Support" in page and "grün" in page


def test_boosting_learns_several_labels_without_a_budget(prepare: Any) -> None:
    """By epochs the clock stands still: a round takes no seconds."""
    store = prepare(_frame("semicolon"), target="tags").store
    data = Data(store=store, clock=Clock(math.inf), threads=1, epochs=1)
    fitted: Any = list(PORTFOLIO["boosting"].fit(data, 0))[-1]
    assert fitted.score > 0.7


def test_a_set_holds_the_labels_that_a_row_may_bear(tmp_path: Path) -> None:
    columns, borne = _made(8_000, seed=3)  # enough for a calib part
    frame = pl.DataFrame(columns).with_columns(pl.Series("tags", [";".join(row) for row in _words(borne)]))
    run = ll.fit(frame, target="tags", only="linear", budget="15s", out=tmp_path / "run")
    found = run.result["conformal"]
    assert found["coverage"] == 0.9 and found["low"] <= 0.92 and found["high"] >= 0.9
    told = run.model.predict(pl.DataFrame(columns).head(50))
    at = np.float32(found["threshold"])
    for row in told.iter_rows(named=True):
        assert row["set"].split("|") == ([n for n in run.model.classes if row[f"p_{n}"] >= at] or [""])
    assert "set" in pl.read_parquet(run.folder / "predictions.parquet").columns
    assert "labels that the row may have" in (run.folder / "report.html").read_text()


def test_pictures_with_several_labels_from_a_manifest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = {"rot": (220, 30, 30), "grün": (30, 200, 30), "blau": (40, 40, 230)}
    rows = []
    for number, row in enumerate(_words(_made(240)[1])):
        picture = Image.new("RGB", (32, 32), (30, 30, 30))
        for name in row:
            x, y = rng.integers(0, 22, 2)
            ImageDraw.Draw(picture).ellipse((x, y, x + 9, y + 9), fill=colours[name])
        picture.save(tmp_path / f"{number}.png")
        rows.append((f"{number}.png", ";".join(row)))
    pl.DataFrame(rows, schema=["image", "labels"], orient="row").write_csv(tmp_path / "labels.csv")
    run = ll.fit(tmp_path, target="labels", only="linear,cnn", budget="20s", repeats=1, out=tmp_path / "run")
    assert run.result["task"] == "multilabel"
    assert run.result["shipped"] is not None


def test_the_command_line_takes_several_targets_and_tells_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _frame("columns", 300).write_csv(tmp_path / "rows.csv")
    assert main(["check", str(tmp_path / "rows.csv"), "--target", "rot,grün,blau", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "multilabel"
    assert not found["problems"]


def test_several_targets_of_another_kind_are_refused_in_one_sentence(prepare: Any) -> None:
    with pytest.raises(TargetError, match="Column 'x0' .* several targets at once must be columns of yes and no"):
        prepare(_frame("columns"), target="rot,x0")


def test_every_label_is_calibrated_by_itself_and_no_answer_changes() -> None:
    rng = np.random.default_rng(0)
    p = np.clip(rng.beta(0.8, 0.8, (3_000, 4)), 1e-4, 1 - 1e-4)
    p[:, 3] = 1e-3
    borne = rng.random(p.shape) < p
    odds = np.log(p / (1 - p)) * np.array([3.0, 0.5, 1.0, 1.0])  # too bold, too timid, as it should be, rarely borne
    told = (1 / (1 + np.exp(-odds))).astype(np.float32)
    found = label_calibrator(borne, told, 0)
    assert found.temperatures[0] == pytest.approx(3.0, rel=0.15)
    assert found.temperatures[1] == pytest.approx(0.5, rel=0.15)
    assert found.temperatures[2:].tolist() == [1.0, 1.0]
    assert ((found(told) >= 0.5) == (told >= 0.5)).all() and "2 of 4 labels" in found.describe
    said = summary(found, packed(borne), told)
    assert said["log_loss"][1] < said["log_loss"][0] and said["ece"][1] < 0.5 * said["ece"][0]
    g = Graph("labels")
    g.output("out", found.onnx(g, g.input("scores", np.float32, ["N", 4])), np.float32, ["N", 4])
    np.testing.assert_allclose(Session(g.model())({"scores": told})["out"], found(told), atol=1e-5)
