"""What students of a run learn from: a teacher, its answers, and more rows than the run had.

Enters: a finished run and, where the user has some, a source of rows without labels. Leaves: a `Lesson`, and sentences
on what it rests on. A table whose kinds can make other values of theirs (`Kind.variants`) is taught on these too, where
the teacher reads other tensors than a student and cannot answer its batches; where it reads what is varied, it may
answer views of each row (shrink/views.py).
"""

from __future__ import annotations

import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.bodies import bodies_of
from leadline.contenders.deep import Deep
from leadline.contenders.earlier_network import NETWORK
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.shrink.distill import Lesson, readers, taught_architecture
from leadline.shrink.frontier import FinishedRun
from leadline.shrink.hashed_students import hashed_layout
from leadline.shrink.more_rows import longer, unlabelled, variants
from leadline.shrink.network import feeds, scores
from leadline.shrink.teacher import Teacher, raw_answers, teacher_of
from leadline.shrink.views import views_of
from leadline.system.cache import cache_folder
from leadline.system.resources import most_threads
from leadline.system.text import enumerated
from leadline.use.predict import source_to_predict

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Tensors
    from leadline.shrink.pruning import Wide

__all__ = ["lesson_of"]

TIMES = 8  # variants of a train row
TIMED = 64  # train rows by which the teacher is timed
MOST_ROWS = 100_000  # of all train rows, and their variants
LOOKING = 0.2  # share of the students' time in which the teacher may look at views of the rows


def lesson_of(
    data: FinishedRun, network: onnx.ModelProto, run: Path, contender: str, more: Any, seconds: float
) -> tuple[Lesson, list[str]]:  # fmt: skip
    """What students learn from, and what has to be said of it.

    Args:
        contender: that was shipped.
        more: a source of rows without labels, or None.
        seconds: that students have; the teacher may take as many, about, to answer variants.

    Raises:
        LeadlineError: the source cannot be read.
    """
    store, model = data.store, data.model
    teacher, name = teacher_of(network, store, run, contender)
    said = [f"Students learned the answers of {name}."]
    frames = []
    if more is not None:
        cache = Path(data.settings.cache) if data.settings.cache else cache_folder()
        frames.append(unlabelled(model, source_to_predict(more, model, cache)))
    train = store.split.train
    a_row = _seconds_a_row(teacher, train)
    times = min(TIMES, MOST_ROWS // max(1, len(train)) - 1, int(seconds / (a_row * max(1, len(train)))))
    if times > 0 and not store.task.multilabel:
        frames.append(variants(data.table, model, train, times, data.settings.seed))
    plan = hashed_layout(store)
    names = {tensor for each in readers(store) for tensor in each.inputs(store)} | teacher.inputs
    names |= set(plan.tensors if plan else ())
    own = np.sort(np.concatenate([train, store.split.valid]))
    looks = int(LOOKING * seconds / (a_row * max(1, len(own))))
    views = views_of(teacher, taught_architecture(store, contender), looks, data.settings.seed)
    taught, truth = teacher.taught(own, (views or teacher).answers(own))
    if views is not None:
        said.append("It answered each row as the mean over the row and views of it, which is better on the calib rows.")
    made = longer(store, model, chain(*frames), sorted(names))
    full = made or store
    targets, labels = (np.zeros((len(full.labels), *taught.shape[1:]), np.float32) for _ in range(2))
    targets[own], labels[own] = taught, truth
    if made is not None:
        new = made.split.train[len(train) :]
        answers = teacher.answers(new, made)
        targets[new] = labels[new] = teacher.softened(answers)
        made.labels[new] = answers if store.task.numeric else answers.argmax(axis=1)
        made_up = times * len(train) if len(frames) > (more is not None) else 0
        parts = {"of your rows without labels": len(new) - made_up, "variants of train rows": made_up}
        sources = enumerated([f"{count:,} {what}" for what, count in parts.items() if count])
        said.append(f"They learned from {sources} too, which it answered.")
    wide = _wide(network, store, run / "contenders" / contender / NETWORK, contender)
    return Lesson(store=full, teacher=teacher, targets=targets, truth=labels, a_row=a_row, wide=wide), said


def _seconds_a_row(teacher: Teacher, rows: np.ndarray) -> float:
    """That the teacher takes to answer one of many rows."""
    batch = next(feeds(teacher.store, sorted(teacher.inputs), rows[:TIMED]))
    teacher.answers_to({name: values[:1] for name, values in batch.items()})  # loads it
    began = time.perf_counter()
    teacher.answers_to(batch)
    return max(1e-9, time.perf_counter() - began) / len(rows[:TIMED])


def _wide(network: onnx.ModelProto, store: Tensors, path: Path, contender: str) -> Wide | None:
    """The network of the run, where it is one of convolutions alone and the run has kept it."""
    deep = PORTFOLIO[contender]
    if not isinstance(deep, Deep) or not path.exists():
        return None
    bodies = bodies_of(store, deep.architectures)
    if len(bodies) != 1 or not all(body.widths for body in bodies.values()):
        return None
    from leadline.shrink.pruning import ROWS, wide

    data = Data(store=store, clock=Clock(1.0), threads=1)
    rows = np.sort(np.random.default_rng(0).permutation(store.split.train)[:ROWS])
    raw = raw_answers(scores(network, store, rows, most_threads()), store.task, data.scale(), store.task.output_width)
    return wide(path, store, bodies, rows, raw)
