"""Which rows are too close to be so by chance: by comparison with rows that are nearly as close, and surely no copies.

Copies of a row differ from it in no value, or one, or two. Rows that are close for another reason (a coarse grid, a
cluster, a family with one ticket) do not stop there: where some differ in one value, more differ in two, and more still
in three. So the rows whose nearest one is a step or two further away stand for chance, as decoys do in a target-decoy
search of spectra (Elias and Gygi 2007), at every level of how surprising the agreement is (`rarity.py`). Copies are
accepted as far as the decoys that would be accepted along with them stay few.

Enters: values as codes [rows, columns]. Leaves: pairs of row positions.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.integers(0, 1_000, (500, 6))
    >>> rows[7, :5] = rows[3, :5]
    >>> copies(rows).copies.tolist()
    [[3, 7]]
    >>> len(copies(rng.integers(0, 2, (500, 6))).copies)  # of 64 different rows
    0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from leadline.flaws.rarity import MOST_TREE, Surprise

MOST_PAIRED = MOST_TREE  # columns; of more, rows that differ in two values are not searched
DEEPEST = 2  # values in which copies may differ
LEVELS = DEEPEST + 3  # numbers of values apart that are examined
# Decoys beside the rows that are accepted, at most: chance gives fewer, for decoys are further.
FALSE, MOST_FALSE = 0.2, 0.5
SURE = 0.4  # of the rows accepted by the larger of these, as many must be accepted by the smaller
SEEN = 5  # decoys that the sample would hold of as many rows as are accepted
MARGIN = np.log(3.0)  # a decoy counts that is so much less surprising
MOST_ALIKE = 0.3  # of the rows with a partner that differs in two given values; of more, none is accepted
SAMPLED = 4e8  # values that are compared to find decoys
FEWEST = 300  # rows whose nearest is sought
EXPECTED, MOST_EXPECTED = 4_000, 100_000  # rows, and values, to count chance partners, with some values left out
MOST_TIES = 6  # rows equally near
LIKELY = float(np.log(0.1))  # of rows with so many partners by chance none is accepted
FEWEST_CLOSE, CLOSE = 10, 0.01  # rows, and their share, that must be close to speak of a group
IN_COMMON, RARE = 0.6, 0.01  # shares of such pairs, and of all pairs, that agree in the column that names it
WHOLE = 10**9  # columns that content stands for: a value more or less is nothing beside it
LEAST = 0.02  # how far apart content counts that is the same


@dataclass(frozen=True, kw_only=True)
class Close:
    """Rows that are close, as pairs of positions [pairs, 2], lower first."""

    copies: np.ndarray
    chance: np.ndarray  # differ in no more values, and are as close as chance, or a group, makes them
    equal: np.ndarray  # of these, the ones that differ in no value


def copies(hashed: np.ndarray) -> Close:
    """All rows that are copies of another, or nearly.

    Args:
        hashed: a number a value, the same for equal values of a column: [rows, columns].
    """
    codes = codes_of(hashed)
    pairs, surprise = _near(hashed.astype(np.uint64), codes), Surprise(codes)
    agree = codes[pairs[:, 0]] == codes[pairs[:, 1]]
    found = _Scored(
        pairs=pairs, level=(~agree).sum(axis=1), score=surprise(pairs[:, 0], agree),
        partners=surprise(pairs[:, 0], agree, grouped=True),
    )  # fmt: skip
    return _accepted(found, _sampled(codes, surprise))


def among(hashed: np.ndarray, pairs: np.ndarray, away: np.ndarray) -> Close:
    """Pairs of nearly the same content that are copies: their values agree too.

    Args:
        away: how far apart their content is, [pairs], from 0 to 1; where it is not 0, it counts as one more value.
    """
    codes = codes_of(hashed)
    agree = codes[pairs[:, 0]] == codes[pairs[:, 1]]
    others = np.log(max(1, len(codes) - 1))  # of all other rows one has this content already
    level = (~agree).sum(axis=1) + (away > 0)
    score = Surprise(codes)(pairs[:, 0], agree) - others + np.log(away + LEAST)
    rows = _best(np.concatenate([pairs[:, 0], pairs[:, 1]]), np.tile(level, 2), np.tile(score, 2), len(codes))
    near = level <= DEEPEST
    found = _Scored(pairs=pairs[near], level=level[near], score=score[near], partners=score[near])
    decoys = _Decoys(
        score=rows, weight=1.0, columns=WHOLE, most=0.0, likely=np.inf, expected=(np.empty(0),) * (DEEPEST + 1),
        stands=(0.0,) * (DEEPEST + 1),
    )  # fmt: skip
    return _accepted(found, decoys)


def sharing(codes: np.ndarray, pairs: np.ndarray) -> int | None:
    """The column whose rare values rows have in common that are close and no copies, if there is one.

    Args:
        codes: of the columns that may name a group, whole numbers from 0 up [rows, columns].
        pairs: of close rows.
    """
    if len(np.unique(pairs)) < max(FEWEST_CLOSE, CLOSE * len(codes)):
        return None
    share = (codes[pairs[:, 0]] == codes[pairs[:, 1]]).mean(axis=0)
    usual = np.array([2.0 ** -_bits(np.bincount(codes[:, k])) for k in range(codes.shape[1])])
    rare = np.flatnonzero((share >= IN_COMMON) & (usual <= RARE))
    return int(rare[usual[rare].argmin()]) if len(rare) else None


def _best(owner: np.ndarray, level: np.ndarray, score: np.ndarray, rows: int) -> np.ndarray:
    """[levels, rows] the most surprising score that each row has with a partner so many values apart; inf for none."""
    found = np.full((LEVELS, rows), np.inf)
    near = level < LEVELS
    np.minimum.at(found, (level[near], owner[near]), score[near])
    return found


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """Pairs, in how many values they differ, and how surprising it is that they agree in the others."""

    pairs: np.ndarray
    level: np.ndarray
    score: np.ndarray
    partners: np.ndarray  # the same as score, with what follows from a rare value


@dataclass(frozen=True, kw_only=True)
class _Decoys:
    """How surprising the closeness of some rows is, at each number of values apart: [levels, rows], inf for none."""

    score: np.ndarray
    weight: float  # rows that each stands for
    columns: int
    most: float  # score of rows that agree in nothing
    likely: float  # score from which on no row is accepted
    expected: tuple[np.ndarray, ...]  # for each level, scores of rows at random with that many values left out
    stands: tuple[float, ...]  # for how many rows with values left out each of these stands

    def beyond(self, level: int, limits: Mapping[int, float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Scores of rows that differ in one value more from one that is no copy, then of those that do in two.

        As they are; and as they would be if so many values more agreed, each as surprising as those that do.
        """
        for more in (1, 2):
            score = self.score[level + more]
            score = score[np.isfinite(score) & (score > limits.get(level + more, -np.inf))]
            times = (self.columns - level) / max(1, self.columns - level - more)
            yield score, self.most - times * (self.most - score)


