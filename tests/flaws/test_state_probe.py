"""The opinion of a model on states of a pretrained body: never on a row's own label, in time, and where it helps."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.config import from_mapping
from leadline.contenders.states import readers
from leadline.core.contender import Clock
from leadline.dataset.heldout import HIDDEN
from leadline.flaws.detector import ScanData
from leadline.flaws.label_errors import Effort, Predictions, with_states
from leadline.flaws.state_probe import StateProbe, joined
from leadline.flaws.time_budget import Pace

N, FOLDS = 600, 4


@pytest.fixture(scope="module")
def table(messages: Any, prepare: Any, tiny_bert: Path) -> Any:
    """Texts with a body whose weights are noise: what words a text has, it says still."""
    return prepare(messages(N), target="label", weights=str(tiny_bert))


@pytest.fixture(scope="module")
def fold() -> np.ndarray:
    return np.arange(N) % FOLDS


def test_a_row_is_answered_without_its_own_label(table: Any, fold: np.ndarray) -> None:
    rows, labels = np.arange(N), table.table.labels.copy()
    known = rows % 5 > 0
    hidden = np.where(known, labels, HIDDEN)
    probe = StateProbe(table.store, 1, None)
    found = probe.answers(rows, hidden, fold, known, math.inf)
    assert found is not None and found.shape == (N, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == labels)[~known].mean() > 0.7
    changed = hidden.copy()
    place = int(np.flatnonzero(known)[0])
    changed[place] = 1 - changed[place]
    again = probe.answers(rows, changed, fold, known, math.inf)
    assert again is not None
    same = fold == fold[place]
    np.testing.assert_array_equal(again[same], found[same])
    assert not np.array_equal(again[~same], found[~same])


def test_without_a_body_or_time_there_is_no_opinion(table: Any, messages: Any, prepare: Any, fold: np.ndarray) -> None:
    rows, labels, known = np.arange(N), table.table.labels, np.ones(N, bool)
    plain = prepare(messages(N), target="label")
    assert not readers(plain.store) and readers(table.store)
    assert StateProbe(plain.store, 1, None).answers(rows, labels, fold, known, math.inf) is None
    assert StateProbe(table.store, 1, None).answers(rows, labels, fold, known, 1.0) is None


def test_it_ends_when_its_seconds_are_over(table: Any, fold: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels, known = np.arange(N), table.table.labels, np.ones(N, bool)
    looks = []
    pace = Pace(Clock(600.0), 600.0)
    monkeypatch.setattr(pace, "watch", lambda seconds: lambda: looks.append(seconds) or True)
    assert StateProbe(table.store, 1, pace).answers(rows, labels, fold, known, 30.0) is None
    assert len(looks) == 1 and 0 < looks[0] < 30.0


def test_what_is_kept_for_later_parts_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(Clock(600.0), 600.0)
    assert pace.rest(0.25) == pytest.approx(1.1 * 60 - 15, abs=0.5)
    assert Pace(Clock(math.inf), math.inf).rest(0.25) == 60.0


def _predicted(table: Any, answers: np.ndarray, fold: np.ndarray) -> tuple[ScanData, Predictions]:
    data = ScanData(table=table.table, store=table.store, settings=from_mapping({}), threads=1)
    known = np.arange(N) % 5 > 0
    made = Predictions(
        rows=np.arange(N), known=known, answers=answers, probe_answers=answers, fold=fold,
        effort=Effort(train=N, rows=N), probe="a stub",
    )  # fmt: skip
    return data, made


def test_it_counts_only_where_both_are_more_probable(
    table: Any, fold: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = np.eye(2, dtype=np.float32)[table.table.labels]
    data, alone = _predicted(table, np.full((N, 2), 0.5, np.float32), fold)
    monkeypatch.setattr(StateProbe, "answers", lambda *_: 0.1 + 0.8 * truth)
    both = with_states(data, alone, math.inf)
    assert both.effort.states and both.probe == "a stub beside a pretrained body"
    np.testing.assert_allclose(both.answers, joined([alone.answers, 0.1 + 0.8 * truth]))
    np.testing.assert_array_equal(both.probe_answers, alone.answers)
    short = replace(data, settings=from_mapping({"memory": "2GB"}))
    assert with_states(short, alone, math.inf) is alone  # the process of a run has no room for a body then
    monkeypatch.setattr(StateProbe, "answers", lambda *_: 0.9 - 0.8 * truth)
    assert with_states(data, alone, math.inf) is alone
