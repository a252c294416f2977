"""Reading text corpus with a language model: what every contender, the judge and the shipped file do alike.

A language model is a step: tokens and a state in; log-probabilities of the next tokens and a new state out. The state
is what the model keeps of the text before (a cache of keys and values, a recurrent state, the last tokens), so a text
is read in chunks of any length with the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from leadline.core.json_types import items
from leadline.core.tensors import Tensors
from leadline.kinds.tokens import PADDING, START

State = tuple[np.ndarray, ...]
Step = Callable[[np.ndarray, State], tuple[np.ndarray, State]]  # ids [N, T], state -> log p [N, T, V], state

UNICODE = 1_112_064  # characters there are: what it costs to spell out one that train never had
LANES, LANE = 16, 2_048  # stretches read side by side at most, and tokens in one at least
WARM = 256  # tokens read, but not scored, before a stretch
PLACES = 6  # stretches that stand for a text
CHUNK = 256  # tokens in one step


def stream(store: Tensors, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [n] int64 of the given rows, one after the other, and how many of them each row has."""
    block = store.blocks[0]
    padded = store.tensor(block.name)[rows]
    there = padded != PADDING
    return padded[there].astype(np.int64), there.sum(axis=1)


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows: short stretches all over, since a text is not alike everywhere."""
    if len(rows) <= most:
        return rows
    size = most // PLACES
    return np.concatenate(
        [rows[start : start + size] for start in np.linspace(0, len(rows) - size, PLACES).astype(int)]
    )


def bits(store: Tensors, rows: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Bits that each row takes, each token given all before it: float64 [rows].

    Args:
        read: tokens [n] -> -log p of each [n], as `nats` gives them.
    """
    tokens, counts = stream(store, rows)
    spent = read(tokens) / math.log(2)
    settings = store.blocks[0].settings
    if settings["unit"] == "character":
        spent[tokens == START] += math.log2(UNICODE - len(items(settings, "vocabulary")))
    ends = np.cumsum(counts)
    total = np.concatenate([[0.0], np.cumsum(spent)])
    return np.asarray(total[ends] - total[ends - counts])


def nats(tokens: np.ndarray, step: Step, initial: Callable[[int], State]) -> np.ndarray:
    """-log p of every token given those before it: float64 [n].

    A long text is read in stretches side by side; each but the first looks at `WARM` tokens before it.
    """
    n = len(tokens)
    lanes = int(np.clip(n // LANE, 1, LANES))
    warm = WARM if lanes > 1 else 0
    size = -(-(n - warm) // lanes)
    padded = np.concatenate([[START], tokens, np.full(size * lanes + warm - n, START)])
    reads = np.stack([padded[lane * size : lane * size + warm + size + 1] for lane in range(lanes)])
    state, spent = initial(lanes), []
    for low in range(0, warm + size, CHUNK):
        part = reads[:, low : low + CHUNK + 1]
        odds, state = step(part[:, :-1], state)
        spent.append(-np.take_along_axis(odds, part[:, 1:, None], axis=2)[:, :, 0].astype(np.float64))
    losses = np.concatenate(spent, axis=1)
    return np.concatenate([losses[0, :warm], losses[:, warm:].reshape(-1)])[:n]
