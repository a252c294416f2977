"""Hashed students of texts: taught by a run's model, beside the same student trained on labels; three runs each.

python benchmarks/shrink_texts.py sst2 rt-polarity ag-news

Size and form of the student are fixed before, so every test row may judge. Alone means the labels of the train rows,
by the strength among six that valid rows like best, where the taught one has one for all data. Bytes and times are
those of whole files, on one thread.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from record import Found, run
from shrink_students import FIELDS, RESULTS, SEEDS

import leadline as ll
from leadline.contenders.linear import FittedLinear
from leadline.contenders.linear_solver import LOGISTIC, Problem, solve
from leadline.core.contender import Clock, Data
from leadline.metrics.metrics import METRICS
from leadline.shrink.candidates import Candidate, Making, candidates
from leadline.shrink.choose import Chosen, halves
from leadline.shrink.distill import Lesson, Student
from leadline.shrink.frontier import Bench
from leadline.shrink.hashed_students import HashedDesign, fit_hashed, hashed_layout, idf_scale
from leadline.shrink.lessons import lesson_of
from leadline.shrink.network import scores

BUDGET, SECONDS, PLACES, FORM = "60s", 30.0, 1 << 17, "int8 tables"
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
MUST = "at most 1/10 of the bytes and 1/5 of the time in a batch, a drop of at most 1.5 points"


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Of one run, in percent: the model, the student that it taught, the one trained alone; and what files take."""

    full: float
    taught: float
    alone: float
    test_rows: int
    facts: tuple[dict[str, Any], dict[str, Any]]  # of the student's file, and of the model's


def texts(name: str, data_folder: Path, folder: Path) -> Found:
    """A student of each of three runs with seeds of their own."""
    found = [_seen(data_folder / name, folder / f"{name}-{seed}", seed) for seed in range(SEEDS)]
    drops, gains = (
        np.array(each) for each in zip(*((s.full - s.taught, s.taught - s.alone) for s in found), strict=True)
    )
    size = max(ours["bytes"] / full["bytes"] for ours, full in (each.facts for each in found))
    faster = [full["batch_us"] / ours["batch_us"] for ours, full in (each.facts for each in found)]
    one = [full["one_us"] / ours["one_us"] for ours, full in (each.facts for each in found)]
    ours, full = found[0].facts
    what = f"distil: hashed/{PLACES} of {name}, whose best of bag, linear in {BUDGET} teaches it"
    return [
        {
            "what": what, "must": MUST, "n": found[0].test_rows,
            "seen": f"{FORM}: {ours['bytes']:,} of {full['bytes']:,} bytes; {min(faster):.1f} to {max(faster):.1f} "
            f"times as fast in a batch, {min(one):.1f} to {max(one):.1f} for one row; a drop of {drops.mean():.2f} "
            f"({', '.join(f'{each:.2f}' for each in drops)}) from {np.mean([each.full for each in found]):.2f}",
            "met": size <= 0.1 and min(faster) >= 5 and drops.mean() <= 1.5,
        },
        {
            "what": f"{what}; beside alone", "must": "at least 0.5 points better", "n": SEEDS,
            "seen": f"{np.mean([s.taught for s in found]):.2f} and {np.mean([s.alone for s in found]):.2f}: "
            f"{gains.mean():+.2f}, by run {', '.join(f'{each:+.2f}' for each in gains)}",
            "met": bool(gains.mean() >= 0.5),
        },
    ]  # fmt: skip


def _seen(source: Path, place: Path, seed: int) -> _Seen:
    made = ll.open_run(place) if place.exists() else ll.fit(
        source, only="bag,linear", budget=BUDGET, seed=seed, repeats=1, out=place
    )  # fmt: skip
    data = made.data()
    store, metric = data.store, METRICS[data.store.task.metric]
    test, truth = store.split.test, data.table.labels[data.store.split.test]
    chooses, judges = halves(len(test), None, 0, whole=False)
    with tempfile.TemporaryDirectory() as scratch:
        chosen = Chosen(part="test", rows=test, chooses=chooses, judges=judges)
        bench = Bench(data, data.model, chosen, None, Path(scratch))
        contender = str(data.model.contract["contender"])
        lesson, said = lesson_of(data, bench.network, made.folder, contender, None, SECONDS)
        plan = hashed_layout(store)
        assert plan is not None
        student = fit_hashed(lesson, plan, PLACES, Clock(SECONDS))
        assert student is not None, "it had too little time"
        small = _stored(student, bench)
        scored = [100 * metric(truth, scores(network, store, test)) for network in (bench.network, small.network)]
        alone = 100 * metric(truth, _alone(lesson).predict(store, test))
        print(seed, *said, [round(each, 2) for each in (*scored, alone)], flush=True)
        return _Seen(
            full=scored[0], taught=scored[1], alone=alone, test_rows=len(test),
            facts=(bench.entry(small).facts, bench.base.facts),
        )  # fmt: skip


def _alone(lesson: Lesson) -> FittedLinear:
    """The same student by the labels of the run's train rows."""
    store, task = lesson.teacher.store, lesson.teacher.task
    plan = hashed_layout(store)
    assert plan is not None
    train, valid = store.split.train, store.split.valid
    design = HashedDesign(store, plan, PLACES, train)
    x, y = design(store, train), Data(store=store, clock=Clock(1.0), threads=1).encoded(train, lesson.teacher.scale)
    scale = np.repeat(idf_scale(x, design.are_grams())[:, None], task.columns, axis=1)
    metric, made = METRICS[task.metric], list[tuple[float, FittedLinear]]()
    for strength in STRENGTHS:
        found = solve(Problem(x=x, y=y, strength=strength, loss=LOGISTIC, scale=scale), Clock(SECONDS))
        weights = (found.weights, found.intercepts)
        fitted = FittedLinear(design, weights, task, lesson.teacher.scale, float("nan"), [])
        made.append((metric.sign * metric(store.labels[valid], fitted.predict(store, valid)), fitted))
    return max(made, key=lambda pair: pair[0])[1]


def _stored(student: FittedLinear, bench: Bench) -> Candidate:
    """The student as it would ship."""
    making = Making(
        store=bench.store, distance=bench.distance, doubtful=lambda network: False, seed=0, folder=bench.scratch
    )  # fmt: skip
    found = candidates(bench.network, making, [Student(name="taught", describe="", network=student.graph())])
    return next(each for each in found if each.name == f"taught {FORM}")


if __name__ == "__main__":
    rows = ("sst2", "rt-polarity", "ag-news")
    sys.exit(run(__doc__, RESULTS, FIELDS, {
        name: lambda data, folder, name=name: texts(name, data, folder) for name in rows
    }))  # fmt: skip
