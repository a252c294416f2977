"""Intervals on draws from large sets: how often they hold the score that the same model has on all the rows.

A quick model is trained once a set; its answers on the rows it has not seen are the population, whose score is known.
Rows are drawn with replacement, so the population is as good as endless.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
from record import Found

from leadline.metrics.metrics import METRICS
from leadline.stats.intervals import score

ROWS, DRAWS = (300, 1_000, 3_000), 1_000
TRAINED = 8_000  # rows that the quick model sees
RANKED = ("accuracy", "auc")
Answers = tuple[np.ndarray, np.ndarray]  # truth [n], scores


def numbers(frame: pl.DataFrame) -> np.ndarray:
    """Words as numbers of their category."""
    columns = []
    for column in frame:
        if column.dtype == pl.String:
            values = column.cast(pl.Float64, strict=False)
            codes = column.rank("dense").cast(pl.Float64)
            columns.append((values if values.null_count() < 0.1 * len(values) else codes).to_numpy())
        else:
            columns.append(column.cast(pl.Float64).to_numpy())
    return np.column_stack(columns)


def adult(data: Path) -> Answers:
    frame = pl.concat([pl.read_csv(data / "adult" / f"{part}.csv") for part in ("train", "test")])
    return _answers(numbers(frame.drop("income")), (frame["income"] == ">50K").to_numpy().astype(np.int64), "binary")


def covertype(data: Path) -> Answers:
    frame = pl.read_parquet(data / "covertype" / "covertype-93k.parquet")
    return _answers(
        numbers(frame.drop("Cover_Type")), frame["Cover_Type"].to_numpy().astype(np.int64) - 1, "multiclass"
    )


def mnist(data: Path) -> Answers:
    held = []
    for part in ("train-images-idx3", "train-labels-idx1"):
        with gzip.open(data / "mnist" / f"{part}-ubyte.gz") as file:
            held.append(np.frombuffer(file.read(), np.uint8, offset=16 if "images" in part else 8))
    images = held[0].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    return _answers(images, held[1].astype(np.int64), "multiclass")


def california(data: Path) -> Answers:
    frame = pl.read_csv(data / "california-housing" / "housing.csv")
    return _answers(numbers(frame.drop("median_house_value")), frame["median_house_value"].to_numpy(), "regression")


def _answers(x: np.ndarray, y: np.ndarray, task: str) -> Answers:
    """The truth and a quick model's answers on the rows that it has not seen."""
    order = np.random.default_rng(0).permutation(len(y))
    train, rest = order[:TRAINED], order[TRAINED:]
    settings: dict[str, Any] = {"objective": task, "verbose": -1, "num_threads": 1, "seed": 0}
    if task == "multiclass":
        settings |= {"num_class": int(y.max()) + 1, "num_leaves": 15}
    scores = np.asarray(lgb.train(settings, lgb.Dataset(x[train], y[train]), 60).predict(x[rest]))
    if task == "binary":
        scores = np.stack([1 - scores, scores], axis=1)
    return y[rest], scores


SETS = {"mnist": mnist, "covertype": covertype, "adult": adult, "california": california}


def intervals(data: Path, folder: Path) -> Found:
    """A row a set, a metric and a number of rows."""
    found = []
    for name, load in SETS.items():
        truth, scores = load(data)
        for metric in ("rmse",) if scores.ndim == 1 else RANKED:
            for rows in ROWS:
                found.append(_cell(name, metric, rows, truth, scores))
    return found


def _cell(name: str, metric: str, rows: int, truth: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    rng, real = np.random.default_rng(rows), METRICS[metric](truth, scores)
    covered, widths = 0, []
    for draw in range(DRAWS):
        few = rng.integers(0, len(truth), rows)
        made = score(truth[few], {"it": scores[few]}, METRICS[metric], draw)["it"]
        covered += made.low <= real <= made.high
        widths.append(made.high - made.low)
    share = covered / DRAWS
    return {
        "what": f"interval of {metric}, {rows} rows of {name}", "must": "covers 93% to 97%",
        "seen": f"{share:.1%} of {DRAWS}; {metric} {real:.4g}, width {np.mean(widths):.3g}",
        "met": 0.93 <= share <= 0.97, "n": DRAWS,
    }  # fmt: skip
