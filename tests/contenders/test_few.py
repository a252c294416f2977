"""Contenders where there is little: few rows, little time, rare labels."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl

from leadline.contenders.boosting import Boosting
from leadline.contenders.contender import Clock, Data, Progress
from leadline.contenders.linear import STRENGTHS, Linear


def _labels(rows: int, columns: int, count: int) -> pl.DataFrame:
    """Labels that a tenth of the rows bear, each told by a column."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns)).round(3)
    borne = x[:, :count] > 1.28
    tags = [[f"l{k}" for k in np.flatnonzero(row)] for row in borne]
    return pl.DataFrame({f"x{i}": x[:, i] for i in range(columns)}).with_columns(pl.Series("tags", tags))


def test_linear_tries_every_strength_on_few_rows_however_late_it_is(mixed: Any, prepare: Any) -> None:
    store = prepare(mixed(60), target="y").store
    seen = list(Linear().fit(Data(store=store, clock=Clock(1e-6), threads=1), 0))
    assert sum(isinstance(one, Progress) for one in seen) == len(STRENGTHS)
    fitted: Any = seen[-1]
    assert "fitted again on train and valid rows" in fitted.describe[-1]


def test_trees_of_many_labels_start_from_their_odds_and_keep_their_seconds(prepare: Any) -> None:
    store = prepare(_labels(3_000, 40, 20), target="tags").store
    began = time.monotonic()
    fitted: Any = list(Boosting().fit(Data(store=store, clock=Clock(6.0), threads=1), 0))[-1]
    assert time.monotonic() - began < 6.0 + 5.0  # what a race lets pass
    likely = fitted.predict(store, store.split.test)
    assert abs(float(likely.mean()) - 0.1) < 0.03
    assert fitted.score > 0.5
