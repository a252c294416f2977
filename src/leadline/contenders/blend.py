"""A linear model on what classical contenders read, whose raw answers are averaged with those of a network.

Enters: n-grams, or dense features and codes with states of the body as it was before it was trained further; and the
network's raw answers to the valid rows. Leaves: the share of the linear model in the answer, which valid chooses and
which may be nothing, and its weights, times that share.

A network that is fitted to few rows is surer than it should be, and wrong elsewhere than a linear model is: averages of
raw answers of different learners are better than each of them (Kittler et al. 1998, 'On Combining Classifiers').
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leadline.contenders.design import Design
from leadline.contenders.features import affordable, layout
from leadline.contenders.linear import Columns, Search
from leadline.contenders.pretrained import Bodies
from leadline.contenders.states_design import StatesDesign
from leadline.core.contender import Data, Progress
from leadline.core.kind import View
from leadline.core.tensors import Tensors
from leadline.metrics.metrics import METRICS
from leadline.system.process_state import one_blas_thread

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

VIEWS = (View.CODES, View.GRAMS, View.DENSE)
SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8)
STRENGTHS = (1.0, 3.0, 10.0)  # C, a path: it ends where valid gets worse


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A linear model, times its share in the answer."""

    design: Columns
    weights: np.ndarray  # float32 [columns, outputs]
    intercepts: np.ndarray
    share: float

    def raw(self, store: Tensors, rows: np.ndarray, width: int) -> np.ndarray:
        """What is added to the network's raw answers: float32 [n, width]."""
        return widened(np.asarray(self.design(store, rows) @ self.weights) + self.intercepts, width)

    def add(self, g: Graph, raw: str, width: int) -> str:
        """The same arithmetic in a graph, added to `raw` [N, width]."""
        total = self.design.add(g, g.const(self.intercepts[None, :]), self.weights)
        if self.weights.shape[1] < width:
            total = g.op("Concat", g.op("Mul", total, g.const(np.float32(0))), total, axis=1)
        return str(g.op("Add", raw, total))

    @property
    def uncounted_s(self) -> float:
        """Seconds that answers would have taken more, were no state of a frozen body kept."""
        return self.design.bodies.uncounted_s if isinstance(self.design, StatesDesign) else 0.0

    def learned(self) -> list[np.ndarray]:
        return [self.weights, self.intercepts, *self.design.learned()]


class BlendSearch:
    """The search for the linear model, and what valid says of it."""

    def __init__(self, data: Data, seed: int, reserve: float) -> None:
        """`reserve`: seconds to leave for what follows."""
        plan = layout(data.store, VIEWS)
        rows, _ = affordable(plan, data.store.split.train, seed, data.memory_gb)
        with one_blas_thread():
            design = self._columns(data, Design(data.store, plan, rows, data.task.columns), rows)
            self._search = Search(data, design, rows, reserve, STRENGTHS)
        self._data, self._design = data, design

    @staticmethod
    def _columns(data: Data, features: Design, rows: np.ndarray) -> Columns:
        """The features, and where they have no n-grams states of the frozen body beside them."""
        if features.text:
            return features
        bodies = Bodies(data)
        return StatesDesign(bodies, data.store, rows, bodies.upper(), features)

    def tried(self) -> Iterator[Progress]:
        with one_blas_thread():
            for progress in self._search.tried(whole=False):
                yield Progress(step=progress.step)

    @property
    def score(self) -> float:
        """Of the linear model alone, on the valid rows."""
        return self._search.best.score

    def weighed(self, raw: np.ndarray) -> tuple[Blend | None, np.ndarray, float]:
        """The linear model with the share of lowest loss on the valid rows, raw answers to these, and their score.

        Args:
            raw: the network's answers to the valid rows, [n, outputs].
        """
        import torch

        search, best, data = self._search, self._search.best, self._data
        own = widened(np.asarray(search.x_valid @ best.solved.weights) + best.solved.intercepts, raw.shape[1])
        mixed = {share: ((1 - share) * raw + share * best.temperature * own).astype(np.float32) for share in SHARES}
        y = torch.from_numpy(search.y_valid.astype(np.float32) if search.y_valid.dtype.kind == "f" else search.y_valid)
        losses = {each: float(data.task.loss(torch.from_numpy(mixed[each]), y, 0.0)) for each in SHARES}
        share = min(SHARES, key=lambda each: losses[each])
        scores = data.task.activate(mixed[share], search.scale)
        score = METRICS[data.task.metric](search.truth, scores)
        if share == 0:
            return None, raw, score
        with one_blas_thread():
            solved = search.again() if search.time_for(2) else best.solved
        factor = np.float32(share * best.temperature)
        blend = Blend(
            design=self._design, weights=solved.weights * factor, intercepts=solved.intercepts * factor, share=share
        )
        return blend, mixed[share], score


def widened(raw: np.ndarray, width: int) -> np.ndarray:
    """Raw values [n, width] from one column that tells two classes apart, or as they are."""
    return raw if raw.shape[1] == width else np.concatenate([np.zeros_like(raw), raw], axis=1)
