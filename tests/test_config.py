"""Settings from loose values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        ({"seed": None}, "seed", 0),
    ],
)
def test_loose_values_are_understood(values: dict[str, Any], field: str, expected: Any) -> None:
    assert getattr(from_mapping(values), field) == expected


def test_settings_survive_a_round_trip() -> None:
    asked = from_mapping({"target": "y", "kind": {"a": "text"}, "drop": "b", "budget": "2m", "seed": 3})
    assert from_mapping(asked.as_dict()) == asked and asked.kinds == {"a": "text"} and asked.seconds == 120


def test_a_seed_below_zero_is_refused_in_one_sentence() -> None:
    with pytest.raises(LeadlineError, match="--seed -1 was given, where a whole number from 0 up was expected"):
        from_mapping({"seed": -1})
