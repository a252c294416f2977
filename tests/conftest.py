"""What every test shares: a cache of its own, and the first stages of the journey in one call."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from leadline.config import from_mapping
from leadline.dataset.audit import audit
from leadline.dataset.split import split, stretches
from leadline.dataset.store import Store, build
from leadline.dataset.table import Table
from leadline.dataset.table import read as understand
from leadline.readers.source import read


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or fills the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEADLINE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def no_bodies() -> Iterator[None]:
    """What is installed changes no race, but of the tests that ask for a body."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEADLINE_WEIGHTS", "none")
        yield


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """bert_folder(name, width, layers, unused): a folder with a BERT of noise, and so many pieces that no text has."""

    def make(name: str, width: int = 32, layers: int = 2, unused: int = 0) -> Path:
        import json

        from safetensors.numpy import save_file

        folder, rng, inner = tmp_path_factory.mktemp("weights") / name, np.random.default_rng(0), 2 * width
        folder.mkdir()
        marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"]
        words = ["the", "win", "##ning", "prize", "free", "lunch", "to", "##mor", "##row", "meet"]
        pieces = [
            *marks,
            *letters,
            *(f"##{letter}" for letter in letters[:36]),
            *words,
            *(f"[unused{n}]" for n in range(unused)),
        ]
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
        facts = {
            "model_type": "bert", "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": 4,
            "max_position_embeddings": 64, "layer_norm_eps": 1e-12, "vocab_size": len(pieces), "hidden_act": "gelu",
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(facts))
        shapes = {f"embeddings.{name}_embeddings": (size, width) for name, size in
                  (("word", len(pieces)), ("position", 64), ("token_type", 2))}  # fmt: skip
        norms = ["embeddings.LayerNorm"]
        for layer in (f"encoder.layer.{number}" for number in range(layers)):
            attention = {f"{layer}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
            dense = {"attention.output": (width, width), "intermediate": (inner, width), "output": (width, inner)}
            shapes |= attention | {f"{layer}.{part}.dense": shape for part, shape in dense.items()}
            norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        weights = {f"{name}.weight": rng.normal(0, 1.7 * width**-0.5, shape) for name, shape in shapes.items()}
        weights |= {
            f"{name}.bias": rng.normal(0, 0.1, shape[0]) for name, shape in shapes.items() if "embed" not in name
        }
        weights |= {f"{name}.weight": rng.normal(1, 0.1, width) for name in norms}
        weights |= {f"{name}.bias": rng.normal(0, 0.1, width) for name in norms}
        save_file({name: value.astype(np.float32) for name, value in weights.items()}, folder / "model.safetensors")
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_bert(bert_folder: Callable[..., Path]) -> Path:
    """A folder with a BERT of two layers."""
    return bert_folder("tiny")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A source as far as its store."""

    table: Table
    store: Store
    said: tuple[str, ...]


@pytest.fixture(scope="session")
def prepare(own_cache: Path) -> Callable[..., Prepared]:
    """prepare(source, test, **settings): source -> table -> audit -> split -> store."""

    def run(source: Any, test: Any = None, **settings: Any) -> Prepared:
        asked = from_mapping({"budget": "30s", **settings})
        table, said = audit(understand(read(source, test, cache=own_cache), asked), asked)
        running = table.task.name == "language"
        parts = stretches(table.part) if running else split(table.labels, table.part, asked.seed)
        store = build(table, parts, own_cache, seconds=asked.seconds, key={"seed": asked.seed}, weights=asked.weights)
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
def story(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """story(sentences): a text file in which a few words follow each other in a few ways."""

    def make(sentences: int = 900, seed: int = 0, name: str = "story.txt") -> Path:
        rng = np.random.default_rng(seed)
        who, does, what = (
            ["The fox", "A crow", "My aunt"],
            ["sees", "eats", "wants, as ever,"],
            ["cheese", "a hat", "tea"],
        )
        lines = [f"{rng.choice(who)} {rng.choice(does)} {rng.choice(what)}." for _ in range(sentences)]
        breaks = rng.choice([" ", "\n"], sentences)
        path = tmp_path_factory.mktemp("story") / name
        path.write_text("".join(line + end for line, end in zip(lines, breaks, strict=True)))
        return path

    return make


@pytest.fixture(scope="session")
def tones() -> Callable[..., pl.DataFrame]:
    """tones(count): WAV files of unequal length, as bytes, of two classes: low and high, both rising."""

    def make(count: int = 80, rate: int = 4_000, seed: int = 0) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        sounds = []
        for i in range(count):
            steps = np.arange(int(rate * rng.uniform(0.3, 0.6))) / rate
            pitch = 300 + 200 * (i % 2) + 400 * steps
            wave = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / rate + rng.uniform(0, 6)) + rng.normal(
                0, 0.02, len(steps)
            )
            file = io.BytesIO()
            soundfile.write(file, wave, rate, format="WAV")
            sounds.append(file.getvalue())
        return pl.DataFrame({"sound": sounds, "label": ["low", "high"] * (count // 2)})

    return make


@pytest.fixture(scope="session")
def waves() -> Callable[..., pl.DataFrame]:
    """waves(count, steps): series with gaps, of two classes: a bump that rises first, or falls first."""

    def make(count: int = 120, steps: int = 24, seed: int = 0) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        x = rng.normal(0, 0.3, (count, steps))
        for i, row in enumerate(x):
            place = int(rng.integers(2, steps - 8))
            row[place : place + 6] += np.array([1, 2, 1, -1, -2, -1]) * (1 if i % 2 else -1)
        x[rng.random(x.shape) < 0.01] = np.nan
        return pl.DataFrame({"wave": x, "label": ["falls", "rises"] * (count // 2)})

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
