"""How many other rows would have the same cells by chance, told of each row from how often its cells go together.

Enters: cells as numbers, [rows, columns]. Leaves: an expected number a row. The chance of a row is that of a tree of
columns, each given the one that tells most of it (Chow and Liu 1968): what two columns have in common counts once, and
a common profile is told from a rare one. A row's own cells are not counted as evidence that they are frequent.

    >>> rng = np.random.default_rng(0)
    >>> town = rng.integers(0, 50, 4_000)
    >>> cells = np.stack([town, town % 10, rng.integers(0, 4, 4_000)], axis=1)  # the second follows from the first
    >>> int(Tree(cells).partners((0, 1, 2)).mean().round())  # 4,000 / 50 / 4
    20
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FALSE = 0.1  # of the pairs that are told, as many may be expected to be by chance


class Tree:
    """What pairs of columns tell of each other, from which the tree of any of the columns is made."""

    def __init__(self, cells: np.ndarray) -> None:
        columns = cells.shape[1]
        self.codes = np.stack([np.unique(cells[:, k], return_inverse=True)[1] for k in range(columns)], axis=1)
        self.counts = [np.bincount(self.codes[:, k]) for k in range(columns)]
        self.told = np.full((columns, columns), -np.inf)  # mutual information, bits
        single = [_entropy(counts) for counts in self.counts]
        n = len(cells)
        for a in range(columns):
            for b in range(a):
                pairs = np.unique(self._both(a, b), return_counts=True)[1]
                chance = (len(pairs) - len(self.counts[a]) - len(self.counts[b]) + 1) / (2 * n * np.log(2))
                self.told[a, b] = self.told[b, a] = single[a] + single[b] - _entropy(pairs) - chance  # Miller (1955)

    def partners(self, columns: Sequence[int]) -> np.ndarray:
        """[n] expected numbers of other rows that agree in these columns."""
        n = len(self.codes)
        first, *rest = columns
        tree = [first]
        chance = np.log(np.maximum(self._often(first) - 1, 1) / max(1, n - 1))
        while rest:
            parent, place = np.unravel_index(self.told[np.ix_(tree, rest)].argmax(), (len(tree), len(rest)))
            near, new = tree[int(parent)], rest.pop(int(place))
            _, where, both = np.unique(self._both(near, new), return_inverse=True, return_counts=True)
            chance += np.log(np.maximum(both[where] - 1, 1) / np.maximum(self._often(near) - 1, 1))
            tree.append(new)
        return np.asarray((n - 1) * np.exp(chance))

    def _often(self, column: int) -> np.ndarray:
        return np.asarray(self.counts[column][self.codes[:, column]])

    def _both(self, a: int, b: int) -> np.ndarray:
        return np.asarray(self.codes[:, a].astype(np.int64) * len(self.counts[b]) + self.codes[:, b])


def rare(expected: np.ndarray, partners: np.ndarray) -> float:
    """The expected number of chance partners up to which rows that have one are told.

    Args:
        expected: of each row, by chance.
        partners: of each row, as found, those left out that are told without.

    As large as it can be while of the pairs found no more than FALSE are expected by chance; 0 where that is never so.
    """
    order = np.argsort(expected, kind="stable")
    enough = np.flatnonzero(np.cumsum(expected[order]) <= FALSE * np.cumsum(partners[order]))
    return float(expected[order[enough[-1]]]) if len(enough) else 0.0


def _entropy(counts: np.ndarray) -> float:
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())
