"""One spelling a value, by any type of its cells."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from leadline.kinds import spelling


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([3, None], ["3", None]),
        ([3.0, float("nan"), 2.5, -0.0], ["3", None, "2.5", "0"]),
        (["3", "3.0", " 3.00 ", "", "3.10", "-0.0", "1.0.0"], ["3", "3", "3", None, "3.10", "0", "1.0.0"]),
        ([True, False, None], ["True", "False", None]),
        ([dt.date(2024, 5, 17)], ["2024-05-17"]),
        ([dt.datetime(2024, 5, 17), dt.datetime(2024, 5, 17, 6)], ["2024-05-17", "2024-05-17 06:00:00"]),
        ([1e16], ["10000000000000000"]),
        ([9_007_199_254_740_993], ["9007199254740993"]),
    ],
)
def test_a_value_has_one_word(cells: list[Any], words: list[str | None]) -> None:
    assert spelling.spelled(pl.Series(cells)).to_list() == words


@pytest.mark.parametrize(
    ("train", "cells", "words"),
    [
        (["True", "FALSE"], [1, 0], ["True", "False"]),
        (["true", "0"], ["TRUE", "1.0", "maybe", None], ["True", "True", "maybe", None]),
        (["3.50", "4.00"], [3.5, 4.0], ["3.5", "4"]),
        (["3.10", "3.1"], ["3.10", "3.1"], ["3.10", "3.1"]),  # versions: two spellings of a number are two words
        (["007", "7"], ["007", "7"], ["007", "7"]),
        (["007", "123"], [7, 123], ["007", "123"]),
        (["0", "1"], [True, False], ["1", "0"]),
    ],
)
def test_the_contract_of_the_column_reads_other_spellings(
    train: list[Any], cells: list[Any], words: list[str | None]
) -> None:
    how = spelling.infer(spelling.spelled(pl.Series(train)))
    own = spelling.read(pl.Series(train), how)
    assert spelling.read(pl.Series(cells), how).to_list() == words and own.n_unique() == len(train)
