"""A cause that is planted is found first, in every kind of data; and what cannot be trusted says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.core.parts import Layout, windows
from leadline.kinds import KINDS
from leadline.report.explained import how, rows
from leadline.report.media_budget import Room
from leadline.system.errors import SourceError
from leadline.tasks import Binary, Multilabel, Regression
from leadline.use.explain.explain import explain
from leadline.use.explain.records import Explanation, Loss, Method
from leadline.use.explain.sample import NoRowError, Sample, choose, in_a_line
from leadline.use.explain.words import terminal

RATE = 8_000

Margin = Callable[[dict[str, Any]], np.ndarray]


def ruled(inputs: dict[str, str], margin: Margin, task: Any = None, **decode: Any) -> Any:
    """A model with columns of these kinds; its margin for 'yes', or its value, is a function of its inputs."""
    task = task or Binary(target="y", classes=("no", "yes"), metric="accuracy")

    def run(feeds: dict[str, Any]) -> dict[str, np.ndarray]:
        value = np.asarray(margin(feeds), np.float64)
        if task.numeric:
            return {"prediction": value}
        if task.multilabel:
            return {"probabilities": (1 / (1 + np.exp(-value))).astype(np.float32)}
        up = 1 / (1 + np.exp(-value))
        return {"probabilities": np.stack([1 / (1 + np.exp(value)), up], axis=1).astype(np.float32)}

    facts = {
        name: {"kind": kind, "dtype": KINDS[kind].onnx_input, "decode": decode.get(name, {})}
        for name, kind in inputs.items()
    }
    contract = {"inputs": facts, "outputs": {}, "target": "y", "task": task.name, "contender": "rule"}
    return SimpleNamespace(contract=contract, task=task, run=run, path=Path("rule.onnx"), classes=task.classes)


def sampled(columns: dict[str, Any], labels: np.ndarray | None = None, shown: int = 12) -> Sample:
    """Rows of decoded values."""
    count = len(next(iter(columns.values())))
    rows = tuple({name: values[i] for name, values in columns.items()} for i in range(count))
    written = pl.DataFrame({name: [str(v)[:20] for v in values] for name, values in columns.items()})
    return Sample(
        name="rows", total=count, numbers=np.arange(count), rows=rows, written=written, labels=labels,
        shown=np.arange(min(shown, count)),
    )  # fmt: skip


REGRESSION = Regression(target="y", classes=(), metric="rmse")
LABELS = Multilabel(target="y", classes=("a", "b"), metric="micro f1")


@pytest.fixture(autouse=True)
def no_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule has no graph in which trees could be."""
    monkeypatch.setattr("leadline.use.explain.trees.effects", lambda *_: None)


def top(found: Explanation, layout: Layout) -> list[int]:
    """The strongest part of each row."""
    parts = [part for row in found.rows for part in row.parts if part.layout is layout]
    return [int(part.effects.argmax()) for part in parts]


