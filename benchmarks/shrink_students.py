"""Students that a model taught beside the same students trained alone: three seeds, the same seconds, all test rows.

python benchmarks/shrink_students.py sst2 sst2-states cifar10 cifar10-cut [--keep FOLDER]

The rows choose nothing: architecture and size are fixed before, so every test row may judge. Alone means the labels of
the train rows, with the contender's own label smoothing, and neither stretches of texts nor answers or weights of the
teacher. Bytes and times are those of whole files, on one thread. With `--keep` the runs of teachers stay, and are used
again by further rows; so do trained students, and a row that was ended early goes on after the last of them.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from record import Found, run

import leadline as ll
from leadline.contenders.deep import SMOOTHING
from leadline.core.contender import Clock
from leadline.metrics.metrics import METRICS
from leadline.shrink.candidates import Candidate, Making, candidates
from leadline.shrink.choose import Chosen, halves
from leadline.shrink.distill import Design, Lesson, Student, StudentRun, designs
from leadline.shrink.frontier import Bench
from leadline.shrink.lessons import lesson_of
from leadline.shrink.network import scores

RESULTS = Path(__file__).parent / "results" / "shrink.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "machine", "versions")
SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A teacher, its students, and what they are beside."""

    data: str
    settings: dict[str, Any]  # of the teacher's run
    student: str  # its name on the frontier
    form: str  # how its weights are stored there
    seconds: float  # of each training
    answers: float = 60.0  # seconds of students, by which the teacher's time for more rows, and views, is bounded
    beside: str = "alone"  # or the name of a student of as many bytes
    passes: int | None = None  # of each training, in place of seconds: as many on a busy machine

    @property
    def length(self) -> str:
        return f"{self.seconds:.0f} s" if self.passes is None else f"{self.passes} passes"


PAIRS: dict[str, Pair] = {
    "sst2": Pair(
        data="sst2", settings={"only": "bag,linear", "budget": "60s"}, student="student/32", form="int8 tables",
        seconds=20.0,
    ),
    "sst2-states": Pair(
        data="sst2", settings={"only": "pretrained,linear", "budget": "240s", "max_size": "5MB"},
        student="student/32", form="int8 tables", seconds=15.0, answers=120.0,
    ),
    "cifar10": Pair(
        data="cifar10", settings={"only": "cnn", "budget": "5m"}, student="lean/2", form="int4", seconds=600.0,
        answers=600.0, passes=8,
    ),
    "cifar10-cut": Pair(
        data="cifar10", settings={"only": "cnn", "budget": "5m"}, student="pruned/2", form="int8", seconds=60.0,
        beside="student/2",
    ),
}  # fmt: skip


class _Alone(StudentRun):
    """The same student, trained on labels."""

    def _smoothing(self) -> float:
        return SMOOTHING if self.conv else 0.0


def students(name: str, data_folder: Path, folder: Path) -> Found:
    """A teacher, and its students' bytes, times and scores beside those of others."""
    pair = PAIRS[name]
    made = _run(pair, data_folder, folder)
    data = made.data()
    store, contender = data.store, str(data.model.contract["contender"])
    test, metric = store.split.test, METRICS[store.task.metric]
    chooses, judges = halves(len(test), None, 0, whole=False)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(
            data, data.model, Chosen(part="test", rows=test, chooses=chooses, judges=judges), None, Path(scratch)
        )
        lesson, said = lesson_of(data, bench.network, made.folder, contender, None, pair.answers)
        print(*said, sep="\n")
        plan = designs(bench.network, contender, lesson)
        truth = data.table.labels[test]
        found: dict[str, list[float]] = {"taught": [], "beside": []}
        for seed in range(SEEDS):
            for way, start in _trainings(pair, plan, lesson, seed):
                place = folder / f"{name}-{way}-{seed}.onnx"
                if not place.exists():
                    *_, fitted = start().fit(None)
                    student = Student(name=way, describe="", network=fitted.graph())  # type: ignore[union-attr]
                    onnx.save(_stored(pair, student, bench).network, str(place))
                    print(fitted.describe)  # type: ignore[union-attr]
                found[way].append(100 * metric(truth, scores(onnx.load(str(place)), store, test)))
                print(seed, way, found[way][-1], flush=True)
        first = Candidate(name="student", describe="", network=onnx.load(str(folder / f"{name}-taught-0.onnx")))
        shipped = 100 * metric(truth, scores(bench.network, store, test))
        teacher = 100 * metric(truth, lesson.teacher.answers(test))
        ours, full = bench.entry(first).facts, bench.base.facts
    what = f"{pair.student} of {pair.data}, whose {contender} of {pair.settings['budget']} is the best of "
    what += pair.settings["only"] + (f" under {pair.settings['max_size']}" if "max_size" in pair.settings else "")
    taught_by = f"{said[0]} These are right in {teacher:.2f}" if teacher != shipped else said[0]
    return [_size(pair, what, found, shipped, (ours, full), len(test)), _gain(pair, what, taught_by, found)]


