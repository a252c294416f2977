"""The gap over folds, of which no rows are known, against the correlated t-test of baycomp."""

from __future__ import annotations

import baycomp
import numpy as np
import pytest

from leadline.stats.few_folds import correlated_t


@pytest.mark.parametrize(("folds", "runs"), [(5, 1), (5, 5), (10, 3)])
def test_probabilities_are_those_of_the_correlated_t_test(folds: int, runs: int) -> None:
    rng = np.random.default_rng(folds * runs)
    classical = rng.normal(0.85, 0.02, folds * runs)
    deep = classical + rng.normal(0.006, 0.01, folds * runs)
    # It gives the probabilities that the first is better, that they are the same, and that the second is better.
    first, same, second = baycomp.two_on_single(deep, classical, rope=0.005, runs=runs)
    gap = correlated_t(deep - classical, 1 / folds)
    assert gap.above(0.005) == pytest.approx(first, abs=5e-4)
    assert 1 - gap.above(-0.005) == pytest.approx(second, abs=5e-4)
    assert first + same + second == pytest.approx(1.0)
