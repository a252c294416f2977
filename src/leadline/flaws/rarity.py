"""How surprising it is that two rows agree where they do: the number of other rows that would by chance.

Enters: values as codes [rows, columns] and pairs of rows. Leaves: the logarithm of an expected number, a pair. The
chance is that of a tree of columns, each given the one with most mutual information (Chow and Liu 1968): what two
columns have in common counts once, and a common profile is distinguished from a rare one. A pair is no evidence of how
frequent its own values are: both of its rows are left out of the counts. Where few rows have a value (a ticket), what
follows from it is known from how often rows that share any such value agree in other columns: a family has one fare.

    >>> rng = np.random.default_rng(0)
    >>> town = rng.integers(0, 50, 4_000)
    >>> codes = np.stack([town, town % 10, rng.integers(0, 4, 4_000)], axis=1)  # the second follows from the first
    >>> all_agree = np.ones((4_000, 3), bool)
    >>> int(np.exp(Surprise(codes)(np.arange(4_000), all_agree)).mean().round(-1))  # 4,000 / 50 / 4
    20
"""

from __future__ import annotations

import numpy as np

MOST_TREE = 24  # columns; of more, each is taken for itself
TREE_ROWS = 4_000  # that the tree is inferred from
FEWEST = 30  # pairs of rows with the same value
UNLIKE, FOLLOWS = 0.5, 0.9  # rows of a group agree in some column less than this, in others more; 0 chance, 1 always
SEVERAL = 0.25  # of the rows at least have a fellow in their group: copies are fewer
WEIGHT = 1.0  # rows that what is known of a column alone counts for, beside those that agree in another one


class Surprise:
    """Counts of values and of pairs of values, made once for any number of pairs of rows."""

    def __init__(self, codes: np.ndarray) -> None:
        """
        Args:
            codes: whole numbers from 0 up, [rows, columns].
        """
        self.codes = codes.astype(np.int64)
        n, columns = codes.shape
        self.counts = [np.bincount(self.codes[:, k]) for k in range(columns)]
        self.information = _information(self.codes) if columns <= MOST_TREE else None
        self.order = list(range(columns)) if self.information is None else _grown(self.information)
        self.follows = np.zeros((columns, columns)) if self.information is None else _follows(self.codes)
        self._shared: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, rows: np.ndarray, agree: np.ndarray, grouped: bool = False) -> np.ndarray:
        """[pairs] log of the expected number of other rows that agree with `rows` [pairs] in columns `agree`.

        Args:
            grouped: count what follows from a rare value, too. Copies are such rows as well, so it makes them look more
                like chance than they are: good for a bound, less good to tell one from the other.
        """
        n = len(self.codes)
        found = np.full(len(rows), np.log(max(1, n - 1)))
        for place, k in enumerate(self.order):
            alone = np.maximum(self.counts[k][self.codes[rows, k]] - 2, 0.5) / n
            chance = alone
            if self.information is not None and place:
                earlier = np.array(self.order[:place])
                worth = np.where(agree[:, earlier], self.information[k, earlier], -np.inf)
                best = worth.argmax(axis=1)
                parent = np.where(np.isfinite(worth[np.arange(len(rows)), best]), earlier[best], -1)
                for p in np.unique(parent[parent >= 0]):
                    here = parent == p
                    both = np.maximum(self._both(k, int(p))[rows[here]] - 2, 0)
                    often = np.maximum(self.counts[p][self.codes[rows[here], p]] - 2, 0)
                    shared = self.follows[k, p] if grouped else 0.0
                    chance[here] = (both + WEIGHT * (shared + (1 - shared) * alone[here])) / (often + WEIGHT)
            found += np.where(agree[:, k], np.log(chance), 0.0)
        return found

    def _both(self, a: int, b: int) -> np.ndarray:
        """[rows] how many rows have this row's values in both columns."""
        place = (min(a, b), max(a, b))
        if place not in self._shared:
            self._shared[place] = _together(
                self.codes[:, place[0]], self.codes[:, place[1]], len(self.counts[place[1]])
            )
        return self._shared[place]


def _together(one: np.ndarray, other: np.ndarray, values: int) -> np.ndarray:
    """[rows] how many rows have the same two codes."""
    key = one * values + other
    if int(key.max(initial=0)) < 4 * len(key):
        return np.asarray(np.bincount(key)[key])
    _, where, count = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(count[where])


def _information(codes: np.ndarray) -> np.ndarray:
    """[columns, columns] mutual information in nats, less what chance gives it (Miller 1955)."""
    n = len(codes)
    some = codes if n <= TREE_ROWS else codes[np.sort(np.random.default_rng(0).choice(n, TREE_ROWS, replace=False))]
    some = np.stack([np.unique(some[:, k], return_inverse=True)[1] for k in range(codes.shape[1])], axis=1)
    values = some.max(axis=0) + 1
    single = [_entropy(np.bincount(some[:, k])) for k in range(some.shape[1])]
    information = np.full((some.shape[1],) * 2, -np.inf)
    for a in range(some.shape[1]):
        for b in range(a):
            counts = np.unique(some[:, a] * values[b] + some[:, b], return_counts=True)[1]
            chance = (len(counts) - values[a] - values[b] + 1) / (2 * len(some))
            information[a, b] = information[b, a] = single[a] + single[b] - _entropy(counts) - chance
    return information


def _follows(codes: np.ndarray) -> np.ndarray:
    """[columns, columns]: how much more than chance rows that share a value of the second column agree in the first.

    Of columns whose values name a group: rows that share one differ somewhere as rows at random do, so are no copies.
    """
    n, columns = codes.shape
    found = np.zeros((columns, columns))
    mixed = np.random.default_rng(0).permutation(n)
    usual = (codes == codes[mixed]).mean(axis=0)
    for p in range(columns):
        values = codes[:, p]
        order = np.argsort(values.astype(np.uint16) if values.max(initial=0) < 65_536 else values, kind="stable")
        same = np.flatnonzero(values[order[1:]] == values[order[:-1]])
        if len(same) < FEWEST:
            continue
        agree = (codes[order[same]] == codes[order[same + 1]]).mean(axis=0)
        more = np.maximum(agree - usual, 0) / np.maximum(1 - usual, 1e-9)
        several = (np.bincount(values)[values] > 1).mean()
        if several >= SEVERAL and (np.delete(more, p) < UNLIKE).any():
            found[:, p] = np.where(more >= FOLLOWS, np.minimum(more, 1.0), 0.0)
    return found


def _grown(information: np.ndarray) -> list[int]:
    """The order in which columns join the tree of most information (Prim 1957)."""
    tree, rest = [0], list(range(1, len(information)))
    while rest:
        tree.append(rest.pop(int(information[np.ix_(tree, rest)].max(axis=0).argmax())))
    return tree


def _entropy(counts: np.ndarray) -> float:
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())
