"""How a sound is cut into spectra, and how these look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PADDING = -32_768  # marks what is no sample; samples are -32767 to 32767
STEPS = 16  # spectra in a sound, at least: a shorter one counts as if silence followed
MELS = 64
EPS = 1e-6  # added to the power of a band before its logarithm: the loudest is about 1


@dataclass(frozen=True, kw_only=True)
class Frames:
    """How a sound is cut into spectra: Hann windows of `size` samples, one every `hop`."""

    rate: int
    size: int
    hop: int

    @classmethod
    def of(cls, rate: int, longest: int) -> Frames:
        """About 30 ms a window, half of it a hop; twice that for sounds over three seconds."""
        size = 2 ** round(math.log2(0.03 * rate))
        size = size if longest <= 3 * rate else 2 * size
        return cls(rate=rate, size=size, hop=size // 2)

    @classmethod
    def stated(cls, settings: Mapping[str, Any]) -> Frames:
        """As a fitted kind states them."""
        return cls(rate=settings["rate"], size=settings["size"], hop=settings["hop"])

    @property
    def least(self) -> int:
        """Samples in the shortest sound."""
        return self.size + (STEPS - 1) * self.hop

    def basis(self) -> np.ndarray:
        """Windowed cosines, then sines, over a sound scaled to [-1, 1]: float32 [2 * (size / 2 + 1), size]."""
        angles = 2 * np.pi * np.outer(np.arange(self.size // 2 + 1), np.arange(self.size)) / self.size
        return np.concatenate([np.cos(angles) * self.window(), -np.sin(angles) * self.window()]).astype(np.float32)

    def window(self) -> np.ndarray:
        """A Hann window under which a sine of full scale has a power of about 1: float64 [size]."""
        window = np.hanning(self.size + 1)[:-1]
        return np.asarray(window / window.sum() * 2 / 32_768)

    def mels(self) -> np.ndarray:
        """Triangular bands, equally wide on the mel scale (O'Shaughnessy 1987): float32 [size / 2 + 1, MELS]."""
        edges = 700 * (10 ** (np.linspace(_mel(30.0), _mel(self.rate / 2), MELS + 2) / 2595) - 1)
        bins = np.linspace(0, self.rate / 2, self.size // 2 + 1)[:, None]
        rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        bands = np.maximum(0.0, np.minimum(rising, falling))
        # A band narrower than a bin would hold none: it takes the nearest.
        for band in np.flatnonzero(bands.sum(axis=0) == 0):
            bands[np.abs(bins[:, 0] - edges[band + 1]).argmin(), band] = 1.0
        return bands.astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def spectrogram(sound: np.ndarray, settings: Mapping[str, Any], most: int) -> np.ndarray:
    """uint8 [MELS, steps, 1] of int16 samples: time to the right, pitch upwards, loud is dark; about `most` steps."""
    frames = Frames.stated(settings)
    wave = np.pad(sound.astype(np.float32), (0, max(0, frames.least - len(sound))))
    hop = max(frames.hop, len(wave) // most)
    steps = np.lib.stride_tricks.sliding_window_view(wave, frames.size)[::hop] * frames.window().astype(np.float32)
    level = np.log(np.abs(np.fft.rfft(steps)) ** 2 @ frames.mels() + EPS)
    spread = (level - level.min()) / (np.ptp(level) or 1.0)
    return np.asarray(255 * (1 - spread.T[::-1, :, None]), np.uint8)
