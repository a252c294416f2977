"""Looks share one error rate."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.stats.intervals import LEVEL
from leadline.stats.sequential import level, looks


def test_all_looks_together_err_as_often_as_one() -> None:
    for count in (1, 2, 7):
        spent = sum(1 - level(k) for k in range(1, count)) + 1 - level(count, last=True)
        assert spent == pytest.approx(1 - LEVEL)


def test_looks_grow_rarer() -> None:
    found = looks(100)
    assert found[0] == 3 and all(np.diff(found) >= 2) and (np.diff(found)[1:] >= np.diff(found)[:-1]).all()
