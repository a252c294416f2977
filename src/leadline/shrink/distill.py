"""Students: smaller networks that learn a model's answers (Hinton, Vinyals and Dean 2015), by the engine of contenders.

Enters: a teacher (shrink/teacher.py), and its contender's name. Leaves: trained networks of half, a quarter and an
eighth of its width, and one of a cheaper architecture; of a convolutional network also one that is cut out of it
(shrink/pruning.py), and one whose stem strides further. A teacher that reads what the student reads, and that has time
to be patient, answers each batch as the student sees it, augmented and mixed (Beyer et al. 2022, 'A good teacher is
patient and consistent'); any other answers the rows once, and rows without labels too (shrink/more_rows.py). No row of
calib or test is seen.
"""

from __future__ import annotations

import dataclasses
import math
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
from leadline.system.text import enumerated

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from leadline.contenders.recipes import Recipe
    from leadline.shrink.pruning import Wide

__all__ = ["Design", "Lesson", "Student", "StudentRun", "taught_architecture", "designs", "readers", "students"]

SHARES = (2, 4, 8)  # by which a student is narrower
FLAT = (8, 32)  # the same of one without convolutions and hidden layers: its sums of embeddings need few columns
CHEAPER = 2  # by which one of a cheaper architecture is narrower
NARROWEST = 4  # channels, or hidden units
CUT, LEAN = 2, 2  # the same of one that is cut out of its teacher, and of a lean one
# Passes over the train rows, and the share of a training's time in which a teacher that is asked batch by batch has to
# answer these: with less, a student learns more from more steps on answers that were given once.
PATIENT, ASKING = 20, 1 / 3
LEAST = 0.2  # seconds with which a training begins
STEPPING = 0.45  # least share of a student's time that goes into its steps; looks at valid rows have the rest
TUNED = 0.5  # share of a training's schedule, its last, by which what is cut out learns on


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
    a_row: float  # seconds that the teacher takes to answer one of many rows
    wide: Wide | None = None  # the network of the run, which students can be cut out of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """What a student is like."""

    contender: Deep
    divisor: int  # of all that has a width
    width: int = 0  # channels of its convolutions, where it has some
    lean: bool = False  # whether its bodies are those that answer several times as fast
    cut: bool = False  # whether it begins from the channels of the teacher that matter most

    @property
    def describe(self) -> str:
        form = "lean " if self.lean else ""
        return f"{form}{self.contender.name} of 1/{self.divisor} of the width{', cut out of the model' * self.cut}"


