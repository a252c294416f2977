"""Whether two sounds that look alike are one recording: their waves, laid over one another, are the same.

Enters: samples of two sounds. Leaves: yes or no. Two words of one speaker, or two hits of one drum, have like
spectrograms and unlike waves; a recording that was saved again, made louder or trimmed keeps its wave. A sound that is
little more than one pure tone has a wave that others have by chance: of these, only the same samples are one.

    >>> rng = np.random.default_rng(0)
    >>> sound = rng.normal(size=6_000)
    >>> same(sound, 0.5 * sound[300:] + 0.1 * rng.normal(size=5_700)), same(sound, rng.normal(size=6_000))
    (True, False)
    >>> tone = np.sin(np.arange(6_000) / 3)
    >>> same(tone, 0.5 * tone[300:])
    False
"""

from __future__ import annotations

import numpy as np

from leadline.core.kind import Rows
from leadline.kinds.audio.frames import spectrogram
from leadline.kinds.image.similarity import alike

SPECTRA = 64  # of a sound, in the picture that is compared
LONGER = 1.15  # times as long as the other one a near duplicate may be
STRETCH = 16_384  # samples that are compared, the loudest of the one sound
LIKE = 0.9  # correlation of the same wave at least; a word said twice by one speaker reaches 0.87
RICH = 4.0  # frequencies that a sound must have for its wave to be its own


def pairs(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """([pairs, 2] positions of sounds that are nearly one; 0 for each): alike in spectrogram, length and wave."""
    tensor, padding = rows.tensor, rows.block.padding
    lengths = np.array([(tensor[row] != padding).sum() for row in rows.places])
    found = alike(
        spectrogram(tensor[row][: length], rows.block.settings, SPECTRA)[None]
        for row, length in zip(rows.places, lengths, strict=True)
    )  # fmt: skip
    low, high = np.sort(lengths[found], axis=1).T
    near = found[high <= LONGER * low]  # a picture of all of it says nothing of how long it took
    sounds = [(tensor[rows.places[a]][: lengths[a]], tensor[rows.places[b]][: lengths[b]]) for a, b in near]
    kept = np.asarray(near[[same(*both) for both in sounds]].reshape(-1, 2))
    return kept, np.zeros(len(kept))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether [n] and [m] samples are of one recording, whatever their loudness and where they begin."""
    one, other = (each.astype(np.float64) - each.mean() for each in (one, other))
    if len(one) == len(other) and np.array_equal(one, other):
        return True
    if len(one) > len(other):
        one, other = other, one
    piece = _loudest(one)
    power = np.abs(np.fft.rfft(piece)) ** 2
    if not power.any() or power.sum() ** 2 < RICH * (power**2).sum():
        return False
    size = 1 << (len(other) + len(piece) - 1).bit_length()
    spectrum = np.fft.rfft(other, size) * np.conj(np.fft.rfft(piece, size))
    products = np.fft.irfft(spectrum, size)[: max(1, len(other) - len(piece) + 1)]
    sums = np.concatenate([[0.0], np.cumsum(other**2)])
    energy = sums[len(piece) :] - sums[: -len(piece)]
    near = np.abs(products) / np.sqrt(np.maximum(energy * (piece @ piece), 1e-12))
    return bool(near[energy > 1e-6 * sums[-1]].max(initial=0.0) >= LIKE)


def _loudest(sound: np.ndarray) -> np.ndarray:
    """A stretch of it that leaves room for trimming at both ends."""
    size = min(STRETCH, max(1, int(0.7 * len(sound))))
    sums = np.concatenate([[0.0], np.cumsum(sound**2)])
    start = int(np.argmax(sums[size:] - sums[:-size]))
    return np.asarray(sound[start : start + size])
