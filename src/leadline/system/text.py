"""How sentences count and list things.

Enters: words and numbers. Leaves: text.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["enumerated", "few"]


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
