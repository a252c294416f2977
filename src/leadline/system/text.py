"""How sentences count and list things.

Enters: words and numbers. Leaves: text.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["enumerated", "few", "told_apart"]


def enumerated(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    >>> enumerated(["a"]), enumerated(["a", "b"]), enumerated(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def few(words: Sequence[str], most: int = 3) -> str:
    """The first words, and how many more there are.

    >>> few(["a", "b", "c"]), few(["a", "b", "c", "d", "e"])
    ('a, b and c', 'a, b, c and 2 more')
    """
    more = len(words) - most
    return enumerated(words) if more <= 0 else f"{', '.join(words[:most])} and {more} more"


def told_apart(first: float, second: float) -> tuple[str, str]:
    """Two different numbers with as many decimals, one at least, as tell them apart.

    >>> told_apart(0.74, 0.70), told_apart(9.1, 0.7), told_apart(2.0, 2.0)
    (('0.74', '0.70'), ('9.1', '0.7'), ('2.0', '2.0'))
    """
    for digits in range(1, 9):
        texts = f"{first:,.{digits}f}", f"{second:,.{digits}f}"
        if texts[0] != texts[1] and abs(first - second) >= 10.0**-digits / 2:
            return texts
    return f"{first:,.1f}", f"{second:,.1f}"
