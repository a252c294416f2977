"""A shipped file read back: what it takes, what it answers, and what is said about files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.graph.builder import Graph
from leadline.graph.digest import CONTRACT, VERSION, with_digest
from leadline.ship.assemble import assemble
from leadline.system.errors import ModelError, SourceError
from leadline.use.model import BATCH, Model


@pytest.fixture(scope="module")
def ship(prepare: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """ship(source, **settings) -> (Prepared, Model) of the linear contender."""

    def run(source: Any, **settings: Any) -> tuple[Any, Model]:
        made = prepare(source, **settings)
        data = Data(store=made.store, clock=Clock(20.0), threads=1)
        fitted: Any = list(PORTFOLIO["linear"].fit(data, 0))[-1]
        path = tmp_path_factory.mktemp("model") / "model.onnx"
        path.write_bytes(assemble(made.store, fitted.graph().SerializeToString(), {"contender": "linear"}))
        return made, Model(path)

    return run


def test_the_contract_says_what_the_file_takes(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(), target="y")
    contract = model.contract
    assert (contract["version"], contract["task"], contract["target"], contract["contender"]) == (
        VERSION,
        "binary",
        "y",
        "linear",
    )
    assert model.classes == ["no", "yes"]
    assert {name: facts["kind"] for name, facts in contract["inputs"].items()} == {
        "size": "number", "weight": "number", "colour": "category", "when": "time",
    }  # fmt: skip
    onnx.checker.check_model(onnx.load(model.path))


def test_answers_come_in_order_and_sum_to_one(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(), target="y")
    frame = mixed(50, seed=3)
    answers = model.predict(frame.drop("y"))
    assert answers.columns == ["prediction", "p_no", "p_yes"] and len(answers) == 50
    np.testing.assert_allclose(answers["p_no"] + answers["p_yes"], 1, atol=1e-6)
    chosen = np.where(answers["p_yes"] > answers["p_no"], "yes", "no")
    assert answers["prediction"].to_list() == chosen.tolist()
    assert (answers["prediction"] == frame["y"]).mean() > 0.85
    assert model.predict(frame.drop("y").reverse()).equals(answers.reverse())


def test_answers_do_not_depend_on_the_number_of_threads(mixed: Any, ship: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, model = ship(mixed(), target="y")
    frame = mixed(3 * BATCH + 7, seed=3)
    answers = []
    for threads in (1, 4):
        monkeypatch.setattr("leadline.use.model.most_threads", lambda threads=threads: threads)
        answers.append(model.predict(frame))
    assert answers[0].equals(answers[1]) and len(answers[0]) == len(frame)


def test_extra_columns_and_their_order_do_not_matter(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(), target="y")
    frame = mixed(20, seed=3)
    assert model.predict(frame.select("when", "y", "colour", "weight", pl.lit("?").alias("extra"), "size")).equals(
        model.predict(frame)
    )


def test_text_cells_and_typed_cells_give_the_same_answers(mixed: Any, ship: Any, tmp_path: Path) -> None:
    _, model = ship(mixed(), target="y")
    frame = mixed(40, seed=4)
    frame.write_csv(tmp_path / "new.csv")
    frame.write_parquet(tmp_path / "new.parquet")
    a, b = model.predict(tmp_path / "new.csv"), model.predict(tmp_path / "new.parquet")
    np.testing.assert_allclose(a["p_yes"], b["p_yes"], atol=1e-6)


def test_a_missing_column_is_named(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(), target="y")
    with pytest.raises(
        ModelError, match=r"data lacks column 'colour' and 1 more, which the model reads; it has size, weight; add"
    ):
        model.predict(mixed(5).select("size", "weight"))


def test_columns_in_other_letters_are_read_and_said(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(), target="y")
    new = mixed(5).drop("y")
    with pytest.warns(UserWarning, match=r"Columns are read as the model was trained on them: 'Size' as 'size', ' COL"):
        answers = model.predict(
            new.rename({"size": "Size", "colour": " COLOUR"}).select(" COLOUR", "weight", "when", "Size")
        )
    assert answers.equals(model.predict(new))
    with pytest.raises(ModelError, match="lacks column 'size'"):
        model.predict(new.rename({"size": "Size"}).with_columns(SIZE=0))


def test_no_rows_are_refused_in_a_sentence(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(), target="y")
    for empty in (mixed(5).head(0), np.zeros((0, 3))):
        with pytest.raises(SourceError, match="columns and no row; give it at least one row"):
            model.predict(empty)


def test_cells_never_seen_are_answered(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(), target="y")
    frame = pl.DataFrame({
        "size": [None, "a lot", "1e300"], "weight": ["", "inf", "-1"], "colour": ["mauve", None, "a\0b"],
        "when": ["1800-01-01", "yesterday", None],
    })  # fmt: skip
    with pytest.warns(UserWarning) as said:
        answers = model.predict(frame)
    assert "In column 'size' 1 value counts as missing, such as row 2 ('a lot' is not a number)." in str(
        said[0].message
    )
    assert np.isfinite(answers["p_yes"].to_numpy()).all() and answers["prediction"].null_count() == 0


def test_columns_named_as_the_outputs(ship: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    frame = pl.DataFrame({"prediction": x[:, 0], "probabilities": x[:, 1], "y": np.where(x.sum(1) > 0, "a", "b")})
    _, model = ship(frame, target="y")
    assert model.contract["outputs"] == {"prediction": "prediction_out", "probabilities": "probabilities_out"}
    assert (model.predict(frame)["prediction"] == frame["y"]).mean() > 0.9


@pytest.mark.parametrize("name", ["encoded", "a/b", "a.b", "größe (m²)", "x y", "scores", "form.number"])
def test_any_column_name_can_be_shipped(name: str, ship: Any) -> None:
    x = np.random.default_rng(0).normal(size=80)
    frame = pl.DataFrame({name: x, "other": x[::-1], "y": np.where(x > 0, "a", "b")})
    _, model = ship(frame, target="y")
    assert (model.predict(frame)["prediction"] == frame["y"]).mean() > 0.9


def test_regression_answers_in_the_unit_of_the_target(mixed: Any, ship: Any) -> None:
    _, model = ship(mixed(300, "regression"), target="y")
    frame = mixed(60, "regression", seed=5)
    answers = model.predict(frame)
    assert answers.columns == ["prediction"] and answers["prediction"].dtype == pl.Float64
    assert np.sqrt(((answers["prediction"] - frame["y"]) ** 2).mean()) < 0.6 * frame["y"].std()


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no model at .*none\.onnx; `leadline fit` writes model\.onnx"):
        Model(tmp_path / "none.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"junk" * 50)
    with pytest.raises(ModelError, match=r"junk\.onnx cannot be loaded as an ONNX model \("):
        Model(tmp_path / "junk.onnx")
    g = Graph("plain")
    g.output("y", g.op("Neg", g.input("x", np.float32, ["N"])), np.float32, ["N"])
    other = g.model()
    other.producer_name = "another"
    (tmp_path / "plain.onnx").write_bytes(other.SerializeToString())
    with pytest.raises(ModelError, match=r"plain\.onnx is an ONNX file, but not one that Leadline wrote"):
        Model(tmp_path / "plain.onnx")
    newer = g.model({CONTRACT: json.dumps({"version": VERSION + 1, "classes": []})}).SerializeToString()
    (tmp_path / "newer.onnx").write_bytes(with_digest(newer))
    with pytest.raises(ModelError, match=r"newer\.onnx was written by a newer Leadline; update with"):
        Model(tmp_path / "newer.onnx")
