"""What teaches a student: the model of a run, or the mean of all its finished contenders where that is better.

Enters: the network of the file, the graphs of the other contenders, and the calib rows, which none of them was trained
on, to choose by. Leaves: answers to rows of a store, or to a batch as it is augmented, softened and mixed with labels
as a student learns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.families import BASELINE
from leadline.core.contender import Clock, Data
from leadline.core.tensors import Tensors
from leadline.graph.runtime import Session
from leadline.metrics.metrics import METRICS
from leadline.shrink.network import scores
from leadline.stats.calibration import calibrator
from leadline.system.resources import most_threads
from leadline.system.text import enumerated

if TYPE_CHECKING:
    import onnx

    from leadline.core.task import Task

__all__ = ["TAUGHT", "Teacher", "raw_answers", "teacher_of"]

TEMPERATURE = 2.0  # divides the logarithms of the teacher's calibrated probabilities
TAUGHT = 0.7  # share of them in the targets; the rest are the labels
NEAREST = 1e-7  # of a probability to 0
CLEAR = 1e-6  # of a probability to 0 or 1: what lies nearer has no more to teach in raw answers
FEWEST = 200  # calib rows that choose a teacher


class Teacher:
    """Networks whose answers are averaged."""

    def __init__(self, networks: Sequence[onnx.ModelProto], store: Tensors) -> None:
        self._networks, self.store, self.task = networks, store, store.task
        self.temperature = TEMPERATURE
        self._sessions: list[Session] | None = None
        self.scale = Data(store=store, clock=Clock(1.0), threads=1).scale()

    @property
    def inputs(self) -> set[str]:
        """The tensors that it reads."""
        return {value.name for network in self._networks for value in network.graph.input}

    def __len__(self) -> int:
        return len(self._networks)

    def answers(self, rows: np.ndarray, store: Tensors | None = None) -> np.ndarray:
        """Probabilities float64 [n, classes], or values [n]."""
        found = [scores(each, store or self.store, rows, most_threads()) for each in self._networks]
        return np.asarray(np.mean(np.stack(found).astype(np.float64), axis=0))

    def answers_to(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """The same, of tensors."""
        if self._sessions is None:
            self._sessions = [Session(network, most_threads()) for network in self._networks]
        stored = {name: _as(values, self.store.tensor(name).dtype) for name, values in batch.items()}
        found = [session.only({name: stored[name] for name in session.inputs}) for session in self._sessions]
        return np.asarray(np.mean(np.stack(found).astype(np.float64), axis=0))

    def softened(self, answers: np.ndarray) -> np.ndarray:
        """Answers as a loss takes them: softened probabilities float32 [n, classes], or scaled values [n]."""
        if self.task.numeric:
            taught = (answers - self.scale[0]) / self.scale[1]
        elif self.task.multilabel:
            taught = answers
        else:
            logs = np.log(np.clip(answers, NEAREST, 1.0)) / self.temperature
            soft = np.exp(logs - logs.max(axis=1, keepdims=True))
            taught = soft / soft.sum(axis=1, keepdims=True)
        return np.asarray(taught, np.float32)

    def calibrated(self) -> Teacher:
        """Itself, softening its probabilities as they are once calibrated on the calib rows, where there are some.

        A network that was trained on smoothed labels is less sure than it is right: softened again it teaches little.
        """
        calib = self.store.split.calib
        if self.task.one_class and len(calib) >= FEWEST:
            found = calibrator(self.store.labels[calib], self.answers(calib), 0, ("temperature",))
            self.temperature = TEMPERATURE * found.temperature
        return self

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The truth of rows as `softened` has it."""
        truth = Data(store=self.store, clock=Clock(1.0), threads=1).encoded(rows, self.scale)
        if self.task.numeric or self.task.multilabel:
            return np.asarray(truth, np.float32)
        return np.asarray(np.eye(len(self.task.classes), dtype=np.float32)[truth])

    def taught(self, rows: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a student learns of some rows, by answers to them, and the truth of them."""
        truth = self.labels(rows)
        return TAUGHT * self.softened(answers) + (1 - TAUGHT) * truth, truth


def _as(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Values of the type in which a store has them: sounds that are varied are floats."""
    return (np.rint(values) if dtype.kind in "iu" and values.dtype.kind == "f" else values).astype(dtype, copy=False)


def raw_answers(answers: np.ndarray, task: Task, scale: tuple[float, float], columns: int) -> np.ndarray:
    """What is behind an activation: log odds float64 [n, columns], or scaled values [n, 1]."""
    if task.numeric:
        return np.asarray((answers - scale[0]) / scale[1])[:, None]
    p = np.clip(np.asarray(answers, np.float64), CLEAR, 1 - CLEAR)
    if task.multilabel or columns == 1:
        return np.asarray(np.log(p / (1 - p)))[:, -columns:]
    logs = np.log(p)
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


def teacher_of(network: onnx.ModelProto, store: Tensors, run: Path, shipped: str) -> tuple[Teacher, str]:
    """The better of the model and the mean of all contenders of a run, and what it is called."""
    import onnx

    alone, calib = Teacher([network], store), store.split.calib
    others = sorted(run.glob("contenders/*/graph.onnx"))
    paths = [path for path in others if path.parent.name not in (shipped, BASELINE)]
    if len(calib) < FEWEST or not paths:
        return alone.calibrated(), shipped
    networks = [onnx.load(str(path)) for path in paths]
    metric, truth = METRICS[store.task.metric], store.labels[calib]
    found = [(network, metric(truth, Teacher([network], store).answers(calib))) for network in networks]
    best = metric(truth, alone.answers(calib))
    chosen, names = [network], [shipped]
    # The best first: each stays where it makes the mean better (Caruana et al. 2004, 'Ensemble selection').
    for place in sorted(range(len(found)), key=lambda place: -metric.sign * found[place][1]):
        score = metric(truth, Teacher([*chosen, networks[place]], store).answers(calib))
        if metric.better(score, best):
            best, chosen, names = score, [*chosen, networks[place]], [*names, paths[place].parent.name]
    return Teacher(chosen, store).calibrated(), enumerated(names)
