"""Sounds at another rate, inside the graph: what a network hears that was trained at a rate of its own.

Enters: a wave at one rate. Leaves: the same wave at another, by a sinc under a Hann window, 16 zero crossings to each
side; what is above half the lower rate is filtered out. Each sample of a period of both rates has its own filter, so
the whole is one convolution (Crochiere & Rabiner 1981, 'Interpolation and Decimation of Digital Signals').
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

CROSSINGS = 16
PERIOD = 640  # samples of a period, at most: 11,025 Hz to 16 kHz has 640; odd rates are off by 0.08% at most


def resampled(g: Graph, wave: str, rate: int, wanted: int) -> str:
    """float32 [samples] at `rate`, of one sample at least -> float32 [samples] at the rate that is wanted."""
    if rate == wanted:
        return wave
    made, read = _period(rate, wanted)
    filters, around = _filters(made, read)
    axis, none = g.const(np.array([0], np.int64)), g.const(np.array([around], np.int64))
    size = g.op("Shape", wave)
    spare = g.op("Mod", g.op("Neg", size), g.const(np.int64(read)))  # up to a whole period
    padded = g.op("Pad", wave, g.op("Concat", none, g.op("Add", spare, none), axis=0))
    rows = g.op("Unsqueeze", padded, g.const(np.array([0, 1], np.int64)))
    periods = g.op("Conv", rows, g.const(filters), kernel_shape=[filters.shape[2]], strides=[read])
    flat = g.op("Reshape", g.op("Transpose", periods, perm=[0, 2, 1]), g.const(np.array([-1], np.int64)))
    more = g.op("Add", g.op("Mul", size, g.const(np.int64(made))), g.const(np.int64(read - 1)))
    return str(g.op("Slice", flat, axis, g.op("Div", more, g.const(np.int64(read))), axis))


def samples_at(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """How many samples `resampled` makes of so many."""
    made, read = _period(rate, wanted)
    return np.asarray((samples * made + read - 1) // read)


def _period(rate: int, wanted: int) -> tuple[int, int]:
    """Samples of a period at the rate that is wanted, and at `rate`."""
    ratio = Fraction(wanted, rate).limit_denominator(PERIOD)
    return ratio.numerator, ratio.denominator


def _filters(made: int, read: int) -> tuple[np.ndarray, int]:
    """float32 [made, 1, read + 2 * around], and `around`: samples that are read before and behind a period."""
    passed = min(1.0, made / read)  # of the frequencies of what is read
    around = math.ceil(CROSSINGS / passed)
    away = np.arange(made)[:, None] * read / made - (np.arange(read + 2 * around) - around)
    window = np.where(np.abs(away) < around, 0.5 + 0.5 * np.cos(np.pi * away / around), 0.0)
    return (passed * np.sinc(passed * away) * window).astype(np.float32)[:, None], around
