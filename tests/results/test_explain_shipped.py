"""Test rows are explained at the end of a run as far as its budget allows, and the report says so where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import leadline as ll
from leadline.report.explained import why_section
from leadline.report.media_budget import Room
from leadline.results import explain_shipped as module
from leadline.results.explain_shipped import PLANS, explain_shipped
from leadline.use.explain.cost import expected_answers
from leadline.use.explain.explain import FULL, explain
from leadline.use.explain.sample import read_sample


@pytest.fixture(scope="module")
def run(mixed: Callable[..., pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    folder = tmp_path_factory.mktemp("shipped")
    mixed(400, "binary").write_csv(folder / "table.csv")
    return ll.fit(folder / "table.csv", target="y", only="linear", epochs=1, repeats=1, out=folder / "run")


def _shipped(run: ll.Run, seconds: float) -> Any:
    data, shipment = run.data(), SimpleNamespace(contender="linear")
    return explain_shipped(run.folder, data.table, data.store, shipment, seconds)  # type: ignore[arg-type]


def test_with_time_a_dozen_rows_and_the_whole_model_are_explained(run: ll.Run) -> None:
    why = _shipped(run, 60.0)
    assert why.note == "" and len(why.found.rows) == 12 and why.found.importances and why.found.curves
    page = why_section(why, Room(10**6))
    assert "12 test rows" in page and "The model as a whole" in page and "Checked: columns" in page
    assert page.count('<article class="row">') == 12


def test_with_less_time_fewer_and_with_none_no_rows_are_explained_and_a_sentence_says_so(
    run: ll.Run, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "expected_answers", lambda *a: 10**9)
    why = _shipped(run, 30.0)
    assert why.found is None and "It would take longer than the 30 s that it may take here, so no row" in why.note
    plans = iter([10**9, 10**9, 1])
    monkeypatch.setattr(module, "expected_answers", lambda *a: next(plans))
    fewer = _shipped(run, 30.0)
    assert len(fewer.found.rows) == 6 and "some of the checks were left out" in fewer.note
    none = _shipped(run, 0.0)
    assert none.found is None and "The budget leaves no time for it" in none.note
    assert f"leadline explain {run.folder.name}" in why_section(none, Room(10**6))


def test_an_explanation_that_takes_too_long_is_given_up_on_time(run: ll.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "expected_answers", lambda *a: 0)
    answer = ll.Model.run

    def slow(self: ll.Model, feeds: Any) -> Any:
        time.sleep(0.05)
        return answer(self, feeds)

    monkeypatch.setattr(ll.Model, "run", slow)
    monkeypatch.setattr("leadline.use.explain.scorer.BATCH_JOINT", 16)
    began = time.monotonic()
    why = _shipped(run, 1.5)
    assert why.found is None and "It took longer than the 2 s that were left" in why.note
    assert time.monotonic() - began < 8  # reading the run again included


def test_the_expected_number_of_answers_is_near_the_true_one(run: ll.Run, tmp_path: Path) -> None:
    sample = read_sample(run.model, run.folder.parent / "table.csv", None, tmp_path)
    for _, _, effort in PLANS:
        expected = expected_answers(run.model, sample, effort)
        assert 0.5 * expected < explain(run.model, sample, effort=effort).answered < 1.5 * expected
    assert expected_answers(run.model, sample, FULL) == max(expected_answers(run.model, sample, e) for *_, e in PLANS)


def test_a_short_run_says_in_its_report_that_nothing_is_explained(run: ll.Run) -> None:
    page = run.report().read_text()
    assert "Why it answers so" in page and "The budget leaves no time for it" in page
    assert run.result["seconds"]["explain"] < 1
