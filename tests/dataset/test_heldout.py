"""Labels of test rows: sealed for whoever learns, handed to the judge, counted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from leadline.config import from_mapping
from leadline.dataset.heldout import SEALED, HeldOut, hidden


def test_sealed_labels_are_a_copy() -> None:
    labels, values = np.arange(5), np.arange(5.0)
    assert hidden(labels, np.array([1, 3])).tolist() == [0, SEALED, 2, SEALED, 4]
    assert np.isnan(hidden(values, np.array([0]))).tolist() == [True, False, False, False, False]
    assert labels.tolist() == values.tolist() == [0, 1, 2, 3, 4]


def test_evaluations_are_counted_by_set_and_by_row(mixed: Any, prepare: Any) -> None:
    table = prepare(mixed(200), target="y").table
    asked, held = from_mapping({}), HeldOut(table)
    first, second = (held.split(table, asked, fold).test for fold in (0, 1))
    assert held.evaluations(first) == 0 and held.counted()["most"] == 0
    np.testing.assert_array_equal(held.evaluate(first), table.labels[first])
    held.evaluate(first)
    held.evaluate(second)
    assert (held.evaluations(first), held.evaluations(second)) == (2, 1)
    assert held.counted() == {"sets": 2, "most": 2, "rows": len(first) + len(second), "most_a_row": 2}


def test_a_split_is_drawn_as_if_nothing_was_sealed(mixed: Any, prepare: Any) -> None:
    made = prepare(mixed(200), target="y")
    asked, held = from_mapping({}), HeldOut(made.table)
    split = held.split(made.table, asked)
    table = held.without(made.table, split)
    assert (table.labels[split.test] == SEALED).all() and (table.labels[split.train] >= 0).all()
    again = held.split(table, asked)
    assert all(np.array_equal(getattr(split, part), getattr(again, part)) for part in vars(split))
    other = held.split(table, asked, fold=1)
    assert (held.without(table, other).labels[split.test] >= 0).all()  # a fold learns from what another tests on
    gone = dataclasses.replace(table, part=np.where(np.arange(200) == split.train[0], 3, table.part))
    assert split.train[0] not in np.concatenate(list(vars(held.split(gone, asked)).values()))


def test_all_labels_are_there_once_the_verdict_is_made(mixed: Any, prepare: Any) -> None:
    made = prepare(mixed(200), target="y")
    held = HeldOut(made.table)
    table = held.without(made.table, made.store.split)
    with pytest.raises(AssertionError, match="before the verdict"):
        held.opened(table)
    held.decide()
    np.testing.assert_array_equal(held.opened(table).labels, made.table.labels)
