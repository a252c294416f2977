"""The linear contender where the rows to learn from do not hold every class."""

import numpy as np
import pytest

from leadline.contenders.contender import Clock
from leadline.contenders.linear import _logistic, _scores


@pytest.mark.parametrize("seen", [[0, 2], [1], [0, 1, 2, 3]])
def test_a_class_without_rows_has_a_small_probability_and_a_column(seen: list[int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    y = np.array(seen)[rng.integers(0, len(seen), 120)]
    weights = _logistic(x, y, 1.0, Clock(5.0), None, 4)
    again = _logistic(x, y, 1.0, Clock(5.0), weights, 4)
    scores = _scores(x, weights, 4, (0.0, 1.0), False)
    assert scores.shape == (120, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert scores[:, [k for k in range(4) if k not in seen]].max(initial=0.0) < 1e-3
    np.testing.assert_allclose(_scores(x, again, 4, (0.0, 1.0), False), scores, atol=5e-3)


def test_of_two_classes_one_alone_is_told_always() -> None:
    x = np.ones((20, 2), np.float32)
    for only in (0, 1):
        weights = _logistic(x, np.full(20, only), 1.0, Clock(5.0), None, 2)
        assert (_scores(x, weights, 2, (0.0, 1.0), False).argmax(axis=1) == only).all()
