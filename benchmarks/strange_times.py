"""Where the seconds of a budget go: on ten shapes of table, and on real folders beside other work."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import Found

BUDGET = 60.0
TENTH = 6.0  # seconds: README gives the look at the data, and the end, at most so many of BUDGET
RACE = 45.0  # and the race, where there was use for them, at least so many
WITHIN = 1.2  # of what README says
OVER = 3.0  # seconds that a run may take beyond its budget of 30 s, its start and its end included
LIFE = 120.0  # seconds after which a busy process ends by itself
END = ("judge", "export", "parity", "report")
WORDS = ("river", "stone", "cloud", "paper", "light", "green", "seven", "table", "north", "music", "bread", "glass")


def parts(data: Path, folder: Path) -> Found:
    """Each shape of table once, and what became of its seconds."""
    return [_parts(name, make(np.random.default_rng(0)), folder) for name, make in SHAPES.items()]


def _numbers(rng: np.random.Generator, rows: int, columns: int, classes: int = 2) -> pl.DataFrame:
    """Numbers of which a few decide; `classes` 0: a value."""
    x = rng.normal(size=(rows, columns)).round(4)
    ways = x[:, :5] @ rng.normal(size=(5, max(2, classes))) + rng.normal(size=(rows, max(2, classes)))
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(columns)})
    if not classes:
        return frame.with_columns(y=ways[:, 0].round(4))
    return frame.with_columns(y=pl.Series([f"class {k:02}" for k in ways.argmax(axis=1)]))


def _texts(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    labels = rng.integers(0, 2, rows)
    told = [" ".join(rng.choice(WORDS[k : k + 9], 12)) + f" {rng.integers(1e6)}" for k in 3 * labels]
    return pl.DataFrame({"text": told, "y": [("ham", "spam")[k] for k in labels]})


def _categories(rng: np.random.Generator, rows: int, columns: int = 12) -> pl.DataFrame:
    codes = rng.integers(0, 30, (rows, columns))
    sure = (codes[:, 0] % 3 + codes[:, 1] % 2 + rng.random(rows)) > 2
    frame = pl.DataFrame({f"c{i}": [f"v{code}" for code in codes[:, i]] for i in range(columns)})
    return frame.with_columns(y=pl.Series(np.where(sure, "yes", "no")))


def _mixed(rng: np.random.Generator, rows: int, columns: int) -> pl.DataFrame:
    halves = _categories(rng, rows, columns // 2).drop("y"), _numbers(rng, rows, columns - columns // 2)
    return pl.concat(halves, how="horizontal")


SHAPES: dict[str, Callable[[np.random.Generator], pl.DataFrame]] = {
    "300 x 5": lambda rng: _numbers(rng, 300, 5),
    "1,772 x 130": lambda rng: _numbers(rng, 1_772, 130),
    "500 x 1,000": lambda rng: _numbers(rng, 500, 1_000),
    "5,000 x 20, 26 classes": lambda rng: _numbers(rng, 5_000, 20, 26),
    "20,000 x 16, 26 classes": lambda rng: _numbers(rng, 20_000, 16, 26),
    "100,000 x 10": lambda rng: _numbers(rng, 100_000, 10),
    "20,000 x 8, a value": lambda rng: _numbers(rng, 20_000, 8, 0),
    "5,000 texts": lambda rng: _texts(rng, 5_000),
    "10,000 x 12 categories": lambda rng: _categories(rng, 10_000),
    "2,000 x 300, mixed": lambda rng: _mixed(rng, 2_000, 300),
}


def _parts(name: str, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
    source = folder / "parts.csv"
    frame.write_csv(source)
    out = folder / f"parts-{len(list(folder.glob('parts-*')))}"
    done, wall = _fit(source, ("--target", "y"), f"{BUDGET:.0f}s", out, folder)
    row = {
        "what": f"parts: {name}, {BUDGET:.0f} s",
        "must": f"look and end {WITHIN * TENTH:.1f} s at most, race {RACE / WITHIN:.1f} at least or why not, in all "
        f"{1.1 * BUDGET:.0f}; they add up",
        "wall_s": round(wall, 1),
    }
    if done.returncode:
        return row | {"seen": done.stderr.strip()[-300:], "met": False}
    result = json.loads((out / "result.json").read_text())
    took, code = result["seconds"], result["ended"]["code"]
    look, end = took["flaws"], sum(took.get(stage, 0.0) for stage in END)
    race = took["race"] + took.get("repeats", 0.0)
    met = max(look, end) <= WITHIN * TENTH and wall <= 1.1 * BUDGET and abs(sum(took.values()) - wall) < 2.5
    seen = f"look {look:.1f}, race {race:.1f}, end {end:.1f} of {result['spent_s']:.1f} s; {code}"
    return row | {"seen": seen, "met": met and (race >= RACE / WITHIN or code != "used")}


def beside(sources: Mapping[str, tuple[Path, tuple[str, ...]]], folder: Path, busy: int = 2) -> Found:
    """Real folders at 30 s beside busy processes, and on how many of them both families raced to an end."""
    rows, both = [], 0
    for name, (source, options) in sources.items():
        out = folder / f"{name.replace(' ', '-')}-beside"
        with others(busy):
            done, wall = _fit(source, options, "30s", out, folder)
        seen = done.stderr.strip()[-300:]
        if done.returncode == 0:
            result = json.loads((out / "result.json").read_text())
            ended = {c["name"]: c["family"] for c in result["contenders"] if c["status"] in ("finished", "cut")}
            raced = set(ended.values()) >= {"deep", "classical"}
            both += raced
            seen = f"{result['verdict']['answer']}; {', '.join(name for name in ended if name != 'floor')}"
        rows.append({
            "what": f"folders beside {busy} busy processes: {name}, 30 s", "must": "a verdict and a file, within 33 s",
            "seen": seen, "met": done.returncode == 0 and wall <= 30 + OVER, "wall_s": round(wall, 1),
        })  # fmt: skip
    return [*rows, {
        "what": f"folders beside {busy} busy processes: both families raced", "must": "on at least 8 of 10",
        "seen": f"on {both} of {len(rows)}", "met": both >= 0.8 * len(rows),
    }]  # fmt: skip


@contextmanager
def others(count: int) -> Iterator[None]:
    """So many processes that want a core each; they are ended by their handles, and by themselves in the end."""
    loop = f"import time; until = time.monotonic() + {LIFE}\nwhile time.monotonic() < until: sum(range(10_000))"
    started = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def _fit(
    source: Path, options: tuple[str, ...], budget: str, out: Path, folder: Path
) -> tuple[subprocess.CompletedProcess[str], float]:
    """What the command said, and the seconds that it took."""
    words = [sys.executable, "-m", "leadline", "fit", str(source), *options, "--budget", budget, "--out", str(out)]
    began = time.perf_counter()
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    print(done.stdout, done.stderr, flush=True)  # how it reads is part of what is looked at
    return done, wall
