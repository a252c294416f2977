"""Numbers as people write them, and what only looks like one."""

from __future__ import annotations

from datetime import time as clock
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.kinds import KINDS

NUMBER = KINDS["number"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,234.5", "12", "1,000,000"], [1234.5, 12, 1e6]),
        (["1.234,5", "12", "1.000.000"], [1234.5, 12, 1e6]),
        (["1 234,5", "2\u202f000", "3\u00a0000,25"], [1234.5, 2000, 3000.25]),
        (["1'234.50", "12\u2019000"], [1234.5, 12000]),
        (["0,5", "1,25", "-3,0"], [0.5, 1.25, -3]),
        (["0,123", "0,456"], [0.123, 0.456]),  # no number begins a group of thousands by 0
        (["$5", "$ 1,200.50", "-$3"], [5, 1200.5, -3]),
        (["12,50 €", "1.300 €"], [12.5, 1300]),
        (["USD 5.5", "7 CHF"], [5.5, 7]),
        (["12 %", "3.5%", "-1%"], [12, 3.5, -1]),
        (["(1,200)", "50", "\u22125"], [-1200, 50, -5]),
        (["1,5e3", "2,0"], [1500, 2]),
        (["12.5 kg", "4kg", "3 kg"], [12.5, 4, 3]),
        (["21,5 °C", "-3°C"], [21.5, -3]),
        (["90 km/h", "1.5e2 km/h"], [90, 150]),
        (["1 200 руб.", "35 руб."], [1200, 35]),
        (["<5", "7.5", ">= 80"], [5, 7.5, 80]),
        (["0:30", "12:05:10.5", "-1:00"], [1800, 43510.5, -3600]),
    ],
)
def test_numbers_as_people_write_them(cells: list[str], expected: list[float]) -> None:
    how = NUMBER.sniff(pl.Series([*cells, "", "NA"]), None)
    assert how is not None
    decoded = NUMBER.decode(pl.Series([*cells, None, "x"]), None, how)
    np.testing.assert_allclose(decoded.values, [*expected, np.nan, np.nan])
    assert decoded.bad == {len(cells) + 1: "'x' is not a number"}


@pytest.mark.parametrize(
    "cells",
    [
        ["1,2,3"],
        ["5 6"],
        ["10:75"],
        ["192.168.0.1"],
        ["1.234.5"],
        ["5 kg", "3 lb"],
        ["12a", "7b"],
        ["$"],
        ["%"],
        ["(a)"],
        ["--5"],
    ],
)
def test_what_only_looks_like_a_number(cells: list[str]) -> None:
    assert NUMBER.sniff(pl.Series(cells), None) is None


@pytest.mark.parametrize("cells", [pl.Series([timedelta(seconds=90), None]), pl.Series([clock(0, 1, 30), None])])
def test_durations_and_times_of_day_are_seconds(cells: pl.Series) -> None:
    how = NUMBER.sniff(cells, None)
    assert how == {"clock": True}
    np.testing.assert_array_equal(NUMBER.decode(cells, None, how).values, [90, np.nan])
    np.testing.assert_array_equal(NUMBER.decode(pl.Series(["0:01:30"]), None, how).values, [90])


def test_another_unit_than_the_one_that_was_learned_is_not_taken_for_it() -> None:
    how = NUMBER.sniff(pl.Series(["12 kg", "3 kg"]), None)
    assert how is not None
    assert NUMBER.decode(pl.Series(["5 lb", "6 kg", "7"]), None, how).bad == {0: "'5 lb' is not a number"}


def test_a_frame_of_numbers_is_read_by_a_model_that_learned_from_text() -> None:
    assert NUMBER.decode(pl.Series([1.5, 2.0]), None, {"decimal": ","}).values.tolist() == [1.5, 2.0]


def test_a_target_of_prices_is_regression(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    price = np.round(rng.uniform(900, 9_000, 90), 2)
    text = [f"€ {value:,.2f}".translate(str.maketrans(",.", ".,")) for value in price]
    task = prepare(pl.DataFrame({"x": rng.normal(size=90), "price": text}), target="price").table
    assert task.task.name == "regression"
    np.testing.assert_allclose(task.labels, price)


@pytest.mark.parametrize("words", [["١٢٫٥", "-٣", "١٬٢٣٤"], ["۱۲٫۵", "-۳", "۱٬۲۳۴"], ["１２.５", "-３", "１,２３４"]])
def test_digits_of_other_scripts_are_digits(words: list[str]) -> None:
    how = NUMBER.sniff(pl.Series(words), None)
    assert how is not None
    assert NUMBER.decode(pl.Series(words), None, how).values.tolist() == [12.5, -3, 1234]
