"""What a budget keeps for the end of the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.race.finalization_time import (
    EXPLAINED,
    KEPT_EXPLAINED,
    LEFT_EXPLAINED,
    MOST,
    MOST_EXPLAINED,
    MOST_USUAL,
    WRITING,
    explaining,
    reserve,
)

USUAL = PORTFOLIO["cnn"].export_seconds


def _store(a_row: float, test: int, generative: bool = False) -> Any:
    block, task = SimpleNamespace(kind="image", columns=("photo",)), SimpleNamespace(generative=generative)
    return SimpleNamespace(a_row=a_row, blocks=(block,), split=SimpleNamespace(test=np.arange(test)), task=task)


def test_on_a_quiet_machine_it_is_what_was_measured_and_the_rows() -> None:
    assert reserve(_store(0.01, 100), ["cnn"], 300.0, 1.0, 1.0) == pytest.approx(USUAL + 1.0 + KEPT_EXPLAINED, abs=0.05)


def test_on_a_busy_one_a_race_remains_and_what_was_measured_there_is_not_slowed_twice() -> None:
    assert reserve(_store(0.02, 100), ["cnn"], 30.0, 4.0, 4.0) == pytest.approx(MOST_USUAL * 30.0 + 2.0, abs=0.05)
    assert reserve(_store(0.02, 100), ["cnn"], 300.0, 4.0, 4.0) == pytest.approx(
        4 * USUAL + 2.0 + KEPT_EXPLAINED, abs=0.05
    )
    assert reserve(_store(0.02, 1_000), ["cnn"], 30.0, 4.0, 4.0) == MOST * 30.0


def test_seconds_are_kept_for_explaining_test_rows_where_a_budget_is_long_enough() -> None:
    usual = reserve(_store(0.01, 0), ["cnn"], 1e9, 1.0, 1.0) - KEPT_EXPLAINED
    assert reserve(_store(0.01, 0), ["cnn"], 60.0, 1.0, 1.0) == pytest.approx(usual + EXPLAINED * 60.0)
    assert reserve(_store(0.01, 0), ["cnn"], 40.0, 1.0, 1.0) == pytest.approx(usual)
    assert reserve(_store(0.01, 0, generative=True), ["cnn"], 60.0, 1.0, 1.0) == pytest.approx(usual)


def test_what_is_left_of_a_budget_bounds_the_explanation() -> None:
    assert explaining(60.0, 30.0, 30.0) == LEFT_EXPLAINED * 60.0
    assert explaining(60.0, 4.0, 56.0) == 4.0 - WRITING
    assert explaining(60.0, 2.0, 58.0) == 0.0 and explaining(8.0, 6.0, 2.0) == 0.0
    assert explaining(1e9, 1e9, 0.0) == MOST_EXPLAINED
    assert explaining(None, float("inf"), 100.0) == LEFT_EXPLAINED * 100.0 and explaining(None, 0.0, 5.0) == 0.0
