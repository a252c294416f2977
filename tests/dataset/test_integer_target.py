"""Whole numbers as a target: names of classes, or a quantity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from leadline.config import from_mapping
from leadline.dataset.split_table import draw
from leadline.dataset.table import Table, read
from leadline.readers.source import read as read_source
from leadline.system.errors import SourceError, TargetError

RNG = np.random.default_rng(0)
UNEVEN = RNG.choice(43, 2_000, p=RNG.dirichlet(np.ones(43) * 3))


def _table(cache: Path, source: Any, **settings: Any) -> Table:
    return read(read_source(source, cache=cache), from_mapping(settings))


def _frame(name: str, values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"x": RNG.normal(0, 1, len(values)), name: values})


@pytest.mark.parametrize("name", ["ClassId", "class_id", "species", "ICD code", "label"])
def test_a_name_of_classes_makes_many_numbers_classes(name: str, own_cache: Path) -> None:
    table = _table(own_cache, _frame(name, UNEVEN), target=name)
    assert table.task.name == "multiclass" and len(table.task.classes) == len(np.unique(UNEVEN))
    assert any("are read as classes; --task regression" in note for note in table.notes)
    assert _table(own_cache, _frame(name, UNEVEN), target=name, task="regression").notes == ()


@pytest.mark.parametrize("name", ["age", "price", "count", "idle", "classic"])
def test_other_numbers_are_a_quantity_and_the_other_reading_is_offered(name: str, own_cache: Path) -> None:
    table = _table(own_cache, _frame(name, UNEVEN), target=name)
    assert table.task.name == "regression"
    assert any("are read as a quantity; --task multiclass" in note for note in table.notes)


def test_pictures_numbered_without_a_gap_are_classes(own_cache: Path) -> None:
    X = RNG.integers(0, 255, (1_300, 8, 8)).astype(np.uint8)
    assert _table(own_cache, (X, np.arange(1_300) * 7 // 350 % 26)).task.name == "multiclass"
    ages = np.clip(RNG.normal(40, 12, 1_300), 18, 90).round()
    assert _table(own_cache, (X, ages)).task.name == "regression"
    numbers = RNG.choice(26, 1_300, p=RNG.dirichlet(np.ones(26) * 3))
    assert _table(own_cache, (RNG.normal(0, 1, (1_300, 3)), numbers)).task.name == "regression"  # no name, no pictures


def _pictures(rows: int) -> pl.Series:
    return pl.Series(RNG.integers(0, 255, (rows, 8, 8)).astype(np.uint8), dtype=pl.Array(pl.UInt8, (8, 8)))


@pytest.mark.parametrize(("name", "each", "task"), [("label", 2, "multiclass"), ("age", 2, "multiclass"),
                                                    ("age", 1, "regression")])  # fmt: skip
def test_few_pictures_of_each_number_are_classes(name: str, each: int, task: str, own_cache: Path) -> None:
    frame = pl.DataFrame({"x": _pictures(10 * each), name: np.arange(10 * each) % 10})
    table = _table(own_cache, frame, target=name)
    assert table.task.name == task
    assert any("rows of" in note and "--task regression" in note for note in table.notes) == (task == "multiclass")


def test_class_folders_of_digits_are_classes_from_one_picture_each(tmp_path: Path, own_cache: Path) -> None:
    for part, each in (("train", 1), ("test", 3)):
        for digit in range(5):
            for number in range(each):
                path = tmp_path / "digits" / part / f"{digit}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(RNG.integers(0, 255, (8, 8)).astype(np.uint8)).save(path)
    table = _table(own_cache, str(tmp_path / "digits"))
    assert table.task.name == "multiclass" and table.task.classes == ("0", "1", "2", "3", "4")
    assert (table.labels >= 0).all() and (table.part == 0).sum() == 5


def test_a_class_of_one_row_is_kept_where_it_is_tested(own_cache: Path) -> None:
    words = ["a", "b"] * 20 + ["c", "typo"]
    train, test = (pl.DataFrame({"x": RNG.normal(size=len(each)), "y": each}) for each in (words, ["a", "b", "c"]))
    table = read(read_source(train, test, cache=own_cache), from_mapping({"target": "y"}))
    assert table.task.classes == ("a", "b", "c")
    assert [bad.reason for bad in table.bad] == ["class 'typo' has this row alone"]


def test_one_picture_of_each_label_is_one_sentence(own_cache: Path) -> None:
    frame = pl.DataFrame({"x": _pictures(10), "label": np.arange(10)})
    with pytest.raises(TargetError, match="has one row"):
        _table(own_cache, frame, target="label")


def test_few_rows_of_a_table_are_classes_only_by_name(own_cache: Path) -> None:
    assert _table(own_cache, _frame("species", np.arange(20) % 10), target="species").task.name == "multiclass"
    assert _table(own_cache, _frame("price", np.arange(20) % 10), target="price").task.name == "regression"
    assert _table(own_cache, _frame("code", np.arange(20)), target="code").task.name == "regression"


def test_numbers_that_come_equally_often_are_classes(own_cache: Path) -> None:
    assert _table(own_cache, _frame("z", np.arange(430) % 43), target="z").task.name == "multiclass"
    assert _table(own_cache, _frame("z", np.arange(430)), target="z").task.name == "regression"


def _rare(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"x": RNG.normal(0, 1, 600), "y": ["fraud"] * rows + ["ok"] * (600 - rows)})


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rows", [3, 4, 6])
def test_every_part_has_rows_of_a_rare_class(rows: int, seed: int, own_cache: Path) -> None:
    table = _table(own_cache, _rare(rows), target="y", metric="auc", seed=seed)
    drawn = draw(table, from_mapping({"metric": "auc", "seed": seed}))
    for name in ("train", "valid", "test"):
        assert set(table.labels[getattr(drawn, name)]) == {0, 1}, name
    assert sum(drawn.counts().values()) == 600


@pytest.mark.parametrize("metric", ["auc", "average precision", "f1"])
def test_a_part_that_the_metric_cannot_score_is_one_sentence_before_training(metric: str, own_cache: Path) -> None:
    train, test = _rare(80), _rare(1).filter(pl.col("y") == "ok")
    table = read(read_source(train, test, cache=own_cache), from_mapping({"target": "y", "metric": metric}))
    with pytest.raises(SourceError, match=rf"All 599 test rows are 'ok', where {metric} needs rows of 2 classes"):
        draw(table, from_mapping({"metric": metric}))
    plain = read(read_source(train, test, cache=own_cache), from_mapping({"target": "y"}))
    assert draw(plain, from_mapping({})).counts()["test"] == 599


def test_many_classes_of_few_rows_do_not_fill_a_part(own_cache: Path) -> None:
    table = _table(
        own_cache, pl.DataFrame({"x": range(900), "name": [f"c{i // 3}" for i in range(900)]}), target="name"
    )
    counts = draw(table, from_mapping({})).counts()
    assert counts["valid"] < 200 and counts["test"] < 220


@pytest.mark.parametrize("values", [["a", "b", "c"], ["a;b", "b;c", "c;a"], [1, 2, 3]])
def test_a_target_may_be_called_count(values: list[Any], own_cache: Path) -> None:
    table = _table(own_cache, pl.DataFrame({"x": range(60), "count": values * 20}), target="count")
    assert len(table.task.classes) == 3
