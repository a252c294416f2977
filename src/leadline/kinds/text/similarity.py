"""Texts that are nearly one: MinHash (Broder 1997) finds candidates, the true Jaccard similarity decides.

Enters: texts. Leaves: pairs of those that share most of their four-letter pieces, and far more of them than with their
fifth nearest text: sentences of one template do not count as near duplicates of one another. Of a long text the pieces
with the smallest hashes stand for all of them, a sketch from which the similarity of two texts follows (Cohen & Kaplan
2007, bottom-k sketches).

    >>> pairs_of(["the quick brown fox jumps over the lazy dog", "a text of its own",
    ...           "the quick brown fox jumped over the lazy dog"])[0].tolist()
    [[0, 2]]
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from leadline.core.kind import Rows

PIECE = 4  # letters
LETTERS, SKETCH = 200_000, 1_000  # of a text that are read at most, and pieces of it that are kept
BANDS, DEEP = 50, 3  # bands of as many hashes: texts of similarity 0.4 meet in one of them with probability 0.96
LIKE = 0.4  # least Jaccard similarity of near duplicates
CLOSER = 0.7  # of the distance of the fifth nearest
CERTAIN = 0.9  # similarity that needs no comparison with others
FIFTH = 5
CROWD = 40  # texts in one bucket of a band; of larger ones, neighbours alone are compared
MOST_MET = 200  # pairs a text that the bands may give, counted once for each band
PRIME = np.uint64((1 << 31) - 1)
SHIFT, HALF, LARGEST = np.uint64(16), np.uint64(32), 1 << 31
MIXED = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # SplitMix64 (Steele et al. 2014)
AMPLE = 8  # times the pieces of a sketch, which a share of a long text's pieces gives nearly always
AT_ONCE = 5_000_000  # pieces of the pairs that are compared at once


def pairs(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """([pairs, 2] positions of texts that are nearly one; how far apart each is)."""
    return pairs_of(rows.cells().fill_null("").to_list())


def pairs_of(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """([pairs, 2] positions of texts that are nearly one, lower first; [pairs] how far apart: 1 - similarity)."""
    pieces = [_pieces(text) for text in texts]
    ends = np.cumsum([0, *map(len, pieces)])
    flat = np.concatenate(pieces) if len(pieces) else np.empty(0, np.uint64)
    found = _met(flat, ends)
    if not len(found):
        return found, np.empty(0)
    like = _similarity(flat, ends, found)
    away = 1 - like
    usual = _fifth(found, away, len(texts))
    near = like >= LIKE
    near &= (away < CLOSER * np.maximum(usual[found[:, 0]], usual[found[:, 1]])) | (like >= CERTAIN)
    return found[near], away[near]


def _pieces(text: str) -> np.ndarray:
    """The different pieces of a text, hashed, or the smallest of them: sorted uint64 below 2^31."""
    plain = f" {' '.join(text[:LETTERS].lower().split())} "
    letters = np.frombuffer(plain.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    if len(letters) < PIECE:
        letters = np.concatenate([letters, np.zeros(PIECE - len(letters), np.uint64)])
    count = len(letters) - PIECE + 1
    hashed = letters[:count]
    for place in range(1, PIECE):
        hashed = (hashed << SHIFT) ^ letters[place : count + place]
    for factor in MIXED:
        hashed = (hashed ^ (hashed >> HALF)) * factor
    hashed = hashed >> np.uint64(33)
    few = np.unique(hashed[hashed < int(LARGEST * AMPLE * SKETCH / count)]) if count > AMPLE * SKETCH else hashed[:0]
    return (few if len(few) >= SKETCH else np.unique(hashed))[:SKETCH].copy()  # a view would hold all of them


def _met(flat: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Pairs that share all hashes of a band: [pairs, 2], lower first.

    Texts of one bucket are sorted by the next band, so that the likest are neighbours, and neighbours of all bands are
    taken before those that lie further apart: where texts are made of few words, buckets hold nearly all of them.
    """
    rng, texts = np.random.default_rng(0), len(ends) - 1
    keys = []
    for _ in range(BANDS):
        key = np.zeros(texts, np.uint64)
        for _ in range(DEEP):
            a, b = rng.integers(1, int(PRIME), 2).astype(np.uint64)
            least = np.minimum.reduceat((flat * a + b) % PRIME, ends[:-1])
            key = key * np.uint64(11_400_714_819_323_198_485) + least
        keys.append(key)
    orders = [np.lexsort((after, key)) for key, after in zip(keys, [*keys[1:], keys[0]], strict=True)]
    bands = [(key[order], order) for key, order in zip(keys, orders, strict=True)]
    held: list[np.ndarray] = []
    count = 0
    for step in range(1, CROWD):
        before = count
        for same, order in bands:
            hit = same[step:] == same[:-step]
            one, two = order[:-step][hit], order[step:][hit]
            held.append(np.minimum(one, two) * texts + np.maximum(one, two))
            count += len(one)
        if count == before or count > MOST_MET * texts:
            break
    pairs = np.unique(np.concatenate(held)) if held else np.empty(0, np.int64)
    return np.stack([pairs // texts, pairs % texts], axis=1) if texts else np.empty((0, 2), np.int64)


def _similarity(flat: np.ndarray, ends: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The Jaccard similarity of each pair, of long texts up to the hash to which both are known."""
    from scipy import sparse

    values, column = np.unique(flat, return_inverse=True)
    table = sparse.csr_matrix((np.ones(len(flat), np.float32), column, ends))
    size = np.diff(ends)
    cut = size >= SKETCH
    known = np.where(cut, column[ends[1:] - 1], len(values))  # number of the last hash that a sketch holds
    last = known[found].min(axis=1)
    sizes = size[found].astype(np.float64)
    for row in np.flatnonzero(cut[found].any(axis=1)):
        sizes[row] = [np.searchsorted(column[ends[one] : ends[one + 1]], last[row], "right") for one in found[row]]
    parts = max(1, math.ceil(len(found) * float(size.mean()) / AT_ONCE))
    both = np.concatenate(
        [
            np.asarray(table[part[:, 0]].multiply(table[part[:, 1]]).sum(axis=1)).ravel()
            for part in np.array_split(found, parts)
        ]
    )
    return np.asarray(both / (sizes.sum(axis=1) - both))


def _fifth(found: np.ndarray, away: np.ndarray, texts: int) -> np.ndarray:
    """The distance of each text's fifth nearest, as far as it was met; 1 where there were fewer."""
    one, gap = np.concatenate([found[:, 0], found[:, 1]]), np.concatenate([away, away])
    order = np.lexsort((gap, one))
    one, gap = one[order], gap[order]
    first = np.searchsorted(one, np.arange(texts))
    place = first + FIFTH - 1
    there = (place < len(one)) & (one[np.minimum(place, len(one) - 1)] == np.arange(texts)) if len(one) else None
    return np.ones(texts) if there is None else np.where(there, gap[np.minimum(place, len(gap) - 1)], 1.0)
