"""Series: lists of numbers of one length, scaled together, with gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.kinds import KINDS
from leadline.system.errors import ModelError

SERIES = KINDS["series"]


@pytest.mark.parametrize(
    "cells",
    [
        pl.Series([[1.0, 2.0, 3.0, 4.0], None, [1.0, None, 3.0, 5.0]]),
        pl.Series([[1, 2, 3, 4, 5]] * 3),
        pl.Series(np.zeros((3, 40))),
    ],
)
def test_lists_of_one_length_are_series(cells: pl.Series) -> None:
    length = len(cells[0])
    assert SERIES.sniff(cells, None) == {"length": length}
    assert SERIES.decode(cells, None, {"length": length}).values.shape == (3, length)


@pytest.mark.parametrize(
    "cells",
    [
        pl.Series([[1.0, 2.0]] * 3),  # two numbers are no series
        pl.Series([["a", "b", "c", "d"]]),
        pl.Series([1.0, 2.0]),
        pl.Series(np.zeros((3, 8, 8))),  # an image
    ],
)
def test_other_columns_are_not(cells: pl.Series) -> None:
    assert SERIES.sniff(cells, None) is None


def test_gaps_are_nan_and_other_lengths_are_bad() -> None:
    cells = pl.Series([[1.0, None, float("inf"), 4.0], [1.0], None])
    decoded = SERIES.decode(cells, None, {"length": 4})
    np.testing.assert_array_equal(decoded.values[0], [1, np.nan, np.nan, 4])
    assert np.isnan(decoded.values[1:]).all()
    assert decoded.bad[1] == "it has 1 step, where 4 were expected" and len(decoded.bad) == 1


@pytest.mark.parametrize("written", [False, True])
def test_lists_of_unequal_length_end_in_missing_steps(written: bool) -> None:
    lists = [[1.0, 2.0, 3.0, 4.0, 5.0], [1.5, None], [], None]
    cells = pl.Series([None if c is None else str(c) for c in lists] if written else lists)
    how = SERIES.sniff(cells, None)
    assert how == {"length": 5, "unequal": True} | ({"written": True} if written else {})
    decoded = SERIES.decode(cells, None, how)
    expected = np.full((4, 5), np.nan)
    expected[0], expected[1, 0] = [1, 2, 3, 4, 5], 1.5
    np.testing.assert_array_equal(decoded.values, expected)
    longer = SERIES.decode(pl.Series([[float(k) for k in range(9)]]), None, how)
    np.testing.assert_array_equal(longer.values, [[0, 1, 2, 3, 4]])
    assert SERIES.decode(pl.Series(["[1, x]"]), None, how).bad == {0: "it is no list of numbers"}


def test_one_endless_row_does_not_stretch_the_others() -> None:
    cells = pl.Series([[0.5] * 10] * 99 + [[0.5] * 100_000])
    assert SERIES.sniff(cells, None) == {"length": 10, "unequal": True}


@pytest.mark.parametrize("cell", ["(see page 4)", "[1, 2]", "[a, b, c, d]", "1, 2, 3, 4, 5"])
def test_text_that_is_no_list_of_numbers_stays_text(cell: str) -> None:
    assert SERIES.sniff(pl.Series([cell] * 3), None) is None


@pytest.mark.parametrize(
    "cells",
    [
        ["70 80 82 72", "1 2 3 4", " 5 6  7 8 "], ["0.5 -1e3 nan 4"] * 3, [",".join(map(str, range(8)))] * 3,
        ["1;2;3;4;5;6;7;8"] * 2,
    ],
)  # fmt: skip
def test_as_many_numbers_in_each_cell_are_a_series(cells: list[str]) -> None:
    """Pixels of a picture in a cell, as data sets of competitions have them."""
    settings = SERIES.sniff(pl.Series(cells), None)
    assert settings == {"length": 4 if " " in cells[0] else 8, "written": True}
    decoded = SERIES.decode(pl.Series([*cells, "", None]), None, settings)
    assert np.isfinite(decoded.values[0]).sum() >= 3 and np.isnan(decoded.values[-1]).all()


@pytest.mark.parametrize(
    "cells",
    [
        ["0049 30 1234 5678"] * 3,  # telephone numbers
        ["1,234,567,890"] * 3,  # a number with its thousands
        ["10 20 30 40", "10 20 30 40 50", "1 2 3 4 5 6"],  # as many as there are: no samples of one thing
        ["12 angry men and 4 others"] * 3,
        ["3 5 7"] * 3,
    ],
)
def test_other_numbers_in_a_cell_are_not(cells: list[str]) -> None:
    assert SERIES.sniff(pl.Series(cells), None) is None


def test_lists_written_as_text_are_learned_and_predicted(waves: Any, tmp_path: Path) -> None:
    def written(frame: pl.DataFrame) -> pl.DataFrame:
        cells = [str([round(v, 3) for v in row][: 12 + place % 9]) for place, row in enumerate(frame["wave"].to_list())]
        return frame.with_columns(pl.Series("wave", cells))

    written(waves(200)).write_csv(tmp_path / "waves.csv")
    run = ll.fit(tmp_path / "waves.csv", target="label", budget="20s", only="linear", out=tmp_path / "run")
    assert {c["name"]: c["kind"] for c in run.result["columns"]}["wave"] == "series"
    written(waves(6, seed=1)).write_csv(tmp_path / "new.csv")
    assert run.model.predict(tmp_path / "new.csv")["prediction"].is_in(["falls", "rises"]).all()


def test_encoding_agrees_with_numpy(fit: Any) -> None:
    x = np.random.default_rng(0).normal(5, 3, (200, 6))
    x[::9, 2] = np.nan
    _, run = fit("series", pl.Series("x", x))
    low, middle, high = np.nanquantile(x, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(run(pl.Series("x", x))[:, :, 0], (x - middle) / (high - low), rtol=1e-6)


def test_from_a_file_of_lists_to_answers(waves: Any, tmp_path: Path) -> None:
    waves(200).write_ndjson(tmp_path / "waves.jsonl")
    run = ll.fit(tmp_path / "waves.jsonl", target="label", budget="20s", only="linear", out=tmp_path / "run")
    assert {c["name"]: c["kind"] for c in run.result["columns"]}["wave"] == "series"
    answers = run.model.predict(waves(6, seed=1))
    assert answers["prediction"].is_in(["falls", "rises"]).all()
    with pytest.raises(
        ModelError, match="column 'wave' of data holds String, which cannot be read as series; write its"
    ):
        run.model.predict(pl.DataFrame({"wave": ["1 2 3"]}))
