"""Our log-mel spectra against NumPy's Fourier transform and mel bands written down apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.graph.runtime import Session
from leadline.graph.torch_export import export
from leadline.kinds.audio.frames import EPS, MELS, PADDING, Frames
from leadline.kinds.audio.net import LogMel
from leadline.nets.fuse import Fuse


def _reference(sound: np.ndarray, frames: Frames) -> np.ndarray:
    """[steps, MELS]: Hann windows, power of the Fourier transform, triangles on the mel scale, logarithm."""
    size, hop = frames.size, frames.hop
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    steps = [sound[start : start + size] for start in range(0, len(sound) - size + 1, hop)]
    power = np.abs(np.fft.rfft(np.stack(steps) / 32_768 * window) * 2 / window.sum()) ** 2
    mel = np.linspace(2595 * np.log10(1 + 30 / 700), 2595 * np.log10(1 + frames.rate / 2 / 700), MELS + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(size, 1 / frames.rate)
    bands = np.stack([np.interp(bins, hertz[m : m + 3], [0, 1, 0], left=0, right=0) for m in range(MELS)], axis=1)
    for band in range(MELS):
        if not bands[:, band].any():
            bands[np.abs(bins - hertz[band + 1]).argmin(), band] = 1
    return np.asarray(np.log(power @ bands + EPS))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
@pytest.mark.parametrize("seconds", [1, 5])
def test_log_mel_is_numpys(rate: int, seconds: int) -> None:
    rng = np.random.default_rng(0)
    frames = Frames.of(rate, seconds * rate)
    length = frames.least + 5_000
    loud = (rng.normal(0, 6_000, length) + 9_000 * np.sin(np.arange(length) / 9)).clip(-32_767, 32_767)
    sounds = np.stack([loud, loud / 300, np.zeros(length)]).astype(np.int16)
    found, own = LogMel(frames)(torch.from_numpy(sounds))
    want = np.stack([_reference(sound.astype(np.float64), frames) for sound in sounds])
    np.testing.assert_allclose(found.numpy(), want, atol=1e-4)
    assert own.tolist() == [want.shape[1]] * 3


def test_the_exported_convolution_is_the_fourier_transform() -> None:
    class Body(torch.nn.Module):
        width = MELS

        def __init__(self) -> None:
            super().__init__()
            self.logmel = LogMel(frames)

        def forward(self, sounds: torch.Tensor) -> torch.Tensor:
            return self.logmel(sounds)[0].mean(1)

    frames = Frames.of(16_000, 16_000)
    sounds = np.random.default_rng(0).normal(0, 3_000, (2, frames.least + 900)).astype(np.int16)
    sounds[1, -500:] = PADDING
    net = Fuse({"sound": Body()}, None, 3).eval()
    session = Session(export(net, {"sound": sounds}, {"sound"}))
    longer = np.random.default_rng(1).normal(0, 3_000, (5, 30_000)).astype(np.int16)
    for batch in (sounds, longer, longer[:1]):
        with torch.no_grad():
            want = net(torch.from_numpy(batch)).numpy()
        np.testing.assert_allclose(session.only({"sound": batch}), want, atol=1e-4)
