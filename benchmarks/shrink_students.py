"""Students that a model taught beside the same students trained alone: three seeds, the same seconds, all test rows.

python benchmarks/shrink_students.py sst2 sst2-pretrained cifar10

The rows choose nothing: architecture and size are fixed before, so every test row may judge. Alone means the labels of
the train rows, with the contender's own label smoothing, and neither stretches of texts nor answers of the teacher.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from record import Found, run

import leadline as ll
from leadline.contenders.deep import SMOOTHING
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock
from leadline.metrics.metrics import METRICS
from leadline.shrink.candidates import Candidate
from leadline.shrink.choose import Chosen, halves
from leadline.shrink.distill import Lesson, _StudentRun, _width_of
from leadline.shrink.frontier import Bench
from leadline.shrink.lessons import lesson_of
from leadline.shrink.network import network_of, scores
from leadline.shrink.tables import half_weights, int8_tables

RESULTS = Path(__file__).parent / "results" / "shrink.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "machine", "versions")
SEEDS = 3
# data, and the teacher where there are several: contenders of its run, its budget, the student, its divisor, seconds of
# a training
STUDENTS: dict[str, tuple[str, str, str, int, float]] = {
    "sst2": ("bag,linear", "60s", "bag", 32, 20.0),
    "sst2-pretrained": ("pretrained", "120s", "bag", 8, 20.0), "cifar10": ("cnn", "300s", "cnn", 4, 120.0),
}  # fmt: skip


class _Alone(_StudentRun):
    """The same student, trained on labels."""

    def _smoothing(self) -> float:
        return SMOOTHING if self.conv else 0.0


def students(name: str, data_folder: Path, folder: Path) -> Found:
    """A teacher, and its students' bytes, times and scores beside those of students without one."""
    only, budget, architecture, divisor, seconds = STUDENTS[name]
    made = ll.fit(data_folder / name.split("-")[0], only=only, budget=budget, repeats=1, out=folder / name)
    data = made.data()
    store, contender = data.store, PORTFOLIO[architecture]
    network = network_of(onnx.load(str(data.model.path)), store)
    lesson, said = lesson_of(data, network, made.folder, str(data.model.contract["contender"]), None)
    print(*said, sep="\n")
    plain = Lesson(store=store, teacher=lesson.teacher, targets=lesson.truth[: len(store.labels)],
                   truth=lesson.truth[: len(store.labels)])  # fmt: skip
    width = max(4, _width_of(network, contender, lesson, 0) // divisor)  # type: ignore[arg-type]
    test, metric = store.split.test, METRICS[store.task.metric]
    truth = data.table.labels[test]
    found: dict[str, list[float]] = {"taught": [], "alone": []}
    small: Any = None
    for seed in range(SEEDS):
        for way, what, lessons in (("taught", _StudentRun, lesson), ("alone", _Alone, plain)):
            training = what(contender, lessons, Clock(seconds), seed, (width, divisor))  # type: ignore[arg-type]
            training._asks = training._asks and way == "taught"
            *_, fitted = training.fit(None)
            graph = fitted.graph()  # type: ignore[union-attr]
            graph = half_weights(graph) if training.conv else int8_tables(graph)
            small = graph if small is None else small
            found[way].append(100 * metric(truth, scores(graph, store, test)))
            print(seed, way, found[way][-1], fitted.describe, flush=True)  # type: ignore[union-attr]
    teacher = 100 * metric(truth, scores(network, store, test))
    with tempfile.TemporaryDirectory() as scratch:
        chooses, judges = halves(len(test), None, 0, whole=False)
        places = Chosen(part="test", rows=test, chooses=chooses, judges=judges)
        bench = Bench(data, data.model, places, Path(scratch))
        entry = bench.entry(Candidate(name="student", describe="", network=small))
        sizes = [each.facts for each in (entry, bench.base)]
    ours, full = sizes
    better = np.array(found["taught"]) - np.array(found["alone"])
    drop = teacher - float(np.mean(found["taught"]))
    batch, one = (full[key] / ours[key] for key in ("batch_us", "one_us"))
    return [
        {
            "what": f"distil: {name}, {architecture} of 1/{divisor} of the width beside the model of {budget}",
            "must": "at most 1/10 of the bytes and 1/5 of the time, a drop of at most 1.5 points",
            "seen": f"{ours['bytes']:,} of {full['bytes']:,} bytes; {batch:.1f} times as fast in a batch, {one:.1f} "
            f"for one row; {teacher:.2f} becomes {np.mean(found['taught']):.2f}", "n": len(test),
            "met": 10 * ours["bytes"] <= full["bytes"] and min(batch, one) >= 5 and drop <= 1.5,
        },
        {
            "what": f"distil: {name}, taught beside alone, {seconds:.0f} s each", "must": "at least 0.5 points better",
            "seen": f"{np.mean(found['taught']):.2f} and {np.mean(found['alone']):.2f}: {better.mean():+.2f}, by seed "
            + ", ".join(f"{each:+.2f}" for each in better), "n": SEEDS, "met": bool(better.mean() >= 0.5),
        },
    ]  # fmt: skip


def rows() -> dict[str, Any]:
    """Name of a row -> how it is measured."""
    return {name: lambda data, folder, name=name: students(name, data, folder) for name in STUDENTS}


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, rows()))