class StudentRun(_Run):
    """One training of a student: a contender's, narrower, with the teacher's answers as labels."""

    def __init__(
        self, design: Design, lesson: Lesson, clock: Clock, seed: int, passes: int | None = None
    ) -> None:  # fmt: skip
        """
        Args:
            passes: over the rows, on answers that were given once, in place of the clock's time.
        """
        contender, divisor = design.contender, design.divisor
        bodies = bodies_of(lesson.store, contender.architectures)
        varied = any(body.augmentation or body.mix for body in bodies.values())
        self._lesson, self._design = lesson, design
        # Whether the teacher answers each batch; known before labels are asked for.
        patient = PATIENT * len(lesson.store.split.train) * lesson.a_row <= ASKING * clock.left()
        self.asks = varied and passes is None and patient and lesson.teacher.inputs <= set(bodies)
        data = Data(store=lesson.store, clock=clock, threads=most_threads(), epochs=passes)
        super().__init__(contender, data, seed)
        self.scale = lesson.teacher.scale
        if self.conv is not None:
            self.conv = dataclasses.replace(self.conv, widths=(design.width,) * len(self.conv.widths))
        self.trunk = tuple(max(NARROWEST, hidden // divisor) for hidden in self.trunk)
        self.bodies = {name: _narrower(body, design) for name, body in self.bodies.items()}

    @property
    def smaller(self) -> bool:
        """Whether anything of it is narrower."""
        return self.conv is not None or bool(self.trunk) or any(body.narrow for body in self.bodies.values())

    def _optimizer(self) -> Recipe:
        recipe = super()._optimizer()
        if not self._design.cut or self._lesson.wide is None:
            return recipe
        from leadline.shrink.pruning import cut

        cut(self._lesson.wide, self.net)
        return recipe.tail(TUNED)

    def _trial(self) -> float:
        self._a_step = super()._trial()
        return self._a_step

    def enough_s(self) -> float:
        """Seconds with which it would learn enough, by the time of its steps; of a student that is prepared."""
        return self.least_passes() * len(self.rows) / self.batch * self._a_step / STEPPING

    @property
    def hurried(self) -> bool:
        """Whether the steps that its time allows are too few to learn."""
        return self.standing.steps * self.batch < self.least_passes() * len(self.rows)

    def draw(self) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """A batch as it is augmented, with the teacher's answers to it."""
        import torch

        inputs, aims = super().draw()
        if not self.asks:
            return inputs, aims
        batch = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in zip(self.names, inputs, strict=True)}
        teacher = self._lesson.teacher
        taught = torch.from_numpy(teacher.softened(teacher.answers_to(batch)))
        truth = sum(share.view(-1, *[1] * (y.ndim - 1)) * y for y, share in aims)
        return inputs, [(TAUGHT * taught + (1 - TAUGHT) * truth, torch.ones(len(taught)))]

    def _labels(self, rows: np.ndarray) -> Tensor:
        """The truth where the teacher is asked batch by batch, else its answers."""
        import torch

        return torch.from_numpy((self._lesson.truth if self.asks else self._lesson.targets)[rows])

    def _smoothing(self) -> float:
        return 0.0  # the teacher's answers are soft

    def _too_little(self) -> str | None:
        return None if self._design.cut else super()._too_little()  # what is cut out has learned already


def _narrower(body: Body, design: Design) -> Body:
    if design.lean and body.lean is not None:
        return dataclasses.replace(body, build=body.lean)
    if body.narrow is None:
        return body
    narrow = body.narrow
    return dataclasses.replace(body, build=lambda block, _: narrow(block, design.divisor))


def students(
    network: onnx.ModelProto, contender: str, lesson: Lesson, seconds: float, seed: int, notes: list[str]
) -> Iterator[Student]:  # fmt: skip
    """Train as many students as have time to learn, each in its share; none where no network reads such a table.

    Args:
        network: of the model of the run, whose size is divided.
        notes: gets a sentence of those that had too little time.
    """
    clock = Clock(seconds)
    waiting = list(designs(network, contender, lesson).items())
    omitted: dict[str, float] = {}  # seconds that each needs
    with torch_threads():
        while waiting:
            (name, design), share = waiting[0], clock.left() / len(waiting)
            if share < LEAST:
                omitted |= dict.fromkeys(dict(waiting), max(omitted.values(), default=LEAST))
                break
            run = StudentRun(design, lesson, Clock(share), seed)
            if not run.smaller:
                del waiting[0]  # its size is that of its tables
                continue
            training = run.fit(None)
            next(training)  # it is prepared
            if run.hurried and not (design.cut and len(waiting) == 1):  # what is cut out has learned already
                needed = run.enough_s()
                waiting, left_out = _with_time(waiting, int(clock.left() / needed))
                omitted |= dict.fromkeys(left_out, needed)
                continue
            del waiting[0]
            *_, fitted = training
            made: Any = fitted
            if made.undertrained:
                omitted[name] = run.enough_s()
                continue
            yield Student(
                name=name, network=made.graph(),
                describe=f"{design.describe}, {made.params:,} weights, taught in {share:.0f} s",
            )  # fmt: skip
    if omitted:
        enough = seconds + sum(omitted.values())
        notes.append(
            f"{seconds:.0f} s for all students are too little time for {enumerated(list(omitted))} to learn, left out "
            f"therefore; --distill {math.ceil(enough)}s would be about enough for all."
        )


def _with_time(waiting: list[tuple[str, Design]], able: int) -> tuple[list[tuple[str, Design]], list[str]]:
    """The first of those that wait, as many as there is time for, and the names of the others, one at least.

    Where there is time for none the first one goes: another may be faster. What is cut out of the model goes last.
    """
    able = min(able, len(waiting) - 1)
    if able < 1 and not waiting[0][1].cut:
        return waiting[1:], [waiting[0][0]]
    able = max(able, 1)
    return waiting[:able], [name for name, _ in waiting[able:]]


def designs(network: onnx.ModelProto, contender: str, lesson: Lesson) -> dict[str, Design]:
    """Students by their names: the model's architecture, or the first that reads the table; then the next cheaper one.

    Args:
        network: of the model of the run, whose size is divided.
        contender: that was shipped.
    """
    store, found = lesson.store, readers(lesson.store)
    own = taught_architecture(store, contender)
    if own is None:
        return {}
    place, made = found.index(own), dict[str, Design]()
    bodies = bodies_of(store, own.architectures).values()
    widest = _width_of(network, own, lesson)

    def add(name: str, width: int, **how: Any) -> None:
        design = Design(width=max(NARROWEST, width // how["divisor"]) if width else 0, **how)
        if not width or all(design != dataclasses.replace(each, divisor=design.divisor) for each in made.values()):
            made[name] = design

    if lesson.wide is not None and own.name == contender:
        add(f"pruned/{CUT}", lesson.wide.width, contender=own, divisor=CUT, cut=True)
    if any(body.lean for body in bodies):
        add(f"lean/{LEAN}", widest, contender=own, divisor=LEAN, lean=True)
    flat = not any(body.widths for body in bodies) and any(body.narrow for body in bodies)
    for divisor in FLAT if flat else SHARES:
        add(f"student/{divisor}", widest, contender=own, divisor=divisor)
    if place:
        cheaper = found[place - 1]
        width = _width_of(network, cheaper, lesson)
        add(f"student {cheaper.name}/{CHEAPER}", width, contender=cheaper, divisor=CHEAPER)
    return made


def taught_architecture(store: Tensors, contender: str) -> Deep | None:
    """The contender's own, else the cheapest that reads such a table; None where none does."""
    found = readers(store)
    return next((each for each in found if each.name == contender), found[0] if found else None)


def readers(store: Tensors) -> list[Deep]:
    """Architectures that read such a table, the cheapest first."""
    return [each for each in PORTFOLIO.values() if isinstance(each, Deep) and each.inputs(store)]


def _width_of(network: onnx.ModelProto, contender: Deep, lesson: Lesson) -> int:
    """The width at which the architecture has about as many weights as the network; 0 without convolutions."""
    data = Data(store=lesson.store, clock=Clock(1.0), threads=1)
    run = _Run(contender, data, 0)
    if run.conv is None:
        return 0
    weights = sum(int(np.prod(each.dims)) for each in network.graph.initializer)

    def apart(width: int) -> float:
        net = build(data.store, run.bodies, data.classes or 1, width, run.trunk)
        return float(abs(sum(p.numel() for p in net.parameters()) - weights))

    return min(run.conv.widths, key=apart)
