"""A linear model on pooled states of a pretrained body, beside what classical contenders read.

Enters: the tensors that bodies read (`states.py` makes states of them), and n-grams, dense features and codes as
`linear` reads them (`states_design.py`). Of the layers those of the upper half are read, and the maximum of the last
(the published output of a sentence encoder, its last layer alone, is often its worst for other tasks; Liu et al. 2019,
'Linguistic Knowledge and Transferability of Contextual Representations'). How they are scaled, and how much features
weigh beside them, is chosen by the rows.

Beside the model stands what it rests on, on the valid rows: the body alone, the features alone, and each layer alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from leadline.contenders.design import Design
from leadline.contenders.families import DEEP
from leadline.contenders.features import LIBRARIES, affordable, layout
from leadline.contenders.linear import CROSS_VALIDATION, FEW_ITERATIONS, VALID, FittedLinear, Search
from leadline.contenders.states import AT_ONCE, Encoder, Reader, readers
from leadline.contenders.states_design import FEATURES, StatesDesign
from leadline.core.contender import Contender, Data, Fitted, Progress, Resources, State
from leadline.core.json_types import Json, JsonObject
from leadline.core.kind import View
from leadline.core.note import SAMPLED, Note
from leadline.core.pretrained import Precision
from leadline.core.tensors import Tensors
from leadline.metrics.metrics import METRICS
from leadline.system.errors import TooShortError
from leadline.system.process_state import one_blas_thread
from leadline.system.resources import most_threads

VIEWS = (View.CODES, View.GRAMS, View.DENSE)
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # C, a path: it ends where valid gets worse
FLOAT_TRIED = 20.0  # seconds left, with fewer of which int8 is not compared with float32
FLOAT_GB, COPIES = 1.0, 5.0  # of memory, beside copies of the weights, with less of which it is not compared either
ENCODING = 0.5  # share of the time left for the states of train rows
TIMED = 16  # rows a thread by which the encoding is timed
FEWEST = 100  # train rows that are worth a race
UNDERTRAINED = 0.5  # share of the train rows, with fewer of which a loss is one of time
PROBES = 0.3  # share of the time left for what the model rests on, and for the last fit
REFITS = 4  # fits that there must be time for, for a probe to begin
A_STATE = 14.0  # bytes that one state takes while a model is fitted
BODY_GB, HELD = 0.3, 2.0  # that a body takes, or times its bytes: a graph, and what runs it
COMPARED, SLOWER = 256, 4.0  # valid rows by which int8 is compared with float32, and how much longer that takes
LOST = 0.005  # of a share, or part of another score, from which on float32 is used where there is time for it
CLEARLY = 1.25  # times faster float32 must be to be preferred: by less, a second run might choose otherwise
OVERRUN = 5.0  # seconds that no race ends a contender for
SURE = 1.2  # times the measured seconds that are kept for test rows
MORE_FEATURES = 3.0  # length of a row of features, as a row of states has 1: where an answer rests on them
AGAIN = 1.5  # times the seconds of a search that there must be for another one
MIRRORED = 2.0  # times the seconds of a row that it takes with its mirror image


class Pretrained(Contender):
    name = "pretrained"
    family = DEEP
    resources = Resources(cpus=None)
    pretrained = claims = True
    searches = True
    needs_valid = False
    row_seconds = 2e-3  # where nobody has measured it: MiniLM in int8, 28 pieces, on two cores

    def inputs(self, store: Tensors) -> list[str]:
        bodies = readers(store)
        if not bodies:
            return []
        return list(dict.fromkeys([*layout(store, VIEWS).tensors, *(reader.tensor for reader in bodies)]))

    def answer_seconds(self, store: Tensors) -> float:
        return self._pace(store)[1]

    def seconds_needed(self, store: Tensors) -> float:
        (ready_s, a_row_s), split = self._pace(store), store.split
        answered = len(split.test) + len(split.calib) + len(split.valid)
        return SURE * (ready_s + a_row_s * (answered + min(len(split.train), FEWEST) / ENCODING))

    def seconds_wanted(self, store: Tensors) -> float:
        more = len(store.split.train) - min(len(store.split.train), FEWEST)
        return self.seconds_needed(store) + SURE * self._pace(store)[1] * more / ENCODING

    def _pace(self, store: Tensors) -> tuple[float, float]:
        """Seconds until all bodies can answer, and of a row of many on all threads."""
        paces = [reader.pace(store) for reader in readers(store)]
        known = [each for each in paces if each is not None]
        a_row = sum(a_row_s for _, a_row_s in known) / most_threads()
        return sum(ready_s for ready_s, _ in known), a_row + self.row_seconds * (len(paces) - len(known))

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        with one_blas_thread():  # several that wait for each other on a busy machine take twenty times as long
            run = _Run(data, Bodies(data), seed)
            yield from run.encoded()
            yield from run.searched()
            yield run.fitted()


class Bodies:
    """The bodies of a store's blocks, each at the precision that is faster here, until valid says what that costs."""

    def __init__(self, data: Data) -> None:
        self.encoders: list[Encoder] = []
        self.a_row = self.alone = 0.0  # seconds of a row: of many on all threads, and by itself
        self.uncounted_s = 0.0  # that rows would have taken whose states were kept
        self.floats: list[Encoder | None] = []  # where int8 is faster, what it is compared with
        self.rates: dict[str, dict[str, float]] = {}  # body -> precision -> rows a second
        for reader in readers(data.store):
            self._add(reader, data)
        self.widths = [encoder.reader.width for encoder in self.encoders]

    def _add(self, reader: Reader, data: Data) -> None:
        train, clock = data.store.split.train, data.clock
        few = train[np.linspace(0, len(train) - 1, min(TIMED * data.threads, len(train))).astype(int)]
        values = np.asarray(data.store.tensor(reader.tensor)[few])
        tried: list[tuple[float, Encoder]] = []
        precisions = reader.found.body.precisions
        if not len(data.store.split.valid):  # nothing says what int8 costs
            precisions = precisions[-1:]
        time = not clock.endless and clock.left() > FLOAT_TRIED
        both = len(precisions) > 1 and time and data.memory_gb > FLOAT_GB + COPIES * reader.found.body.bytes / 1e9
        for precision in precisions if both else precisions[:1]:
            if tried and self._late(tried[0][0], data):
                break
            encoder = Encoder(reader, data.store, precision, data.threads, keep=data.further)
            encoder.fresh(values[:1])
            began = clock.spent()
            encoder.fresh(values)
            tried.append(((clock.spent() - began) / len(values), encoder))
        a_row, encoder = tried[-1] if tried[-1][0] * CLEARLY < tried[0][0] else tried[0]
        began = clock.spent()
        encoder.fresh(values[:1])
        self.alone += clock.spent() - began
        self.a_row += a_row
        # Without a budget no clock runs, and there are none.
        self.rates[reader.block.name] = {str(each.precision): 1 / spent for spent, each in tried if spent > 0}
        self.encoders.append(encoder)
        self.floats.append(tried[-1][1] if encoder is not tried[-1][1] else None)

    def _late(self, a_row: float, data: Data) -> bool:
        """Whether float32 would take seconds that the states of rows need."""
        split = data.store.split
        answered = len(split.test) + len(split.calib) + len(split.valid) + min(len(split.train), FEWEST)
        return data.clock.left() < FLOAT_TRIED + SURE * a_row * answered

    def __call__(self, store: Tensors, rows: np.ndarray, exact: bool = False) -> np.ndarray:
        """float16 [n, width of all]; exact: by float32 where it is at hand."""
        parts = []
        floats = [whole or encoder for whole, encoder in zip(self.floats, self.encoders, strict=True)]
        for encoder, width in zip(floats if exact else self.encoders, self.widths, strict=True):
            found = [np.empty((0, width), np.float16)]
            for states, known in encoder.states(store, rows):
                found.append(states)
                self.uncounted_s += known * (self.a_row if len(rows) > 1 else self.alone) / len(self.encoders)
            parts.append(np.concatenate(found))
        return np.concatenate(parts, axis=1)

    @property
    def a_row_exact(self) -> float:
        """Seconds of a row of many in float32."""
        return sum(1 / rates.get(str(Precision.FLOAT32), math.inf) for rates in self.rates.values())

    def exact(self) -> Bodies:
        """The same in float32."""
        other = copy.copy(self)
        other.a_row = self.a_row_exact
        other.encoders = [whole or encoder for whole, encoder in zip(self.floats, self.encoders, strict=True)]
        return other

    def mirrored(self, data: Data) -> Bodies | None:
        """The same, which read a row and its mirror image each; None where rows have none."""
        if all(encoder.reader.found.body.mirrored is None for encoder in self.encoders):
            return None
        other = copy.copy(self)
        other.a_row, other.alone = MIRRORED * self.a_row, MIRRORED * self.alone
        twice = {encoder.reader.block.name for encoder in self.encoders if encoder.reader.found.body.mirrored}
        other.rates = {
            name: {each: rate / (MIRRORED if name in twice else 1.0) for each, rate in rates.items()}
            for name, rates in self.rates.items()
        }
        other.encoders = [encoder.mirrored(data.store) for encoder in self.encoders]
        return other

    @property
    def facts(self) -> list[Json]:
        """As `BodyResult` of result.json."""
        return [
            {
                **encoder.reader.facts(encoder.precision, self.rates[encoder.reader.block.name]),
                "layers": {layer.name: layer.width for layer in encoder.reader.layers},
            }
            for encoder in self.encoders
        ]

    def layers(self) -> list[tuple[str, np.ndarray]]:
        """Name and columns of each layer of each body."""
        found, low = [], 0
        for encoder in self.encoders:
            prefix = f"{encoder.reader.block.name}: " if len(self.encoders) > 1 else ""
            for layer in encoder.reader.layers:
                found.append((f"{prefix}{layer.name}", np.arange(low, low + layer.width)))
                low += layer.width
        return found

    def upper(self) -> np.ndarray:
        """Columns of the upper half of each body's layers."""
        found, low = [], 0
        for encoder in self.encoders:
            layers = encoder.reader.layers
            for place, layer in enumerate(layers):
                if place >= (len(layers) - 1) // 2:
                    found.append(np.arange(low, low + layer.width))
                low += layer.width
        return np.concatenate(found)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the model reads states and features (`StatesDesign`)."""

    by_row: bool = False
    alone: bool = False  # without the features
    features: float | None = None


class _Run:
    """One fit."""

    def __init__(self, data: Data, bodies: Bodies, seed: int) -> None:
        self.data, self.bodies, self.seed = data, bodies, seed
        self.reading = Reading()
        split, store = data.store.split, data.store
        self.plan = layout(store, VIEWS)
        self.a_row = bodies.a_row
        self.reserve = SURE * bodies.a_row * (len(split.test) + len(split.calib))
        needed, left = self.reserve + SURE * bodies.a_row * len(split.valid), data.clock.left()
        if needed > max(left, OVERRUN):
            a_train, began = SURE * bodies.a_row / ENCODING, data.clock.spent()
            raise TooShortError(
                f"the states of the test and valid rows take {needed:.0f} s, and {left:.0f} s are left",
                began + needed + a_train * min(len(split.train), FEWEST),
                began + needed + a_train * len(split.train),
            )

    def encoded(self) -> Iterator[Progress]:
        """States of valid rows and of as many train rows as there is time and memory for, in random order."""
        data, store = self.data, self.data.store
        split, clock = store.split, data.clock
        rows, self.messages = affordable(self.plan, split.train, self.seed, self._memory_left())
        self.bodies(store, split.valid)
        until = math.inf if clock.endless else clock.spent() + ENCODING * (clock.left() - self.reserve)
        order, taken = np.random.default_rng(self.seed).permutation(rows), 0
        step = AT_ONCE * data.threads
        while taken < len(order) and (taken == 0 or clock.endless or clock.spent() < until):
            self.bodies(store, order[taken : taken + step])
            taken = min(taken + step, len(order))
            yield Progress(step=taken, steps=len(order))
        self.train = np.sort(order[:taken])
        if taken < len(order):
            said = f"learned from a random sample of {taken:,} of {len(split.train):,} rows, to end in time"
            self.messages.append(Note(SAMPLED, said))

    def _memory_left(self) -> float:
        if not math.isfinite(self.data.memory_gb):
            return math.inf
        states = A_STATE * sum(self.bodies.widths) * len(self.data.store.split.train) / 1e9
        encoders = [*self.bodies.encoders, *filter(None, self.bodies.floats)]
        bodies = HELD * float(sum(encoder.model.ByteSize() for encoder in encoders)) / 1e9
        return max(LIBRARIES, self.data.memory_gb - max(BODY_GB, bodies) - states)

    def searched(self) -> Iterator[Progress]:
        """The model, then what it rests on, as far as there is time."""
        data, clock = self.data, self.data.clock
        classical = Design(data.store, self.plan, self.train, data.task.columns) if self.plan.tensors else None
        probes = PROBES * clock.left() if not clock.endless else 0.0
        began = clock.spent()
        self.search = self._search(self.bodies.upper(), classical, probes)
        yield from self.search.tried()
        self.both = self.search.best.score if len(data.store.split.valid) else None
        yield from self._otherwise(classical, probes, clock.spent() - began)
        gain, compared = self._rounded()
        size = abs(self.search.best.score) if data.task.numeric else 1.0
        if gain is not None and gain < -LOST * size:
            yield from self._once_more(self.bodies.exact(), classical, probes)
        self.bodies.floats = [None] * len(self.bodies.floats)  # whose memory the fits that follow can use
        yield from self._mirrored(classical, probes)
        self.transfer: dict[str, Json] = {
            "bodies": self.bodies.facts,
            "both": self.both if self.reading.alone or self.both is None else self.search.best.score,
            "body_alone": None,
            "features_alone": None,
            "layers": [],
            "int8_gain": gain,
            "int8_rows": compared,
        }
        if data.further:
            return
        if classical is not None:
            features = Search(data, classical, self.train, self.reserve, STRENGTHS)
            self.transfer["features_alone"] = yield from self._alone(features)
        self.transfer["body_alone"] = yield from self._alone(self._search(self.bodies.upper(), None))
        layers: list[Json] = []
        for name, columns in self.bodies.layers():
            score = yield from self._alone(self._search(columns, None))
            if score is not None:
                layers.append({"name": name, "score": score})
        self.transfer["layers"] = layers

    def _rounded(self) -> tuple[float | None, int]:
        """What int8 brings, by the answers to some valid rows from states of either precision; and how many rows."""
        data, bodies, best, design = self.data, self.bodies, self.search.best, self.search.design
        assert isinstance(design, StatesDesign)
        rows = data.store.split.valid[:COMPARED]
        seconds = SURE * bodies.a_row * len(rows) * SLOWER
        if not any(bodies.floats) or not data.clock.left() - self.reserve > seconds + REFITS * self.search.a_fit:
            return None, 0
        truth, metric, answers = data.labels(rows), METRICS[data.store.task.metric], []
        for exact in (False, True):
            x = design(data.store, rows, exact)
            raw = np.asarray(x @ best.solved.weights) + best.solved.intercepts
            answers.append(data.task.activate(raw * np.float32(best.temperature), self.search.scale))
        return float(metric.sign * (metric(truth, answers[0]) - metric(truth, answers[1]))), len(rows)

    def _readings(self, classical: Design | None) -> Iterator[tuple[Reading, str]]:
        """Other ways to read states and features, from the best so far, and what is to be said of each.

        n-grams are many columns, beside which a search takes long: with them little is tried, and on few rows alone.
        """
        text, few = self.search.text, self.search.best.by == CROSS_VALIDATION
        if not text:
            yield replace(self.reading, by_row=True), "each row of states is scaled to one length"
        if classical is not None and (few or not text):
            yield replace(self.reading, alone=True), "states alone, without the features"
        if classical is not None and not text and not self.reading.alone:
            said = f"features weigh {MORE_FEATURES / FEATURES:g} times as much"
            yield replace(self.reading, features=MORE_FEATURES), said

    def _otherwise(self, classical: Design | None, probes: float, seconds: float) -> Iterator[Progress]:
        """The model once more for each other reading, which stays where the model is better by it.

        Args:
            seconds: that the search before took.
        """
        if not len(self.data.store.split.valid):  # nothing would choose
            return
        for reading, said in self._readings(classical):
            if self.data.clock.left() - self.reserve - probes < AGAIN * seconds:
                return
            before, self.reading = (self.reading, self.search), reading
            plain, self.search = self.search.best, self._search(self.bodies.upper(), classical, probes)
            if plain.by == VALID:
                self.search.by_valid()
            yield from self.search.tried()
            if self.search.best.by == plain.by and self.search.better(self.search.best, plain):
                self.messages.append(f"{said}, {plain.by}")
            else:
                self.reading, self.search = before

    def _mirrored(self, classical: Design | None, probes: float) -> Iterator[Progress]:
        """The model once more, on states of rows and of their mirror images; it stays where it is better."""
        if not len(self.data.store.split.valid):  # nothing would choose
            return
        bodies, before = self.bodies.mirrored(self.data), (self.bodies, self.search, self.reserve)
        if bodies is None or not (yield from self._once_more(bodies, classical, probes)):
            return
        best, plain = self.search.best, before[1].best
        if best.by != plain.by or not self.search.better(best, plain):  # the same rows compare them, or none
            self.bodies, self.search, self.reserve = before
            return
        self.messages.append(f"states are means over a row and its mirror image, {best.by}")

    def _once_more(self, bodies: Bodies, classical: Design | None, probes: float) -> Generator[Progress, None, bool]:
        """The model on states of these bodies, where there is time for all rows; whether there was."""
        split, clock = self.data.store.split, self.data.clock
        rows = np.concatenate([split.valid, self.train])
        # The run has kept the seconds that the file takes for the test rows as the body was: what is more is left here.
        more = max(0.0, bodies.a_row - self.a_row)
        reserve = SURE * (bodies.a_row * (len(split.test) + len(split.calib)) + more * len(split.test))
        seconds = SURE * bodies.a_row * len(rows) + REFITS * self.search.a_fit
        if clock.left() - reserve - probes < seconds:
            return False
        self.bodies, self.reserve, step = bodies, reserve, AT_ONCE * self.data.threads
        for start in range(0, len(rows), step):
            bodies(self.data.store, rows[start : start + step])
            yield Progress(step=start, steps=len(rows))
        search = self._search(bodies.upper(), classical, probes)
        if self.search.best.by == VALID:
            search.by_valid()
        self.search = search
        yield from search.tried()
        return True

    def _search(self, columns: np.ndarray, classical: Design | None, reserve: float = 0.0) -> Search:
        reading = self.reading
        design = StatesDesign(
            self.bodies, self.data.store, self.train, columns, None if reading.alone else classical, reading.by_row,
            reading.features,
        )  # fmt: skip
        return Search(self.data, design, self.train, self.reserve + reserve, STRENGTHS)

    def _alone(self, search: Search) -> Generator[Progress, None, float | None]:
        """The score of a fit of less than the whole, where there is time left for the last fit after it."""
        if not self.search.time_for(REFITS) or not len(self.data.store.split.valid):
            return None
        for progress in search.tried(whole=False):
            yield Progress(step=progress.step)
        return search.best.score

    def fitted(self) -> FittedPretrained:
        data, search, best = self.data, self.search, self.search.best
        messages = [*self.messages, best.describe(search.text)]
        share = len(self.train) / len(data.store.split.train)
        undertrained = share < UNDERTRAINED or (best.solved.cut and best.solved.iterations < FEW_ITERATIONS)
        if undertrained:
            messages.append("stopped at the time limit: too little time to learn")
        solved, again, said = search.final()
        messages += said
        weights = (solved.weights * best.temperature, solved.intercepts * best.temperature)
        fitted = FittedPretrained(search.design, weights, data.task, search.scale, best.score, messages)
        fitted.bodies, fitted.transfer = self.bodies, self.transfer
        fitted.bytes += sum(encoder.model.ByteSize() for encoder in self.bodies.encoders)  # they are in the file
        fitted.undertrained, fitted.trained_on_valid, fitted.valid = undertrained, again, best.answers
        return fitted


class FittedPretrained(FittedLinear):
    """A linear model, with the bodies whose states it reads."""

    bodies: Bodies
    transfer: JsonObject

    @property
    def uncounted_s(self) -> float:
        return self.bodies.uncounted_s
