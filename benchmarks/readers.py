"""One table, the same answers, whoever read it: generated tables in every form, at `fit` and at `predict`.

    python benchmarks/readers.py [all] [some]

`all` is 2,000 tables, `some` as many of them as two minutes allow. Of each table the store (encoded tensors, labels,
classes) is built from every form, a file is shipped whose answers depend on every encoded value, and every form is
asked of it, two of them row by row. Prints what must be and what was, and appends it to
benchmarks/results/readers.csv with versions and machine.
"""

from __future__ import annotations

import contextlib
import csv
import math
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from reader_tables import Drawn, forms, tables
from record import Found, run

RESULTS = Path(__file__).parent / "results" / "readers.csv"
FIELDS = ("when", "what", "must", "seen", "met", "wall_s", "machine", "versions")
NEAR = 1e-6
TABLES = 2_000
ROW_BY_ROW = {"polars": 24, "csv": 4}  # forms that are asked row by row, and how many of the rows


@dataclass(frozen=True)
class Read:
    """A source as it was read: its store, and the labels of all rows."""

    store: Any
    labels: np.ndarray


def stored(source: Any, cache: Path) -> Any:
    """A source as far as its store, or the sentence that refuses it."""
    from leadline.config import from_mapping
    from leadline.dataset.audit import audit
    from leadline.dataset.split import split
    from leadline.dataset.store import build
    from leadline.dataset.table import read as understand
    from leadline.readers.source import read
    from leadline.system.errors import LeadlineError

    asked = from_mapping({"budget": "30s", "target": "y"})
    try:
        table, _ = audit(understand(read(source, cache=cache), asked), asked)
        parts = split(table.labels, table.part, asked.seed)
        return Read(build(table, parts, cache, seconds=asked.seconds, key={"seed": asked.seed}), table.labels)
    except LeadlineError as error:
        return f"refused: {error}"
    except Exception as error:  # any other exception is a fault of its own, and one more pair that differs
        return f"raised {type(error).__name__}: {error}"


def shipped(store: Any, path: Path) -> Any:
    """A file whose answers depend on every encoded value, by weights of chance: nothing is trained."""
    from leadline.graph.builder import Graph
    from leadline.ship.assemble import assemble
    from leadline.use.model import Model

    rng, g, parts = np.random.default_rng(0), Graph("chance"), []
    for block in store.blocks:
        width = int(np.prod(block.shape))
        x = g.op("Cast", g.input(block.name, np.dtype(block.dtype).type, ["N", *block.shape]), to=1)
        x = g.op("Where", g.op("IsNaN", x), g.const(np.float32(0.37)), x)
        x = g.op("Reshape", x, g.const(np.array([-1, width], np.int64)))
        x = g.op("Tanh", g.op("Mul", x, g.const(np.float32(0.3))))
        parts.append(
            g.op("MatMul", x, g.const(rng.normal(size=(width, len(store.task.classes) or 1)).astype(np.float32)))
        )
    total = parts[0]
    for part in parts[1:]:
        total = g.op("Add", total, part)
    if store.task.classes:
        g.output("scores", g.op("Softmax", total, axis=1), np.float32, ["N", len(store.task.classes)])
    else:
        flat = g.op("Reshape", g.op("Cast", total, to=11), g.const(np.array([-1], np.int64)))
        g.output("scores", flat, np.float64, ["N"])
    path.write_bytes(assemble(store, g.model().SerializeToString(), {}))
    return Model(path)


def differs(one: Any, other: Any) -> str | None:
    """What two stores of the same rows differ in."""
    if isinstance(one, str) or isinstance(other, str):
        said = [store for store in (one, other) if isinstance(store, str)]
        return None if len(said) == 2 and said[0].startswith("refused") else said[-1]
    if not np.array_equal(one.labels, other.labels, equal_nan=one.labels.dtype.kind == "f"):
        return "labels"
    one, other = one.store, other.store
    if one.task != other.task:
        return f"task {one.task} and {other.task}"
    kinds = [[(block.kind, block.columns) for block in store.blocks] for store in (one, other)]
    if kinds[0] != kinds[1]:
        return f"kinds {kinds[0]} and {kinds[1]}"
    for block in one.blocks:
        a, b = (np.asarray(store.tensor(block.name), np.float64) for store in (one, other))
        if a.shape != b.shape or not np.allclose(a, b, rtol=NEAR, atol=NEAR, equal_nan=True):
            return f"{block.kind} of {block.columns}"
    return None


