"""Integrated gradients of networks of every kind of data add up, find what decides, and agree with differences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

from leadline.contenders import deep
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.core.parts import Layout
from leadline.graph import torch_import
from leadline.graph.digest import CONTRACT, with_digest
from leadline.ship.assemble import assemble
from leadline.shrink.compact import compact
from leadline.system.errors import ModelError
from leadline.use.explain.explain import Effort, explain
from leadline.use.explain.gradients import Gradients, integrated, why_not
from leadline.use.explain.graph import is_network
from leadline.use.explain.layers import depth_of
from leadline.use.explain.paths import _placed
from leadline.use.explain.records import Explanation, Method
from leadline.use.explain.sample import Sample, read_sample
from leadline.use.explain.scorer import Scorer
from leadline.use.explain.words import completeness, terminal
from leadline.use.model import Model

MOST_ERROR = 0.01  # of the change of the margin, on every row


@pytest.fixture(autouse=True)
def _steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep._Run, "_seconds_a_step", lambda self, count: 1.0)


@pytest.fixture
def trained(prepare: Any, tmp_path: Path) -> Callable[..., tuple[Model, Sample]]:
    """trained(contender, source, target, epochs) -> (its file, a dozen of its rows)."""

    def make(name: str, source: Any, target: str | None, epochs: int = 4) -> tuple[Model, Sample]:
        made = prepare(source, **({} if target is None else {"target": target}))
        data = Data(store=made.store, clock=Clock(float("inf")), threads=1, epochs=epochs)
        fitted = list(PORTFOLIO[name].fit(data, 0))[-1]
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(assemble(made.store, fitted.graph().SerializeToString(), {"contender": name}))  # type: ignore[union-attr]
        model = Model(path)
        frame = made.table.take(np.arange(40), list(model.contract["inputs"]))
        return model, read_sample(model, frame, range(6), tmp_path)

    return make


def _explained(model: Model, sample: Sample) -> Explanation:
    found = explain(model, sample, effort=Effort(gradients=True, agreed=4, masks=16))
    assert [row.path is not None for row in found.rows] == [True] * len(found.rows)
    assert max(row.path.error for row in found.rows if row.path) <= MOST_ERROR
    told = completeness(found)
    assert told is not None and told in terminal(found)
    return found


def test_a_picture_has_a_map_that_adds_up(trained: Any, bars: Any) -> None:
    images, labels = bars(120, 12)
    model, sample = trained("cnn", (images, labels), None)
    assert is_network(model)
    found = _explained(model, sample)
    for row in found.rows:
        (part,) = [each for each in row.parts if each.method is Method.GRADIENTS]
        assert part.layout is Layout.GRID and part.shape == (12, 12) and row.path is not None
        assert part.effects.sum() == pytest.approx(sum(row.path.columns.values()))
    methods = {each.methods for each in found.agreements}
    assert (Method.OCCLUSION, Method.GRADIENTS) in methods


def test_sounds_and_series_have_their_effects_in_time(trained: Any, tones: Any, waves: Any) -> None:
    for name, frame in (("tones", tones(60)), ("waves", waves())):
        model, sample = trained("cnn", frame, "label")
        for row in _explained(model, sample).rows:
            (part,) = [each for each in row.parts if each.method is Method.GRADIENTS]
            assert part.layout is Layout.WINDOWS and part.edges[0] == 0 and row.path is not None, name
            assert part.effects.sum() == pytest.approx(sum(row.path.columns.values()), rel=1e-6, abs=1e-9)


def test_an_error_is_a_share_of_the_change_and_of_a_small_change_one_of_a_tenth() -> None:
    for ends, error in (((0.0, 4.0), 0.01), ((2.0, 2.04), 0.4), ((-9.0, -9.2), 0.2)):
        found = Gradients(columns={"x": ends[1] - ends[0] + 0.04}, maps={}, encoded={}, ends=ends, points=16)
        assert found.error == pytest.approx(error)


def test_the_column_that_decides_has_the_largest_effect(trained: Any) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": rng.normal(size=600) for i in range(8)})
    frame = frame.with_columns(word=pl.Series(rng.choice(["red", "blue"], 600)), y=(pl.col("x3") > 0).cast(pl.String))
    model, sample = trained("mlp", frame, "y", epochs=12)
    for row in _explained(model, sample).rows:
        assert row.path is not None and max(row.path.columns, key=lambda name: abs(row.path.columns[name])) == "x3"
        assert set(row.path.columns) == {*(f"x{i}" for i in range(8)), "word"}


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_values_and_gaps_add_up_too(task: str, trained: Any, mixed: Callable[..., pl.DataFrame]) -> None:
    model, sample = trained("mlp", mixed(300, task), "y", epochs=10)
    found = _explained(model, sample)
    if task == "regression":  # in the unit of the target, from the mean of other rows
        changes = [row.path.change for row in found.rows if row.path]
        assert np.corrcoef(changes, [row.answer for row in found.rows])[0, 1] > 0.9
        assert np.std(changes) == pytest.approx(np.std([row.answer for row in found.rows]), rel=0.3)


def test_texts_beside_numbers_add_up(trained: Any, messages: Any) -> None:
    frame = messages(160).with_columns(length=pl.col("text").str.len_chars() + 0.5)
    model, sample = trained("bag", frame, "label", epochs=8)
    found = _explained(model, sample)
    assert all(abs(row.path.columns["text"]) > 0 for row in found.rows if row.path)


def test_the_effects_are_the_line_integral_by_differences(trained: Any, waves: Any) -> None:
    """Of a series the file itself can be asked along the path: the slope along each half of its steps."""
    model, sample = trained("cnn", waves(), "label", epochs=8)
    (column,) = model.contract["inputs"]
    scorer, value = Scorer(model), np.asarray(sample.rows[0][column], np.float64)
    (found,) = integrated(model, sample, [0], [0])
    start, half = np.full(len(value), value.mean()), len(value) // 2
    steps, width = 200, 0.01
    shares = (np.arange(steps) + 0.5) / steps
    path = [start + share * (value - start) for share in shares]
    for part in (slice(None, half), slice(half, None)):
        moved = np.zeros(len(value))
        moved[part] = (value - start)[part] * width / 2
        low, high = (
            scorer.margin(scorer.scores([{column: at + sign * moved} for at in path]), np.zeros(steps, np.int64))
            for sign in (-1, 1)
        )
        by_differences = float((high - low).mean() / width)
        assert found.maps[column][part].sum() == pytest.approx(by_differences, rel=0.05, abs=0.02)


def test_a_network_with_an_unknown_operator_says_why_it_has_no_gradients(
    trained: Any, waves: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    model, _ = trained("cnn", waves(), "label", epochs=1)
    assert why_not(model) is None
    monkeypatch.delitem(torch_import.OPERATORS, "Conv")
    assert why_not(model) == "the operator Conv of the graph has no gradient here."


def test_a_file_that_was_made_smaller_says_so(trained: Any, waves: Any, tmp_path: Path) -> None:
    model, sample = trained("cnn", waves(), "label", 1)
    file = onnx.load(model.path)
    compact(file)
    contract = {entry.key: entry.value for entry in file.metadata_props}[CONTRACT]
    del file.metadata_props[:]
    onnx.helper.set_model_props(file, {CONTRACT: contract})
    small = tmp_path / "small.onnx"
    small.write_bytes(with_digest(file.SerializeToString()))
    assert why_not(Model(small)) == "small.onnx was made smaller; the file of the run may have them."
    with pytest.raises(ModelError, match="small.onnx was made smaller and names no layers"):
        depth_of(Model(small), sample, sample)
    assert explain(Model(small), sample, effort=Effort(checked=4, agreed=0)).rows


def test_of_a_long_sound_the_part_that_was_encoded_is_found() -> None:
    sound = np.random.default_rng(0).integers(-9, 9, 1_000).astype(np.int16)
    effects = np.ones(300)
    placed = _placed(effects, sound[412:712], sound)
    assert placed[412:712].sum() == placed.sum() == 300
    assert len(_placed(effects, np.pad(sound[:200], (0, 100)), sound[:200])) == 200
