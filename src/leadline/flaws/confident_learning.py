"""Labels that are more likely wrong than right, by the predictions of a model for rows it was not trained on.

Confident learning (Northcutt, Jiang and Chuang 2021) with bounds of the share. First the share of wrong
labels: where the model is surest its own errors die out, and what disagreement remains there is the labels'. Then the
rows: the less probable a model calls a label, the more suspect it is, as far as half of the suspects should be wrong.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(0, 2, 4_000)
    >>> labels = np.where(rng.random(4_000) < 0.05, 1 - truth, truth)
    >>> sure = np.where(np.arange(2) == truth[:, None], 0.95, 0.05)
    >>> found = noise(sure + rng.normal(0, 0.01, (4_000, 2)), labels)
    >>> bool(found.low <= 0.05 <= found.high)
    True
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SUREST, MIDDLE = 0.1, 0.5  # shares of the rows, by how sure the model is
SUREST_OF_BOTH = 0.2  # where a pretrained body agrees with the probe: fewer own errors (docs/decisions/0099)
FEWEST = 150  # rows among the surest
PRECISION = 0.5  # expected share of suspects that are wrong
OWN = 1 / 3  # of that growth: a quarter where errors grow evenly (docs/decisions/0081)
UNRELIABLE = 0.2  # a model that may err on more of the rows that it is surest of says nothing about the labels
LEAST = 0.004  # share of wrong labels that is reported


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The share of labels that are wrong, with its bounds."""

    share: float
    low: float
    high: float


def noise(answers: np.ndarray, labels: np.ndarray, share: float = SUREST) -> Noise | None:
    """Of out-of-fold probabilities [n, classes] and labels [n], from the surest `share` of the rows; None where rows or
    model are too weak to tell.
    """
    n = len(labels)
    surest = max(int(share * n), FEWEST)
    middle = int(MIDDLE * n)
    if middle < 1.5 * surest:
        return None
    order = np.argsort(-answers.max(axis=1), kind="stable")
    off = (answers.argmax(axis=1) != labels)[order]
    top, half = int(off[:surest].sum()), float(off[:middle].mean())
    error = top / surest
    # The model's own errors grow as it gets less sure: as many may be among the surest, and about a third of it are.
    growth = max(0.0, half - error)
    low, high = _wilson(top, surest)
    if high > UNRELIABLE:
        return None
    return Noise(share=max(0.0, error - OWN * growth), low=max(0.0, low - growth), high=high)


def suspects(answers: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    """Positions of labels of which half or more are expected to be wrong, the most suspect first."""
    n, classes = answers.shape
    given = answers[np.arange(n), labels]
    order = np.argsort(given, kind="stable")
    # Were a row's label changed for another at random, how probable would the model call it?
    others = np.sort(np.concatenate([answers[np.arange(n), (labels + step) % classes] for step in range(1, classes)]))
    wrong = share * n * np.searchsorted(others, given[order], "right") / len(others)
    found = np.arange(1, n + 1)
    enough = np.flatnonzero(wrong >= PRECISION * found)
    last = enough[-1] + 1 if len(enough) else 0
    chosen = order[:last]
    return np.asarray(chosen[answers[chosen].argmax(axis=1) != labels[chosen]])


def cleaned(accuracy: float, share: float, classes: int) -> float:
    """The accuracy on true labels of what has `accuracy` on labels of which a share is another one at random."""
    spread = share / (classes - 1)
    return float(np.clip((accuracy - spread) / (1 - share - spread), 0.0, 1.0))


def _wilson(hits: int, n: int) -> tuple[float, float]:
    z = 1.96
    p = hits / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float((middle - half) / (1 + z * z / n)), float((middle + half) / (1 + z * z / n))
