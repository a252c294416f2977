"""What students of a run learn from: a teacher, its answers, and more rows than the run had.

Enters: a finished run and, where the user has some, a source of rows without labels. Leaves: a `Lesson`, and sentences
on what it rests on. A table whose kinds can make other values of theirs (`Kind.variants`) is taught on these too, where
the teacher reads other tensors than a student and cannot answer its batches.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.shrink.distill import Lesson, readers
from leadline.shrink.frontier import FinishedRun
from leadline.shrink.more_rows import longer, unlabelled, variants
from leadline.shrink.teacher import Teacher, teacher_of
from leadline.system.cache import cache_folder
from leadline.system.errors import LeadlineError
from leadline.use.predict import source_to_predict

if TYPE_CHECKING:
    import onnx

__all__ = ["lesson_of"]

TIMES = 8  # variants of a train row
MOST_ROWS = 100_000  # of all train rows, and their variants


def lesson_of(
    data: FinishedRun, network: onnx.ModelProto, run: Path, contender: str, more: Any
) -> tuple[Lesson, list[str]]:  # fmt: skip
    """What students learn from, and what has to be said of it.

    Args:
        contender: that was shipped.
        more: a source of rows without labels, or None.

    Raises:
        LeadlineError: the source cannot be read, or the task has no way to learn from rows without labels.
    """
    store, model = data.store, data.model
    teacher, name = teacher_of(network, store, run, contender)
    said = [f"Students learned the answers of {name}."]
    if more is not None and store.task.multilabel:
        raise LeadlineError("--unlabelled cannot be used where a row has several labels; leave it out.")
    frames = []
    if more is not None:
        cache = Path(data.settings.cache) if data.settings.cache else cache_folder()
        frames.append(unlabelled(model, source_to_predict(more, model, cache)))
    train = store.split.train
    times = min(TIMES, MOST_ROWS // max(1, len(train)) - 1)
    if times > 0 and not store.task.multilabel:
        frames.append(variants(data.table, model, train, times, data.settings.seed))
    names = sorted({tensor for each in readers(store) for tensor in each.inputs(store)} | teacher.inputs)
    own = np.sort(np.concatenate([train, store.split.valid]))
    taught, truth = teacher.taught(own)
    made = longer(store, model, chain(*frames), names, lambda rows: _labels(teacher, rows))
    full = made or store
    targets, labels = (np.zeros((len(full.labels), *taught.shape[1:]), np.float32) for _ in range(2))
    targets[own], labels[own] = taught, truth
    if made is not None:
        new = made.split.train[len(train) :]
        targets[new] = labels[new] = teacher.softened(teacher.answers(new, made))
        said.append(f"They learned from {len(new):,} rows without labels too, which it answered.")
    return Lesson(store=full, teacher=teacher, targets=targets, truth=labels), said


def _labels(teacher: Teacher, rows: dict[str, np.ndarray]) -> np.ndarray:
    """What stands for labels of rows that have none."""
    answers = np.concatenate([
        teacher.answers_to({name: values[start : start + 512] for name, values in rows.items()})
        for start in range(0, len(next(iter(rows.values()))), 512)
    ])  # fmt: skip
    return answers if teacher.task.numeric else answers.argmax(axis=1)
