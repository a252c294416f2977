"""`leadline explain` on real runs: from the run, from its file, on the page, and where the input is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import numpy_helper

import leadline as ll
from leadline.cli.commands import main
from leadline.graph.digest import CONTRACT, with_digest
from leadline.use.explain import faithfulness
from leadline.use.explain.games import ColumnGame
from leadline.use.explain.records import Method
from leadline.use.explain.sample import read_sample
from leadline.use.explain.scorer import Scorer
from leadline.use.explain.shapley import sampled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explained")


@pytest.fixture(scope="module")
def table(folder: Path) -> Path:
    """Six numbers of which three decide, and a word that does not."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": rng.normal(size=700).round(4) for i in range(6)})
    value = 2 * frame["x0"] - 1.5 * frame["x3"] + frame["x4"]
    frame = frame.with_columns(word=pl.Series(rng.choice(["red", "blue"], 700)), y=(value > 0).cast(pl.String))
    path = folder / "table.csv"
    frame.write_csv(path)
    return path


@pytest.fixture(scope="module")
def trees(table: Path, folder: Path) -> ll.Run:
    return ll.fit(table, target="y", only="boosting", budget="6s", repeats=1, out=folder / "trees")


@pytest.fixture(scope="module")
def network(table: Path, folder: Path) -> ll.Run:
    return ll.fit(table, target="y", only="mlp", epochs=12, out=folder / "network")


def test_trees_are_explained_exactly_from_the_run_and_from_the_file_alike(trees: ll.Run, table: Path) -> None:
    found = trees.explain(rows=[0, 5])
    assert found.method is Method.TREE_SHAP and found.additive_error is not None and found.additive_error <= 1e-6
    assert {each.column for each in found.importances[:3]} == {"x0", "x3", "x4"}
    assert [row.row for row in found.rows] == [0, 5] and all(curve.better for curve in found.curves)
    for row in found.rows:
        assert sum(each.effect for each in row.columns) == pytest.approx(row.margin - row.base, abs=1e-6)
        assert row.answer == pytest.approx(1 / (1 + np.exp(-row.margin)), abs=0.15)  # but for calibration
    alone = ll.Model(trees.folder / "model.onnx").explain(table)
    assert len(alone.rows) == 12 and alone.total == 700 and alone.rows[-1].row == 699


def test_an_explanation_of_shuffled_weights_fails_on_the_network(network: ll.Run, table: Path, folder: Path) -> None:
    """Adebayo et al. 2018: what does not depend on what was learned explains nothing."""
    model = network.model
    sample = read_sample(model, table, range(0, 700, 20), folder / "cache")
    shuffled = ll.Model(_shuffled(network.folder / "model.onnx", folder / "shuffled.onnx"))
    rows = [sample.rows[i] for i in sample.shown]
    groups = [[name] for name in model.contract["inputs"]]
    scorer = Scorer(model)
    outputs = scorer.chosen(scorer.scores(rows)).tolist()
    games = [ColumnGame(row=row, groups=groups, others=sample.rows[:4]) for row in rows]
    better = {}
    for name, each in (("trained", model), ("shuffled", shuffled)):
        found = sampled(Scorer(each), rows, outputs, [groups] * len(rows), sample.rows)
        effects = [one.effects for one in found.rows]
        better[name] = [curve.better for curve in faithfulness.curves(scorer, games, effects, outputs)]
    assert better == {"trained": [True, True], "shuffled": [False, False]}


def _shuffled(path: Path, to: Path) -> Path:
    """The file with the weights of each layer in random order."""
    model, rng = onnx.load(path), np.random.default_rng(1)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name.startswith("contender/") and values.dtype == np.float32 and values.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(rng.permuted(values.ravel()).reshape(values.shape), tensor.name))
    contract = next(entry for entry in model.metadata_props if entry.key == CONTRACT)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {CONTRACT: contract.value})
    to.write_bytes(with_digest(model.SerializeToString()))
    return to


