"""Test rows are explained at the end of a run as far as its budget allows, and the report says so where it does not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.report.explained import why_section
from leadline.report.media_budget import Room
from leadline.results import explain_shipped as module
from leadline.results.explain_shipped import PLANS, explain_shipped
from leadline.use.explain.cost import expected_answers
from leadline.use.explain.explain import FULL, explain
from leadline.use.explain.records import Loss
from leadline.use.explain.sample import read_sample
from leadline.use.explain.words import terminal


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
    plans = iter([10**9, 10**9, 10**9, 1])
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
        answered = explain(run.model, sample, effort=effort).answered
        assert answered < 1.5 * expected and (effort.sets or 0.5 * expected < answered)
    assert expected_answers(run.model, sample, FULL) == max(expected_answers(run.model, sample, e) for *_, e in PLANS)


def test_a_short_run_says_in_its_report_that_nothing_is_explained(run: ll.Run) -> None:
    page = run.report().read_text()
    assert "Why it answers so" in page and "The budget leaves no time for it" in page
    assert run.result["seconds"]["explain"] < 1


def test_a_row_alone_and_values_that_cannot_be_read_are_said(run: ll.Run) -> None:
    frame = pl.read_csv(run.folder.parent / "table.csv")
    with pytest.raises(ll.LeadlineError, match="this one row, and the effect of a column is found by comparing"):
        run.model.explain(frame[:1])
    odd = frame[:20].with_columns(size=pl.Series(["abc", *["1.5"] * 19]))
    with pytest.warns(UserWarning, match="In column 'size' 1 value counts as missing, such as row 1 "):
        assert run.model.explain(odd, rows=[3, 4]).rows


def test_a_worst_mistake_can_be_asked_for_by_the_number_that_the_report_gives(run: ll.Run) -> None:
    said = re.search(r"<tr><td>([\d,]+)</td><td>([\d,]+)</td>", run.report().read_text().split('id="mistakes"')[1])
    if said is None:  # no test row is wrong
        pytest.skip("the model makes no mistake")
    source, test = (int(each.replace(",", "")) for each in said.groups())
    row = run.explain(rows=[test - 1]).rows[0]
    assert (row.row, row.source_row) == (test - 1, source - 1) and row.right is False
    assert f"test row {test:,} (row {source:,} of the source): " in terminal(run.explain(rows=[test - 1]))


def test_labels_of_a_source_are_those_of_the_run(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)).round(3)
    tags = ["; ".join(name for name, value in zip("ab", row, strict=True) if value > 0) for row in values]
    pl.DataFrame({"x": values[:, 0], "z": values[:, 1], "tags": tags}).write_csv(tmp_path / "tags.csv")
    run = ll.fit(tmp_path / "tags.csv", target="tags", only="linear", epochs=1, repeats=1, out=tmp_path / "run")
    own = run.explain()
    found = run.explain(tmp_path / "tags.csv", rows=[row.source_row for row in own.rows if row.source_row is not None])
    assert found.loss is own.loss is Loss.LOG_LOSS and "" in {row.truth for row in found.rows}
    assert [(row.truth, row.predicted) for row in found.rows] == [(row.truth, row.predicted) for row in own.rows]


def test_columns_of_yes_and_no_are_labels_of_a_source_too(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)).round(3)
    marks = {name: np.where(column > 0, "yes", "no") for name, column in zip("ab", values.T, strict=True)}
    pl.DataFrame({"x": values[:, 0], "z": values[:, 1], **marks}).write_csv(tmp_path / "marks.csv")
    run = ll.fit(tmp_path / "marks.csv", target="a,b", only="linear", epochs=1, repeats=1, out=tmp_path / "run")
    found = run.explain(tmp_path / "marks.csv", rows=[0, 1, 2])
    said = [[name for name in "ab" if marks[name][i] == "yes"] for i in range(3)]
    assert [row.truth for row in found.rows] == ["|".join(each) for each in said]
