"""Students: smaller networks that learn a model's answers (Hinton, Vinyals and Dean 2015), by the engine of contenders.

Enters: a teacher (shrink/teacher.py), and its contender's name. Leaves: trained networks of half, a quarter and an
eighth of its width, and one of a cheaper architecture. Where the teacher reads what the student reads, it answers each
batch as the student sees it, augmented and mixed (Beyer et al. 2022, 'A good teacher is patient and consistent'); else
it answers the rows once, and rows without labels too (shrink/more_rows.py). No row of calib or test is seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.bodies import bodies_of, build
from leadline.contenders.deep import Deep, _Run
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.core.kind import Body
from leadline.core.tensors import Tensors
from leadline.shrink.teacher import TAUGHT, Teacher
from leadline.system.process_state import torch_threads
from leadline.system.resources import most_threads

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

__all__ = ["Lesson", "Student", "readers", "students"]

SHARES = (2, 4, 8)  # by which a student is narrower
FLAT = (8, 32)  # the same of one without convolutions and hidden layers: its sums of embeddings need few columns
CHEAPER = 2  # by which one of a cheaper architecture is narrower
NARROWEST = 4  # channels, or hidden units


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """A trained network, smaller than its teacher."""

    name: str
    describe: str
    network: onnx.ModelProto


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a student learns from: a store, the teacher, and its answers by row of the store."""

    store: Tensors
    teacher: Teacher
    targets: np.ndarray  # float32 [rows, ...], as `Teacher.targets` has them; of train and valid rows
    truth: np.ndarray  # the same of labels alone, where there are some


class _StudentRun(_Run):
    """One training of a student: a contender's, narrower, with the teacher's answers as labels."""

    def __init__(self, contender: Deep, lesson: Lesson, clock: Clock, seed: int, size: tuple[int, int]) -> None:
        """`size` is the width of its convolutions, and the divisor of all else that has a width."""
        bodies = bodies_of(lesson.store, contender.architectures)
        varied = any(body.augmentation or body.mix for body in bodies.values())
        self._lesson, self._asks = (
            lesson,
            varied and lesson.teacher.inputs <= set(bodies),
        )  # before labels are asked for
        super().__init__(contender, Data(store=lesson.store, clock=clock, threads=most_threads()), seed)
        width, divisor = size
        self.scale = lesson.teacher.scale
        if self.conv is not None:
            self.conv = dataclasses.replace(self.conv, widths=(width,) * len(self.conv.widths))
        self.trunk = tuple(max(NARROWEST, hidden // divisor) for hidden in self.trunk)
        self.bodies = {name: _narrower(body, divisor) for name, body in self.bodies.items()}

    @property
    def smaller(self) -> bool:
        """Whether anything of it is narrower."""
        return self.conv is not None or bool(self.trunk) or any(body.narrow for body in self.bodies.values())

    def draw(self) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """A batch as it is augmented, with the teacher's answers to it."""
        import torch

        inputs, aims = super().draw()
        if not self._asks:
            return inputs, aims
        batch = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in zip(self.names, inputs, strict=True)}
        teacher = self._lesson.teacher
        taught = torch.from_numpy(teacher.softened(teacher.answers_to(batch)))
        truth = sum(share.view(-1, *[1] * (y.ndim - 1)) * y for y, share in aims)
        return inputs, [(TAUGHT * taught + (1 - TAUGHT) * truth, torch.ones(len(taught)))]

    def _labels(self, rows: np.ndarray) -> Tensor:
        """The truth where the teacher is asked batch by batch, else its answers."""
        import torch

        return torch.from_numpy((self._lesson.truth if self._asks else self._lesson.targets)[rows])

    def _smoothing(self) -> float:
        return 0.0  # the teacher's answers are soft


def _narrower(body: Body, divisor: int) -> Body:
    if body.narrow is None:
        return body
    narrow = body.narrow
    return dataclasses.replace(body, build=lambda block, _: narrow(block, divisor))


def students(
    network: onnx.ModelProto, contender: str, lesson: Lesson, seconds: float, seed: int, notes: list[str]
) -> Iterator[Student]:  # fmt: skip
    """Train students, each in its share of the seconds; none where no network reads such a table.

    Args:
        network: of the model of the run, whose size is divided.
        notes: gets a sentence of each that had too little time.
    """
    plan = _plan(contender, lesson.store)
    clock, tried = Clock(seconds), set[tuple[str, int]]()
    with torch_threads():
        for place, (chosen, divisor) in enumerate(plan):
            share = clock.left() / (len(plan) - place)
            widest = _width_of(network, chosen, lesson, seed)
            width = max(NARROWEST, widest // divisor)
            if (chosen.name, width if widest else -divisor) in tried:
                continue
            tried.add((chosen.name, width if widest else -divisor))
            run = _StudentRun(chosen, lesson, Clock(share), seed, (width, divisor))
            if not run.smaller:
                continue  # its size is that of its tables
            *_, fitted = run.fit(None)
            made: Any = fitted
            name = f"student/{divisor}" if chosen is plan[0][0] else f"student {chosen.name}/{divisor}"
            if made.undertrained:
                notes.append(f"{name} had {share:.0f} s, too little time to learn, and is left out; allow more for it.")
                continue
            yield Student(
                name=name, network=made.graph(), describe=f"{chosen.name} of 1/{divisor} of the width, "
                f"{made.params:,} weights, taught in {share:.0f} s",
            )  # fmt: skip


def _plan(contender: str, store: Tensors) -> list[tuple[Deep, int]]:
    """Architectures and divisors: the model's own, or the first that reads the table; then the next cheaper one."""
    found = readers(store)
    if not found:
        return []
    own = next((place for place, each in enumerate(found) if each.name == contender), 0)
    bodies = bodies_of(store, found[own].architectures).values()
    flat = not any(body.widths for body in bodies) and any(body.narrow for body in bodies)
    plan = [(found[own], divisor) for divisor in (FLAT if flat else SHARES)]
    return plan if own == 0 else [*plan, (found[own - 1], CHEAPER)]


def readers(store: Tensors) -> list[Deep]:
    """Architectures that read such a table, the cheapest first."""
    return [each for each in PORTFOLIO.values() if isinstance(each, Deep) and each.inputs(store)]


def _width_of(network: onnx.ModelProto, contender: Deep, lesson: Lesson, seed: int) -> int:
    """The width at which the architecture has about as many weights as the network; 0 without convolutions."""
    data = Data(store=lesson.store, clock=Clock(1.0), threads=1)
    run = _Run(contender, data, seed)
    if run.conv is None:
        return 0
    weights = sum(int(np.prod(each.dims)) for each in network.graph.initializer)

    def apart(width: int) -> float:
        net = build(data.store, run.bodies, data.classes or 1, width, run.trunk)
        return float(abs(sum(p.numel() for p in net.parameters()) - weights))

    return min(run.conv.widths, key=apart)
