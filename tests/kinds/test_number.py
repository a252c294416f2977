"""Numbers: read from text, centred and scaled as NumPy would."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.kinds import KINDS

NUMBER = KINDS["number"]


@pytest.mark.parametrize("cells", [[1, 2], [1.5, None], ["1", " 2.5 ", "?", "-3e4"], ["NA", "1"]])
def test_numbers_are_recognised(cells: list[Any]) -> None:
    assert NUMBER.sniff(pl.Series(cells), None) == {}


@pytest.mark.parametrize("cells", [["a", "1"], ["", "?"], [None, None], ["2020-01-01"], ["1,2,3", "4,5,6"]])
def test_other_columns_are_not(cells: list[Any]) -> None:
    assert NUMBER.sniff(pl.Series(cells, dtype=pl.String), None) is None


def test_two_in_a_hundred_may_be_something_else() -> None:
    assert NUMBER.sniff(pl.Series(["1"] * 98 + ["x"] * 2), None) == {}
    assert NUMBER.sniff(pl.Series(["1"] * 97 + ["x"] * 3), None) is None


def test_missing_words_are_nan_and_other_words_are_bad() -> None:
    decoded = NUMBER.decode(pl.Series(["1", "", " ? ", "NaN", "None", "-", "x1", "inf", None]), None, {})
    assert decoded.values[0] == 1 and np.isnan(decoded.values[1:]).all()
    assert decoded.bad == {6: "'x1' is not a number"}


def test_encoding_agrees_with_numpy(fit: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1e6, 3, 500), rng.exponential(1, 500)
    a[::7] = np.nan
    _, run = fit("number", pl.Series("a", a), pl.Series("b", b))
    new = np.array([1e6, np.nan, 1e6 + 20]), np.array([0.0, 5.0, -1.0])
    expected = []
    for train, values in zip((a, b), new, strict=True):
        low, middle, high = np.nanquantile(train, [0.25, 0.5, 0.75])
        expected.append((values - middle) / (high - low))
    np.testing.assert_array_equal(run(*(pl.Series(values) for values in new)), np.stack(expected, 1).astype(np.float32))


def test_last_digits_of_large_numbers_survive(fit: Any) -> None:
    moments = 1.7e12 + np.arange(100.0)
    _, run = fit("number", pl.Series("ms", moments))
    assert len(np.unique(run(pl.Series(moments)))) == 100


@pytest.mark.parametrize("train", [[0.0] * 99 + [50.0], [3.0] * 10, [float("nan")] * 10])
def test_columns_that_hardly_vary_stay_finite(train: list[float], fit: Any) -> None:
    _, run = fit("number", pl.Series("x", train))
    assert np.isfinite(run(pl.Series([0.0, 3.0, 1e300, -1e300]))).all()
    assert np.isnan(run(pl.Series([None, float("nan")], dtype=pl.Float64))).all()