def test_the_command_writes_a_page_and_json(
    trees: ll.Run, table: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = folder / "why.html"
    assert main(["explain", str(trees.folder), "--row", "3", "--out", str(page)]) == 0
    said = capsys.readouterr().out
    assert "test row 3 (row " in said and "faster than a random order" in said and str(page) in said
    html = page.read_text()
    assert (
        "Test row 3 (row " in html and "<script" not in html and "http://" not in html and "Deletion of columns" in html
    )
    assert main(["explain", str(trees.folder / "model.onnx"), str(table), "--row", "700", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in found["rows"]] == [700] and found["method"] == "tree_shap"


def test_wrong_input_gets_one_sentence(
    trees: ll.Run, table: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, path = str(trees.folder / "model.onnx"), str(table)
    pl.read_csv(table).drop("x3").write_csv(folder / "short.csv")
    wrong = {
        ("explain", model, path, "--row", "701"): "has no row 701; its rows are 1 to 700",
        ("explain", model, path, "--row", "0"): "has no row 0; its rows are 1 to 700",
        ("explain", model, path, "--row", "9" * 30): "; its rows are 1 to 700",
        ("explain", str(trees.folder), "--row", "700"): "to choose a row by its number in a source, name the source",
        ("explain", model, str(folder / "short.csv")): "lacks column 'x3'",
        ("explain", model): "name a source",
        ("explain", model, path, "--out", str(folder / "x.pdf")): "ends with .html",
        ("explain", model, path, "--out", str(folder / "no" / "x.html")): "there is no folder",
        ("explain", str(folder / "none"), path): "There is no model",
    }
    for words, sentence in wrong.items():
        assert main(list(words)) == 2, words
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1, said


def test_a_run_whose_data_moved_says_so(table: Path, folder: Path) -> None:
    moved = folder / "moved.csv"
    shutil.copy(table, moved)
    run = ll.fit(moved, target="y", only="linear", budget="4s", repeats=1, out=folder / "moved-run")
    moved.unlink()
    with pytest.raises(ll.LeadlineError, match=r"moved\.csv"):
        run.explain()
    assert run.explain(table, rows=[1]).rows[0].row == 1


def test_a_language_model_is_refused() -> None:
    from types import SimpleNamespace

    from leadline.use.explain.explain import explain_source

    model: Any = SimpleNamespace(task=SimpleNamespace(generative=True), path=Path("model.onnx"))
    with pytest.raises(ll.ModelError, match="language model"):
        explain_source(model, "x", None, False, None, False)


def test_the_file_alone_needs_neither_torch_nor_lightgbm(trees: ll.Run, table: Path) -> None:
    code = (
        "import sys, leadline as ll; ll.Model(sys.argv[1]).explain(sys.argv[2]); "
        "print(sorted({'torch', 'lightgbm', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(trees.folder / "model.onnx"), str(table)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_mixed_rows_with_gaps_and_texts(mixed: Callable[..., pl.DataFrame], messages: Any, folder: Path) -> None:
    frame = mixed(300, "regression").with_columns(remark=messages(300)["text"])
    frame = frame.with_columns(remark=pl.when(pl.int_range(300) % 9 == 0).then(pl.lit("")).otherwise("remark"))
    run = ll.fit(frame, target="y", only="linear", budget="6s", repeats=1, out=folder / "mixed")
    found = run.model.explain(frame, rows=[0, 1, 2])
    for row in found.rows:
        assert sum(each.effect for each in row.columns) == pytest.approx(row.margin - row.base, abs=1e-4)
        assert row.output is None and row.truth is not None
    assert found.importances[0].column in ("size", "colour")
    assert [len(row.parts[0].names) > 0 for row in found.rows] == [False, True, True]


def test_layers_of_a_network_are_shown_and_trees_have_none(
    network: ll.Run, trees: ll.Run, table: Path, folder: Path
) -> None:
    found = ll.explain(network.folder, rows=[0], layers=True, out=folder / "layers.html")
    assert found.depth is not None and found.depth.score == "accuracy" and found.depth.held == 140
    assert found.depth.layers[-1].probe.value > 0.85 and found.depth.layers[0].units
    page = (folder / "layers.html").read_text()
    assert "What depth does" in page and "A map of the last layer" in page
    json.dumps(found.as_dict(), allow_nan=False)
    with pytest.raises(ll.ModelError, match="no layers"):
        trees.model.explain(table, rows=[0], layers=True)


def test_what_layers_need_is_checked_before_anything_is_computed(
    network: ll.Run, trees: ll.Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("leadline.use.explain.explain.explain", lambda *_, **__: pytest.fail("computed first"))
    monkeypatch.setattr("leadline.results.explain_run.explain", lambda *_, **__: pytest.fail("computed first"))
    few = pl.read_csv(table)[:50]
    with pytest.raises(
        ll.LeadlineError, match="too few rows for --layers: 33 would fit the probes and 17 measure them"
    ):
        network.model.explain(few, layers=True)
    for ask in (trees.explain, lambda **how: trees.model.explain(table, **how)):
        with pytest.raises(ll.ModelError, match="no layers"):
            ask(layers=True)
