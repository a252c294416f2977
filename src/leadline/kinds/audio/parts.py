"""Parts of a sound: windows of time, and bands of frequency.

Enters: int16 samples and their rate. Leaves: two `Parts` (core/parts.py). A window that is removed is silent, with
short fades at its ends, as a click would be a sound of its own; a band that is removed is filtered out everywhere.
"""

from __future__ import annotations

import numpy as np

from leadline.core.parts import Layout, Parts, splits

WINDOWS, BANDS = 16, 12
FADE_S = 0.004


def time_windows(sound: np.ndarray, rate: int) -> Parts:
    """Windows of one length."""
    edges = splits(len(sound), WINDOWS)
    fade = max(1, int(FADE_S * rate))
    ramp = np.cumsum(np.hanning(2 * fade + 3)[1:-1])
    softer = ramp / ramp[-1] - (np.arange(-fade, fade + 1) >= 0)  # a fade less the step that it stands for

    def without(gone: np.ndarray) -> np.ndarray:
        kept = 1.0 - gone
        level = np.repeat(kept, np.diff(edges))
        for i in np.flatnonzero(np.diff(kept)) + 1:
            first, last = max(0, edges[i] - fade), min(len(sound), edges[i] + fade + 1)
            level[first:last] += (kept[i] - kept[i - 1]) * softer[first - edges[i] + fade : last - edges[i] + fade]
        return np.asarray(np.round(sound * level), np.int16)

    seconds = edges / rate
    names = tuple(f"{a:.2f} to {b:.2f} s" for a, b in zip(seconds[:-1], seconds[1:], strict=True))
    return Parts(
        layout=Layout.WINDOWS, names=names, shape=(len(names),), without=without, edges=tuple(map(float, seconds))
    )


def bands(sound: np.ndarray, rate: int) -> Parts:
    """Bands that are equally wide on the mel scale."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    hertz = np.fft.rfftfreq(len(sound), 1 / rate)
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), BANDS + 1)
    edges = 700 * (10 ** (mel / 2595) - 1)
    edges[-1] = rate / 2 + 1
    band = np.clip(np.searchsorted(edges, hertz, side="right") - 1, 0, BANDS - 1)

    def without(gone: np.ndarray) -> np.ndarray:
        if not gone.any():
            return sound
        wave = np.fft.irfft(np.where(gone[band], 0, spectrum), len(sound))
        return np.asarray(np.clip(np.round(wave), -32_767, 32_767), np.int16)

    edges[-1] = rate / 2
    names = tuple(f"{a:,.0f} to {b:,.0f} Hz" for a, b in zip(edges[:-1], edges[1:], strict=True))
    return Parts(layout=Layout.BANDS, names=names, shape=(BANDS,), without=without, edges=tuple(map(float, edges)))