def test_a_patch_in_a_picture_is_found() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 120, (32, 32, 3), np.uint8) for _ in range(20)]
    places = rng.integers(0, 64, 20)
    for picture, place in zip(pictures, places, strict=True):
        picture[4 * (place // 8) :][:4, 4 * (place % 8) :][:, :4] = 255
    model = ruled({"photo": "image"}, lambda feeds: (feeds["photo"] == 255).sum(axis=(1, 2, 3)) / 6 - 4)
    found = explain(model, sampled({"photo": pictures}))
    assert top(found, Layout.GRID) == places[:12].tolist()
    assert all(curve.better for curve in found.curves) and found.importances == ()


def test_a_word_in_a_text_is_found_and_an_empty_text_is_explained() -> None:
    rng = np.random.default_rng(1)
    texts, places = [], []
    for _ in range(20):
        words = rng.choice(["the", "film", "of", "a", "man", "who"], 12).tolist()
        places.append(int(rng.integers(12)))
        words[places[-1]] = "awful,"
        texts.append("  ".join(words))
    texts[3] = ""
    model = ruled({"review": "text"}, lambda feeds: np.array(["awful" in text for text in feeds["review"]]) * 6.0 - 3)
    found = explain(model, sampled({"review": texts}))
    assert [part.strongest(1)[0][0] for row in found.rows for part in row.parts if part.names] == ["awful,"] * 11
    assert found.rows[3].parts[0].names == () and "awful," in terminal(found)
    assert all(curve.better for curve in found.curves)


def test_a_tone_is_found_in_time_and_in_frequency() -> None:
    rng = np.random.default_rng(2)
    sounds, windows = [], rng.integers(0, 16, 20)
    for window in windows:
        sound = rng.normal(0, 30, RATE)
        part = slice(window * 500, window * 500 + 500)
        sound[part] += 8_000 * np.sin(2 * np.pi * 1_900 * np.arange(500) / RATE)
        sounds.append(sound.astype(np.int16))

    def margin(feeds: dict[str, Any]) -> np.ndarray:
        power = np.abs(np.fft.rfft(feeds["clip"].astype(float))) ** 2
        hertz = np.fft.rfftfreq(feeds["clip"].shape[1], 1 / RATE)
        tone = power[:, (hertz > 1_800) & (hertz < 2_000)].sum(axis=1)
        return np.log10(tone + 1) - 9

    model = ruled({"clip": "audio"}, margin, clip={"rate": RATE})
    found = explain(model, sampled({"clip": sounds}))
    assert top(found, Layout.WINDOWS) == windows[:12].tolist()
    bands = [part for row in found.rows for part in row.parts if part.layout is Layout.BANDS]
    for part in bands:
        best = int(part.effects.argmax())
        assert part.edges[best] < 1_950 and part.edges[best + 1] > 1_850


def test_a_bump_in_a_series_is_found() -> None:
    rng = np.random.default_rng(3)
    series, places = rng.normal(0, 0.1, (20, 64)), rng.integers(0, 16, 20)
    for row, place in zip(series, places, strict=True):
        row[4 * place : 4 * place + 4] += 3
    model = ruled({"trace": "series"}, lambda feeds: np.nanmax(feeds["trace"], axis=1) * 3 - 4)
    found = explain(model, sampled({"trace": list(series)}))
    assert top(found, Layout.WINDOWS) == places[:12].tolist()


def test_one_column_of_twenty_is_found_and_effects_add_up() -> None:
    rng = np.random.default_rng(4)
    columns = {f"x{i}": rng.normal(size=80) for i in range(20)}
    labels = (columns["x7"] > 0).astype(np.int64)
    names = dict.fromkeys(columns, "number")
    found = explain(ruled(names, lambda feeds: 4 * feeds["x7"]), sampled(columns, labels))
    assert {row.columns[0].name for row in found.rows} == {"x7"} and found.importances[0].column == "x7"
    assert found.loss is Loss.LOG_LOSS and found.importances[0].increase.low > 0
    assert abs(found.importances[1].increase.value) < 1e-12
    for row in found.rows:
        assert sum(each.effect for each in row.columns) == pytest.approx(row.margin - row.base, abs=1e-5)
    assert all(curve.better for curve in found.curves)
    depends = found.dependences[0]
    assert depends.column == "x7" and np.all(np.diff(depends.accumulated) * (1 if found.output == "yes" else -1) > 0)


def test_shapley_values_of_a_product_are_those_by_hand() -> None:
    rng = np.random.default_rng(5)
    columns = {name: rng.normal(size=60) for name in "abc"}
    model = ruled(dict.fromkeys("abc", "number"), lambda f: f["a"] * f["b"] + f["c"], REGRESSION)
    found = explain(model, sampled(columns, columns["c"]))
    assert found.method is Method.EXACT_SHAPLEY and found.against == 60
    means = {name: values.mean() for name, values in columns.items()}
    product = (columns["a"] * columns["b"]).mean()
    for row in found.rows:
        a, b, c = (columns[name][row.row] for name in "abc")
        by_hand = {
            "a": (a * b - means["a"] * b + a * means["b"] - product) / 2,
            "b": (a * b - a * means["b"] + means["a"] * b - product) / 2, "c": c - means["c"],
        }  # fmt: skip
        for each in row.columns:
            assert each.low is None and each.effect == pytest.approx(by_hand[each.name], abs=1e-9)
    assert found.loss is Loss.ABSOLUTE_ERROR and found.rows[0].output is None


def test_terms_of_an_additive_model_are_exact() -> None:
    rng = np.random.default_rng(8)
    columns: dict[str, Any] = {name: rng.normal(size=60) for name in "abc"} | {"word": rng.choice(["x", "y"], 60)}
    columns["word"] = columns["word"].astype(object)
    model = ruled(
        {**dict.fromkeys("abc", "number"), "word": "category"},
        lambda f: f["a"] - 2 * np.abs(f["b"]) + 0.3 * (f["word"] == "x"),
    )
    found = explain(model, sampled(columns))
    assert found.against == 60 and "exact terms (the answer" in how(found) and "against 60 rows" in how(found)
    assert found.method is Method.ADDITIVE and found.additive_error is not None and found.additive_error < 1e-5
    for row in found.rows:
        assert sum(each.effect for each in row.columns) == pytest.approx(row.margin - row.base, abs=1e-5)
        assert all(each.low is None for each in row.columns)
        sign = 1 if row.output == "yes" else -1
        for name, term in (("a", columns["a"]), ("b", -2 * np.abs(columns["b"]))):  # against all rows, not some of them
            effect = next(each.effect for each in row.columns if each.name == name)
            assert effect == pytest.approx(sign * (term[row.row] - term.mean()), abs=1e-5)
        assert row.base == pytest.approx(sign * found.rows[0].base * (1 if found.rows[0].output == "yes" else -1))
        assert next(each.effect for each in row.columns if each.name == "c") == pytest.approx(0, abs=1e-6)


def test_a_model_that_ignores_its_columns_is_not_trusted() -> None:
    rng = np.random.default_rng(6)
    columns = {name: rng.normal(size=40) for name in "abcd"}
    found = explain(ruled(dict.fromkeys("abcd", "number"), lambda f: 0 * f["a"] + 1), sampled(columns))
    assert not any(curve.better for curve in found.curves) and found.loss is Loss.CHANGE
    assert "FAILS Removing the columns ranked first lowers the answer no faster than a random" in terminal(found)


def test_labels_missing_values_and_wide_tables_are_explained() -> None:
    rng = np.random.default_rng(7)
    columns: dict[str, Any] = {f"x{i}": rng.normal(size=30) for i in range(60)}
    columns["x3"][::3] = np.nan
    columns["word"] = rng.choice(["red", "", "blue"], 30).astype(object)
    kinds = {**dict.fromkeys(columns, "number"), "word": "category"}

    def margin(feeds: dict[str, Any]) -> np.ndarray:
        return np.stack([5 * np.isnan(feeds["x3"]) - 2.0, 3.0 * (feeds["word"] == "red") - 1], axis=1)

    marks = rng.random((30, 2)) < 0.5
    found = explain(ruled(kinds, margin, LABELS), sampled(columns, marks))
    assert {row.output for row in found.rows} == {"a", "b"}
    for row in found.rows:
        assert {each.name for each in row.columns if abs(each.effect) > 0.1} <= {"x3", "word"}
        assert len(row.columns[-1].columns) == 61 - 23 and "other columns" in row.columns[-1].name
    json.dumps(found.as_dict(), allow_nan=False)


def test_one_row_alone_is_explained_without_an_interval() -> None:
    columns = {name: np.array([value]) for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    found = explain(ruled(dict.fromkeys("abc", "number"), lambda f: f["a"]), sampled(columns))
    assert len(found.rows) == 1 and not any(curve.better for curve in found.curves)
    told = terminal(found)
    assert (
        "few   1 row cannot show that removing the columns ranked first lowers" in told
        and "−1 to 1" not in told
        and "Effects are in log odds" in told
    )
    assert found.agreements and "correlation of" in told
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_series_and_a_list_are_written_in_a_line() -> None:
    assert in_a_line(pl.Series([0.5, 1.25, 3.0])) == "0.5, 1.25, … (3)"
    assert in_a_line(["red", "blue"]) == "red|blue" and in_a_line([]) == "none"
    assert windows(np.arange(3.0)).names == ("step 1", "step 2", "step 3")


def test_no_label_and_several_labels_are_said_as_such() -> None:
    columns = {name: np.array([-3.0, 4.0, 2.0, -3.0, -1.0, 2.0]) for name in "ab"}
    marks = np.array([[0, 0], [1, 1], [1, 1], [1, 0], [0, 0], [1, 0]], bool)
    model = ruled(dict.fromkeys("ab", "number"), lambda f: np.stack([f["a"], f["b"] - 1], axis=1), LABELS)
    found = explain(model, sampled(columns, marks))
    assert [(row.output, row.predicted, row.right) for row in found.rows] == [
        ("a", "", True), ("a", "a|b", True), ("a", "a|b", True), ("a", "", False), ("a", "", True), ("a", "a|b", False)
    ]  # fmt: skip
    told, page = terminal(found), rows(found, Room(10**6))
    assert "row 1: none of the labels, true: none of the labels; explained: a, probability 4.7%" in told
    assert "row 2: a|b, true: a|b; explained: a, probability 98.2%" in told
    assert "Row 1: predicted none of the labels" in page and page.count('class="wrong"') == 2


@pytest.mark.parametrize(
    ("wanted", "sentence"), [([-1], "no row -1; its rows are 0 to 9"), ([10**30], "rows are 0 to 9")]
)
def test_a_row_that_is_not_there_is_counted_as_it_was_asked_for(wanted: list[int], sentence: str) -> None:
    with pytest.raises(NoRowError, match=sentence) as caught:
        choose(10, wanted, 5, "a source")
    caught.value.first = 1
    assert "its rows are 1 to 10" in str(caught.value)


@pytest.mark.parametrize("rows", [[1.5], "a", 3, [True, None]])
def test_rows_that_are_no_numbers_are_refused_in_a_sentence(rows: Any) -> None:
    with pytest.raises(SourceError, match="where whole numbers from 0 were expected"):
        choose(10, rows, 5, "a source")
