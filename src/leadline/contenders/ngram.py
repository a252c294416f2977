"""An n-gram model with interpolated, modified Kneser-Ney smoothing, and its exact conversion to ONNX.

Source: Chen and Goodman, 'An Empirical Study of Smoothing Techniques for Language Modeling' (1999), section 3. A gram
of order k is the number that its tokens spell in base V, so a table is a sorted array, and a look-up is a binary search
here and a hash table in the file. P_k(w | h) = found(h w) + left(h) P_{k-1}(w | h'), where h' is h without its first
token; an unseen h leaves all to the lower order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leadline.contenders.families import CLASSICAL
from leadline.contenders.features import NOT_AGAIN
from leadline.core.contender import Contender, Data, Fitted, Progress, State, digest
from leadline.core.json_types import items
from leadline.core.tensors import Tensors
from leadline.dataset.token_scoring import bits, spread, stream
from leadline.kinds import KINDS
from leadline.kinds.tokens import START
from leadline.metrics.metrics import METRICS

if TYPE_CHECKING:
    import onnx

    from leadline.graph.builder import Graph

HIGHEST = 10  # order
MOST_TOKENS = 10_000_000  # counted, the last ones: a gigabyte of tables at most
A_SECOND = 300_000  # tokens counted for each second there is: all orders are tried
LOOKED = 600  # valid rows by which the order is chosen
MOST_GRAMS = 4_000_000  # of all orders together: some 60 MB in the file
SPACE = 2**62  # a gram must fit into int64
RISING = 0.01  # share of the bits that the last order saved, above which one more would have saved some too


class Ngram(Contender):
    name = "ngram"
    family = CLASSICAL
    searches = True

    def inputs(self, store: Tensors) -> list[str]:
        return [block.name for block in store.blocks if KINDS[block.kind].corpus]

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        store, split = data.store, data.store.split
        vocabulary = len(items(store.blocks[0].settings, "vocabulary"))
        most = int(np.clip(A_SECOND * data.clock.left(), 1e5, MOST_TOKENS))
        train, said = _affordable(store, split.train, most)
        looked = spread(split.valid, LOOKED)
        highest = max(1, min(HIGHEST, int(np.log(SPACE) / np.log(vocabulary))))
        best: tuple[float, list[Order]] | None = None
        undertrained = False
        for order in range(2, highest + 1):
            orders = learn(train, vocabulary, order)
            grams = sum(len(table.grams) for table in orders)
            if best is not None and grams > MOST_GRAMS:
                said.append(f"order {order} would need {grams:,} grams, more than {MOST_GRAMS:,}")
                break
            score = _score(store, looked, orders, vocabulary)
            yield Progress(step=order, steps=highest, score=score)
            if best is not None and score >= best[0]:
                break
            rose = best is None or score < (1 - RISING) * best[0]
            best = (score, orders)
            if order < highest and data.clock.left() < 3 * data.clock.spent():
                said.append("a higher order was not tried: no time was left")
                undertrained = rose
                break
        assert best is not None
        orders = best[1]
        score = best[0] if len(looked) == len(split.valid) else _score(store, split.valid, orders, vocabulary)
        said.insert(0, f"order {len(orders)}, as valid chose, of up to {highest}")
        again = data.clock.left() > data.clock.spent()
        if again:
            both = np.sort(np.concatenate([split.train, split.valid]))
            orders = learn(_affordable(store, both, most)[0], vocabulary, len(orders))
            said[0] += "; counted again on train and valid rows"
        else:
            said.append(NOT_AGAIN)
        yield FittedNgram(orders, vocabulary, score, said, undertrained, again)


@dataclass(frozen=True, kw_only=True)
class Order:
    """Grams of one length that were seen, rising, and what they get; contexts, rising, and what they leave."""

    grams: np.ndarray  # int64
    found: np.ndarray  # float32: share of its context that a gram has for itself
    contexts: np.ndarray  # int64
    left: np.ndarray  # float32: share that a context leaves to the next lower order


def learn(tokens: np.ndarray, vocabulary: int, highest: int) -> list[Order]:
    """Count, discount and normalise: the tables of orders 1 to `highest`."""
    keys, counts = np.unique(_rolled(tokens, vocabulary, highest), return_counts=True)
    orders = []
    for order in range(highest, 0, -1):
        orders.append(_order(keys, counts, vocabulary))
        # Below the highest order a gram counts once for each token that it was seen after.
        keys, counts = np.unique(keys % vocabulary ** (order - 1), return_counts=True) if order > 1 else (keys, counts)
    return orders[::-1]


def _rolled(tokens: np.ndarray, vocabulary: int, order: int) -> np.ndarray:
    """The number of the gram that ends at each token from the `order`-th on: int64 [n - order + 1]."""
    count = max(0, len(tokens) - order + 1)
    keys = np.zeros(count, np.int64)
    for place in range(order):
        keys = keys * vocabulary + tokens[place : place + count]
    return keys


def _order(grams: np.ndarray, counts: np.ndarray, vocabulary: int) -> Order:
    discount = _discounts(counts)[np.minimum(counts, 3)]
    first = np.flatnonzero(np.diff(grams // vocabulary, prepend=-1))
    totals = np.add.reduceat(counts, first) if len(first) else np.zeros(0)
    sizes = np.diff(np.append(first, len(grams)))
    return Order(
        grams=grams, found=((counts - discount) / np.repeat(totals, sizes)).astype(np.float32),
        contexts=grams[first] // vocabulary,
        left=(np.add.reduceat(discount, first) / totals if len(first) else totals).astype(np.float32),
    )  # fmt: skip


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from a count of 0, 1, 2, and 3 or more."""
    n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(np.float64)
    if not n.all():  # too few grams to tell
        return np.array([0.0, 0.5, 0.75, 0.9])
    share = n[0] / (n[0] + 2 * n[1])
    taken = [k - (k + 1) * share * n[k] / n[k - 1] for k in (1, 2, 3)]
    return np.array([0.0, *np.clip(taken, 0.05, [0.95, 1.9, 2.8])])


