"""A shipped language model, read as a step: tokens and a state in, log-probabilities and a new state out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from leadline.dataset.token_scoring import State

Run = Callable[[Mapping[str, Any], Sequence[str]], dict[str, np.ndarray]]  # the graph: inputs, names of outputs


class Reader:
    """A shipped language model as a step (`dataset/token_scoring.py`)."""

    def __init__(self, run: Run, contract: Mapping[str, Any]) -> None:
        self._run, self._state = run, contract["state"]
        (self._text,) = contract["inputs"]
        self._outputs = ["log_probabilities", *(item["next"] for item in self._state)]

    def initial(self, lanes: int) -> State:
        """The state before any text, for so many texts side by side."""
        return tuple(
            np.zeros([lanes if size == "N" else size for size in item["shape"]], item["dtype"]) for item in self._state
        )

    def step(self, ids: np.ndarray, state: State, text: str = "") -> tuple[np.ndarray, State]:
        """ids [N, T] -> log p [N, tokens of text + T, V] and the new state."""
        feeds: dict[str, Any] = {self._text: np.array([text], object), "ids": np.asarray(ids, np.int64)}
        feeds |= {item["name"]: value for item, value in zip(self._state, state, strict=True)}
        odds, *after = self._run(feeds, self._outputs).values()
        return odds, tuple(after)
