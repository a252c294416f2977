"""The rule, short enough to read aloud."""

from __future__ import annotations

from leadline.core.records import Answer


def rule(low: float, high: float, region: float) -> Answer:
    """The answer for the interval [low, high] of deep minus classical.

    >>> rule(-0.001, 0.004, 0.005), rule(0.001, 0.02, 0.005), rule(-0.02, -0.001, 0.005), rule(-0.01, 0.02, 0.005)
    ('tie', 'deep', 'classical', 'unsure')
    """
    if -region <= low and high <= region:
        return "tie"
    if low > 0:
        return "deep"
    if high < 0:
        return "classical"
    return "unsure"
