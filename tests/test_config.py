"""Settings from loose values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.config import from_mapping, gigabytes, seconds
from leadline.system.errors import BudgetError, LeadlineError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3_600), ("1.5h", 5_400), (" 2 min ", 120), ("0.5", 0.5)],
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5", "0", "5d", "1h30m", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BudgetError, match="is not a time; write seconds or a unit, as in 90, 90s, 5m or 1h"):
        seconds(text)


@pytest.mark.parametrize(("text", "expected"), [("800MB", 0.8), ("4GB", 4), ("4g", 4), ("2 GiB", 2), ("1TB", 1_000)])
def test_sizes(text: str, expected: float) -> None:
    assert gigabytes(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["50MB", "199MB", "1k"])
def test_less_memory_than_any_run_takes_is_refused_with_what_works(text: str) -> None:
    with pytest.raises(LeadlineError, match=f"--memory {text} is less than any run takes; give 200MB at the least"):
        gigabytes(text)
    with pytest.raises(LeadlineError, match="is less than any run takes"):  # before any data is read
        from_mapping({"memory": text})
    assert gigabytes("200MB") == 0.2


@pytest.mark.parametrize("text", ["", "4", "0GB", "GB", "-1GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(LeadlineError, match="is not a size; write a number and a unit, as in 800MB or 4GB"):
        gigabytes(text)


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"budget": 30}, "budget", "30"),
        ({"out": Path("a") / "b"}, "out", str(Path("a") / "b")),
        ({"kind": {"a=b": "text"}}, "kind", ("a=b=text",)),
        ({"kind": "a=text"}, "kind", ("a=text",)),
        ({"drop": ["a", "b"]}, "drop", ("a", "b")),
        ({"only": ["deep", "linear"]}, "only", "deep,linear"),
        ({"only": np.array(["deep", "linear"])}, "only", "deep,linear"),
        ({"drop": [0, "a"]}, "drop", ("0", "a")),
        ({"fix": ["near_duplicates", "label_errors"]}, "fix", "near_duplicates,label_errors"),
        ({"seed": np.int64(3), "coverage": 0.8}, "seed", 3),
        ({"seed": None}, "seed", 0),
    ],
)
def test_loose_values_are_understood(values: dict[str, Any], field: str, expected: Any) -> None:
    assert getattr(from_mapping(values), field) == expected


def test_settings_survive_a_round_trip() -> None:
    asked = from_mapping({"target": "y", "kind": {"a": "text"}, "drop": "b", "budget": "2m", "seed": 3})
    assert from_mapping(asked.as_dict()) == asked and asked.kinds == {"a": "text"} and asked.seconds == 120


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_size": 5}, "--max-size 5 is not a quantity; write a number and a unit"),
        ({"max_latency": ["1ms"]}, r"--max-latency \['1ms'\] was given, where a text was expected"),
        ({"epochs": "x"}, "--epochs 'x' was given, where a whole number was expected"),
        ({"repeats": 2.5}, "--repeats 2.5 was given, where a whole number was expected"),
        ({"seed": True}, "--seed True was given, where a whole number was expected"),
        ({"coverage": "x"}, "--coverage 'x' was given, where a number was expected"),
        ({"until_sure": "yes"}, "--until-sure 'yes' was given, where True or False was expected"),
        ({"only": 5}, "--only 5 was given, where a text or several were expected"),
        ({"drop": 3}, "--drop 3 was given, where a text or several were expected"),
        ({"task": ["binary"]}, r"--task \['binary'\] was given, where a text was expected"),
    ],
)
def test_values_of_another_type_are_one_sentence(values: dict[str, Any], said: str) -> None:
    with pytest.raises(LeadlineError, match=said):
        from_mapping(values)


def test_a_seed_below_zero_is_refused_in_one_sentence() -> None:
    with pytest.raises(LeadlineError, match="--seed -1 was given, where a whole number from 0 up was expected"):
        from_mapping({"seed": -1})


def test_a_column_has_one_kind() -> None:
    assert from_mapping({"kind": ["a=text", "a=text", "b=number"]}).kinds == {"a": "text", "b": "number"}
    with pytest.raises(LeadlineError, match="^--kind gives 'a' two kinds, text and category; give it one"):
        from_mapping({"kind": ["a=text", "b=number", "a=category"]})
