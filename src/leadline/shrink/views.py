"""What a teacher answers to views of a row: mirrored, shifted, as the batches of a student are varied.

A student sees each row in many views and learns one answer to all of them, so the mean over some views is the better
lesson (docs/decisions/0146). Used where the teacher reads what the student reads, and where its mean answers are better
on calib rows, which neither was trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.contenders.bodies import augmentations, bodies_of, gathered
from leadline.core.contender import Clock, Data
from leadline.metrics.metrics import METRICS
from leadline.shrink.teacher import NEAREST
from leadline.system.resources import most_threads

if TYPE_CHECKING:
    from leadline.contenders.deep import Deep
    from leadline.shrink.teacher import Teacher

__all__ = ["Views", "views_of"]

MOST = 3  # views besides the row itself, in turn mirrored and not
AT_ONCE = 256  # rows
JUDGED, FEWEST = 1_000, 200  # calib rows that judge, at most and at least
LOSS = {True: "rmse", False: "log loss"}  # by which: of values, and of classes


class Views:
    """Ways in which rows are varied, and the teacher that looks at them."""

    def __init__(self, teacher: Teacher, architecture: Deep, views: int, seed: int) -> None:
        store = teacher.store
        self._teacher, self._views = teacher, views
        self._bodies = bodies_of(store, architecture.architectures)
        data = Data(store=store, clock=Clock(1.0), threads=most_threads())
        self._ways = augmentations(data, self._bodies, seed)[0] if self.readable else {}

    @property
    def readable(self) -> bool:
        """Whether the teacher reads what is varied."""
        return self._teacher.inputs <= set(self._bodies)

    def answers(self, rows: np.ndarray) -> np.ndarray:
        """The mean over each row and views of it: of values, or of logarithms of probabilities."""
        import torch

        teacher, store, names = self._teacher, self._teacher.store, list(self._bodies)
        total = self._raw(teacher.answers(rows))
        for epoch in range(self._views):
            parts = []
            for start in range(0, len(rows), AT_ONCE):
                some = rows[start : start + AT_ONCE]
                inputs = gathered(store, names, some)
                places = torch.arange(start, start + len(some)) % len(store.split.train)
                for place, vary in self._ways.items():
                    inputs[place] = vary(inputs[place], places, epoch)
                parts.append(teacher.answers_to({n: x.numpy() for n, x in zip(names, inputs, strict=True)}))
            total = total + self._raw(np.concatenate(parts))
        mean = total / (1 + self._views)
        if store.task.numeric:
            return np.asarray(mean)
        shares = np.exp(mean - mean.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _raw(self, answers: np.ndarray) -> np.ndarray:
        """A mean of probabilities is less sure than any of them; of their logarithms it is not."""
        return answers if self._teacher.task.numeric else np.log(np.clip(answers, NEAREST, 1.0))

    @property
    def help(self) -> bool:
        """Whether the mean answers are better on calib rows."""
        store = self._teacher.store
        rows, task = store.split.calib[:JUDGED], store.task
        if not self._ways or task.multilabel or len(rows) < FEWEST:
            return False
        loss, truth = METRICS[LOSS[task.numeric]], store.labels[rows]
        return loss.better(loss(truth, self.answers(rows)), loss(truth, self._teacher.answers(rows)))


def views_of(teacher: Teacher, architecture: Deep | None, most: int, seed: int) -> Views | None:
    """The views by which to teach; None where there are none, no time for them, or they do not help.

    Args:
        architecture: of the students.
        most: views a row that the teacher has time for.
    """
    if architecture is None or most < 1:
        return None
    views = Views(teacher, architecture, min(MOST, most), seed)
    return views if views.help else None
