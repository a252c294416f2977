"""Text from a shipped language model, token by token as it is made. Needs neither torch nor Leadline's training parts.

Sources: temperature and top-k (Fan et al. 2018, 'Hierarchical Neural Story Generation'); top-p (Holtzman et al. 2020,
'The Curious Case of Neural Text Degeneration').
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from leadline.kinds.tokens import START, decoded
from leadline.system.arguments import checked
from leadline.system.errors import ModelError

if TYPE_CHECKING:
    from leadline.use.model import Model


@checked
def generate(
    model: Model, prompt: str = "\n", *, length: int = 500, temperature: float = 0.8, top_k: int | None = None,
    top_p: float | None = None, seed: int = 0, cache: bool = True,
) -> Iterator[str]:  # fmt: skip
    """Continue the prompt; yields pieces of text, each as soon as it is whole.

    Args:
        prompt: text to continue; an empty one starts from nothing.
        length: tokens to write.
        temperature: 0 always takes the likeliest token, 1 the model's own odds; above 1 is wilder.
        top_k: choose among so many of the likeliest tokens.
        top_p: choose among the likeliest tokens that together have this probability.
        seed: the same seed gives the same text.
        cache: keep the state between tokens; without, the whole text is read again for each (slower, the same text).

    Raises:
        ModelError: the model is no language model, or a setting is out of range.
    """
    _check(length, temperature, top_k, top_p)
    # One thread: a step of one token is too small to share, and waiting for each other costs more than it takes.
    reader, vocabulary = model.reader(), model.contract["vocabulary"]
    pieces, rng = decoded(vocabulary, model.contract["unit"]), np.random.default_rng(seed)
    spell = codecs.getincrementaldecoder("utf-8")("replace")  # a character may be spread over tokens
    prompt = prompt.replace("\x00", " ")
    start = np.array([[START]] if not prompt else [[]], np.int64).reshape(1, -1)
    written = np.zeros((1, 0), np.int64)
    odds, state = reader.step(start, reader.initial(1), prompt)
    for _ in range(length):
        token = choose(odds[0, -1], temperature, top_k, top_p, rng)
        if piece := spell.decode(pieces[token]):
            yield piece
        if cache:
            odds, state = reader.step(np.array([[token]]), state)
        else:
            written = np.append(written, [[token]], axis=1)
            odds, _ = reader.step(np.concatenate([start, written], axis=1), reader.initial(1), prompt)
    if rest := spell.decode(b"", final=True):
        yield rest


def _check(length: int, temperature: float, top_k: int | None, top_p: float | None) -> None:
    for name, value, good, wanted in (
        ("length", length, length >= 0, "0 or more"),
        ("temperature", temperature, temperature >= 0, "0 or more"),
        ("top_k", top_k, top_k is None or top_k >= 1, "1 or more"),
        ("top_p", top_p, top_p is None or 0 < top_p <= 1, "above 0 and at most 1"),
    ):
        if not good:
            raise ModelError(f"{name} is {value}, where {wanted} was expected.")


def choose(
    log_odds: np.ndarray, temperature: float, top_k: int | None, top_p: float | None, rng: np.random.Generator
) -> int:
    """Draw a token from log-probabilities [V]; never the start, which stands for what has no letter."""
    odds = log_odds.astype(np.float64)
    odds[START] = -np.inf
    if temperature == 0:
        return int(odds.argmax())
    order = np.argsort(-odds, kind="stable")[: top_k or None]
    sums = np.exp((odds[order] - odds[order[0]]) / temperature).cumsum()
    if top_p is not None:
        sums = sums[: int(np.searchsorted(sums, top_p * sums[-1])) + 1]
    return int(order[np.searchsorted(sums, rng.random() * sums[-1], side="right")])
