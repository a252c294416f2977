"""What a budget keeps for the end of the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.race.finalization_time import MOST, MOST_USUAL, reserve

USUAL = PORTFOLIO["cnn"].export_seconds


def _store(a_row: float, test: int) -> Any:
    block = SimpleNamespace(kind="image", columns=("photo",))
    return SimpleNamespace(a_row=a_row, blocks=(block,), split=SimpleNamespace(test=np.arange(test)))


def test_on_a_quiet_machine_it_is_what_was_measured_and_the_rows() -> None:
    assert reserve(_store(0.01, 100), ["cnn"], 300.0, 1.0) == pytest.approx(USUAL + 1.0, abs=0.05)


def test_on_a_busy_one_a_race_remains_and_what_was_measured_there_is_not_slowed_twice() -> None:
    assert reserve(_store(0.02, 100), ["cnn"], 30.0, 4.0) == pytest.approx(MOST_USUAL * 30.0 + 2.0, abs=0.05)
    assert reserve(_store(0.02, 100), ["cnn"], 300.0, 4.0) == pytest.approx(4 * USUAL + 2.0, abs=0.05)
    assert reserve(_store(0.02, 1_000), ["cnn"], 30.0, 4.0) == MOST * 30.0
