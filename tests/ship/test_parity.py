"""The check that stands between a trained contender and its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import polars as pl
import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.graph.digest import with_digest
from leadline.ship.assemble import assemble
from leadline.ship.parity import TOLERANCE, check
from leadline.system.errors import ModelError
from leadline.use.model import Model


@pytest.fixture(params=["binary", "regression"])
def shipped(request: pytest.FixtureRequest, mixed: Any, prepare: Any, tmp_path: Path) -> Any:
    """(Prepared, path of the model, scores of the contender on the test rows)."""
    made = prepare(mixed(300, request.param), target="y")
    fitted: Any = list(PORTFOLIO["linear"].fit(Data(store=made.store, clock=Clock(20.0), threads=1), 0))[-1]
    path = tmp_path / "model.onnx"
    path.write_bytes(assemble(made.store, fitted.graph().SerializeToString(), {}))
    return made, path, fitted.predict(made.store, made.store.split.test)


def test_a_faithful_file_passes_on_every_row(shipped: Any) -> None:
    made, path, scores = shipped
    parity = check(Model(path), made.table, made.store, scores)
    assert parity.rows == len(scores) == len(made.store.split.test) and parity.decisions_differ == 0
    assert parity.max_difference <= TOLERANCE * max(1.0, float(np.std(scores)))


@pytest.mark.parametrize("wrong", [lambda s: s + 0.01, lambda s: s * np.float32("nan")])
def test_one_row_that_differs_is_named(wrong: Any, shipped: Any) -> None:
    made, path, scores = shipped
    scores = scores.copy()
    scores[3] = wrong(scores[3])
    row = made.store.split.test[3] + 1
    with pytest.raises(
        ModelError, match=rf"answers 1 of {len(scores)} test rows otherwise .*\(rows {row}; .*not shipped"
    ):
        check(Model(path), made.table, made.store, scores)


@pytest.mark.parametrize(("gap", "refused"), [(1e-7, False), (1e-5, True)])
def test_a_flipped_decision_is_a_difference_unless_it_hangs_on_rounding(
    gap: float, refused: bool, mixed: Any, prepare: Any, tmp_path: Path
) -> None:
    made = prepare(mixed(300), target="y")
    fitted: Any = list(PORTFOLIO["baseline"].fit(Data(store=made.store, clock=Clock(20.0), threads=1), 0))[-1]
    path = tmp_path / "model.onnx"
    model = onnx.load_from_string(assemble(made.store, fitted.graph().SerializeToString(), {}))
    even = np.array([0.5 - gap, 0.5 + gap], np.float32)
    for constant in model.graph.initializer:
        if list(constant.dims) == [2] and constant.data_type == onnx.TensorProto.FLOAT:
            constant.CopyFrom(onnx.numpy_helper.from_array(even, constant.name))
    del model.metadata_props[-1]  # the digest of the file as it was
    path.write_bytes(with_digest(model.SerializeToString()))
    scores = np.tile(even, (len(made.store.split.test), 1))
    assert check(Model(path), made.table, made.store, scores).max_difference == 0
    if not refused:  # it is counted
        assert check(Model(path), made.table, made.store, scores[:, ::-1]).decisions_differ == len(scores)
        return
    with pytest.raises(ModelError, match="otherwise than the trained contender"):
        check(Model(path), made.table, made.store, scores[:, ::-1])


def test_a_label_within_rounding_of_one_half_is_no_difference(prepare: Any) -> None:
    marks = [["u"], ["v"], ["u", "v"], []] * 50
    made = prepare(pl.DataFrame({"a": np.arange(200) % 7 * 0.5, "tags": marks}), target="tags")
    told = np.full((len(made.store.split.test), 2), 0.9, np.float32)
    told[7, 1] = 0.5  # the file says yes

    class File:
        contract: ClassVar = {"inputs": {"a": {}}}

        def answer(self, frame: pl.DataFrame, root: Any) -> Any:
            return {"probabilities": told[: len(frame)]}, {}

    file: Any = File()
    scores = told.copy()
    scores[7, 1] = np.nextafter(np.float32(0.5), np.float32(0))  # and the contender no, by the last bit
    assert check(file, made.table, made.store, scores).decisions_differ == 1
    scores[7, 1] = 0.5 - 2 * TOLERANCE
    with pytest.raises(ModelError, match="otherwise than the trained contender"):
        check(file, made.table, made.store, scores)
