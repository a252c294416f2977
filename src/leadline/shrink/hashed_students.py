"""Students of texts that read hashed characters: linear models of some thousand weights, taught by a model's answers.

A linear model on n-grams keeps a table of those that it has learned from, and looks each one up: the table is most of
its bytes, and counting what is looked up most of its time. Here the place of a weight is a number that is computed of
3, 5 or 7 characters that follow each other (Weinberger et al. 2009, 'Feature hashing for large scale multitask
learning'): nothing is looked up. Characters that share a weight do less harm to what answers teach than to what labels
teach. Unlike a bag of words it reads parts of words that no train row has. Other columns are read as a linear model
reads them. Enters: a lesson. Leaves: students.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.design import Design
from leadline.contenders.features import Layout, layout
from leadline.contenders.linear import FittedLinear
from leadline.contenders.linear_solver import SQUARED, Problem, solve
from leadline.core.contender import Clock
from leadline.core.kind import View
from leadline.shrink.distill import Lesson, Student
from leadline.shrink.teacher import raw_answers
from leadline.system.text import enumerated

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from leadline.core.tensors import Tensors
    from leadline.graph.builder import Graph

__all__ = ["HashedDesign", "hashed_students", "idf_scale", "hashed_layout", "fit_hashed"]

ORDERS = (3, 5, 7)  # characters that follow each other
PRIME = 7_919  # below 2^13: what is computed of places below 2^17 stays in int32
PLACES = (1 << 17, 1 << 15, 1 << 13)  # of weights, for each text
MOST_WEIGHTS, WORTHWHILE = 1 << 20, 0.5  # of a student; of the network's bytes
STRENGTH = 0.5  # of what is learned against small weights: a teacher is surer of rows that it has learned from
MOST_CELLS = 3e7  # n-grams in all rows that teach, at most
AT_ONCE = 1 << 22  # characters whose n-grams are computed at once
SHARE = 1 / 2  # of the students' time, as much as they need of it
FIRST = 2 / 3  # of what is left of that, for one that others follow
LEAST_ITERATIONS = 60  # of the search, that is cut off by time, with fewer of which weights have not learned


class HashedDesign:
    """What such a linear model reads: `leadline.contenders.linear.Columns`."""

    text = True

    def __init__(self, store: Tensors, plan: Layout, places: int, rows: np.ndarray) -> None:
        """
        Args:
            places: of weights for each text, a power of 2.
            rows: by which other columns are scaled.
        """
        self._places = places
        texts = [form == View.GRAMS for form in plan.forms]
        self._texts = [
            (name, width) for name, width, text in zip(plan.tensors, plan.widths, texts, strict=True) if text
        ]
        self._rest = None if all(texts) else Design(store, _without(plan, texts), rows)

    def __call__(self, store: Tensors, rows: np.ndarray) -> Any:
        from scipy import sparse

        parts = [self._counted(store.tensor(name), rows) for name, _ in self._texts]
        rest = [] if self._rest is None else [sparse.csr_matrix(self._rest(store, rows))]
        return sparse.hstack([*parts, *rest], format="csr", dtype=np.float32)

    def _counted(self, tensor: np.ndarray, rows: np.ndarray) -> csr_matrix:
        """float32 [rows, places]."""
        from scipy import sparse

        step = max(1, AT_ONCE // tensor.shape[1])
        parts = [_counts(np.asarray(tensor[rows[at : at + step]]), self._places) for at in range(0, len(rows), step)]
        return sparse.vstack([sparse.csr_matrix((0, self._places), dtype=np.float32), *parts], format="csr")

    def are_grams(self) -> np.ndarray:
        rest = np.zeros(0, bool) if self._rest is None else self._rest.are_grams()
        return np.concatenate([np.ones(len(self._texts) * self._places, bool), rest])

    def learned(self) -> list[np.ndarray]:
        return [] if self._rest is None else self._rest.learned()

    def add(self, g: Graph, total: str, weights: np.ndarray) -> str:
        low = 0
        for name, width in self._texts:
            high = low + self._places
            total, low = g.op("Add", total, _score(g, g.input(name, np.uint16, ["N", width]), weights[low:high])), high
        return total if self._rest is None else self._rest.add(g, total, weights[low:])


def _without(plan: Layout, left_out: list[bool]) -> Layout:
    kept = [place for place, out in enumerate(left_out) if not out]
    fields = ("tensors", "forms", "widths", "dtypes", "sizes")
    return replace(plan, **{name: tuple(getattr(plan, name)[place] for place in kept) for name in fields})


def _counts(numbers: np.ndarray, places: int) -> csr_matrix:
    """Numbers of characters [n, L], 0 behind the last -> n-grams a place over the root of the length, [n, places].

    Place 0 is that of what is no n-gram, and counts nothing.
    """
    from scipy import sparse

    wide = np.pad(numbers.astype(np.int32), ((0, 0), (0, max(ORDERS) - 1)))
    length = numbers.shape[1]
    value, found = wide[:, :length] & (places - 1), []
    for order in range(2, max(ORDERS) + 1):
        last = wide[:, order - 1 : order - 1 + length]
        value = (value * np.int32(PRIME) + last) & np.int32(places - 1)
        if order in ORDERS:
            found.append(value * (last > 0))
    joined = np.concatenate(found, axis=1)
    norms = np.sqrt(np.maximum(1, np.count_nonzero(numbers, axis=1))).astype(np.float32)
    row, column = np.nonzero(joined)
    made = sparse.csr_matrix((1 / norms[row], (row, joined[row, column])), (len(numbers), places), dtype=np.float32)
    made.sum_duplicates()
    return made


def _score(g: Graph, numbers: str, weights: np.ndarray) -> str:
    """`_counts` times weights [places, outputs], in a graph: uint16 [N, L] -> float32 [N, outputs]."""
    axis, last_place = g.const(np.array([1], np.int64)), g.const(np.int32(len(weights) - 1))
    numbers = g.op("Cast", numbers, to=6)
    length = g.op("ReduceSum", g.op("Sign", numbers), axis, keepdims=1)
    longest = g.op("Cast", g.op("ReduceMax", length, keepdims=0), to=7)
    longest = g.op("Reshape", g.op("Max", longest, g.const(np.int64(1))), axis)
    wide = g.op("Pad", numbers, g.const(np.array([0, 0, 0, max(ORDERS) - 1])), g.const(np.int32(0)))

    def window(first: int) -> str:
        start = g.const(np.array([first], np.int64))
        return str(g.op("Slice", wide, start, g.op("Add", longest, start), axis))

    value, found = g.op("BitwiseAnd", window(0), last_place), []
    for order in range(2, max(ORDERS) + 1):
        last = window(order - 1)
        value = g.op("Add", g.op("Mul", value, g.const(np.int32(PRIME))), last)
        value = g.op("BitwiseAnd", value, last_place)
        if order in ORDERS:
            found.append(g.op("Mul", value, g.op("Sign", last)))
    lone = weights.shape[1] == 1  # a table of one axis is read faster
    held = np.concatenate([np.zeros_like(weights[:1]), weights[1:]])
    read = g.op("Gather", g.const(held.ravel() if lone else held), g.op("Concat", *found, axis=1))
    summed = g.op("ReduceSum", read, axis, keepdims=int(lone))
    return str(g.op("Div", summed, g.op("Sqrt", g.op("Cast", g.op("Max", length, g.const(np.int32(1))), to=1))))


def hashed_layout(store: Tensors) -> Layout | None:
    """The tensors of a store that such students read; None: it has no texts."""
    plan = layout(store, (View.CODES, View.GRAMS, View.DENSE))
    return plan if View.GRAMS in plan.forms else None


def hashed_students(lesson: Lesson, size: int, clock: Clock, notes: list[str]) -> Iterator[Student]:
    """Students of fewer and fewer weights, in a share of the time of all students, of which the largest has the most.

    Args:
        size: bytes of the model's network, of which one of a byte a weight has to save some.
        notes: gets a sentence of those that had too little time.
    """
    plan, task = hashed_layout(lesson.store), lesson.teacher.task
    if plan is None:
        return
    texts, seconds = plan.forms.count(View.GRAMS), clock.left()
    most = min(MOST_WEIGHTS, WORTHWHILE * size)
    able = [places for places in PLACES if places * texts * task.columns <= most]
    own, omitted = Clock(SHARE * seconds), list[str]()
    for places in able:
        name, began = f"hashed/{places}", own.left()
        clock = Clock(began if places == able[-1] else FIRST * began)
        fitted = fit_hashed(lesson, plan, places, clock) if began else None
        if fitted is None:
            omitted.append(name)
            continue
        yield Student(
            name=name, network=fitted.graph(),
            describe=f"a linear model on hashed characters, {fitted.params:,} weights, taught in "
            f"{began - own.left():.0f} s",
        )  # fmt: skip
    if omitted:
        notes.append(
            f"{seconds:.0f} s for all students are too little time for {enumerated(omitted)} to learn, left out "
            f"therefore; give --distill {math.ceil(2 * seconds)}s, or more."
        )


def fit_hashed(lesson: Lesson, plan: Layout, places: int, clock: Clock) -> FittedLinear | None:
    """Fitted to the teacher's answers to train rows; None where the time is over before it has learned."""
    store, teacher = lesson.store, lesson.teacher
    train = store.split.train
    cells = len(ORDERS) * sum(np.count_nonzero(store.tensor(name)[train[:64]]) for name in plan.tensors) / 64
    train = train[:: 1 + int(len(train) * cells / MOST_CELLS)]
    design = HashedDesign(store, plan, places, train)
    x, y = design(store, train), _raw(lesson, train)
    scale = np.repeat(idf_scale(x, design.are_grams())[:, None], y.shape[1], axis=1)
    found = solve(Problem(x=x, y=y, strength=STRENGTH, loss=SQUARED, scale=scale), clock)
    if found.cut and found.iterations < LEAST_ITERATIONS:
        return None
    return FittedLinear(design, (found.weights, found.intercepts), teacher.task, teacher.scale, float("nan"), [])


def idf_scale(x: csr_matrix, are_grams: np.ndarray) -> np.ndarray:
    """How large weights may be, float32 [columns]: of n-grams by their inverse document frequency, else 1."""
    rows, seen = x.shape[0], np.bincount(x.indices, minlength=x.shape[1]) * are_grams
    idf = np.log((1 + rows) / (1 + seen)) + 1
    usual = np.sqrt(float((seen * idf**2).sum()) / max(1, int(seen.sum())))  # of those that are there
    return np.asarray(np.where(are_grams, idf / usual, 1.0), np.float32)


def _raw(lesson: Lesson, rows: np.ndarray) -> np.ndarray:
    """What the teacher says before it is softened and activated: float32 [n, columns]."""
    targets, teacher = lesson.targets[rows], lesson.teacher
    if teacher.task.numeric:
        return np.asarray(targets.reshape(len(rows), -1))
    raw = raw_answers(targets, teacher.task, teacher.scale, teacher.task.columns)
    return np.asarray(raw * (1.0 if teacher.task.multilabel else teacher.temperature), np.float32)
