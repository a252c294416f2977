"""Augmentation of batches of sounds: a random stretch of each, louder or softer, with noise, and two mixed into one.

Mixing: Zhang et al. 2018, 'mixup: Beyond Empirical Risk Minimization', on the samples themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leadline.core.contender import Data
from leadline.core.json_types import whole
from leadline.kinds.audio.frames import PADDING

MIXED = 0.5  # share of sounds that are mixed with another one
LOUDER = 6.0  # decibels, either way
NOISE = 0.01  # of a row's own root mean square, at most
LATE = 0.1  # of a batch's length, by which a shorter sound begins later, at most
STRETCH = 0.8  # of a usual sound, that a random stretch holds of a longer one


def augmentation(data: Data, tensor: str, seed: int) -> tuple[Sounds, str]:
    """Of rows that are trained on, and what is to be said of it."""
    settings = data.store.block(tensor).settings
    said = "sounds: a random stretch, louder or softer, with noise"
    return Sounds(whole(settings, "usual"), whole(settings, "least"), seed), said


class Sounds:
    """Augmentation of one sound tensor through a training run."""

    def __init__(self, usual: int, least: int, seed: int) -> None:
        self._stretch, self._least = max(least, int(STRETCH * usual)), least
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, batch: Tensor, part: Tensor, epoch: int) -> Tensor:
        """int16 [N, S] with marks -> float32 [N, shorter] with marks."""
        there = batch != PADDING
        own = there.sum(dim=1)
        size = int(own.clamp(self._least, self._stretch).max())
        spare = (own - size).clamp_min(0)
        start = (torch.rand(len(batch), generator=self.generator) * (spare + 1)).long()
        place = start[:, None] + torch.arange(size)
        cut = batch.gather(1, place.clamp_max(batch.shape[1] - 1))
        inside = place < own[:, None]
        wave = torch.where(inside, cut, 0).float()
        # A sound that is shorter than the batch begins a little later: silence comes before, marks after.
        free = (size - own).clamp(0, int(LATE * size))
        late = (torch.rand(len(batch), generator=self.generator) * (free + 1)).long()[:, None]
        back = torch.arange(size) - late
        wave = torch.where(back >= 0, wave.gather(1, back.clamp_min(0)), 0)
        marks = back >= own[:, None]
        gain = 10 ** ((torch.rand(len(batch), 1, generator=self.generator) * 2 - 1) * LOUDER / 20)
        loud = wave.square().mean(1, keepdim=True).sqrt()
        noise = torch.randn(wave.shape, generator=self.generator) * loud * NOISE
        wave = (wave + noise * torch.rand(len(batch), 1, generator=self.generator)) * gain
        return torch.where(marks, PADDING, wave.clamp(-32_767, 32_767))


def drawn(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each sound of a batch the share that stays its own (1: not mixed), and which one it is mixed with."""
    draw = torch.rand(2, count, generator=generator)
    return torch.where(draw[0] < MIXED, draw[1], 1.0), torch.randperm(count, generator=generator)


def mix(sounds: Tensor, share: Tensor, order: Tensor) -> Tensor:
    """Each sound of [N, S] with another one, in shares [N]."""
    marks = sounds == PADDING
    wave = torch.where(marks, 0, sounds)
    mixed = share[:, None] * wave + (1 - share[:, None]) * wave[order]
    return torch.where(marks & marks[order], PADDING, mixed)
