"""Of which layers of a pretrained network the states are read."""

from __future__ import annotations

DEPTHS = 4


def quarters(count: int) -> list[int]:
    """Of the numbers 1 to `count` those at each quarter of the way.

    >>> quarters(12), quarters(3)
    ([3, 6, 9, 12], [1, 2, 3])
    """
    return sorted({round(count * part / DEPTHS) for part in range(1, DEPTHS + 1)} - {0})
