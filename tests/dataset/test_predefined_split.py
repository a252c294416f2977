"""Splits that a column states: part names, folds, and what is said of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from leadline.config import from_mapping
from leadline.core.tensors import Split
from leadline.dataset.audit import audit
from leadline.dataset.split_table import draw
from leadline.dataset.table import Table, read
from leadline.readers.source import Source
from leadline.readers.source import read as read_source
from leadline.system.errors import LeadlineError, SourceError

ROWS = 60


@dataclasses.dataclass(frozen=True)
class Found:
    table: Table
    said: tuple[str, ...]
    split: Split

    def values(self, column: str) -> dict[str, set[str]]:
        """The values of a column in each part."""
        cells = self.table.frame.select(pl.col(column).cast(pl.String)).collect().to_series()
        return {name: set(cells.gather(rows).to_list()) for name, rows in vars(self.split).items() if len(rows)}

    def inputs(self) -> list[str]:
        return [column.name for column in self.table.inputs]


@pytest.fixture
def found(own_cache: Path) -> Callable[..., Found]:
    """found(columns, **settings): as far as the split."""

    def run(columns: dict[str, Any] | Source, **settings: Any) -> Found:
        source = columns
        if isinstance(columns, dict):
            rng = np.random.default_rng(0)
            frame = pl.DataFrame({"y": ["a", "b"] * (ROWS // 2), "x": rng.normal(size=ROWS), **columns})
            source = read_source(frame, cache=own_cache)
        asked = from_mapping({"target": "y", **settings})
        assert isinstance(source, Source)
        table, said = audit(read(source, asked), asked)
        return Found(table, said, draw(table, asked))

    return run


def _repeated(*words: Any) -> list[Any]:
    return (list(words) * ROWS)[:ROWS]


def test_words_of_parts_in_any_case(found: Any) -> None:
    words = _repeated("train", "TRAIN", "Training ", "dev", "Test")
    done = found({"set": words}, split="set")
    assert done.values("set") == {"train": {"train", "TRAIN", "Training "}, "valid": {"dev"}, "test": {"Test"}}
    assert done.inputs() == ["x"]
    assert done.said == ("Column 'set' is left out: it states the split (36 train, 12 valid, 12 test).",)


def test_valid_is_drawn_where_none_is_stated_and_groups_stay_whole(found: Any) -> None:
    columns = {"set": ["train"] * 48 + ["test"] * 12, "who": [f"p{i // 4}" for i in range(ROWS)]}
    done = found(columns, split="set")
    assert done.split.test.tolist() == list(range(48, 60)) and 8 <= len(done.split.valid) <= 11
    assert done.inputs() == ["x", "who"]
    grouped = found(columns, split="set", group="who")
    whose = grouped.values("who")
    assert not whose["train"] & whose["valid"] and grouped.split.test.tolist() == list(range(48, 60))
    assert grouped.inputs() == ["x"]


def test_test_is_drawn_where_only_valid_is_stated(found: Any) -> None:
    done = found({"set": ["train"] * 50 + ["valid"] * 10}, split="set")
    assert done.split.valid.tolist() == list(range(50, 60)) and len(done.split.test) == 10


def test_a_group_on_both_sides_is_said(found: Any) -> None:
    done = found({"set": _repeated("train", "test", "train"), "who": _repeated("u", "v")}, split="set", group="who")
    assert done.said[-1] == "2 values of 'who', such as 'u', are in train and in the stated test."


def test_rows_of_no_part_are_set_aside(found: Any) -> None:
    words = _repeated("train", "train", "test", "train", None, "extra")
    done = found({"set": words}, split="set")
    assert sum(map(len, vars(done.split).values())) == 40
    assert [(bad.place, bad.reason) for bad in done.table.bad[:2]] == [
        ("data row 5", "'set' is None, which names no part"),
        ("data row 6", "'set' is 'extra', which names no part"),
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("folds", [[1, 2, 3, 4, 5], ["1", "2", "3", "4", "5"], [1.0, 2.0, 3.0, 4.0, 5.0]])
def test_one_fold_is_test_and_another_is_valid(folds: list[Any], seed: int, found: Any) -> None:
    done = found({"fold": _repeated(*folds, *folds)}, split="fold=2", seed=seed)
    values = done.values("fold")
    assert values["test"] == {str(folds[1])} and len(values["valid"]) == 1 and len(values["train"]) == 3
    assert not values["train"] & values["valid"] and done.inputs() == ["x"]
    assert done.said == ("Column 'fold' is left out: it states the split (12 rows of fold=2 are tested on).",)


def test_the_seed_chooses_the_valid_fold(found: Any) -> None:
    columns = {"fold": _repeated(1, 2, 3, 4, 5)}
    chosen = [found(columns, split="fold=1", seed=seed).values("fold")["valid"] for seed in range(12)]
    assert chosen[0] == found(columns, split="fold=1", seed=0).values("fold")["valid"]
    assert len(set.union(*chosen)) > 1


def test_a_fold_is_never_given_to_calib(found: Any) -> None:
    rows = 8_000
    columns = {"y": ["a", "b"] * (rows // 2), "x": np.random.default_rng(0).normal(size=rows)}
    done = found({**columns, "fold": [i * 10 // rows for i in range(rows)]}, split="fold=3")
    assert done.split.counts() == {"train": 6_400, "valid": 800, "calib": 0, "test": 800}


def test_of_two_values_one_is_the_test(found: Any) -> None:
    done = found({"city": _repeated("Rome", "Oslo", "Oslo", "Rome")}, split="city=Oslo")
    assert done.values("city") == {"train": {"Rome"}, "valid": {"Rome"}, "test": {"Oslo"}}


def test_with_a_group_that_one_stays_whole(found: Any) -> None:
    columns = {"fold": _repeated(1, 2, 3), "who": [f"p{i // 3}" for i in range(ROWS)]}
    done = found(columns, split="fold=1", group="who")
    whose, folds = done.values("who"), done.values("fold")
    assert folds["test"] == {"1"} and folds["train"] == {"2", "3"} and not whose["train"] & whose["valid"]


def test_a_column_or_value_may_hold_an_equals_sign(found: Any) -> None:
    done = found({"a=b": _repeated("u=1", "u=2", "u=3")}, split="a=b=u=2")
    assert done.values("a=b")["test"] == {"u=2"}


@pytest.mark.parametrize(
    ("columns", "split", "message"),
    [
        (
            {"fold": _repeated(1, 2, 10)}, "fold",
            r"Column 'fold' names no part \(train, valid, test\) but 1, 2, 10; .* write --split fold=1\.",
        ),
        ({"fold": _repeated(1, 2)}, "fold=7", r"--split fold=7: no row has this value; column 'fold' holds 1, 2\."),
        ({"fold": _repeated(1)}, "fold=1", r"--split fold=1: every row has this value; nothing is left to learn from"),
        ({"set": _repeated("test")}, "set", r"Column 'set' leaves no train rows; it holds test\."),
        ({}, "sett=1", r"--split sett=1 is not a column; columns are y, x\."),
        ({}, "y", r"--split y is the target; name a column that states the part of each row\."),
        ({"l": [[1, 2]] * ROWS}, "l", r"Column 'l' holds List\(Int64\), which cannot state a split; name another"),
    ],
)  # fmt: skip
def test_what_states_nodraw(columns: dict[str, Any], split: str, message: str, found: Any) -> None:
    with pytest.raises(SourceError, match=message):
        found(columns, split=split)


@pytest.mark.parametrize("option", ["test", "time_column"])
def test_settings_that_contradict(option: str) -> None:
    with pytest.raises(LeadlineError, match=f"--split and --{option} both say what is tested on; leave out one"):
        from_mapping({"split": "fold=1", option: "x"})


def test_a_source_with_parts_of_its_own_contradicts(own_cache: Path, found: Any) -> None:
    frame = pl.DataFrame({"y": ["a", "b"] * 9, "x": range(18), "fold": [1, 2, 3] * 6})
    source = read_source(frame, frame, cache=own_cache)
    with pytest.raises(SourceError, match="--split fold=1 and data itself both state the parts; leave out --split, or"):
        found(source, split="fold=1")


def test_a_column_called_split_is_taken_by_itself(found: Any) -> None:
    columns = {"split": ["train"] * 40 + ["val"] * 8 + ["test"] * 12}
    done = found(columns)
    assert done.split.counts() == {"train": 40, "valid": 8, "calib": 0, "test": 12} and done.inputs() == ["x"]
    said = "it states the split (40 train, 8 valid, 12 test), which --drop split draws instead"
    assert done.said == (f"Column 'split' is left out: {said}.",)
    assert found(columns, drop="split").split.test.tolist() != list(range(48, 60))
    kept = found(columns, kind="split=category")
    assert kept.inputs() == ["x", "split"] and kept.split.test.tolist() != list(range(48, 60))
    timed = found({**columns, "t": range(ROWS)}, time_column="t")
    assert timed.said[0] == "Column 'split' is left out: it names parts." and len(timed.split.valid) > 8


def test_what_competitions_call_their_parts_is_followed(found: Any) -> None:
    done = found({"Usage": ["Training"] * 40 + ["PublicTest"] * 8 + ["PrivateTest"] * 12})
    assert done.split.counts() == {"train": 40, "valid": 8, "calib": 0, "test": 12} and done.inputs() == ["x"]


def test_a_column_of_any_name_that_names_parts_is_not_learned_from(found: Any) -> None:
    done = found({"set": _repeated("Train", "test")})
    said = "it names parts, and --split set tests on its test rows"
    assert done.inputs() == ["x"] and done.said == (f"Column 'set' is left out: {said}.",)
    assert found({"set": _repeated("Train", "Train", "test")}, split="set").values("set")["test"] == {"test"}
    assert found({"set": _repeated("train", "test")}, kind="set=category").inputs() == ["x", "set"]


@pytest.mark.parametrize(
    "columns", [{"split": _repeated("train", "test", "odd")}, {"vehicle": _repeated("train", "car")}]
)  # fmt: skip
def test_other_columns_are_inputs(columns: dict[str, Any], found: Any) -> None:
    assert found(columns).inputs() == ["x", *columns]


def test_folds_beside_media_are_left_out(tmp_path: Path, found: Any) -> None:
    for i in range(20):
        Image.new("L", (4, 4), i * 9).save(tmp_path / f"{i}.png")
    frame = pl.DataFrame({"file": [f"{i}.png" for i in range(20)], "y": ["a", "b"] * 10, "fold": [1, 2, 3, 4, 5] * 4})
    frame.write_csv(tmp_path / "manifest.csv")
    source = read_source(tmp_path / "manifest.csv", cache=tmp_path / ".cache")
    done = found(source)
    assert done.inputs() == ["file"] and len(done.values("fold")["train"]) == 5
    said = "it looks like folds, and --split fold=1 tests on fold 1"
    assert done.said[0] == f"Column 'fold' is left out: {said}."
    assert found(source, split="fold=1").values("fold")["test"] == {"1"}
    frame.with_columns(subset=pl.Series(["train", "train", "train", "test"] * 5)).write_csv(tmp_path / "manifest.csv")
    done = found(read_source(tmp_path / "manifest.csv", cache=tmp_path / ".cache"))
    assert done.inputs() == ["file"] and done.values("subset")["test"] == {"test"}
