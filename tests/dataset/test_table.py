"""Target, task and kinds as read from a source, and what is said where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.config import from_mapping
from leadline.dataset.table import Table, read
from leadline.kinds import KINDS
from leadline.readers.source import read as read_source
from leadline.system.errors import LeadlineError, SourceError, TargetError


@pytest.fixture
def understand(own_cache: Path) -> Callable[..., Table]:
    def run(source: Any, test: Any = None, **settings: Any) -> Table:
        return read(read_source(source, test, cache=own_cache), from_mapping(settings))

    return run


def _kinds(table: Table) -> dict[str, str]:
    return {column.name: column.kind for column in table.inputs}


def test_every_column_gets_its_kind(understand: Any) -> None:
    frame = pl.DataFrame({
        "n": ["1", "2.5", "?"] * 4, "c": ["a", "b", None] * 4, "when": ["2020-01-01", "2020-02-01", ""] * 4,
        "text": [f"a longer text, number {i}" for i in range(12)], "i": list(range(12)), "y": ["no", "yes"] * 6,
    })  # fmt: skip
    table = understand(frame, target="y")
    assert _kinds(table) == {"n": "number", "c": "category", "when": "time", "text": "text", "i": "number"}
    assert table.task.name == "binary" and table.task.classes == ("no", "yes")
    assert table.labels.tolist() == [0, 1] * 6


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a", "c"] * 5, "multiclass", ("a", "b", "c")),
        ([10, 9, 1] * 8, "multiclass", ("1", "9", "10")),
        ([1.0, 0.0] * 9, "binary", ("0", "1")),
        ([True, False] * 9, "binary", ("False", "True")),
        ([0.5, 1.5, 2.5] * 9, "regression", ()),
        (list(range(40)), "regression", ()),
        (["1.5", "2.25", "", "3"] * 9, "regression", ()),
    ],
)
def test_the_task_is_told_by_the_target(
    values: list[Any], task: str, classes: tuple[str, ...], understand: Any
) -> None:
    table = understand(pl.DataFrame({"x": range(len(values)), "y": values}), target="y")
    assert (table.task.name, table.task.classes) == (task, classes)
    assert table.task.metric == ("rmse" if task == "regression" else "accuracy")


def test_the_user_may_say_otherwise(understand: Any) -> None:
    frame = pl.DataFrame({"x": range(24), "z": [1, 2] * 12, "y": [1, 2, 3] * 8})
    table = understand(frame, target="y", task="regression", kind=("z=category",), drop=("x",))
    assert table.task.name == "regression" and table.labels[:3].tolist() == [1.0, 2.0, 3.0]
    assert _kinds(table) == {"z": "category"}


@pytest.mark.parametrize("name", ["label", "Target", "class", "y"])
def test_a_usual_name_is_the_target(name: str, understand: Any) -> None:
    assert understand(pl.DataFrame({"x": range(8), name: ["a", "b"] * 4})).task.target == name


def test_rows_without_target_or_of_an_unknown_class_are_bad(understand: Any) -> None:
    train = pl.DataFrame({"x": range(8), "y": ["a", "b", "a", "b", None, "a", " ", "b"]})
    table = understand(train, pl.DataFrame({"x": [1, 2], "y": ["a", "zebra"]}), target="y")
    assert table.labels.tolist() == [0, 1, 0, 1, -1, 0, -1, 1, 0, -1] and table.part.tolist() == [0] * 8 + [2] * 2
    assert [bad.place for bad in table.bad] == ["data row 5", "data row 7", "data row 10"]
    assert [bad.reason for bad in table.bad][1:] == ["the target 'y' is missing", "class 'zebra' is not in train"]


def test_a_class_may_be_called_none(understand: Any) -> None:
    table = understand(pl.DataFrame({"x": range(9), "y": ["None", "NA", "?"] * 3}), target="y")
    assert table.task.classes == ("?", "NA", "None") and not table.bad
    table = understand(pl.DataFrame({"x": range(9), "y": ["1", "2", "?"] * 3}), target="y")
    assert table.task.classes == ("1", "2") and len(table.bad) == 3


def test_missing_regression_targets_are_not_numbers(understand: Any) -> None:
    table = understand(
        pl.DataFrame({"x": range(8), "y": [0.5, 1.5, None, float("inf"), 2.5, 3.5, 4.5, 5.25]}), target="y"
    )
    assert np.isnan(table.labels).tolist() == [False, False, True, True, False, False, False, False]


def test_a_row_that_is_alone_of_its_class_is_set_aside(understand: Any) -> None:
    table = understand({"a": list(range(41)), "y": ["u", "v"] * 20 + ["once"]}, target="y")
    assert table.task.classes == ("u", "v")
    assert table.labels[40] == -1
    assert [bad.reason for bad in table.bad] == ["class 'once' has this row alone"]


@pytest.mark.parametrize(
    ("frame", "settings", "error", "message"),
    [
        ({"a": [1], "b": [2]}, {}, TargetError, r"No target is given; add --target COLUMN, one of a, b\."),
        ({"a": [1]}, {"target": "z"}, TargetError, r"--target z is not a column of data; columns are a\."),
        ({"a": [1, 2], "y": [None, None]}, {"target": "y"}, TargetError, r"Column 'y' is empty in every row; choose"),
        ({"a": [1, 2], "y": ["u", "u"]}, {"target": "y"}, TargetError, r"Column 'y' is 'u' in every row"),
        (
            {"a": [1] * 5, "y": ["u", "u", "v", "v", "w"]}, {"target": "y"}, TargetError,  # a fifth of the rows
            r"Class 'w' of column 'y' has one row \(row 5\); give it .* to test on \(--test\), or take that",
        ),
        (
            {"a": range(99), "y": [f"v{i}" for i in range(99)]}, {"target": "y"}, TargetError,
            r"Column 'y' has 99 different values in 99 rows, too many for classes; choose another",
        ),
        (
            {"a": [1, 2], "y": ["u", "v"]}, {"target": "y", "task": "regression"}, TargetError,
            r"Column 'y' holds text such as 'u'; --task regression needs numbers\.",
        ),
        ({"a": [1, 2], "y": [0, 1]}, {"drop": ("q",)}, SourceError, r"'q' is not a column of data; columns are a, y\."),
        ({"a": [1, 2], "y": [0, 1]}, {"group": "q"}, SourceError, r"--group q is not a column; columns are a, y\."),
        (
            {"a": ["u", "v"] * 4, "y": [0, 1] * 4}, {"kind": ("a=image",)}, SourceError,
            r"Column 'a' holds strings, which cannot be read as image\.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_learned(
    frame: dict[str, Any], settings: dict[str, Any], error: type[Exception], message: str, understand: Any
) -> None:
    with pytest.raises(error, match=message):
        understand(pl.DataFrame(frame), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kind": ("a=banana",)},
            r"--kind a=banana is not COLUMN=KIND; kinds are audio, image, ",
        ),
        ({"kind": ("a",)}, r"--kind a is not COLUMN=KIND"),
        ({"budget": "soon"}, r"--budget soon is not a time; write seconds or a unit, as in 90, 90s, 5m or 1h\."),
        ({"budget": "0"}, r"--budget 0 is not a time"),
        (
            {"task": "guess"},
            r"--task guess is not known; it can be binary, multiclass, multilabel, regression, language\.",
        ),
        ({"lanes": 3}, r"Unknown setting 'lanes'; settings are budget, cache"),
    ],
)
def test_settings_are_checked_before_any_data(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LeadlineError, match=message):
        from_mapping(settings)


def test_a_kind_that_no_cell_fits_is_an_error(understand: Any) -> None:
    frame = pl.DataFrame({"a": ["u", "v"] * 6, "y": [0, 1] * 6})
    with pytest.raises(LeadlineError, match=r"Column 'a' holds strings, which cannot be read as time\."):
        understand(frame, target="y", kind=("a=time",))


@pytest.mark.parametrize("words", [("yes", "no"), ("ja", "nein"), ("Y", "N"), ("TRUE", "FALSE"), ("oui", "non")])
def test_booleans_as_words_are_inputs_and_classes(words: tuple[str, str], tmp_path: Path) -> None:
    rows = "".join(f"{words[i % 2]},{words[i % 3 == 0]},{i * i}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,y,n\n{rows}")
    table = read(read_source(tmp_path / "t.csv", cache=tmp_path / "cache"), from_mapping({"target": "y"}))
    assert table.task.name == "binary" and set(table.task.classes) == set(
        ("True", "False") if words[0] == "TRUE" else words
    )
    assert {column.name: column.kind for column in table.inputs} == {"a": "category", "n": "number"}


def test_parts_must_have_the_same_columns(understand: Any) -> None:
    train = pl.DataFrame({"x": range(8), "y": [0, 1] * 4})
    with pytest.raises(
        SourceError, match=r"The test part of data lacks column 'x', which the train part has; add it there"
    ):
        understand(train, train.select("y"), target="y")


def test_lists_of_numbers_that_recur_are_lists_of_words(understand: Any) -> None:
    table = understand(
        pl.DataFrame({"l": [[1, 2], [2], [2, 3], [3, 1]] * 4, "x": range(16), "y": [0, 1] * 8}), target="y"
    )
    assert {column.name: column.kind for column in table.inputs}["l"] == "tags"


def test_columns_of_the_test_part_may_be_written_in_other_letters(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Size Total,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    (tmp_path / "test.csv").write_text("y,size_total\n1,3\n0,4\n")
    source = read_source(tmp_path / "train.csv", tmp_path / "test.csv", cache=tmp_path / "cache")
    table = read(source, from_mapping({"target": "y"}))
    assert table.notes == ("Column 'size_total' of the test part is read as 'Size Total'.",)
    assert table.take(np.array([20, 21]), ["Size Total"])["Size Total"].to_list() == ["3", "4"]


def test_columns_that_no_kind_reads_are_dropped_with_a_reason(understand: Any) -> None:
    table = understand(pl.DataFrame({"l": [[1], [2]] * 4, "x": range(8), "y": [0, 1] * 4}), target="y")
    dropped = {column.name: column.note for column in table.columns if column.role == "dropped"}
    assert dropped == {"l": "it holds lists of numbers, which no kind reads"}


def test_rows_whose_target_is_no_finite_number_are_set_aside_with_a_word(understand: Any) -> None:
    values = ["1.5", "2.5", "inf", "3.5"] + [f"{k}.25" for k in range(60)] + ["x"]
    table = understand(pl.DataFrame({"a": range(65), "y": values}), target="y", task="regression")
    assert [row.reason for row in table.bad] == [
        "the target 'y' is 'inf', which is no finite number",
        "the target 'y' is 'x', which is no finite number",
    ]


# --- one value, one reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["0", "1"], [0.0, 1.0]),
        ([0, 1], ["0.0", "1.0"]),
        ([True, False], ["TRUE", "false"]),
        (["True", "False"], ["1", "0"]),
        (["café", "bar"], ["cafe\u0301", " bar "]),
        (["02139", "10001"], [2139, 10001]),
        (["0.50", "1.00"], [0.5, 1.0]),
    ],
)
def test_classes_are_one_however_they_are_spelled(train: list[Any], test: list[Any], understand: Any) -> None:
    table = understand(
        pl.DataFrame({"x": range(12), "y": train * 6}), pl.DataFrame({"x": range(4), "y": test * 2}), target="y"
    )
    assert len(table.task.classes) == 2 and table.bad == ()
    assert table.labels[12:].tolist() == table.labels[:4].tolist() and (table.part == 2).sum() == 4
    if isinstance(train[0], str) and train[0].startswith("0") and len(train[0]) > 1:
        assert set(table.task.classes) == {str(word).removesuffix(".00") for word in train}


def test_a_stated_test_is_never_replaced(understand: Any) -> None:
    train = pl.DataFrame({"x": range(20), "y": ["a", "b"] * 10})
    with pytest.raises(
        SourceError, match=r"None of the 3 predefined test rows of data can be used, such as data row 21: cl"
    ):
        understand(train, pl.DataFrame({"x": [1, 2, 3], "y": ["A", "B", "A"]}), target="y")
    table = understand(train, pl.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "c"]}), target="y")
    assert table.notes == (
        "Of 3 predefined test rows 1 cannot be used, such as data row 23: class 'c' is not in train.",
    )


@pytest.mark.parametrize(
    ("train", "test", "right"),
    [
        (["04/25/2023", "12/31/2022"], ["25/04/2023", "01/02/2023"], ["2023-04-25", "2023-02-01"]),
        (["2023-04-25", "2022-12-31"], ["25.04.2023", "01.02.2023"], ["2023-04-25", "2023-02-01"]),
        (["25.04.2023", "31.12.2022"], [date(2023, 4, 25), date(2023, 2, 1)], ["2023-04-25", "2023-02-01"]),
        ([date(2023, 4, 25), date(2022, 12, 31)], ["04/25/2023", "02/01/2023"], ["2023-04-25", "2023-02-01"]),
    ],
)
def test_days_of_a_test_part_are_read_in_its_own_form(
    train: list[Any], test: list[Any], right: list[str], understand: Any
) -> None:
    table = understand(
        pl.DataFrame({"d": train * 6, "x": range(12), "y": [0, 1] * 6}),
        pl.DataFrame({"d": test, "x": [1, 2], "y": [0, 1]}),
        target="y",
    )
    column = {column.name: column for column in table.columns}["d"]
    cells = table.frame.collect()["d"].tail(2)
    found = KINDS["time"].decode(cells, None, column.settings).values
    assert found.tolist() == [int(pl.Series([day]).str.to_date().cast(pl.Datetime("ms")).cast(int)[0]) for day in right]
    both_iso = isinstance(test[0], date)
    assert any("are read as" in note for note in table.notes) == (not both_iso)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["1.234,50", "0,25", "12,00"], [1234.5, 0.25, 12.0]),
        (["1.234,50", "0,25", "12,00"], ["1234.5", "0.25", "12"]),
        ([1234.5, 0.25, 12.0], ["1.234,50", "0,25", "12,00"]),
        (["1234.5", "0.25", "12"], ["€ 1.234,50", "€ 0,25", "€ 12,00"]),
    ],
)
def test_numbers_of_a_test_part_are_read_in_its_own_notation(
    train: list[Any], test: list[Any], understand: Any
) -> None:
    table = understand(
        pl.DataFrame({"n": train * 4, "y": [0, 1] * 6}), pl.DataFrame({"n": test, "y": [0, 1, 0]}), target="y"
    )
    column = {column.name: column for column in table.columns}["n"]
    assert column.kind == "number"
    cells = table.frame.collect()["n"]
    found = KINDS["number"].decode(cells, None, column.settings).values
    assert found[-3:].tolist() == found[:3].tolist() == [1234.5, 0.25, 12.0]


def test_a_test_part_of_which_a_column_cannot_be_read_is_refused(understand: Any) -> None:
    train = pl.DataFrame({"d": ["2023-04-25", "2022-12-31"] * 6, "y": [0, 1] * 6})
    with pytest.raises(SourceError, match=r"Column 'd' of the test part of data holds values such as 'spring', n"):
        understand(train, pl.DataFrame({"d": ["spring", "autumn"], "y": [0, 1]}), target="y")


def test_the_form_of_days_is_told_by_all_train_rows(understand: Any) -> None:
    days = ["04/03/2023"] * 5_999 + ["04/25/2023"]  # a sample hardly meets the one that tells
    table = understand(pl.DataFrame({"d": days * 2, "x": range(12_000), "y": [0, 1] * 6_000}), target="y")
    assert {column.name: dict(column.settings) for column in table.inputs}["d"] == {"format": "%m/%d/%Y"}


def test_none_among_few_numbers_is_a_class_and_other_words_are_said(understand: Any) -> None:
    def grades(word: str) -> Any:
        return understand(pl.DataFrame({"x": range(60), "y": ["1", "2", word] * 20}), target="y")

    table = grades("None")
    assert (
        table.task.classes == ("1", "2", "None") and "20 rows of 'y' hold 'None', which is read as a" in table.notes[0]
    )
    table = grades("NA")
    assert table.task.classes == ("1", "2") and "20 of 60 rows of 'y' hold 'NA', which is read as m" in table.notes[0]


@pytest.mark.parametrize("dtype", [pl.Decimal(12, 2), pl.Int128, pl.UInt64, pl.Int8])
def test_numbers_of_any_type_are_columns_and_targets(dtype: Any, understand: Any) -> None:
    numbers = pl.Series(list(range(60)), dtype=dtype)
    table = understand(pl.DataFrame({"n": numbers, "y": numbers}), target="y")
    assert _kinds(table)["n"] == "number" and table.task.name == "regression"


def test_names_in_letters_composed_otherwise_are_one_name(understand: Any) -> None:
    train = pl.DataFrame({"gro\u0308ße": range(12), "y": [0, 1] * 6})
    test = pl.DataFrame({"größe": [1, 2], "y": [0, 1]})
    table = understand(train, test, target="y", kind=("größe=number",), drop=())
    assert [column.name for column in table.columns] == ["größe", "y"]