def apart(one: Any, other: Any) -> str | None:
    """What two tables of answers differ in."""
    if isinstance(one, str) or isinstance(other, str):
        return str(other if isinstance(other, str) else one)
    if one.columns != other.columns or len(one) != len(other):
        return f"columns or rows of answers: {one.columns}, {other.columns}"
    for name in one.columns:
        a, b = one[name], other[name]
        if a.dtype.is_float():
            if not np.allclose(a.to_numpy(), b.to_numpy(), atol=NEAR, rtol=NEAR, equal_nan=True):
                return f"{name} by {np.nanmax(np.abs(a.to_numpy() - b.to_numpy())):.3g}"
        elif not a.equals(b, null_equal=True) and not _tied(one):
            return name
    return None


def _tied(answers: pl.DataFrame) -> bool:
    """Whether two classes of a row lie so near that rounding tells which is first."""
    chances = np.sort(answers.select(pl.col("^p_.*$")).to_numpy(), axis=1)
    return bool(chances.shape[1] > 1 and (chances[:, -1] - chances[:, -2] < NEAR).any())


def pairs_that_differ(drawn: Drawn, folder: Path) -> Iterator[str]:
    """A line for each form that is read otherwise than the first."""
    cache = folder / "cache"
    first: Any = None
    model: Any = None
    answers: Any = None
    sources = {}
    for name, make in forms(drawn, folder):
        sources[name] = source = make()
        store = stored(source, cache)
        if first is None:
            first = store
            model = None if isinstance(store, str) else shipped(store.store, folder / "model.onnx")
        elif found := differs(first, store):
            yield f"fit, {name}: {found}"
    if model is None:
        return
    for name, source in sources.items():
        found = _asked(model, [source], cache)
        answers = found if answers is None else answers
        if said := apart(answers, found):
            yield f"predict, {name}: {said}"
        if (count := ROW_BY_ROW.get(name)) and not isinstance(answers, str):
            alone = _asked(model, _rows(source, count, folder), cache)
            if said := apart(answers.head(count), alone):
                yield f"predict row by row, {name}: {said}"


def _asked(model: Any, sources: Iterable[Any], cache: Path) -> Any:
    """The answers to sources one under the other, or what was raised."""
    try:
        return pl.concat(model.predict(source, cache=cache) for source in sources)
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"


def _rows(source: Any, count: int, folder: Path) -> Iterator[Any]:
    """The first rows, each a source of its own: a frame, or a file with one line."""
    if isinstance(source, pl.DataFrame):
        yield from (source.slice(place, 1) for place in range(count))
        return
    with source.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    for place, row in enumerate(rows[:count]):
        one = folder / f"row-{place}.csv"
        with one.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, row])
        yield one


def _measured(seconds: float) -> Found:
    wrong: Counter[str] = Counter()
    examples: dict[str, str] = {}
    tried = refused = 0
    held: set[str] = set()
    began = time.perf_counter()

    @settings(
        max_examples=TABLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(tables())
    def compare(drawn: Drawn) -> None:
        nonlocal tried, refused
        if time.perf_counter() - began > seconds:
            raise KeyboardInterrupt  # the only exception that hypothesis lets pass at once
        tried += 1
        if tried % 50 == 0:
            print(
                f"    {tried:,} tables in {time.perf_counter() - began:.0f} s, {wrong.total()} pairs differ", flush=True
            )
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held.update(form for form, _ in forms(drawn, Path(name)))
            refused += isinstance(stored(next(forms(drawn, Path(name)))[1](), Path(name) / "cache"), str)
            for line in pairs_that_differ(drawn, Path(name)):
                place = line.split(":")[0]
                wrong[place] += 1
                examples.setdefault(place, f"{line} of {drawn}")
                print(f"NOT {line}", {name: sort for name, (sort, _) in drawn.columns.items()}, flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        compare()
    pairs = sum(wrong.values())
    seen = f"{pairs} pairs differ in {tried:,} tables of {len(held)} forms, {refused} of them refused alike" + "".join(
        f"; {place}: {n}" for place, n in wrong.most_common(5)
    )
    return [{
        "what": f"readers: {tried:,} tables in every form", "must": "no pair of readers differs", "seen": seen,
        "met": not pairs, "wall_s": round(time.perf_counter() - began, 1),
    }]  # fmt: skip


ROWS = {"all": lambda data, folder: _measured(math.inf), "some": lambda data, folder: _measured(120.0)}

if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
