"""Students: smaller networks that learn a model's answers (Hinton, Vinyals and Dean 2015), by the engine of contenders.

Enters: the network of a run and its contender's name. Leaves: trained networks of half, a quarter and an eighth of its
width; where the model is no network, of the first architecture that reads the same table. Targets are its
probabilities, softened, with a share of the labels; values, and marks of several labels, are learned as they are
answered. No row of calib or test is seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.bodies import build
from leadline.contenders.deep import Deep, _Run
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.core.tensors import Tensors
from leadline.shrink.network import scores
from leadline.system.process_state import torch_threads
from leadline.system.resources import most_threads

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

__all__ = ["Student", "students", "targets_of"]

SHARES = (2, 4, 8)  # by which a student is narrower
TEMPERATURE = 2.0  # divides the logarithms of the teacher's probabilities
TAUGHT = 0.7  # share of them in the targets; the rest are the labels
NARROWEST = 4  # channels, or hidden units


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """A trained network, smaller than its teacher."""

    name: str
    describe: str
    network: onnx.ModelProto


class _StudentRun(_Run):
    """One training of a student: a contender's, with a width of its own and the teacher's answers as labels."""

    def __init__(self, contender: Deep, data: Data, seed: int, targets: np.ndarray, width: int, divisor: int) -> None:
        self._targets = targets  # [rows of the table, ...]; before the labels are asked for
        super().__init__(contender, data, seed)
        if self.conv is not None:
            self.conv = dataclasses.replace(self.conv, widths=(width,) * len(self.conv.widths))
        self.trunk = tuple(max(NARROWEST, hidden // divisor) for hidden in self.trunk)

    def _labels(self, rows: np.ndarray) -> Tensor:
        import torch

        return torch.from_numpy(self._targets[rows])

    def _smoothing(self) -> float:
        return 0.0  # the teacher's answers are soft


def students(
    network: onnx.ModelProto, contender: str, store: Tensors, seconds: float, seed: int
) -> Iterator[Student]:  # fmt: skip
    """Train students, each in its share of the seconds; none where no network reads such a table."""
    teacher = PORTFOLIO.get(contender)
    architectures = [each for each in PORTFOLIO.values() if isinstance(each, Deep) and each.inputs(store)]
    chosen = teacher if isinstance(teacher, Deep) else next(iter(architectures), None)
    if chosen is None or not chosen.inputs(store):
        return
    targets = targets_of(network, store, seed)
    clock = Clock(seconds)  # of the trainings: to answer the train rows takes as long as it takes
    tried = set[int]()
    with torch_threads():
        for place, divisor in enumerate(SHARES):
            share = clock.left() / (len(SHARES) - place)
            data = Data(store=store, clock=Clock(share), threads=most_threads())
            widest = _width_of(network, chosen, data, seed)
            width = max(NARROWEST, widest // divisor)
            if width in tried:
                return
            tried.add(width if widest else -divisor)
            run = _StudentRun(chosen, data, seed, targets, width, divisor)
            if run.conv is None and not run.trunk:
                return  # its size is that of its tables
            *_, fitted = run.fit(None)
            made: Any = fitted
            yield Student(
                name=f"student/{divisor}", network=made.graph(), describe=f"{chosen.name} of 1/{divisor} of the width, "
                f"{made.params:,} weights, taught by {contender} in {share:.0f} s",
            )  # fmt: skip


def _width_of(network: onnx.ModelProto, contender: Deep, data: Data, seed: int) -> int:
    """The width at which the architecture has about as many weights as the network; 0 without convolutions."""
    run = _Run(contender, data, seed)
    if run.conv is None:
        return 0
    weights = sum(int(np.prod(each.dims)) for each in network.graph.initializer)

    def apart(width: int) -> float:
        net = build(data.store, run.bodies, data.classes or 1, width, run.trunk)
        return float(abs(sum(p.numel() for p in net.parameters()) - weights))

    return min(run.conv.widths, key=apart)


def targets_of(network: onnx.ModelProto, store: Tensors, seed: int) -> np.ndarray:
    """What a student learns, by row of the table: float32 [rows, classes], or scaled values [rows]. Only train and
    valid rows are filled.
    """
    rows = np.sort(np.concatenate([store.split.train, store.split.valid]))
    answers = np.asarray(scores(network, store, rows, most_threads()), np.float64)
    data = Data(store=store, clock=Clock(1.0), threads=1)
    scale, task = data.scale(), store.task
    truth = data.encoded(rows, scale)
    if task.numeric:
        taught = (answers - scale[0]) / scale[1]
    elif task.multilabel:
        taught = answers
    else:
        logs = np.log(np.clip(answers, 1e-7, 1.0)) / TEMPERATURE
        soft = np.exp(logs - logs.max(axis=1, keepdims=True))
        taught, truth = soft / soft.sum(axis=1, keepdims=True), np.eye(len(task.classes))[truth]
    made = np.zeros((len(store.labels), *taught.shape[1:]), np.float32)
    made[rows] = TAUGHT * taught + (1 - TAUGHT) * truth
    return made
