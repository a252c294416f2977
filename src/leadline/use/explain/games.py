"""What can be removed from a row, and what the file answers without it.

Enters: a row, and what its players are: columns, or parts of one column. Leaves: rows in which a set of players is
removed. A part is removed as its kind removes it (core/parts.py). A column is removed by the values of other rows in
its place, and the answer is the mean over these: a value that no row has would be answered by extrapolation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from leadline.core.parts import Parts
from leadline.use.explain.sample import Row
from leadline.use.explain.scorer import Scorer

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]  # `Scorer.margin` or `Scorer.chance`


class Game(Protocol):
    """A row and its players."""

    @property
    def size(self) -> int:
        """How many players there are."""

    @property
    def sets(self) -> np.ndarray:
        """bool [sets, size], the players that occlusion removes together; each is in one of them or more."""

    def rows(self, gone: np.ndarray) -> list[Row]:
        """Rows without the players of `gone`, bool [size], over which the answer is averaged."""


@dataclass(frozen=True, kw_only=True)
class ColumnGame:
    """Players are groups of columns."""

    row: Row
    groups: Sequence[Sequence[str]]
    others: Sequence[Row]

    @property
    def size(self) -> int:
        return len(self.groups)

    @property
    def sets(self) -> np.ndarray:
        return np.eye(self.size, dtype=bool)

    def rows(self, gone: np.ndarray) -> list[Row]:
        removed = [name for place in np.flatnonzero(gone).tolist() for name in self.groups[place]]
        if not removed:
            return [self.row]
        return [{**self.row, **{name: other[name] for name in removed}} for other in self.others]


@dataclass(frozen=True, kw_only=True)
class PartGame:
    """Players are the parts of one column's value."""

    row: Row
    column: str
    parts: Parts

    @property
    def size(self) -> int:
        return len(self.parts)

    @property
    def sets(self) -> np.ndarray:
        return np.eye(self.size, dtype=bool) if self.parts.sets is None else self.parts.sets

    def rows(self, gone: np.ndarray) -> list[Row]:
        return [{**self.row, self.column: self.parts.without(gone)}]


def evaluate(
    scorer: Scorer, plays: Sequence[tuple[Game, np.ndarray, int]], measure: Measure
) -> np.ndarray:  # fmt: skip
    """The answer to each (game, players removed, output), float64 [n]."""
    counts: list[int] = []

    def rows() -> Iterator[Row]:
        for game, gone, _ in plays:
            changed = game.rows(gone)
            counts.append(len(changed))
            yield from changed

    scores = scorer.scores(rows())
    outputs = np.repeat([output for *_, output in plays], counts).astype(np.int64)
    values = measure(scores, outputs)
    return np.add.reduceat(values, np.concatenate([[0], np.cumsum(counts)[:-1]])) / counts if counts else values


def occlusion(scorer: Scorer, games: Sequence[Game], outputs: Sequence[int]) -> list[np.ndarray]:
    """By how much each player's removal lowers the margin, float64 [players] of each game (Zeiler & Fergus 2014).

    The mean over the sets that a player is in, where players are removed in sets.
    """
    plays: list[tuple[Game, np.ndarray, int]] = []
    for game, output in zip(games, outputs, strict=True):
        plays.append((game, np.zeros(game.size, bool), output))
        plays += [(game, removed, output) for removed in game.sets]
    values = evaluate(scorer, plays, scorer.margin)
    effects, at = [], 0
    for game in games:
        sets = game.sets
        falls = values[at] - values[at + 1 : at + 1 + len(sets)]
        effects.append(falls @ sets / sets.sum(axis=0))
        at += 1 + len(sets)
    return effects


def banzhaf(
    scorer: Scorer, games: Sequence[Game], outputs: Sequence[int], masks: int, seed: int = 0
) -> list[np.ndarray]:  # fmt: skip
    """Banzhaf values float64 [players] of each game from random sets (Wang & Jia 2023; RISE, Petsiuk et al. 2018).

    The mean answer with a player less the mean without it, over the same random halves of all players.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for game in games:
        half = rng.random((masks // 2, game.size)) < 0.5
        drawn.append(np.concatenate([half, ~half]))  # antithetic: every player is removed in half of the sets
    plays = [(game, gone, output) for game, sets, output in zip(games, drawn, outputs, strict=True) for gone in sets]
    values = evaluate(scorer, plays, scorer.margin)
    found, at = [], 0
    for sets in drawn:
        own = values[at : at + len(sets)]
        at += len(sets)
        found.append(own @ ~sets / np.maximum((~sets).sum(axis=0), 1) - own @ sets / np.maximum(sets.sum(axis=0), 1))
    return found
