"""Looking again and again until it is sure, without erring more often.

Every look at growing evidence is another chance to err. So the looks share the 5%: the k-th may err with
5% / (k (k + 1)), and these add up to 5% however many looks there are (the union bound, which asks nothing of how looks
hang together; spending alpha is Lan and DeMets', 1983). The last look, when time is out, has all that is left: 5% / k.

    >>> [round(1 - level(k), 5) for k in (1, 2, 3)], round(1 - level(3, last=True), 5)
    ([0.025, 0.00833, 0.00417], 0.01667)
    >>> looks(30)
    [3, 5, 7, 10, 15, 22]
"""

from __future__ import annotations

from leadline.stats.intervals import FEWEST_SEEDS, LEVEL


def level(look: int, last: bool = False) -> float:
    """The level of the interval at the `look`-th look, counted from 1; the last one has all that is left."""
    return 1 - (1 - LEVEL) / (look if last else look * (look + 1))


def looks(most: int) -> list[int]:
    """After how many repeats to look, up to `most`: each half as far again, as looks cost certainty."""
    found = [FEWEST_SEEDS]
    while (after := found[-1] + max(2, found[-1] // 2)) <= most:
        found.append(after)
    return found
