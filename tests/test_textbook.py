"""The expectation: the published rules on tables of every sort, and what overrules them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.textbook import Expectation, applied, books, expect

MACHINE = {"cores": 4, "memory_gb": 16.0}


@pytest.fixture
def expected(prepare: Any) -> Any:
    """expected(source, rows, ...): of a source that is said to have so many rows to learn from."""

    def run(
        source: Any, rows: int | None = None, seconds: float = 300.0, interpretable: bool = False, **settings: Any
    ) -> Expectation:
        made = prepare(source, **settings)
        counts = {**made.store.split.counts(), **({"train": rows} if rows else {})}
        return expect(made.table, counts, MACHINE, interpretable=interpretable, seconds=seconds)

    return run


@pytest.mark.parametrize(
    ("data", "rows", "classes", "answer", "sure"),
    [
        ("columns", 300, 2, "classical", "often"),
        ("columns", 49_999, 2, "classical", "usually"),
        ("columns", 50_000, 2, "either", "open"),
        ("texts", 5_000, 2, "classical", "often"),
        ("texts", 100_000, 2, "either", "open"),
        ("texts", 1_000_000, 2, "deep", "often"),
        ("images", 5_000, 10, "deep", "usually"),
        ("images", 4_990, 10, "deep", "often"),
        ("images", 5_000, 1_000, "either", "open"),
        ("images", 5_000, 0, "deep", "usually"),  # a number is asked: ten rows count as one of a class
        ("sounds", 320, 10, "deep", "often"),
        ("sounds", 100, 10, "either", "open"),
        ("text corpus", 1_000, 0, "deep", "usually"),
        ("text corpus", 100, 0, "either", "open"),
    ],
)
def test_the_kind_of_data_and_its_rows_decide(data: str, rows: int, classes: int, answer: str, sure: str) -> None:
    rule = applied(books()[data], rows, classes)
    assert (rule.answer, rule.sure) == (answer, sure)


def test_every_sort_of_data_has_a_last_line_and_every_line_can_be_reached() -> None:
    for data, book in books().items():
        least = [finding.least for finding in book.findings]
        assert least[-1] == 0 and least == sorted(set(least), reverse=True), data
        for finding in book.findings:
            assert (finding.answer == "either") == (finding.sure == "open") and finding.source


def test_a_table_is_for_trees(expected: Any, mixed: Any) -> None:
    found = expected(mixed(), 20_000, target="y")
    assert (found.answer, found.confidence) == ("classical", "usually")
    assert found.why == (
        "The textbook usually expects classical models to win here, because boosted trees beat networks on tables "
        "under about 50,000 rows (Grinsztajn et al. 2022; McElfresh et al. 2023)."
    )
    assert found.reasons[0].finding == "columns, 20,000 rows to learn from, 10,000 a class on average"
    assert "(2 of numbers, 1 of categories, 1 of times)" in found.reasons[1].finding
    assert found.reasons[-1].finding == "300 s on 4 cores, 16 GB, no GPU used: enough for a network to learn something"
    assert [r.points_to for r in found.reasons] == ["classical", "classical", "either"]
    assert all(r.source for r in found.reasons)


def test_pictures_are_for_networks_unless_the_budget_is_short(expected: Any, bars: Any) -> None:
    assert expected(bars(), 20_000).answer == "deep"
    assert expected(bars(), 20_000, math.inf).reasons[-1].finding.startswith("no limit of time on 4 cores")
    short = expected(bars(), 20_000, 10.0)
    assert (short.answer, short.confidence) == ("either", "open")
    assert short.why.endswith("but the budget is short for 20,000 rows on this machine.")
    assert short.reasons[0].points_to == "deep" and short.reasons[-1].points_to == "classical"


def test_who_must_read_the_model_gets_a_classical_one(expected: Any, bars: Any) -> None:
    found = expected(bars(), 20_000, interpretable=True)
    assert (found.answer, found.confidence) == ("classical", "usually") and "Rudin 2019" in found.why
    assert any(reason.finding == "the model must be open to reading" for reason in found.reasons)


def test_texts_sounds_and_running_text_are_told_apart(expected: Any, messages: Any, tones: Any, story: Any) -> None:
    for source, settings, name in ((messages(), {"target": "label"}, "texts"), (tones(), {"target": "label"}, "sounds"),
                                   (story(), {}, "text corpus")):  # fmt: skip
        assert expected(source, **settings).reasons[0].finding.startswith(name)
    few = expected(messages(), target="label")
    assert any("none here is pretrained" in reason.finding for reason in few.reasons)


def test_a_text_among_many_columns_leaves_a_table(expected: Any, mixed: Any, messages: Any) -> None:
    frame = mixed(240).with_columns(remark=messages(240)["text"])
    found = expected(frame, target="y")
    assert found.reasons[0].finding.startswith("columns,")
    assert any(reason.finding == "texts among the columns: 1" for reason in found.reasons)


def test_numbers_in_order_are_told_from_numbered_columns(expected: Any) -> None:
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(120, 40)).cumsum(axis=1)
    y = ["up" if walk[-1] > 0 else "down" for walk in walks]
    series = pl.DataFrame({f"t{i}": walks[:, i] for i in range(40)}).with_columns(y=pl.Series(y))
    found = expected(series, target="y")
    assert (found.answer, found.confidence) == ("either", "open") and "random convolutions" in found.why
    assert any("40 numbered columns" in r.finding and r.points_to == "deep" for r in found.reasons)
    noise = pl.DataFrame({f"t{i}": rng.normal(size=120) for i in range(40)}).with_columns(y=pl.Series(y))
    assert expected(noise, target="y").answer == "classical"


def test_more_columns_than_rows(expected: Any) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"g{i}": rng.normal(size=40) for i in range(80)}).with_columns(
        y=pl.Series(["a", "b"] * 20)
    )  # fmt: skip
    found = expected(frame, target="y")
    assert any(reason.finding.startswith("more columns (80) than rows") for reason in found.reasons)


def test_plain_values_for_the_result(expected: Any, mixed: Any) -> None:
    told = dataclasses.asdict(expected(mixed(), target="y"))
    assert told.keys() == {"answer", "confidence", "why", "reasons"}
    assert told["reasons"][0].keys() == {"finding", "points_to", "source"}


def test_a_series_in_a_cell_is_no_number_of_columns(expected: Any) -> None:
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(80, 30)).cumsum(axis=1)
    found = expected(
        pl.DataFrame({"walk": walks.tolist(), "y": ["up" if row[-1] > 0 else "down" for row in walks]}), target="y"
    )
    assert found.reasons and not any("0 numbered columns" in reason.finding for reason in found.reasons)
    assert any(reason.finding == "values in order, as many in each row: a series" for reason in found.reasons)
