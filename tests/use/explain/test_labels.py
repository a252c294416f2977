"""Labels of a source are read as `fit` reads them, in whichever way they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.tasks import Binary, Multilabel, Regression
from leadline.use.explain.labels import labels_of

TAGS = Multilabel(target="y", classes=("light", "rock", "water"), metric="micro f1")


@pytest.mark.parametrize(
    "cells",
    [
        ["light; water", "rock", ""], ["light|water", "rock", None], ["light, water", "rock", ""],
        ["['light', 'water']", "['rock']", "[]"], [["light", "water"], ["rock"], []],
    ],
)  # fmt: skip
def test_several_labels_are_read_in_every_notation(cells: list[Any]) -> None:
    found = labels_of(pl.Series(cells), TAGS)
    assert found is not None and found.tolist() == [[True, False, True], [False, True, False], [False] * 3]


def test_a_column_of_other_words_has_no_labels() -> None:
    assert labels_of(pl.Series(["x; y", "z", "light"]), TAGS) is None
    assert labels_of(pl.Series([None, None], dtype=pl.String), TAGS) is None


@pytest.mark.parametrize(
    ("classes", "cells"),
    [(("False", "True"), [True, False]), (("0", "1"), [1.0, 0.0]), (("no", "yes"), [" yes", "no "])],
)
def test_a_class_is_read_in_the_spelling_of_the_model(classes: tuple[str, str], cells: list[Any]) -> None:
    found = labels_of(pl.Series(cells), Binary(target="y", classes=classes, metric="accuracy"))
    assert found is not None and found.tolist() == [1, 0]


def test_values_are_read_in_their_notation() -> None:
    task = Regression(target="y", classes=(), metric="rmse")
    found = labels_of(pl.Series(["1.234,5", "2,25", "3,125"]), task)
    assert found is not None and np.allclose(found, [1234.5, 2.25, 3.125])
