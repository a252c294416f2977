"""Augmentation of whole batches: an image stays itself, and the data says which mirrorings are safe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from leadline.core.contender import Clock, Data
from leadline.kinds.image.augment import Shift, mirrors, shift


def test_images_are_never_mixed() -> None:
    images = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 9, 12, 3)
    flips = [(axis, torch.rand(200) < 0.5) for axis in (1, 2)]
    assert torch.equal(shift(images, flips, torch.Generator().manual_seed(0)), images)


def test_an_image_is_moved_by_up_to_a_sixteenth_and_reflected() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 32, 48, 1)).astype(np.uint8)
    moved = shift(torch.from_numpy(images), [], torch.Generator().manual_seed(0)).numpy()
    seen = set()
    for before, after in zip(images[..., 0], moved[..., 0], strict=True):
        padded = np.pad(before, ((2, 2), (3, 3)), mode="reflect")
        ways = [(i, j) for i in range(5) for j in range(7) if np.array_equal(padded[i : i + 32, j : j + 48], after)]
        assert len(ways) == 1
        seen.update(ways)
    assert len(seen) > 15


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (2, 3)])
def test_tiny_images(size: tuple[int, int]) -> None:
    images = torch.randint(0, 255, (10, *size, 1), dtype=torch.uint8)
    assert shift(images, [], torch.Generator().manual_seed(0)).shape == images.shape


@pytest.mark.parametrize("axis", [1, 2])
def test_a_flip_is_a_flip(axis: int) -> None:
    images = torch.randint(0, 255, (40, 1, 1, 1), dtype=torch.uint8) + torch.zeros(40, 6, 6, 2, dtype=torch.uint8)
    images = images.clone()
    images.select(axis, 0).fill_(255)
    chosen = torch.arange(40) % 2 == 0
    generator = torch.Generator().manual_seed(3)
    plain = shift(images, [], torch.Generator().manual_seed(3))
    flipped = shift(images, [(axis, chosen)], generator)
    assert torch.equal(flipped[chosen], plain[chosen].flip(axis)) and torch.equal(flipped[~chosen], plain[~chosen])


def test_an_image_is_seen_both_ways_in_two_epochs() -> None:
    rows = 50
    images = torch.zeros(rows, 1, 40, 1, dtype=torch.uint8)
    images[:, :, 20:] = 255
    augment, part = Shift(rows, [2], seed=0), torch.arange(rows)
    left = [augment(images, part, epoch)[:, 0, 4, 0] == 255 for epoch in range(4)]
    assert torch.equal(left[0], ~left[1]) and torch.equal(left[0], left[2]) and 10 < left[0].sum() < 40


def test_the_seed_decides() -> None:
    images = torch.randint(0, 255, (20, 16, 16, 1), dtype=torch.uint8)
    first, again, other = (Shift(20, [2], seed)(images, torch.arange(20), 0) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def _asked(prepare: Any, images: np.ndarray, labels: np.ndarray) -> tuple[list[int], str]:
    store = prepare((images.astype(np.uint8), labels)).store
    return mirrors(Data(store=store, clock=Clock(60.0), threads=1), store.blocks[0].name, 0)


def test_mirrors_are_off_where_classes_are_mirror_images(prepare: Any) -> None:
    """Strokes like / and \\: either mirroring turns one class into the other."""
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 2
    images = rng.integers(0, 40, (240, 20, 20))
    for image, label in zip(images, labels, strict=True):
        places = np.arange(14)
        down, along = rng.integers(0, 6, 2)
        image[places + down, (places if label else 13 - places) + along] = 255
    axes, said = _asked(prepare, images, labels)
    assert (
        axes == [] and said.startswith("mirrored left to right: off (look-up error 0") and "top to bottom: off" in said
    )


def test_a_mirror_is_on_where_it_shows_what_train_lacks(prepare: Any) -> None:
    """Forty shapes that face either way, of which train has seen a few each."""
    rng = np.random.default_rng(0)
    shapes = np.kron(rng.integers(0, 2, (40, 5, 5)) * 200, np.ones((4, 4)))
    labels = np.arange(160) % 40
    images = shapes[labels] + rng.integers(0, 30, (160, 20, 20))
    turned = rng.random(160) < 0.5
    images[turned] = images[turned, :, ::-1]
    axes, said = _asked(prepare, images, labels)
    assert 2 in axes and "mirrored left to right: on" in said
