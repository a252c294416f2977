"""Kneser-Ney against its definition, written down naively; and the file against the tables."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from leadline.contenders.ngram import FittedNgram, learn, odds
from leadline.graph.runtime import Session

V = 6


def _stream(n: int, seed: int = 0) -> np.ndarray:
    """A text with some structure: the next token leans on the last two."""
    rng = np.random.default_rng(seed)
    tokens = [1, 2]
    for _ in range(n - 2):
        lean = (tokens[-1] * 2 + tokens[-2]) % (V - 1) + 1
        tokens.append(lean if rng.random() < 0.6 else int(rng.integers(1, V)))
    return np.array(tokens, np.int64)


class Naive:
    """Modified Kneser-Ney by dictionaries (Chen and Goodman 1999, equations 20 to 27)."""

    def __init__(self, tokens: list[int], highest: int) -> None:
        self.counts: dict[int, Counter[tuple[int, ...]]] = {}
        grams = Counter(tuple(tokens[i : i + highest]) for i in range(len(tokens) - highest + 1))
        for order in range(highest, 0, -1):
            self.counts[order] = grams
            grams = Counter(gram[1:] for gram in grams)
        self.discounts = {order: self._discounts(counts) for order, counts in self.counts.items()}
        self.followers: dict[int, dict[tuple[int, ...], list[int]]] = {}
        for order, counts in self.counts.items():
            found: dict[tuple[int, ...], list[int]] = defaultdict(list)
            for gram, count in counts.items():
                found[gram[:-1]].append(count)
            self.followers[order] = found

    @staticmethod
    def _discounts(counts: Counter[tuple[int, ...]]) -> list[float]:
        n = [sum(count == k for count in counts.values()) for k in range(1, 5)]
        if not all(n):
            return [0, 0.5, 0.75, 0.9]
        y = n[0] / (n[0] + 2 * n[1])
        raw = [1 - 2 * y * n[1] / n[0], 2 - 3 * y * n[2] / n[1], 3 - 4 * y * n[3] / n[2]]
        return [0, min(max(raw[0], 0.05), 0.95), min(max(raw[1], 0.05), 1.9), min(max(raw[2], 0.05), 2.8)]

    def p(self, context: tuple[int, ...], token: int) -> float:
        order = len(context) + 1
        lower = self.p(context[1:], token) if context else 1 / V
        followers = self.followers[order].get(context)
        if not followers:
            return lower
        d, total = self.discounts[order], sum(followers)
        own = self.counts[order][(*context, token)]
        left = sum(d[min(count, 3)] for count in followers) / total
        return (own - d[min(own, 3)]) / total + left * lower


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [12, 400])
def test_it_is_kneser_ney(order: int, length: int) -> None:
    train, text = _stream(length), _stream(60, seed=1)
    naive = Naive(train.tolist(), order)
    lead = [0] * (order - 1) + text.tolist()
    want = [naive.p(tuple(lead[i : i + order - 1]), lead[i + order - 1]) for i in range(len(text))]
    np.testing.assert_allclose(odds(learn(train, V, order), text, V), want, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 4])
def test_odds_of_all_next_tokens_sum_to_one(order: int) -> None:
    orders = learn(_stream(300), V, order)
    for context in (_stream(20, seed=2), np.array([], np.int64), np.array([0, 0, 3])):
        total = sum(odds(orders, np.append(context, token), V)[-1] for token in range(V))
        assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_file_reads_in_chunks_as_the_tables_do_at_once(order: int) -> None:
    orders, text = learn(_stream(500), V, order), _stream(50, seed=3)
    session = Session(FittedNgram(orders, V, 0.0, []).graph())
    want = np.log(odds(orders, text, V))
    state, found = np.zeros((1, 0), np.int64), []
    reads = np.concatenate([[0], text])
    for low, high in ((0, 1), (1, 2), (2, 20), (20, 50)):
        out = session({"ids": reads[None, low:high], "state_0": state})
        odds_, state = out["log_probabilities"], out["next_0"]
        assert state.shape == (1, order - 1)
        found.append(odds_[0, np.arange(high - low), text[low:high]])
    np.testing.assert_allclose(np.concatenate(found), want, atol=1e-5)
