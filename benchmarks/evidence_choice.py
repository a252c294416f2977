"""Which contender the valid rows choose: the metric alone beside `stats/choice.py`, by scores on unseen rows.

Rows are drawn from the train rows of each set many times; the usual fast contenders learn from them, valid rows choose
among two or three, and some thousand further train rows say what the choice was worth. No test row is read. Passes
stand in for a budget, so nothing depends on the speed of the machine. With --keep FOLDER the answers of a draw stay,
and a count that was ended goes on.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from record import Found
from transfer import SETS as TEXTS
from transfer import written

import leadline as ll
from leadline.config import from_mapping
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Fitted, Progress
from leadline.dataset.audit import audit
from leadline.dataset.heldout import hidden
from leadline.dataset.split_table import draw
from leadline.dataset.store import Store, build
from leadline.dataset.table import read as understand
from leadline.metrics.metrics import METRICS
from leadline.readers.source import Source, read
from leadline.stats.choice import ValidAnswers, best

TABLES = {  # name: target
    "adult": "income", "bank-marketing": "y", "telco-churn": "Churn",
    "covertype": "Cover_Type",
}  # fmt: skip
TRAIN, VALID, UNSEEN = 1_500, 200, 3_000  # rows of a draw
DRAWS_OF_TEXTS, DRAWS_OF_TABLES = 4, 12
PASSES = {"linear": 1, "boosting": 1, "bag": 10, "mlp": 30}  # of those that raced: of networks over the train rows
RACED = tuple(PASSES)

Answers = dict[str, np.ndarray]  # NAME_valid and NAME_unseen of contenders, and of the truth


def choices(data: Path, folder: Path) -> Found:
    """Gain of the choice over that of the metric alone, in points of accuracy on unseen rows."""
    kept = folder / "choices"
    kept.mkdir(exist_ok=True)
    gains: dict[str, list[float]] = {"linear or boosting": [], "network beside linear or boosting": [], "of three": []}
    for name in (*TEXTS, *TABLES):
        for seed in range(DRAWS_OF_TABLES if name in TABLES else DRAWS_OF_TEXTS):
            made = _answers(data, kept, name, seed)
            names = [each for each in RACED if f"{each}_valid" in made]
            for few in (*itertools.combinations(names, 2), tuple(names)):
                what = "of three" if len(few) > 2 else "linear or boosting" if few == RACED[:2] else ""
                gains[what or "network beside linear or boosting"].append(_gain(made, few))
    return [_row(what, found) for what, found in gains.items()]


def _row(what: str, gains: Sequence[float]) -> dict[str, object]:
    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return {
        "what": f"choice by valid rows, {what}: {TRAIN:,} train and {VALID} valid rows; {DRAWS_OF_TEXTS} draws of "
        f"{len(TEXTS)} sets of texts, {DRAWS_OF_TABLES} of {len(TABLES)} tables",
        "must": "not worse by two standard errors than by the metric alone", "met": mean >= -2 * error,
        "n": len(gains), "seen": f"{mean:+.3f} ± {error:.3f} points of accuracy; better in "
        f"{sum(each > 0 for each in gains)}, worse in {sum(each < 0 for each in gains)} of {len(gains)}",
    }  # fmt: skip


def _gain(made: Answers, names: Sequence[str]) -> float:
    """Points on unseen rows."""
    metric = METRICS["accuracy"]
    on_valid = ValidAnswers(truth=made["truth_valid"], answers={name: made[f"{name}_valid"] for name in names})
    scores = {name: metric(on_valid.truth, answers) for name, answers in on_valid.answers.items()}
    worth = {name: metric(made["truth_unseen"], made[f"{name}_unseen"]) for name in names}
    now, before = best(scores, metric, on_valid), best(scores, metric, None)
    assert now is not None and before is not None
    return 100 * (worth[now.name] - worth[before.name])


def _answers(data: Path, kept: Path, name: str, seed: int) -> Answers:
    """What contenders answer in a draw, made or kept."""
    path = kept / f"{name.replace(' ', '-')}-{seed}.npz"
    if not path.exists():
        with tempfile.TemporaryDirectory() as scratch:
            np.savez_compressed(path, **_made(*_store(data, Path(scratch), name, seed), seed))  # type: ignore[arg-type]
    with np.load(path) as found:
        return dict(found)


def _made(store: Store, labels: np.ndarray, seed: int) -> Answers:
    """What contenders answer once they have learned."""
    made = {"truth_valid": labels[store.split.valid], "truth_unseen": labels[store.split.test]}
    for each in RACED:
        if PORTFOLIO[each].inputs(store):
            fitted = _fitted(each, store, seed)
            assert fitted.valid is not None
            made[f"{each}_valid"], made[f"{each}_unseen"] = fitted.valid, fitted.predict(store, store.split.test)
    return made


def _fitted(name: str, store: Store, seed: int) -> Fitted:
    """The last item of a fit."""
    *_, fitted = PORTFOLIO[name].fit(Data(store=store, clock=Clock(math.inf), threads=1, epochs=PASSES[name]), seed)
    assert not isinstance(fitted, Progress)
    return fitted


def _store(data: Path, folder: Path, name: str, seed: int) -> tuple[Store, np.ndarray]:
    """Rows drawn by the seed, encoded; the labels of unseen ones are hidden. And all labels."""
    target = TABLES.get(name, "label")
    source = _drawn(data, folder, name, seed)
    settings = from_mapping({"seed": seed, "budget": "60s", "target": target})
    table, _ = audit(understand(source, settings), settings)
    split = draw(table, settings)
    key = {"seed": seed, "name": name}
    held = dataclasses.replace(table, labels=hidden(table.labels, split.test))
    return build(held, split, folder / "cache", seconds=math.inf, key=key), table.labels


def _drawn(data: Path, folder: Path, name: str, seed: int) -> Source:
    """A source whose three parts are train rows of the set."""
    source = ll.load(name, data=data) if name in TABLES else None
    frame = TEXTS[name](data)["train"] if source is None else pl.DataFrame(source.train.collect())
    rows = frame.sample(fraction=1.0, seed=seed, shuffle=True)
    parts = {"train": rows[:TRAIN], "valid": rows[TRAIN:][:VALID], "test": rows[TRAIN + VALID :][:UNSEEN]}
    if source is None:
        return read(written(parts, folder / "source"), cache=folder / "tables")
    return dataclasses.replace(source, **{part: each.lazy() for part, each in parts.items()})
