"""Augmentation of whole batches of encoded tensors, and which mirrorings the data itself allows.

Whether a picture may be mirrored is asked of the data: a valid image is looked up among train images, and among train
images together with their mirror images, by the classical features. Where classes are mirror images of each other (2
and 5, b and d, left and right) the larger crowd misleads; where they are not it helps. Only then is it used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from leadline.core.contender import Data
from leadline.graph.runtime import Session

AT_ONCE = 64  # images turned and encoded together: the graph holds some hundred times their size
GALLERY, QUERIES = 3_000, 1_000  # images in the look-up
MIRRORS = {"mirrored left to right": 2, "mirrored top to bottom": 1}  # axis of [N, H, W, C]


def shift(images: Tensor, flips: list[tuple[int, Tensor]], generator: torch.Generator) -> Tensor:
    """uint8 [N, H, W, C]: random translation by up to a 16th of each side, reflected, and flips, in one gather.

    Args:
        flips: (axis, bool [N]) of each mirroring in use.
    """
    n = len(images)
    index = {}
    for axis in (1, 2):
        size = images.shape[axis]
        most = min(size - 1, max(1, round(size / 16)))
        moved = (torch.arange(size) + torch.randint(-most, most + 1, (n, 1), generator=generator)).abs()
        index[axis] = torch.where(moved >= size, 2 * (size - 1) - moved, moved)
    for axis, chosen in flips:
        index[axis] = torch.where(chosen[:, None], index[axis].flip(1), index[axis])
    return images[torch.arange(n)[:, None, None], index[1][:, :, None], index[2][:, None, :]]


def mirrors(data: Data, tensor: str, seed: int) -> tuple[list[int], str]:
    """The axes along which images may be mirrored, and a sentence that says why."""
    store = data.store
    rng = np.random.default_rng(seed)
    train, valid = (
        np.sort(rng.permutation(rows)[:most])
        for rows, most in ((store.split.train, GALLERY), (store.split.valid, QUERIES))
    )
    images = store.tensor(tensor)[train]
    session = Session(store.graph(f"{tensor}.dense"), data.threads)
    known = store.tensor(f"{tensor}.dense")
    gallery, queries = _directions(known[train]), _directions(known[valid])
    near, nearest = _nearest(queries, gallery)
    plain = _error(data, train[nearest], valid)
    axes, said = [], []
    for name, axis in MIRRORS.items():
        parts = (images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE))
        flipped = [session({"encoded": np.ascontiguousarray(np.flip(part, axis))})["dense"] for part in parts]
        near2, nearest2 = _nearest(queries, _directions(np.concatenate(flipped)))
        both = _error(data, np.where(near2 > near, train[nearest2], train[nearest]), valid)
        safe = both < plain
        said.append(f"{name}: {'on' if safe else 'off'} (look-up error {plain:.4g} without, {both:.4g} with)")
        if safe:
            axes.append(axis)
    return axes, "; ".join(said)


def _directions(features: np.ndarray) -> np.ndarray:
    """Roots of the features at unit length: their products compare histograms (Hellinger)."""
    x = np.sqrt(features.astype(np.float32))
    return np.asarray(x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-6))


def _nearest(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity and place of the most alike image in the gallery, for each query."""
    alike = queries @ gallery.T
    return alike.max(axis=1), alike.argmax(axis=1)


def _error(data: Data, found: np.ndarray, asked: np.ndarray) -> float:
    answers, truth = data.labels(found), data.labels(asked)
    if data.classes:
        return float((answers != truth).mean())
    return float(np.abs(answers - truth).mean())


class Shift:
    """Augmentation of one image tensor through a training run."""

    def __init__(self, rows: int, axes: list[int], seed: int, later: int = 0) -> None:
        """`rows` are learned from first, and `later` more after them, which changes no draw for the first."""
        self._axes = axes
        self.generator, others = (torch.Generator().manual_seed(seed + part) for part in (0, 1))
        # Alternating flip: each image is seen in both ways in any two epochs, which covers more than chance does.
        parts = ((rows, self.generator), (later, others))
        self._parity = {axis: torch.cat([torch.rand(n, generator=g) < 0.5 for n, g in parts]) for axis in axes}

    def __call__(self, batch: Tensor, part: Tensor, epoch: int) -> Tensor:
        """`part` are the places of the images among the rows, those of later after the first."""
        turn = {axis: epoch % 2 if i == 0 else epoch // 2 % 2 for i, axis in enumerate(self._axes)}
        flips = [(axis, self._parity[axis][part] ^ bool(turn[axis])) for axis in self._axes]
        return shift(batch, flips, self.generator)


def augmentation(data: Data, tensor: str, seed: int) -> tuple[Shift, str]:
    """What varies the train and valid images of a run, and a sentence that says which mirrorings and why."""
    axes, why = mirrors(data, tensor, seed)
    return Shift(len(data.store.split.train), axes, seed, later=len(data.store.split.valid)), why
