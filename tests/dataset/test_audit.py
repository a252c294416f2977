"""What the audit drops, keeps and says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.config import from_mapping
from leadline.dataset.audit import MOST_COLUMNS, audit
from leadline.dataset.table import read
from leadline.readers.source import read as read_source
from leadline.system.errors import SourceError

ROWS = 40


@pytest.fixture
def audited(own_cache: Path) -> Callable[..., tuple[dict[str, str | None], tuple[str, ...]]]:
    """audited(columns, **settings) -> ({dropped column: why}, sentences)."""

    def run(columns: dict[str, Any], **settings: Any) -> tuple[dict[str, str | None], tuple[str, ...]]:
        frame = pl.DataFrame({"y": [0, 1] * (ROWS // 2), "x": np.random.default_rng(0).normal(size=ROWS), **columns})
        asked = from_mapping({"target": "y", **settings})
        table, said = audit(read(read_source(frame, cache=own_cache), asked), asked)
        return {c.name: c.note for c in table.columns if c.role == "dropped"}, said

    return run


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["same"] * ROWS, "it holds one value in every row"),
        ([5] * ROWS, "it holds one value in every row"),
        ([None] * ROWS, "it is empty in every row"),
        ([f"user-{i}" for i in range(ROWS)], "nearly every row has its own value, as in an identifier"),
        (range(ROWS), "it counts the rows, as an identifier does"),
        (list(range(1000, 1000 + ROWS))[::-1], "it counts the rows, as an identifier does"),
    ],
)
def test_useless_columns_are_left_out_and_named(cells: Any, note: str, audited: Any) -> None:
    dropped, said = audited({"c": pl.Series(list(cells), dtype=pl.String if cells == [None] * ROWS else None)})
    assert dropped == {"c": note} and said == (f"Column 'c' is left out: {note}.",)


@pytest.mark.parametrize(
    "cells",
    [
        [1] * (ROWS - 1) + [None],
        ["a", "b"] * (ROWS // 2),
        np.random.default_rng(0).normal(size=ROWS),
        np.random.default_rng(0).permutation(ROWS * 50)[:ROWS],
        [f"a text of many words, number {i}" for i in range(ROWS)],
    ],
)
def test_columns_that_may_help_stay(cells: Any, audited: Any) -> None:
    assert audited({"c": cells}) == ({}, ())


def test_a_stated_kind_keeps_a_column(audited: Any) -> None:
    assert audited({"c": range(ROWS)}, kind=("c=number",))[0] == {}


def test_a_group_column_is_not_learned_from(audited: Any) -> None:
    groups = ["a", "b", "c", "d"] * (ROWS // 4)
    assert audited({"who": groups}, group="who")[0] == {"who": "it defines the split"}


def test_nothing_left_to_learn_from(audited: Any) -> None:
    with pytest.raises(SourceError, match=r"data has no usable column besides the target \('x': left out as asked\)"):
        audited({}, drop=("x",))


def test_rare_and_unequal_classes_are_said(own_cache: Path) -> None:
    def said(labels: list[str]) -> tuple[str, ...]:
        frame = pl.DataFrame({"x": np.random.default_rng(0).normal(size=len(labels)), "y": labels})
        asked = from_mapping({"target": "y"})
        return audit(read(read_source(frame, cache=own_cache), asked), asked)[1]

    assert said(["a"] * 50 + ["b"] * 9) == ("1 class has fewer than 10 rows, such as 'b'.",)
    assert said(["a"] * 500 + ["b"] * 50) == (
        "90.9% of the rows are 'a': accuracy says little about the other classes; use --metric auc.",
    )
    assert said(["a"] * 50 + ["b"] * 40) == ()
    (alike,) = said(["Yes", "yes ", "no"] * 20)[:1] or ("",)
    assert alike == "Classes that differ only in spaces or case stay separate, such as Yes, yes."
    assert said(["2024-01-01", "2024-01-02", "2024-01-03"] * 20)[0].startswith("Dates or times in 'y' are read as")


def test_how_numbers_are_read_is_said(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    price = [f"1.{i:03},{i % 90 + 10} €" for i in range(ROWS)]
    frame = pl.DataFrame(
        {"a": rng.normal(size=ROWS), "b": [f"{i:,}" for i in range(1_000, 1_000 + 37 * ROWS, 37)], "y": price}
    )
    said = prepare(frame, target="y").said
    assert "Numbers with a decimal point are read in 'b'." in said
    assert "Numbers with a decimal comma are read in 'y'." in said


def test_columns_beyond_those_counted_together_are_counted_too(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": rng.normal(size=40) for i in range(MOST_COLUMNS + 5)})
    frame = frame.with_columns(same=pl.lit(1), gaps=pl.Series([None, "a", "b", "c"] * 10), y=pl.Series(["u", "v"] * 20))
    told = {column.name: column for column in prepare(frame, target="y").table.columns}
    assert told["same"].role == "dropped" and (told["gaps"].unique, told["gaps"].missing) == (3, 0.25)
    assert all(told[f"x{i}"].unique == 40 for i in range(MOST_COLUMNS + 5))


def test_numbers_since_1970_are_said_to_be_times_and_the_user_may_say_so_of_any(audited: Any) -> None:
    stamps = [1_700_000_001 + 777_777 * i for i in range(ROWS)]
    said = audited({"created": stamps, "code": stamps})[1]
    assert said == ("Numbers are read as times, in seconds since 1970, in 'created'.",)
    said = audited({"code": stamps}, kind=("code=time",))[1]
    assert said == ("Numbers are read as times, in seconds since 1970, in 'code'.",)
    assert audited({"created": stamps}, kind=("created=number",))[1] == ()


def test_a_target_that_counts_the_rows_is_asked_about(own_cache: Path) -> None:
    frame = pl.DataFrame({"x": np.random.default_rng(0).normal(size=ROWS), "y": range(ROWS)})
    asked = from_mapping({"target": "y"})
    said = audit(read(read_source(frame, cache=own_cache), asked), asked)[1]
    assert said == ("The target 'y' counts the rows, as an identifier does; check that it is the right column.",)


def test_constants_are_told_by_value_whoever_read_them(prepare: Any, tmp_path: Path) -> None:
    cells = ["0.0", "-0.0", "nan", "inf"] * 10
    (tmp_path / "t.csv").write_text("x,n,y\n" + "".join(f"{c},{i * i},{i % 2}\n" for i, c in enumerate(cells)))
    numbers = [float(cell) for cell in cells]
    frame = pl.DataFrame({"x": numbers, "n": [i * i for i in range(40)], "y": [0, 1] * 20})
    found = [prepare(source, target="y").table.columns[0] for source in (tmp_path / "t.csv", frame)]
    assert found[0].role == found[1].role and found[0].unique == found[1].unique == 1
    assert found[0].missing == found[1].missing == 0.5