def odds(orders: list[Order], tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The probability of every token given those before it: float64 [n]."""
    lead = np.concatenate([np.full(len(orders) - 1, START), tokens])
    p = np.full(len(tokens), 1.0 / vocabulary)
    for order, table in enumerate(orders, start=1):
        keys = _rolled(lead[len(orders) - order :], vocabulary, order)
        p = _look(table.grams, table.found, keys, 0.0) + _look(table.contexts, table.left, keys // vocabulary, 1.0) * p
    return p


def _look(keys: np.ndarray, values: np.ndarray, asked: np.ndarray, otherwise: float) -> np.ndarray:
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], otherwise)


def _affordable(store: Tensors, rows: np.ndarray, most: int) -> tuple[np.ndarray, list[str]]:
    """The last tokens of the rows, as many as there is memory and time to count; and a line that says so."""
    last = rows[-(most // 64) :]
    tokens = stream(store, last)[0]
    if len(last) < len(rows) or len(tokens) > most:
        tokens = tokens[-most:]
        return tokens, [f"counted the last {len(tokens):,} tokens alone, as many as memory and time allow"]
    return tokens, []


def unigram(store: Tensors) -> FittedNgram:
    """The baseline of a text corpus: how common each token is."""
    vocabulary = len(items(store.blocks[0].settings, "vocabulary"))
    orders = learn(_affordable(store, store.split.train, MOST_TOKENS)[0], vocabulary, 1)
    score = _score(store, store.split.valid, orders, vocabulary)
    both = np.sort(np.concatenate([store.split.train, store.split.valid]))
    orders = learn(_affordable(store, both, MOST_TOKENS)[0], vocabulary, 1)
    said = ["the shares of the tokens in the train and valid rows"]
    return FittedNgram(orders, vocabulary, score, said, trained_on_valid=True)


class FittedNgram:
    """Tables of every order, the lowest first."""

    valid: np.ndarray | None = None

    def __init__(
        self, orders: list[Order], vocabulary: int, score: float, describe: list[str], undertrained: bool = False,
        trained_on_valid: bool = False,
    ) -> None:  # fmt: skip
        self._orders, self._vocabulary = orders, vocabulary
        self.score, self.describe = score, describe
        self.undertrained, self.trained_on_valid = undertrained, trained_on_valid
        self.params = sum(len(table.found) + len(table.left) for table in orders)
        self.bytes = 12 * self.params

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return _bits(store, rows, self._orders, self._vocabulary)

    def digest(self) -> str:
        return digest(*(part for table in self._orders for part in vars(table).values()))

    def graph(self) -> onnx.ModelProto:
        from leadline.graph.builder import Graph

        highest, vocabulary = len(self._orders), self._vocabulary
        g = Graph("ngram")
        ids = g.input("ids", np.int64, ["N", "T"])
        kept = g.input("state_0", np.int64, ["N", "P"])
        read = g.op("Concat", kept, ids, axis=1)
        # Starts before the text: the first tokens too have `highest - 1` tokens before them.
        ahead = g.op(
            "Max", g.const(np.int64(0)), g.op("Sub", g.const(np.array([highest - 1], np.int64)), _size(g, kept))
        )
        zero = g.const(np.array([0], np.int64))
        lead = g.op("Pad", read, g.op("Concat", zero, ahead, zero, zero, axis=0), g.const(np.int64(START)))
        count, length = _size(g, ids), _size(g, lead)
        every = g.const(np.arange(vocabulary, dtype=np.int64)[None, None])
        p = g.const(np.full((1, 1, vocabulary), 1.0 / vocabulary, np.float32))
        context = g.op("Mul", ids, g.const(np.int64(0)))  # [N, T]: the tokens before each next one, as one number
        for order, table in enumerate(self._orders, start=1):
            if order > 1:
                end = g.op("Sub", length, g.const(np.array([order - 2], np.int64)))
                before = g.op("Slice", lead, g.op("Sub", end, count), end, g.const(np.array([1], np.int64)))
                context = g.op("Add", context, g.op("Mul", before, g.const(np.int64(vocabulary ** (order - 2)))))
            wide = g.op("Unsqueeze", context, g.const(np.array([2], np.int64)))
            grams = g.op("Add", g.op("Mul", wide, g.const(np.int64(vocabulary))), every)
            found = g.look(grams, table.grams, table.found, 0.0)
            left = g.look(wide, table.contexts, table.left, 1.0)
            p = g.op("Add", found, g.op("Mul", left, p))
        g.output("log_probabilities", g.op("Log", p), np.float32, ["N", "T", vocabulary])
        begin = g.op("Sub", length, g.const(np.array([highest - 1], np.int64)))
        g.output("next_0", g.op("Slice", lead, begin, length, g.const(np.array([1], np.int64))), np.int64, ["N", "Q"])
        return g.model()


def _size(g: Graph, value: str) -> str:
    """int64 [1]: the length of the second axis."""
    return str(g.op("Shape", value, start=1, end=2))


def _bits(store: Tensors, rows: np.ndarray, orders: list[Order], vocabulary: int) -> np.ndarray:
    return bits(store, rows, lambda tokens: -np.log(odds(orders, tokens, vocabulary)))


def _score(store: Tensors, rows: np.ndarray, orders: list[Order], vocabulary: int) -> float:
    return METRICS[store.task.metric](store.labels[rows], _bits(store, rows, orders, vocabulary))
