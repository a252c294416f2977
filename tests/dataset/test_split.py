"""The frozen split: fair, disjoint, by group and by time."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.core.tensors import Split
from leadline.dataset.split import folds_of, split
from leadline.system.errors import SourceError

PARTS = ("train", "valid", "calib", "test")


def _whole(parts: Split) -> list[int]:
    return sorted(np.concatenate([getattr(parts, name) for name in PARTS]).tolist())


@pytest.mark.parametrize("rows", [40, 50, 999, 1_000, 7_000, 100_000])
def test_every_row_is_in_one_part_in_rising_order(rows: int) -> None:
    labels = np.arange(rows) % 2
    parts = split(labels, np.zeros(rows, np.uint8), 0)
    assert _whole(parts) == list(range(rows))
    for name in PARTS:
        assert (np.diff(getattr(parts, name)) > 0).all()
    assert bool(len(parts.calib)) == (rows >= 7_000)
    assert abs(len(parts.test) - 0.2 * rows) <= 2


def test_sizes_have_a_ceiling() -> None:
    counts = split(np.random.default_rng(0).normal(size=1_000_000), np.zeros(1_000_000), 0).counts()
    assert [
        abs(counts[name] - most) <= 2 for name, most in (("test", 50_000), ("valid", 10_000), ("calib", 5_000))
    ] == [True] * 3


def test_classes_keep_their_shares() -> None:
    labels = np.random.default_rng(0).choice(4, 4_000, p=[0.7, 0.2, 0.08, 0.02])
    parts = split(labels, np.zeros(4_000), 3)
    for name, share in (("train", 0.72), ("valid", 0.08), ("test", 0.2)):
        counts = np.bincount(labels[getattr(parts, name)], minlength=4)
        np.testing.assert_allclose(counts, share * np.bincount(labels), atol=2)


def test_the_seed_decides() -> None:
    labels, part = np.arange(200) % 2, np.zeros(200)
    first, again, other = split(labels, part, 0), split(labels, part, 0), split(labels, part, 1)
    np.testing.assert_array_equal(first.test, again.test)
    assert first.test.tolist() != other.test.tolist()


def test_groups_stay_together() -> None:
    rng = np.random.default_rng(0)
    group = rng.choice([f"g{i}" for i in range(60)], 900, p=rng.dirichlet(np.ones(60)))
    parts = split(rng.integers(0, 2, 900), np.zeros(900), 0, group=group)
    homes = [set(group[getattr(parts, name)]) for name in ("train", "valid", "test")]
    assert not homes[0] & homes[1] and not homes[0] & homes[2] and not homes[1] & homes[2]
    assert _whole(parts) == list(range(900)) and 0.1 < len(parts.test) / 900 < 0.35


@pytest.mark.parametrize("seed", range(8))
def test_a_group_of_most_rows_is_learned_from(seed: int) -> None:
    group = np.array(["most"] * 70 + [f"g{i}" for i in range(10)] * 3)
    parts = split(np.arange(100) % 2, np.zeros(100), seed, group=group)
    assert "most" in group[parts.train] and len(parts.test) < 30 and len(parts.valid) < 30


def test_a_single_group_cannot_be_split() -> None:
    with pytest.raises(SourceError, match=r"the split leaves no train rows; give more rows, or finer groups\."):
        split(np.arange(50) % 2, np.zeros(50), 0, group=np.array(["a"] * 50))


def test_time_puts_the_future_into_the_test() -> None:
    moment = np.random.default_rng(0).permutation(500) * 86_400_000 - 10**10
    parts = split(np.arange(500) % 2, np.zeros(500), 0, time=moment)
    assert moment[parts.train].max() < moment[parts.valid].min()
    assert moment[parts.valid].max() < moment[parts.test].min() and len(parts.test) == 100


def test_stated_parts_are_kept() -> None:
    part = np.repeat([0, 1, 2], [100, 20, 30])
    parts = split(np.arange(150) % 2, part, 0)
    assert parts.train.tolist() == list(range(100)) and parts.test.tolist() == list(range(120, 150))
    parts = split(np.arange(130) % 2, np.repeat([0, 2], [100, 30]), 0)
    assert parts.test.tolist() == list(range(100, 130)) and len(parts.valid) == 20


@pytest.mark.parametrize(
    "labels", [np.where(np.arange(100) % 10, np.arange(100) % 2, -1), np.where(np.arange(100) % 10, 1.5, np.nan)]
)
def test_rows_without_a_label_are_in_no_part(labels: np.ndarray) -> None:
    assert _whole(split(labels, np.zeros(100), 0)) == [row for row in range(100) if row % 10]


def test_too_few_rows() -> None:
    with pytest.raises(SourceError, match=r"Only 7 usable rows to learn from in the source; at least 8 are needed\."):
        split(np.arange(7) % 2, np.zeros(7), 0)


def test_rows_can_leave_later() -> None:
    parts = split(np.arange(100) % 2, np.zeros(100), 0)
    gone = [int(parts.train[0]), int(parts.test[-1])]
    assert _whole(parts.without(gone)) == [row for row in range(100) if row not in gone]


def test_folds_test_on_every_row_once() -> None:
    labels, part = np.arange(203) % 3, np.zeros(203)
    folds = [split(labels, part, 0, fold=fold) for fold in range(5)]
    assert folds_of(folds[0], part) == 5 and folds[0].counts() == split(labels, part, 0).counts()
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(203))
    for fold in folds:
        parts = np.concatenate([fold.train, fold.valid, fold.calib, fold.test])
        assert np.array_equal(np.sort(parts), np.arange(203))
        assert all(abs(np.mean(labels[fold.test] == k) - 1 / 3) < 0.05 for k in range(3))


def test_folds_keep_groups_whole() -> None:
    group = np.repeat(np.arange(20), 10)
    for fold in range(5):
        made = split(np.arange(200) % 2, np.zeros(200), 0, group=group, fold=fold)
        assert not set(group[made.test]) & set(group[made.train]) and len(made.test) == 40


def test_a_stated_test_is_not_drawn_again() -> None:
    part = np.where(np.arange(100) < 20, 2, 0)
    assert folds_of(split(np.arange(100) % 2, part, 0), part) == 1


def test_one_row_a_class_is_all_train_where_the_test_is_predefined() -> None:
    labels, part = np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 2, 2, 2])
    parts = split(labels, part, 0)
    assert parts.train.tolist() == [0, 1, 2] and parts.test.tolist() == [3, 4, 5] and not len(parts.valid)
    with pytest.raises(SourceError, match="Only 6 usable rows to learn from"):
        split(labels, np.zeros(6), 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_one_row_is_never_sampled_for_valid(seed: int) -> None:
    labels, part = np.repeat([0, 1, 2, 3, 4], [40, 40, 1, 1, 20]), np.repeat([0, 2], [82, 20])
    parts = split(labels, part, seed)
    assert {2, 3} <= set(labels[parts.train].tolist()) and len(parts.valid) and not {2, 3} & set(labels[parts.valid])
