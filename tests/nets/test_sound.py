"""Bodies for sound: what lies beyond a sound's own end counts nowhere; variations keep to their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from leadline.kinds.audio import PADDING, Frames
from leadline.nets.sound import ConvSound, RecurrentSound, hide
from leadline.train.augment_sound import Sounds, mix

FRAMES = Frames.of(8_000, 8_000)


def _sounds(lengths: list[int], width: int | None = None) -> torch.Tensor:
    rng = np.random.default_rng(0)
    batch = np.full((len(lengths), width or max(lengths)), PADDING, np.int16)
    for row, length in zip(batch, lengths, strict=True):
        row[:length] = rng.normal(0, 2_000, length)
    return torch.from_numpy(batch)


@pytest.mark.parametrize("body", [ConvSound, RecurrentSound])
def test_a_sound_alone_is_the_sound_in_any_batch(body: Any) -> None:
    torch.manual_seed(0)
    net = body(FRAMES, 4)
    lengths = [FRAMES.least, FRAMES.least + 1, 3_333, 5_000, 9_999]
    sounds = _sounds(lengths, 12_345)
    net.prepare(sounds)
    net.train()(sounds)  # sets the norms to something
    net.eval()
    with torch.no_grad():
        together = net(sounds)
        for i, length in enumerate(lengths):
            torch.testing.assert_close(net(sounds[i : i + 1, :length])[0], together[i], atol=1e-5, rtol=0)
    assert together.shape == (5, net.width) and together.isfinite().all()


def test_a_sound_shorter_than_any_window_is_read() -> None:
    net = ConvSound(FRAMES, 4).eval()
    short = _sounds([30, 700], FRAMES.least)
    with torch.no_grad():
        assert net(short).isfinite().all()


def test_a_hidden_stretch_is_zero_and_bounded() -> None:
    x = torch.ones(50, 40, 64)
    for axis, span in ((1, 0.2), (2, 0.5)):
        hidden = hide(x, axis, span)
        share = (hidden == 0).float().mean((1, 2))
        assert share.max() <= span + 0.03 and share.max() > 0.5 * span and (share.std() > 0)


def test_variations_keep_marks_and_range() -> None:
    sounds = _sounds([900, 4_000, 20_000], 20_000)
    varied = Sounds(usual=5_000, least=FRAMES.least, seed=0)(sounds, torch.arange(3), 0)
    assert varied.shape == (3, 4_000) and varied.dtype == torch.float32
    real = varied != PADDING
    assert varied[real].abs().max() <= 32_767 and real[2].all()
    assert 900 <= int(real[0].sum()) <= 900 + 400 and not real[0, -2_000:].any()
    again = Sounds(usual=5_000, least=FRAMES.least, seed=0)(sounds, torch.arange(3), 0)
    torch.testing.assert_close(varied, again)


def test_a_mixture_is_as_long_as_its_longer_half() -> None:
    sounds = _sounds([500, 900], 1_000).float()
    mixed = mix(sounds, torch.tensor([0.3, 1.0]), torch.tensor([1, 0]))
    assert ((mixed != PADDING).sum(dim=1) == torch.tensor([900, 900])).all()
    torch.testing.assert_close(mixed[0, :500], 0.3 * sounds[0, :500] + 0.7 * sounds[1, :500])
    torch.testing.assert_close(mixed[1, :900], sounds[1, :900])