def _run(pair: Pair, data_folder: Path, folder: Path) -> ll.Run:
    """The teacher's run, or the one that was kept."""
    place = folder / "-".join([pair.data, *(str(value).replace(",", "-") for value in pair.settings.values())])
    if place.exists():
        return ll.open_run(place)
    return ll.fit(data_folder / pair.data, repeats=1, out=place, **pair.settings)


def _trainings(
    pair: Pair, plan: dict[str, Design], lesson: Lesson, seed: int
) -> Iterator[tuple[str, Callable[[], StudentRun]]]:  # fmt: skip
    """The student that is taught, and the one beside it, each with a way to start it."""
    design = plan[pair.student]
    yield "taught", lambda: StudentRun(design, lesson, _clock(pair), seed, pair.passes)
    if pair.beside != "alone":
        yield "beside", lambda: StudentRun(plan[pair.beside], lesson, _clock(pair), seed, pair.passes)
        return
    rows = len(lesson.teacher.store.labels)
    plain = dataclasses.replace(lesson, store=lesson.teacher.store, targets=lesson.truth[:rows],
                                truth=lesson.truth[:rows])  # fmt: skip

    def alone() -> StudentRun:
        run = _Alone(dataclasses.replace(design, cut=False), plain, _clock(pair), seed, pair.passes)
        run.asks = False
        return run

    yield "beside", alone


def _clock(pair: Pair) -> Clock:
    return Clock(pair.seconds if pair.passes is None else math.inf)


def _stored(pair: Pair, student: Student, bench: Bench) -> Candidate:
    """The student as it would ship."""
    making = Making(
        store=bench.store, distance=bench.distance, doubtful=lambda network: False, seed=0, folder=bench.scratch
    )  # fmt: skip
    found = candidates(bench.network, making, [student])
    return next(each for each in found if each.name == f"{student.name} {pair.form}")


def _size(
    pair: Pair, what: str, found: dict[str, list[float]], shipped: float, facts: tuple[Any, Any], n: int
) -> dict[str, Any]:  # fmt: skip
    ours, full = facts
    batch, one = (full[key] / ours[key] for key in ("batch_us", "one_us"))
    drop = shipped - float(np.mean(found["taught"]))
    return {
        "what": f"distil: {what}",
        "must": "at most 1/10 of the bytes and 1/5 of the time in a batch, a drop of at most 1.5 points",
        "seen": f"{pair.form}: {ours['bytes']:,} of {full['bytes']:,} bytes; {batch:.1f} times as fast in a batch, "
        f"{one:.1f} for one row; {shipped:.2f} becomes {np.mean(found['taught']):.2f}", "n": n,
        "met": 10 * ours["bytes"] <= full["bytes"] and batch >= 5 and drop <= 1.5,
    }  # fmt: skip


def _gain(pair: Pair, what: str, said: str, found: dict[str, list[float]]) -> dict[str, Any]:
    better = np.array(found["taught"]) - np.array(found["beside"])
    return {
        "what": f"distil: {what}; beside {pair.beside}, {pair.length} each",
        "must": "at least 0.5 points better" if pair.beside == "alone" else "better",
        "seen": f"{np.mean(found['taught']):.2f} and {np.mean(found['beside']):.2f}: {better.mean():+.2f}, by seed "
        + ", ".join(f"{each:+.2f}" for each in better) + f". {said}", "n": SEEDS,
        "met": bool(better.mean() >= (0.5 if pair.beside == "alone" else 0.0)),
    }  # fmt: skip


def rows() -> dict[str, Any]:
    """Name of a row -> how it is measured."""
    return {name: lambda data, folder, name=name: students(name, data, folder) for name in PAIRS}


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, rows()))
