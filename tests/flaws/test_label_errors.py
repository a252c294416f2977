"""Label errors: of train and valid rows first, of all others once their labels may be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leadline.dataset.heldout import HIDDEN
from leadline.flaws.label_errors import Effort, LabelErrors, Predictions, predict
from leadline.tasks import Binary

N = 2_000


class Sure:
    """A probe that knows the truth of every row, more or less surely, and remembers whose labels it was given."""

    name, classes = "a stub", 2

    def __init__(self, truth: np.ndarray) -> None:
        self.truth, self.given = truth, np.empty(0, np.int64)

    def crossed(self, rows: np.ndarray, labels: np.ndarray, *_: Any, known: np.ndarray) -> np.ndarray:
        assert (labels[~known] == HIDDEN).all()
        self.given = rows[known]
        return self.answers(rows, labels, rows)

    def answers(self, train: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        sure = np.random.default_rng(2).uniform(0.55, 0.99, N)[rows]
        return np.where(np.arange(2) == self.truth[rows][:, None], sure[:, None], 1 - sure[:, None]).astype(np.float32)


@pytest.fixture
def made() -> tuple[Any, Any, np.ndarray, np.ndarray, Predictions]:
    """(probe, table, which labels are wrong, train and valid rows, predictions)."""
    rng = np.random.default_rng(0)
    truth, wrong = rng.integers(0, 2, N), rng.random(N) < 0.1

    class Table:
        task = Binary(target="y", classes=("no", "yes"), metric="accuracy")
        labels = np.where(wrong, 1 - truth, truth)

    learned = np.flatnonzero(np.arange(N) % 5 > 0)
    probe: Any = Sure(truth)
    predictions = predict(probe, Table(), np.arange(N), learned, Effort(train=1_000, rows=N))  # type: ignore[arg-type]
    return probe, Table(), wrong, learned, predictions


def test_only_rows_that_may_be_learned_from_are_found_before(made: Any) -> None:
    probe, table, wrong, learned, predictions = made
    np.testing.assert_array_equal(probe.given, learned)
    flaw = LabelErrors().among_known(probe, table, predictions)
    assert flaw is not None and flaw.drop is not None
    assert np.isin(flaw.rows, learned).all() and np.array_equal(flaw.rows, flaw.drop)
    assert wrong[flaw.rows].mean() > 0.5
    assert f"of {len(learned):,} labels of train and valid rows are suspect" in flaw.says
    assert "learned" in flaw.facts


def test_test_rows_are_added_after_and_nothing_more_is_dropped(made: Any) -> None:
    probe, table, wrong, learned, predictions = made
    first = LabelErrors().among_known(probe, table, predictions)
    found = LabelErrors().among_all(table, predictions, first)
    assert first is not None and found is not None and found.drop is not None
    assert set(found.rows) > set(first.rows) and np.array_equal(found.drop, first.drop)
    new = np.setdiff1d(found.rows, first.rows)
    assert len(new) and not np.isin(new, learned).any() and wrong[new].mean() > 0.5
    assert f"{len(found.rows):,} of {N:,} labels are suspect" in found.says
    doubt = predictions.answers[found.rows, table.labels[found.rows]]
    assert (np.diff(doubt) >= 0).all()  # the most suspect first


def test_suspects_of_the_test_alone_drop_nothing(made: Any) -> None:
    _, table, wrong, _, predictions = made
    found = LabelErrors().among_all(table, predictions, None)
    assert found is not None and found.drop is None and "learned" not in found.facts
    assert wrong[found.rows].mean() > 0.5
