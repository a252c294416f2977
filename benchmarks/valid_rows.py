"""What networks gain from the last phase on train and valid rows (`contenders/annealing.py`), on six data sets.

One training gives both: its best weights, which would ship without the phase, and what the phase makes of them. Passes
stand in for a budget, so nothing depends on the machine's speed. A share of the gain is that of more steps; see
docs/decisions/0032.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from record import Found

import leadline as ll
from leadline.config import from_mapping
from leadline.contenders.deep import _Run
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.dataset.audit import audit
from leadline.dataset.split_table import draw
from leadline.dataset.store import Store, build
from leadline.dataset.table import read as understand
from leadline.metrics.metrics import METRICS

# name: contender, target, rows at most, passes, seeds
SETS: dict[str, tuple[str, str | None, int, int, int]] = {
    "titanic": ("bag", "Survived", 2_000, 30, 8),
    "wine-quality": ("mlp", "quality", 4_000, 15, 4),
    "california-housing": ("mlp", "median_house_value", 4_000, 15, 4),
    "rt-polarity": ("bag", None, 3_000, 10, 4),
    "gunpoint": ("mlp", "column_1", 200, 40, 8),
    "fashion-mnist": ("cnn", None, 800, 5, 3),
}


def valid_rows(data: Path, folder: Path) -> Found:
    """The test score with the phase and without, from the same seeds; harm is a loss over two standard errors."""
    return [_row(data, folder, name) for name in SETS]


def _row(data: Path, folder: Path, name: str) -> dict[str, Any]:
    contender, target, rows, passes, seeds = SETS[name]
    gains, before, outcomes = [], [], []
    for seed in range(seeds):
        store = _store(data, folder, name, target, rows, seed)
        metric = METRICS[store.task.metric]
        without, with_it, outcome = _both(store, contender, passes, seed)
        unit = 100.0 if metric.share else 100.0 / without  # points, or percent of the score
        before.append(without)
        gains.append(unit * metric.sign * (with_it - without))
        outcomes.append(outcome)
    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1)) / math.sqrt(seeds)
    word = "points of" if metric.share else "% of"
    return {
        "what": f"valid rows: {name}, {contender}, {len(store.split.train):,} train and {len(store.split.valid):,} "
        f"valid rows, {passes} passes",
        "must": "not worse by two standard errors", "met": mean >= -2 * error, "n": seeds,
        "seen": f"better by {mean:+.2f} ± {error:.2f} {word} {metric.name} ({np.mean(before):.4g} without), from "
        f"{min(gains):+.2f} to {max(gains):+.2f}; phase used {outcomes.count('used')} of {seeds}",
    }  # fmt: skip


def _store(data: Path, folder: Path, name: str, target: str | None, rows: int, seed: int) -> Store:
    """A part of a data set, drawn by the seed; of a stated test part 3,000 rows at most."""
    source = ll.load(name, data=data)
    source = dataclasses.replace(
        source, train=_few(source.train, rows, seed), valid=None, test=_few(source.test, 3_000, seed)
    )
    settings = from_mapping({"seed": seed, "budget": "60s", **({} if target is None else {"target": target})})
    table, _ = audit(understand(source, settings), settings)
    key = {"seed": seed, "rows": rows, "name": name}
    return build(table, draw(table, settings), folder / "cache", seconds=math.inf, key=key)


def _few(frame: Any, rows: int, seed: int) -> Any:
    if frame is None:
        return None
    whole = frame.collect()
    return whole.sample(min(rows, whole.height), seed=seed, shuffle=True).lazy()


def _both(store: Store, contender: str, passes: int, seed: int) -> tuple[float, float, str | None]:
    """Test scores of one training without the phase and with it, and how the phase ended."""
    run = _Run(PORTFOLIO[contender], Data(store=store, clock=Clock(math.inf), threads=1, epochs=passes), seed)  # type: ignore[arg-type]
    run.prepare()
    for _ in run.train():
        pass
    run.judged()
    truth, metric = store.sealed(), METRICS[store.task.metric]
    without = metric(truth, run.fitted().predict(store, store.split.test))
    for _ in run.annealed():
        pass
    return without, metric(truth, run.fitted().predict(store, store.split.test)), run.last.outcome
