"""A model that is printed gives the answers of its file, computed from the printed numbers alone."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.cli.progress import Terminal
from leadline.contenders import ebm
from leadline.contenders.portfolio import PORTFOLIO
from leadline.contenders.tree import shortest
from leadline.core.contender import Clock, Data
from leadline.core.printed import Printable, PrintedModel
from leadline.core.record_keys import wrong_keys
from leadline.report.facts import Facts
from leadline.report.printed import model_itself
from leadline.results.printed import calibrated
from leadline.ship.assemble import assemble
from leadline.stats.calibration import Calibrator
from leadline.stats.uncertainty import Certainty
from leadline.use.model import Model

READ = ("linear", "tree", "ebm")
CLOSE = 1e-5  # of a probability, or of the spread of the values


@pytest.fixture(scope="module")
def by_hand() -> ModuleType:
    spec = importlib.util.spec_from_file_location("by_hand", Path(__file__).with_name("by_hand.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ebm, "BAGS", 1)
    monkeypatch.setattr(ebm, "ROUNDS", 700)


def _made(name: str, made: Any, path: Path, certain: Certainty | None = None) -> tuple[PrintedModel, Model]:
    """A trained contender, printed, and its file."""
    fitted = list(PORTFOLIO[name].fit(Data(store=made.store, clock=Clock(500.0), threads=1), 0))[-1]
    assert isinstance(fitted, Printable)
    path.write_bytes(assemble(made.store, fitted.graph().SerializeToString(), {"contender": name}, certain))
    printed = fitted.printed(made.store)
    assert printed is not None and not list(wrong_keys(printed, PrintedModel))
    return json.loads(json.dumps(printed)), Model(path)


def _file(model: Model, frame: pl.DataFrame) -> np.ndarray:
    found, _ = model.answer(frame, None)
    values = found.get("probabilities", found["prediction"])
    return np.asarray(values).reshape(len(frame), -1)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("name", READ)
def test_the_printed_numbers_give_the_files_answers(
    name: str, task: str, mixed: Callable[..., pl.DataFrame], prepare: Any, tmp_path: Path, by_hand: ModuleType
) -> None:  # fmt: skip
    made = prepare(mixed(300, task), target="y")
    printed, model = _made(name, made, tmp_path / "model.onnx")
    frame = mixed(200, task, seed=1).drop("y")
    frame[3, "colour"] = "a colour that no train row has"
    expected = _file(model, frame)
    found = np.array([by_hand.answers(printed, row) for row in frame.to_dicts()])
    unit = 1.0 if made.store.task.classes else float(expected.std())
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * unit)
    assert expected.std() > 0.05 * unit
    page = model_itself(printed, Facts.of({"metric": made.store.task.metric}))
    assert "colour" in page and "size" in page


def test_labels_and_tags_are_printed_too(prepare: Any, tmp_path: Path, by_hand: ModuleType) -> None:
    rng = np.random.default_rng(0)
    tags = [[t for t in ("red", "old", "big") if rng.random() < 0.4] for _ in range(300)]
    labels = [[t for t in ("hot", "far") if (("red" in own) if t == "hot" else len(own) > 1)] for own in tags]
    frame = pl.DataFrame({"tags": tags, "x": rng.normal(size=300), "y": labels})
    made = prepare(frame, target="y")
    for name in ("linear", "tree"):
        printed, model = _made(name, made, tmp_path / f"{name}.onnx")
        found = np.array([by_hand.answers(printed, row) for row in frame.drop("y").to_dicts()])
        np.testing.assert_allclose(found, _file(model, frame.drop("y")), atol=CLOSE)


def _odd(rows: int, seed: int = 0) -> pl.DataFrame:
    """Categories that hold the words by which special places are called; lists of words, dates, and missing values."""
    rng = np.random.default_rng(seed)
    words = ["missing", "any other value", "any value", "“missing”", "a|b", "none, or not", None]
    job = rng.choice(np.array(words, object), rows).tolist()
    days = rng.integers(14_000, 20_000, rows)
    gaps = rng.random((2, rows)) < 0.06
    tags = [[t for t in ("red", "it's", "blue") if rng.random() < 0.4] if i % 9 else None for i in range(rows)]
    x = rng.normal(size=rows) * 1e6
    weight = {"missing": -3.0, None: 3.0, "any other value": 1.5}
    value = (
        [weight.get(j, 0.0) for j in job]
        + x / 1e6
        + [2.0 * ("it's" in (t or [])) for t in tags]
        + (days - 17_000) / 1_000
    )
    when = np.datetime64("1970-01-01") + days
    y = np.where(value > 0.8, "hi", "lo")
    return pl.DataFrame({"job": job, "when": when, "tags": tags, "x": x, "y": y}).select(
        "job", pl.when(pl.Series(~gaps[0])).then("when").alias("when"), "tags",
        pl.when(pl.Series(~gaps[1])).then("x").alias("x"), "y",
    )  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_words_for_special_places_are_no_values(
    name: str, prepare: Any, tmp_path: Path, by_hand: ModuleType
) -> None:  # fmt: skip
    made = prepare(_odd(400), target="y")
    printed, model = _made(name, made, tmp_path / "model.onnx")
    frame = _odd(300, seed=1).drop("y")
    frame[3, "job"] = "a value that no train row has"
    found = np.array([by_hand.answers(printed, row) for row in frame.to_dicts()])
    np.testing.assert_allclose(found, _file(model, frame), atol=CLOSE)
    page = model_itself(printed, Facts.of({"metric": "accuracy"}))
    if name != "tree":
        (job,) = (t for t in printed["tables"] if len(t["axes"]) == 1 and t["axes"][0]["column"] == "job")
        rows, names = job["axes"][0]["rows"], job["axes"][0]["names"]
        assert set(names) == {"missing", "any other value", "any value", "“missing”", "a|b", "none, or not"}
        assert rows[1] == 0 and min(rows[2:]) > 20 and rows[0] > 20
        for shown in ("“missing”", "“any other value”", "““missing””", "a|b"):
            assert page.count(f'<th scope="row"><bdi>{shown}</bdi></th>') == 1
        assert page.count('<th scope="row"><em>missing</em></th>') >= 1
        assert "<em>any other value</em></th>" not in page


def _half(rows: int, value: Any) -> list[Any]:
    """One value, or none."""
    return [value if i % 3 else None for i in range(rows)]


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize(
    "columns",
    [
        {"size": "number"}, {"size": "number", "only": "number"}, {"size": "number", "only": "category"},
        {"size": "one value", "only": "number"}, {"colour": "two values"},
    ],
    ids=["a number alone", "a number that has one value", "a category that has one", "nothing but one value",
         "a category alone"],
)  # fmt: skip
def test_a_column_with_one_value_and_a_table_of_one_column_are_printed(
    name: str, columns: dict[str, str], prepare: Any, tmp_path: Path, by_hand: ModuleType
) -> None:  # fmt: skip
    rng, rows = np.random.default_rng(0), 300
    size = rng.normal(50, 10, rows).round(3)
    values: dict[str, list[Any]] = {
        "number": _half(rows, 7.5), "category": _half(rows, "red"), "one value": _half(rows, 2.0),
        "two values": rng.choice(["red", "blue"], rows).tolist(),
    }  # fmt: skip
    told = {column: size.tolist() if column == "size" and kind == "number" else values[kind]
            for column, kind in columns.items()}  # fmt: skip
    there = np.array([own[0] is None for own in zip(*told.values(), strict=True)])
    y = np.where(rng.random(rows) < np.where((size > 50) | there, 0.8, 0.2), "yes", "no")
    frame = pl.DataFrame(told).with_columns(y=pl.Series(y))
    made = prepare(frame, target="y")
    printed, model = _made(name, made, tmp_path / "model.onnx")
    asked = frame.drop("y")
    found = np.array([by_hand.answers(printed, row) for row in asked.to_dicts()])
    np.testing.assert_allclose(found, _file(model, asked), atol=CLOSE)
    assert model_itself(printed, Facts.of({"metric": made.store.task.metric}))


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize(
    "map_",
    [
        Calibrator(method="temperature", temperature=1.7, rows=9),
        Calibrator(method="isotonic", knots=np.array([[0, 0.1], [0.5, 0.4], [1, 0.9]]), rows=9),
    ],
    ids=["temperature", "isotonic"],
)
def test_the_calibration_of_the_file_is_printed_with_it(
    name: str, map_: Calibrator, mixed: Callable[..., pl.DataFrame], prepare: Any, tmp_path: Path, by_hand: ModuleType
) -> None:  # fmt: skip
    made = prepare(mixed(300, "binary"), target="y")
    printed, model = _made(name, made, tmp_path / "model.onnx", Certainty(calibrator=map_, conformal=None))
    frame = mixed(60, "binary", seed=2).drop("y")
    mapped = json.loads(json.dumps(calibrated(printed, map_)))
    found = np.array([by_hand.answers(mapped, row) for row in frame.to_dicts()])
    np.testing.assert_allclose(found, _file(model, frame), atol=CLOSE)
    before = np.array([by_hand.answers(printed, row) for row in frame.to_dicts()])
    assert np.abs(before - found).max() > 0.01


def test_intervals_of_a_linear_model_hold_the_truth_about_as_often_as_they_say(prepare: Any, tmp_path: Path) -> None:
    held = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(400, 4))
        odds = x @ [0.8, -0.5, 0.3, 0.0]
        y = np.where(rng.random(400) < 1 / (1 + np.exp(-odds)), "yes", "no")
        frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(4)}).with_columns(y=pl.Series(y))
        printed, _ = _made("linear", prepare(frame, target="y"), tmp_path / f"{seed}.onnx")
        for term, truth in zip(
            sorted(printed["slopes"], key=lambda t: t["column"]), (0.8, -0.5, 0.3, 0.0), strict=True
        ):
            assert term["low"] is not None and term["high"] is not None
            held.append(term["low"][0] <= truth <= term["high"][0])
    assert 40 <= sum(held) < 49, "of 48 intervals at 95%"


def test_intervals_of_values_are_of_their_difference_from_the_mean(prepare: Any, tmp_path: Path) -> None:
    truth, shares = {"a": 1.0, "b": 0.0, "c": -0.6}, np.array([0.5, 0.3, 0.2])
    held = []
    for seed in range(14):
        rng = np.random.default_rng(seed)
        kind, other = rng.choice(list(truth), 500, p=shares), rng.choice(["u", "v"], 500)
        odds = 0.4 + np.array([truth[each] for each in kind]) + 0.5 * (other == "u")
        y = np.where(rng.random(500) < 1 / (1 + np.exp(-odds)), "yes", "no")
        frame = pl.DataFrame({"kind": kind, "other": other, "y": y})
        printed, _ = _made("linear", prepare(frame, target="y"), tmp_path / f"{seed}.onnx")
        (table,) = (t for t in printed["tables"] if t["axes"][0]["column"] == "kind")
        place, weights, low, high = table["axes"][0], *(np.array(table[k])[:, 0] for k in ("weights", "low", "high"))  # type: ignore[literal-required]
        rows = np.array(place["rows"])
        assert abs(rows @ weights) < 1e-6 * rows.sum(), "the mean over the rows is zero"
        mean = sum(truth[each] * n for each, n in zip(place["names"], rows[2:], strict=True)) / rows.sum()
        assert (high - low)[2:].max() < 1.5
        held += [a <= truth[each] - mean <= b for each, a, b in zip(place["names"], low[2:], high[2:], strict=True)]
    assert sum(held) >= 34, "of 42 intervals at 95%, a little narrower by the penalty"


def test_intervals_of_several_classes_are_of_the_difference_from_all(prepare: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind, x = rng.choice(["a", "b", "c"], 900), rng.normal(size=900)
    raw = np.stack([x, (kind == "a") * 1.0, -x], axis=1) + rng.gumbel(size=(900, 3))
    frame = pl.DataFrame({"kind": kind, "x": x, "y": np.array(["low", "middle", "high"])[raw.argmax(axis=1)]})
    printed, _ = _made("linear", prepare(frame, target="y"), tmp_path / "model.onnx")
    (slope,), (table,) = printed["slopes"], printed["tables"]
    assert abs(sum(slope["weights"])) < 1e-9 and abs(sum(printed["intercept"])) < 1e-9
    assert slope["low"] is not None and slope["high"] is not None
    assert max(np.subtract(slope["high"], slope["low"])) < 0.6
    by_class = dict(zip(printed["outputs"], zip(slope["low"], slope["high"], strict=True), strict=True))
    assert by_class["low"][0] > 0 > by_class["high"][1]
    assert by_class["middle"][0] < 0.15 and by_class["middle"][1] > -0.15
    assert (np.array(table["high"]) - np.array(table["low"]))[2:].max() < 1.0


def test_a_run_prints_its_model_where_it_must_be_interpretable(
    mixed: Callable[..., pl.DataFrame], tmp_path: Path, by_hand: ModuleType
) -> None:  # fmt: skip
    frame = mixed(300, "binary")
    options: dict[str, Any] = {"target": "y", "epochs": 1, "repeats": 1, "cache": tmp_path / "cache"}
    run = ll.fit(frame, interpretable=True, only="tree,boosting", out=tmp_path / "run", **options)
    printed = json.loads((run.folder / "printed_model.json").read_text())
    assert not list(wrong_keys(printed, PrintedModel)) and printed["price"]["against"] == "boosting"
    rows = frame.drop("y")
    found = np.array([by_hand.answers(printed, row) for row in rows.to_dicts()])
    np.testing.assert_allclose(found, _file(run.model, rows), atol=CLOSE)
    page = run.report().read_text()
    assert "The model itself" in page and 'class="tree"' in page
    plain = ll.fit(frame, only="linear", out=tmp_path / "plain", **options)
    assert not (plain.folder / "printed_model.json").exists() and "The model itself" not in plain.report().read_text()


def test_a_run_says_why_a_model_on_texts_is_not_printed(
    messages: Callable[..., pl.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    options: dict[str, Any] = {"target": "label", "epochs": 1, "repeats": 1, "cache": tmp_path / "cache"}
    run = ll.fit(messages(160), interpretable=True, only="linear", out=tmp_path / "run", **options)
    assert not (run.folder / "printed_model.json").exists()
    (why,) = (each for each in run.result["warnings"] if "not printed" in each)
    page = run.report().read_text()
    Terminal().take({"event": "unprinted", "said": [why]})
    assert why in capsys.readouterr().out
    assert "'text'" in why and "The model itself" in page and page.count("its numbers are not printed") == 2


@pytest.mark.parametrize(("low", "high"), [(27.0, 28.0), (0.1, 0.1000001), (-3e9, 5e9), (1e-7, 2e-7), (-1.0, -0.999)])
def test_a_threshold_has_few_digits_and_parts_the_same(low: float, high: float) -> None:
    assert low <= shortest(low, high) < high
    assert len(f"{shortest(low, high):g}") <= len(f"{(low + high) / 2:.17g}")


def test_a_part_of_a_date_that_never_changes_has_no_table(prepare: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    when = [f"2023-{1 + row % 12:02d}-{1 + row % 28:02d} 10:00" for row in range(200)]
    x = rng.normal(size=200)
    made = prepare(pl.DataFrame({"when": when, "x": x, "y": x + rng.normal(size=200)}), target="y")
    printed, _ = _made("ebm", made, tmp_path / "model.onnx")
    page = model_itself(printed, Facts.of({"metric": "rmse"}))
    assert "month" in page and "<tbody></tbody>" not in page


def test_dates_and_years_are_written_as_such(prepare: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = rng.integers(14_610, 20_000, 400)  # 2010 to 2024
    y = np.where((days > 17_000) ^ (rng.random(400) < 0.1), "late", "early")
    frame = pl.DataFrame({"when": np.datetime64("1970-01-01") + days, "y": y})
    made = prepare(frame, target="y")
    for name in READ:
        printed, _ = _made(name, made, tmp_path / f"{name}.onnx")
        page = model_itself(printed, Facts.of({"metric": "accuracy"}))
        assert re.search(r"20[12]\d-[01]\d-[0-3]\d", page) and not re.search(r"\b2,0[12]\d\b|1[4-9],\d\d\d", page)


def test_a_tree_shows_all_of_a_question(prepare: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = [f"a long name that ends in {letter}" for letter in "abcdefgh"]
    kind, column = rng.choice(kinds, 600), "what kind of thing it is, by the book"
    good = np.isin(kind, [each for each in kinds if each[-1] in "aceg"])
    names = ("a class of a very long name, good", "a class of a very long name, bad")
    frame = pl.DataFrame({column: kind, "y": np.where(good ^ (rng.random(600) < 0.1), *names)})
    printed, _ = _made("tree", prepare(frame, target="y"), tmp_path / "model.onnx")
    page = model_itself(printed, Facts.of({"metric": "accuracy"}))
    below = page[page.index('<ol class="questions">') :]
    root = printed["root"]
    assert root is not None and column in below and printed["outputs"][0] in below
    shown = set(re.findall(r"a long name that ends in \w", below))
    assert shown >= set(root["names"]) or shown >= set(root["others"])
    assert "is one of" in page or "is not one of" in page


def test_a_tree_asks_whether_a_word_is_there(prepare: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tags = [[t for t in ("red", "old") if rng.random() < 0.5] for _ in range(300)]
    frame = pl.DataFrame({"tags": tags, "y": ["hot" if "red" in each else "cold" for each in tags]})
    printed, _ = _made("tree", prepare(frame, target="y"), tmp_path / "model.onnx")
    page = model_itself(printed, Facts.of({"metric": "accuracy"}))
    assert "holds “red”?" in page and page.index(">no</text>") < page.index(">yes</text>")
    no, yes = (float(width) for width in re.findall(r'class="likely"[^>]* width="([\d.]+)"', page))
    assert (no < yes) == (printed["outputs"] == ["hot"]), "no is above yes"


def test_a_map_of_two_columns_leaves_out_what_no_row_has(prepare: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, two = rng.choice(["a", "b"], 600), rng.choice(["u", "v"], 600)
    y = np.where(((one == "a") == (two == "u")) ^ (rng.random(600) < 0.05), "same", "other")
    printed, _ = _made("ebm", prepare(pl.DataFrame({"one": one, "two": two, "y": y}), target="y"), tmp_path / "m.onnx")
    page = model_itself(printed, Facts.of({"metric": "accuracy"}))
    assert 'viewBox="0 0 2 2"' in page and "one a pair of columns" in page
    assert "missing" not in page[page.index("<figcaption>Across") :].split("</figcaption>")[0]


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.01, 0.05, "Being interpretable costs 3.0 points of accuracy (95% +1.0 points to +5.0 points)"),
        (-0.05, -0.01, "Being interpretable costs nothing: this model is better by 3.0 points"),
        (-0.01, 0.05, "These test rows do not show that being interpretable costs anything"),
    ],
)
def test_the_cost_is_told_in_plain_words(
    low: float, high: float, told: str, prepare: Any, tmp_path: Path, mixed: Callable[..., pl.DataFrame]
) -> None:  # fmt: skip
    printed, _ = _made("tree", prepare(mixed(200, "binary"), target="y"), tmp_path / "model.onnx")
    gap = 0.03 if high > 0 else -0.03
    printed["price"] = {
        "against": "boosting", "metric": "accuracy", "gap": gap, "low": low, "high": high, "score": 0.88, "other": 0.91,
    }  # fmt: skip
    page = re.sub("<[^>]*>", "", model_itself(printed, Facts.of({"metric": "accuracy"})))
    assert told in page
    assert "on the test rows boosting, the best contender that is not interpretable, has 91.0%, and this" in page
