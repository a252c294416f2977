"""Whatever a frame, an array or a module can hold: an answer, or one sentence; a few draws of benchmarks/fuzz_types.py,
and each kind of fault that its draws found."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

import leadline as ll
from leadline.dataset.notation import readable
from leadline.kinds import KINDS
from leadline.readers.source import read
from leadline.system.errors import LeadlineError, SourceError, TargetError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(("name", "draws"), [("check", 30), ("train", 20), ("trace", 10), ("load", 10)])
def test_odd_draws_end_in_an_answer_or_a_sentence(
    name: str, draws: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    from fuzz_types import tried

    ended = [tried(name, number, tmp_path) for number in range(draws)]
    assert [(what, fault) for _, what, fault in ended if fault] == []
    assert {end for end, _, _ in ended} <= {"answer", "sentence"}


def rows(cells: Any) -> dict[str, Any]:
    return {"x": cells, "y": np.array([0, 1, 0, 1])}


REFUSED: dict[str, Callable[[], Any]] = {
    "sparse": lambda: rows(torch.eye(4).to_sparse()),
    "meta": lambda: rows(torch.zeros(4, device="meta")),
    "eight bits": lambda: rows(torch.zeros(4).to(torch.float8_e4m3fn)),
    "months": lambda: rows(np.arange(4).astype("m8[M]")),
    "no unit": lambda: rows(np.arange(4).astype("m8")),
    "ragged": lambda: ([[1, 2], [3], [4], [5]], [0, 1, 0, 1]),
    "structured": lambda: rows(np.zeros(4, dtype=[("a", "i4")])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_column_can_hold_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as said:
        read(REFUSED[name](), cache=tmp_path)
    assert "\n" not in str(said.value)


def test_what_a_strange_frame_raises_is_a_sentence_with_its_reason(tmp_path: Path) -> None:
    class Frame(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise ZeroDivisionError("no rows today")

    with pytest.raises(SourceError, match="ZeroDivisionError: no rows today"):
        read(Frame(a=[1]), cache=tmp_path)


def test_a_quantised_tensor_is_read_by_its_values(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch will take such tensors away one day
        steps = torch.quantize_per_tensor(torch.tensor([0.0, 0.5, 1.0, 1.5]), 0.5, 3, torch.quint8)
    assert read(rows(steps), cache=tmp_path).train.collect()["x"].to_list() == [0.0, 0.5, 1.0, 1.5]


def test_long_floats_seconds_and_ranges_are_read(tmp_path: Path) -> None:
    part = {
        "long": np.array([1.5, 2, 3, 4], np.longdouble), "seconds": np.arange(4).astype("m8[s]"),
        "years": np.array(["1970", "1971", "1972", "1973"], "M8[Y]"), "own": np.array([range(2), "a", 1, None], object),
    }  # fmt: skip
    frame = read(part, cache=tmp_path).train.collect()
    assert frame["long"].to_list() == [1.5, 2, 3, 4]
    assert frame["seconds"].dt.total_seconds().to_list() == [0, 1, 2, 3]
    assert frame["years"].dt.year().to_list() == [1970, 1971, 1972, 1973]
    assert frame["own"].to_list() == ["range(0, 2)", "a", "1", None]


@pytest.mark.parametrize("name", ["*", "^a.*$", "^.*$", "__row"])
def test_a_name_that_polars_takes_for_a_pattern_names_one_column(name: str) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a1": rng.normal(size=60), name: [0, 1] * 30, "at": [{name: i % 7} for i in range(60)]})
    found = ll.check(frame, target=name)
    assert found.problems == () and found.task == "binary"
    assert len(found.columns) == 3
    as_input = ll.check(frame.rename({"a1": "y"}), target="y")
    assert as_input.problems == () and len(as_input.columns) == 3


@pytest.mark.parametrize("pair", [
    (pl.Series([1, 2] * 15), pl.Series([[1]] * 30)), (pl.Series([1.5, 2] * 15), pl.Series([b"a"] * 30)),
    (pl.Series(["a", "b"] * 15), pl.Series([[]] * 30)), (pl.Series([1, 2] * 15), pl.Series(np.zeros((30, 3)))),
])  # fmt: skip
@pytest.mark.parametrize("place", ["x", "y"])
def test_test_rows_of_a_type_that_train_has_not_are_refused_before_training(
    pair: tuple[pl.Series, pl.Series], place: str
) -> None:
    other = "y" if place == "x" else "x"
    train, test = (pl.DataFrame({place: held, other: [0, 1] * 15}) for held in pair)
    found = ll.check(train, test=test, target="y")
    assert place == "x" or found.problems
    assert all("\n" not in problem for problem in found.problems)


def test_bytes_are_no_target() -> None:
    frame = pl.DataFrame({"x": range(30), "y": [b"a", b"b"] * 15})
    with pytest.raises(TargetError, match="holds bytes"):
        raise TargetError(ll.check(frame, target="y").problems[0])


@pytest.mark.parametrize(("dtype", "kind", "fits"), [
    (pl.Duration("us"), "number", True), (pl.Duration("us"), "time", False), (pl.Duration("us"), "category", False),
    (pl.Time(), "time", False), (pl.Binary(), "text", False), (pl.List(pl.Int64), "number", False),
    (pl.List(pl.Float64), "series", True), (pl.Array(pl.UInt8, (3, 2)), "tags", False),
    (pl.List(pl.String), "tags", True), (pl.Array(pl.String, 3), "series", False), (pl.Duration("us"), "tags", False),
])  # fmt: skip
def test_which_types_a_kind_can_read(dtype: pl.DataType, kind: str, fits: bool) -> None:
    assert readable(dtype, kind, {}) is fits


def test_arrays_that_are_no_picture_set_their_rows_aside() -> None:
    for shape in [(12,), (3, 0), (2, 2, 2, 2)]:
        found = KINDS["image"].decode(pl.Series(np.zeros((2, *shape))), None, {"channels": 1})
        assert sorted(found.bad) == [0, 1]
    pictures = pl.Series("i", [np.zeros((4, 4, 2), np.uint8), None], dtype=pl.Array(pl.UInt8, (4, 4, 2)))
    found = KINDS["image"].decode(pictures, None, {"channels": 3})
    assert found.values[0].shape == (4, 4, 3) and list(found.bad) == [1]


X, Y = np.random.default_rng(0).normal(size=(20, 3)).astype("f4"), np.arange(20) % 3


class Raises(nn.Module):
    """A linear layer that ends with an exception, at once or in training alone."""

    def __init__(self, error: Exception, late: bool) -> None:
        super().__init__()
        self.layer, self.error, self.late = nn.Linear(3, 3), error, late

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.late or self.training:
            raise self.error
        out: torch.Tensor = self.layer(x)
        return out


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [KeyError("w"), AttributeError("w"), ZeroDivisionError("w"), AssertionError("w")])
def test_what_a_module_raises_is_a_sentence_with_its_cause(error: Exception, late: bool) -> None:
    for call in (lambda net: ll.train(net, (X, Y), steps=1), lambda net: ll.trace(net, (X, Y))):
        with pytest.raises(LeadlineError, match=rf"{type(error).__name__}|: w;") as said:
            call(Raises(error, late))
        assert said.value.__cause__ is error


def fails(*given: Any) -> Any:
    return {}["w"]


SETTINGS: list[dict[str, Any]] = [
    {"loss": fails}, {"loss": nn.MSELoss}, {"loss": 3}, {"loss": None}, {"optimizer": None},
    {"optimizer": torch.optim.SGD}, {"schedule": fails}, {"schedule": lambda done: None}, {"schedule": ["linear"]},
    {"lr": "0.1"}, {"lr": None}, {"batch_size": None}, {"batch_size": "8"}, {"accumulate": "2"}, {"patience": "x"},
    {"clip": "1"}, {"ema": "x"}, {"seed": None}, {"seed": 1.5}, {"seed": 2**70}, {"device": "meta"}, {"device": 5},
    {"callbacks": 5}, {"folder": 5}, {"folder": "\0"},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda held: "-".join(f"{k}={v!r:.20}" for k, v in held.items()))
def test_a_setting_of_another_type_is_one_sentence(settings: dict[str, Any]) -> None:
    with pytest.raises(LeadlineError) as said:
        ll.train(nn.Linear(3, 3), (X, Y), steps=1, **settings)
    assert "\n" not in str(said.value)


MODULES: dict[str, Any] = {
    "number": 5, "class": nn.Linear, "function": fails, "meta": nn.Linear(3, 3, device="meta"),
    "detached": nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)),
}  # fmt: skip
MODULES["detached"].register_forward_hook(lambda module, given, out: out.detach())


@pytest.mark.parametrize("name", MODULES)
def test_what_cannot_be_trained_is_one_sentence(name: str) -> None:
    with pytest.raises(LeadlineError):
        ll.train(MODULES[name], (X, Y), steps=1)


def test_one_number_for_all_rows_is_one_sentence() -> None:
    net = nn.Linear(3, 3)
    net.register_forward_hook(lambda module, given, out: out.sum())
    with pytest.raises(LeadlineError, match=r"gave shape \[\] for 2 rows"):
        ll.train(net, (X, Y), steps=1)


@pytest.mark.parametrize("x", [X[:1, ::-1], X[:, ::-1], X.astype(np.longdouble), X.astype(">f8")], ids=str)
def test_arrays_of_any_layout_are_trained_on(x: np.ndarray) -> None:
    x = x[:, :1] if len(x) == 1 else x
    trained = ll.train(nn.Linear(x.shape[1], 3), (x, Y[: len(x)]), steps=1)
    assert trained.predict(x).shape == (len(x), 3)


def test_structured_and_masked_is_one_sentence() -> None:
    odd = np.ma.masked_array(np.zeros(20, dtype=[("a", "i4")]), mask=[True] + [False] * 19)
    with pytest.raises(LeadlineError, match="real numbers were expected"):
        ll.train(nn.Linear(3, 3), (odd, Y), steps=1)


@pytest.mark.parametrize("seed", [None, 1.5, 2**70])
def test_trace_checks_its_seed_and_where_the_module_lies(seed: Any) -> None:
    with pytest.raises(LeadlineError, match="seed="):
        ll.trace(nn.Linear(3, 3), (X, Y), seed=seed)
    with pytest.raises(LeadlineError, match="'meta'"):
        ll.trace(nn.Linear(3, 3, device="meta"), (X, Y))
