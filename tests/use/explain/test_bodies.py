"""Files with a pretrained body are explained like others, and their layers are those of the body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.contenders.pretrained import Pretrained
from leadline.contenders.states import Encoder, readers
from leadline.core.contender import Clock, Data
from leadline.core.parts import Layout
from leadline.core.pretrained import Precision
from leadline.ship.assemble import assemble
from leadline.use.explain.layers import depth_of
from leadline.use.explain.sample import read_sample
from leadline.use.model import Model


def _file(store: Any, path: Path) -> Model:
    *_, fitted = Pretrained().fit(Data(store=store, clock=Clock(300.0), threads=2), 0)
    bodies = [{"name": each["name"], "layers": each["layers"]} for each in fitted.transfer["bodies"]]
    facts = {"contender": "pretrained", "bodies": bodies}
    path.write_bytes(assemble(store, fitted.graph().SerializeToString(), facts))
    return Model(path)


def test_the_layers_of_a_body_are_probed_by_their_own_columns(
    prepare: Any, messages: Any, tiny_bert: Path, tmp_path: Path
) -> None:  # fmt: skip
    frame = messages(240)
    store = prepare(frame, target="label", weights=str(tiny_bert)).store
    model = _file(store, tmp_path / "model.onnx")
    sample = read_sample(model, frame, None, tmp_path, 240)
    learned, held = sample.subset(np.arange(160)), sample.subset(np.arange(160, 240))
    depth = depth_of(model, learned, held)
    (reader,) = readers(store)
    assert [layer.name for layer in depth.layers] == [layer.name for layer in reader.layers]
    assert [layer.shape for layer in depth.layers] == [(layer.width,) for layer in reader.layers]
    precision = Precision.INT8 if b"DynamicQuantizeMatMul" in model.path.read_bytes() else Precision.FLOAT32
    (states,) = [found for found, _ in Encoder(reader, store, precision, 2).states(store, np.arange(160, 240))]
    ends = np.cumsum([0, *(layer.width for layer in reader.layers)])
    for layer, low in zip(depth.layers, ends, strict=False):
        for unit in layer.units:
            column = states[:, low + unit.number].astype(np.float32)
            assert unit.activations[0] == pytest.approx(column.max(), abs=0.01)
            assert unit.rows[0] == 160 + column.argmax()


def test_a_text_is_explained_by_words_and_gradients_are_refused_in_a_sentence(
    prepare: Any, messages: Any, tiny_bert: Path, tmp_path: Path
) -> None:  # fmt: skip
    frame = messages(200)
    model = _file(prepare(frame, target="label", weights=str(tiny_bert)).store, tmp_path / "model.onnx")
    with pytest.warns(UserWarning, match=r"gradients are left out: model.onnx is pretrained; networks that a run"):
        found = model.explain(frame, rows=[0, 1], gradients=True, layers=True)
    assert found.rows[0].parts[0].layout is Layout.WORDS and found.depth is not None
    assert all(row.path is None for row in found.rows)


def test_layers_of_two_bodies_bear_the_name_of_their_column(
    prepare: Any, messages: Any, tiny_bert: Path, tmp_path: Path
) -> None:  # fmt: skip
    texts = messages(240)
    frame = texts.with_columns(title=pl.col("text").shuffle(seed=1).str.slice(0, 30) + " is what it says here")
    store = prepare(frame, target="label", weights=str(tiny_bert)).store
    model = _file(store, tmp_path / "model.onnx")
    found = model.explain(frame, rows=[0], layers=True)
    assert found.depth is not None and {each.name.split(":")[0] for each in found.depth.layers} == {"text", "title"}
