"""What every test shares: a cache of its own, and the first stages of the journey in one call."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.config import from_mapping
from leadline.data.audit import audit
from leadline.data.source import read
from leadline.data.split import split
from leadline.data.store import Store, build
from leadline.data.table import Table
from leadline.data.table import read as understand


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or fills the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("LEADLINE_CACHE")
    os.environ["LEADLINE_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["LEADLINE_CACHE"]
    else:
        os.environ["LEADLINE_CACHE"] = before


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A source as far as its store."""

    table: Table
    store: Store
    said: tuple[str, ...]


@pytest.fixture(scope="session")
def prepare(own_cache: Path) -> Callable[..., Prepared]:
    """prepare(source, **settings): source -> table -> audit -> split -> store."""

    def run(source: Any, **settings: Any) -> Prepared:
        asked = from_mapping({"budget": "30s", **settings})
        table, said = audit(understand(read(source, cache=own_cache), asked), asked)
        parts = split(table.labels, table.part, asked.seed)
        store = build(table, parts, own_cache, seconds=asked.seconds, key={"seed": asked.seed})
        return Prepared(table, store, said)

    return run


@pytest.fixture(scope="session")
def mixed() -> Callable[..., pl.DataFrame]:
    """mixed(rows, task): numbers, categories and times with gaps, and a target that they decide."""

    def make(rows: int = 300, task: str = "binary", seed: int = 0) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        size, weight = rng.normal(50, 10, rows), rng.exponential(2, rows)
        colour = rng.choice(["red", "green", "blue"], rows)
        days = rng.integers(-5_000, 20_000, rows)
        value = (size - 50) / 10 + np.where(colour == "red", 1.5, -0.5) + 0.1 * rng.normal(size=rows)
        target: Any = value * 3 + 100
        if task == "binary":
            target = np.where(value > 0, "yes", "no")
        elif task == "multiclass":
            target = np.array(["low", "middle", "high"])[np.digitize(value, [-0.7, 0.7])]
        gaps = rng.random((3, rows)) < 0.05
        when = np.datetime64("1970-01-01") + days
        return pl.DataFrame(
            {"size": size.round(3), "weight": weight, "colour": colour, "when": when, "y": target}
        ).select(
            pl.when(pl.Series(~gaps[0])).then("size").alias("size"),
            "weight",
            pl.when(pl.Series(~gaps[1])).then("colour").alias("colour"),
            pl.when(pl.Series(~gaps[2])).then("when").alias("when"),
            "y",
        )

    return make


@pytest.fixture(scope="session")
def messages() -> Callable[..., pl.DataFrame]:
    """messages(rows): short texts of two classes, told apart by a few words."""

    def make(rows: int = 240, seed: int = 0) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        common = [
            "the",
            "a",
            "of",
            "and",
            "to",
            "in",
            "is",
            "it",
            "you",
            "that",
            "he",
            "was",
            "for",
            "on",
            "are",
            "with",
            "as",
            "his",
            "they",
            "at",
        ]
        telling = {"spam": ["win", "prize", "free", "cash"], "ham": ["lunch", "meeting", "home", "tomorrow"]}
        labels = rng.choice(["ham", "spam"], rows)
        texts = []
        for label in labels:
            words = [*rng.choice(common, rng.integers(4, 10)), *rng.choice(telling[label], 2)]
            rng.shuffle(words)
            texts.append(" ".join(words).capitalize() + rng.choice([".", "!", " ?"]))
        return pl.DataFrame({"text": texts, "label": labels})

    return make


@pytest.fixture(scope="session")
def bars() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """bars(count, side): (grey images uint8, 0 for a lying bar and 1 for a standing one)."""

    def make(count: int = 120, side: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        images = rng.integers(0, 60, (count, side, side)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            place = int(rng.integers(2, side - 4))
            (image if label == 0 else image.T)[place : place + 3, 2:-2] = 220
        return images, labels

    return make