def _accepted(found: _Scored, decoys: _Decoys) -> Close:
    """From the rows that differ most to those that differ least: copies among the former are no decoys."""
    limits: dict[int, float] = {}
    rare = np.zeros(len(found.pairs), bool)
    for level in range(DEEPEST + 1):
        here = np.flatnonzero((found.level == level) & (found.partners < decoys.likely))
        partners = np.sort(_of_rows(found.pairs[here], found.partners[here]))
        many = _count_expected(partners, decoys.expected[level], decoys.stands[level])
        rare[here] = found.partners[here] <= (partners[many - 1] if many else -np.inf)
    accepted = rare.copy()
    for level in range(DEEPEST, -1, -1):
        here = np.flatnonzero(rare & (found.level == level))
        plain, strict = zip(*decoys.beyond(level, limits), strict=True)
        limits[level] = _limit(_of_rows(found.pairs[here], found.score[here]), plain, strict, decoys.weight)
        accepted[here] = found.score[here] <= limits[level]
    others = found.pairs[~accepted]
    return Close(copies=found.pairs[accepted], chance=others, equal=others[found.level[~accepted] == 0])


def _of_rows(pairs: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The most surprising score of each row that has one."""
    found = np.full(int(pairs.max(initial=-1)) + 1, np.inf)
    for side in (0, 1):
        np.minimum.at(found, pairs[:, side], score)
    return np.asarray(found[np.isfinite(found)])


def _limit(targets: np.ndarray, decoys: Sequence[np.ndarray], strict: Sequence[np.ndarray], weight: float) -> float:
    """The score up to which targets are accepted: so far, decoys of either kind are few beside them.

    First against the strict decoys, by MARGIN; and where so few are accepted that the sample could have missed decoys
    of their kind, by how much further the best of all may be than the best of the sample. Where these alone
    are most of what could be accepted, there are copies, and the bound is that of the decoys as they are.
    """
    targets = np.sort(targets)
    sure = _count(targets + MARGIN, strict, weight, FALSE)
    if sure < SEEN * weight:
        sure = _count(targets + MARGIN + 2 * np.log(weight), strict, weight, FALSE)
    most = _count(targets, decoys, weight, MOST_FALSE)
    count = most if sure >= SURE * most else sure
    return float(targets[count - 1]) if count else -np.inf


def _count(targets: np.ndarray, decoys: Sequence[np.ndarray], weight: float, share: float) -> int:
    """How many of the sorted targets to accept for decoys, by their weight, to be at most a share of them."""
    false = np.max([np.searchsorted(np.sort(each), targets, "right") for each in decoys], axis=0)
    fine = np.flatnonzero(weight * false <= share * np.arange(1, len(targets) + 1))
    return int(fine[-1]) + 1 if len(fine) else 0


def _count_expected(targets: np.ndarray, expected: np.ndarray, stands: float) -> int:
    """How many of the sorted targets to accept for partners by chance to be at most a share of them.

    A score is the logarithm of the partners that a row has by chance: what they come to over all rows.
    """
    ordered = np.sort(expected)
    sums = stands * np.concatenate([[0.0], np.cumsum(np.exp(ordered))])
    by_chance = sums[np.searchsorted(ordered, targets, "right")]
    fine = np.flatnonzero(by_chance <= FALSE * np.arange(1, len(targets) + 1))
    return int(fine[-1]) + 1 if len(fine) else 0


def _expected(codes: np.ndarray, surprise: Surprise) -> Iterator[tuple[np.ndarray, float]]:
    """For each level, scores of random rows with as many values left out, and for how many each of them stands."""
    n, columns = codes.shape
    rng, many = np.random.default_rng(1), max(100, min(EXPECTED, MOST_EXPECTED // max(1, columns)))
    for level in range(DEEPEST + 1):
        rows = rng.integers(0, n, many)
        agree = rng.permuted(np.tile(np.arange(columns) >= level, (many, 1)), axis=1)
        yield surprise(rows, agree, grouped=True), n * comb(columns, level) / many


def _sampled(codes: np.ndarray, surprise: Surprise) -> _Decoys:
    """Decoys among a random sample of rows, each compared with all others."""
    n, columns = codes.shape
    compared = min(n, max(FEWEST, int(SAMPLED / max(1, n * columns))))  # each with all others
    sample = np.sort(np.random.default_rng(0).choice(n, compared, replace=False))
    owner, other = _closest(codes, sample)
    agree = codes[sample[owner]] == codes[other]
    score = _best(owner, (~agree).sum(axis=1), surprise(sample[owner], agree), len(sample))
    most = float(np.log(max(1, n - 1)))
    expected, stands = zip(*_expected(codes, surprise), strict=True)
    return _Decoys(
        score=score, weight=n / max(1, len(sample)), columns=columns, most=most, likely=LIKELY, expected=expected,
        stands=stands,
    )  # fmt: skip


def _closest(codes: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions in `sample`, rows), both [pairs]: for each of the sample some at every level."""
    columns = codes.shape[1]
    small = np.ascontiguousarray(codes.T, np.uint16 if codes.max(initial=0) < 65_536 else np.int64)
    owner, other = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for place, row in enumerate(sample):
        apart = (small != small[:, row, None]).sum(axis=0, dtype=np.uint8 if columns < 255 else np.uint16)
        apart[row] = LEVELS
        near = np.flatnonzero(apart < LEVELS)
        for level in range(1, LEVELS) if len(near) else ():
            other.append(near[apart[near] == level][:MOST_TIES])
            owner.append(np.full(len(other[-1]), place))
    return np.concatenate(owner), np.concatenate(other)


def _near(hashed: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Pairs that differ in at most DEEPEST values [pairs, 2]; of rows that are all alike, neighbors alone.

    Rows that differ in two values are searched where agreement in the others would be rare by chance, were columns
    independent: if it is frequent even then, no copy could be recognized, nor where most rows have such a partner.
    """
    n, columns = hashed.shape
    left_out: list[tuple[int, ...]] = [()]
    if columns > 1:
        left_out += [(a,) for a in range(columns)]
    if 2 < columns <= MOST_PAIRED:
        bits = np.array([_bits(np.bincount(codes[:, k])) for k in range(columns)])
        needed = 2 * np.log2(max(n, 2))
        left_out += [each for each in combinations(range(columns), 2) if bits.sum() - bits[list(each)].sum() >= needed]
    whole = hashed.sum(axis=1, dtype=np.uint64)
    found = [np.empty(0, np.int64)]
    for less in left_out:
        key = whole.copy()
        for column in less:
            key -= hashed[:, column]
        ordered = np.sort(key)
        several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        if not len(several):
            continue
        place = np.minimum(np.searchsorted(several, key), len(several) - 1)
        repeated = np.flatnonzero(several[place] == key)
        order = repeated[np.argsort(place[repeated], kind="stable")]
        same = np.flatnonzero(key[order[1:]] == key[order[:-1]])
        if len(less) == DEEPEST and len(same) > MOST_ALIKE * n:
            continue
        low, high = np.minimum(order[same], order[same + 1]), np.maximum(order[same], order[same + 1])
        found.append(low * n + high)
    both = np.unique(np.concatenate(found))
    pairs = np.stack([both // n, both % n], axis=1)
    return np.asarray(pairs[(codes[pairs[:, 0]] != codes[pairs[:, 1]]).sum(axis=1) <= DEEPEST])


def codes_of(hashed: np.ndarray) -> np.ndarray:
    """Each column's values as whole numbers from 0 up."""
    return np.stack([np.unique(hashed[:, k], return_inverse=True)[1] for k in range(hashed.shape[1])], axis=1)


def _bits(counts: np.ndarray) -> float:
    """What agreement in a column is worth: minus the logarithm of the share of pairs that agree."""
    n = counts.sum()
    agree = float((counts * (counts - 1.0)).sum()) / max(1.0, n * (n - 1.0))
    return float(-np.log2(max(agree, 1 / n**2)))
