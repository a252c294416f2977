"""Size: sources larger than the memory they may take, and very small ones; both caps, of memory and of time, are kept.

    python benchmarks/sizes.py [--data ../shared/data] [NAME ...]

Memory is looked at from outside, five times a second: what all processes of the run hold for themselves together.
Appends to benchmarks/results/sizes.csv.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image, ImageDraw
from record import Found, run

import leadline as ll
from leadline.system.resources import tree_gb

RESULTS = Path(__file__).parent / "results" / "sizes.csv"
FIELDS = ("when", "what", "must", "seen", "met", "wall_s", "machine", "versions")
SHAPES = ("circle", "square", "triangle", "cross", "ring")
PICTURES, LEAST, MOST = 20_000, 300, 1_500
BARE, PAIRS = 600, 5  # pictures of the bare loop, and times that it and ours are measured
SIDE = 32
LATE = 1.05  # of the budget


def _row(what: str, must: str, seen: str, met: bool, wall: float = 0.0) -> dict[str, Any]:
    return {"what": what, "must": must, "seen": seen, "met": met, "wall_s": round(wall, 1)}


def _watched(*words: str) -> tuple[float, float, str]:
    """(seconds, peak GB of the process tree, what was said) of a command."""
    began, peak = time.monotonic(), 0.0
    command = [sys.executable, "-m", "leadline", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while process.poll() is None:
        peak = max(peak, tree_gb(process.pid))
        time.sleep(0.2)
    return time.monotonic() - began, peak, process.stdout.read() if process.stdout else ""


def _fit(source: Path, out: Path, *options: str) -> tuple[float, float, dict[str, Any], str]:
    """(seconds, peak GB of the process tree, result, what was said)."""
    wall, peak, said = _watched("fit", str(source), "--out", str(out), "--quiet", *options)
    path = out / "result.json"
    return wall, peak, json.loads(path.read_text()) if path.exists() else {}, said


def _kept(name: str, found: tuple[float, float, dict[str, Any], str], cap: float, budget: float, least: float) -> Found:
    """The rows that every source has: both caps, and a model that is worth having."""
    wall, peak, result, said = found
    shipped = result.get("shipped") or {}
    score = shipped.get("score", 0.0)
    verdict = result.get("verdict", {}).get("answer")
    told = f"{verdict}; {shipped.get('contender')} {result.get('metric')} {score:.4g}" if result else said[-300:]
    return [
        _row(f"{name}: memory", f"at most {cap:g} GB", f"{peak:.2f} GB at the peak", peak <= cap),
        _row(f"{name}: time", f"at most {LATE * budget:.0f} s", f"{wall:.0f} s", wall <= LATE * budget, wall),
        _row(f"{name}: model", f"a verdict, and a score over {least:g}", told, bool(shipped) and score > least),
    ]


def _picture(number: int, folder: Path) -> None:
    """A shape among clutter, on a textured ground, as a JPEG of 300 to 1,500 px a side."""
    rng = np.random.default_rng(number)
    wide, high = (int(side) for side in rng.integers(LEAST, MOST + 1, 2))
    ground = Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8)).resize((wide, high), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for _ in range(12):
        ends = rng.uniform(0, 1, 4) * (wide, high, wide, high)
        draw.line(tuple(ends), fill=tuple(rng.integers(0, 255, 3).tolist()), width=max(1, wide // 150))
    shape = SHAPES[number % len(SHAPES)]
    radius = rng.uniform(0.2, 0.38) * min(wide, high)
    x, y = rng.uniform(radius, wide - radius), rng.uniform(radius, high - radius)
    colour = tuple(rng.integers(0, 255, 3).tolist())
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        draw.ellipse(box, fill=colour)
    elif shape == "square":
        draw.rectangle(box, fill=colour)
    elif shape == "triangle":
        draw.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    elif shape == "ring":
        draw.ellipse(box, outline=colour, width=int(radius / 3))
    else:
        thick = radius / 4
        draw.rectangle((x - radius, y - thick, x + radius, y + thick), fill=colour)
        draw.rectangle((x - thick, y - radius, x + thick, y + radius), fill=colour)
    target = folder / shape / f"{number:05}.jpg"
    target.parent.mkdir(exist_ok=True)
    ground.save(target, "JPEG", quality=int(rng.integers(70, 92)))


def _bare(path: Path, draft: bool) -> None:
    """What a loop without Leadline does with a picture."""
    with Image.open(path) as picture:
        if draft:
            picture.draft("RGB", (SIDE, SIDE))
        np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _speeds(folder: Path, scratch: Path) -> Found:
    """Pictures a second of the bare loop on two cores, with and without `draft`, and of the encoder, in turn."""
    from leadline.config import Settings
    from leadline.dataset.sampling import Sample
    from leadline.dataset.split_table import draw
    from leadline.dataset.store import build
    from leadline.dataset.table import read as understand
    from leadline.readers.source import read

    few = scratch / "few"
    for path in sorted(folder.glob("*/*.jpg"))[:: PICTURES // BARE][:BARE]:
        (few / path.parent.name).mkdir(parents=True, exist_ok=True)
        os.link(path, few / path.parent.name / path.name)
    paths = sorted(few.glob("*/*.jpg"))
    asked = Settings(budget="1h")
    table = understand(read(few, cache=scratch / "cache"), asked)
    split = draw(table, asked)
    ours: list[float] = []
    plain: list[float] = []
    drafted: list[float] = []
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(_bare, draft=False), paths[:8]))
        for turn in range(PAIRS):
            for rates, draft in ((plain, False), (drafted, True)):
                began = time.perf_counter()
                list(pool.map(partial(_bare, draft=draft), paths, chunksize=20))
                rates.append(len(paths) / (time.perf_counter() - began))
            began = time.perf_counter()
            build(
                table, split, scratch / f"stores{turn}", seconds=300 * BARE / PICTURES, key={}, sample=Sample(share=1.0)
            )
            ours.append(len(paths) / (time.perf_counter() - began))
    ratios = [a / b for a, b in zip(ours, plain, strict=True)]
    ratio, fast = statistics.median(ratios), statistics.median(drafted)
    against = statistics.median(a / b for a, b in zip(ours, drafted, strict=True))
    seen = (
        f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}, n={PAIRS}): {statistics.median(ours):.0f} a second, "
        f"bare {statistics.median(plain):.0f}; of a loop with Pillow's draft ({fast:.0f}) {against:.2f}"
    )
    return [_row("jpegs: encoding, of a bare two-core loop", "at least 0.8", seen, ratio >= 0.8)]


def jpegs(data: Path, folder: Path) -> Found:
    """20,000 rendered photos in class folders."""
    photos = folder / "photos"
    photos.mkdir()
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(_picture, folder=photos), range(PICTURES), chunksize=50))
    found = _speeds(photos, folder)
    return found + _kept("jpegs", _fit(photos, folder / "run-j", "--memory", "1GB", "--budget", "5m"), 1.0, 300, 0.6)


def _made(rows: int, seed: int) -> pl.DataFrame:
    """20 columns and a target that follows from some of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 14)).astype(np.float32).round(3)
    c = [rng.integers(0, k, rows) for k in (3, 8, 40, 200, 2)]
    z = x[:, 0] * 1.2 + np.sin(2 * x[:, 1]) + (c[0] == 1) * x[:, 2] + 0.5 * (c[2] % 5 - 2.0) + 0.6 * x[:, 3] * x[:, 4]
    frame: dict[str, Any] = {f"x{i}": x[:, i] for i in range(14)}
    frame |= {f"c{i}": np.char.add(f"v{i}_", column.astype(str)) for i, column in enumerate(c)}
    return pl.DataFrame({**frame, "y": np.where(z + rng.normal(0, 1, rows) > 0, "yes", "no")})


def rows5m(data: Path, folder: Path) -> Found:
    """A CSV of 5 million rows and 20 columns."""
    source = folder / "rows5m.csv"
    with source.open("wb") as file:
        for part in range(10):
            _made(500_000, part).write_csv(file, include_header=part == 0)
    out = folder / "run-5m"
    found = _kept("rows5m", _fit(source, out, "--target", "y", "--memory", "2GB", "--budget", "3m"), 2.0, 180, 0.7)
    return found + _fresh("rows5m", out, _made(20_000, 99), "y", 0.7)


def predict(data: Path, folder: Path) -> Found:
    """A million rows from a shipped file: as little memory as a tenth of them, and no more seconds for each."""
    source, out = folder / "few.csv", folder / "run-few"
    _made(20_000, 0).write_csv(source)
    _fit(source, out, "--target", "y", "--only", "boosting", "--epochs", "3")
    cost = {}
    for rows in (100_000, 1_000_000):
        new = folder / f"{rows}.csv"
        _made(rows, 1).drop("y").write_csv(new)
        cost[rows] = _watched("predict", str(out), str(new), "--out", str(folder / f"{rows}.parquet"))
    (few_s, few_gb, _), (many_s, many_gb, said) = cost.values()
    seen = f"{many_gb:.2f} GB and {many_s:.1f} s, of 100,000 {few_gb:.2f} GB and {few_s:.1f} s"
    met = "1,000,000 answers" in said and many_gb <= 1.5 * few_gb and many_s <= 10 * few_s
    return [_row("predict: 1,000,000 rows", "memory within 1.5 of 100,000 rows, seconds within 10", seen, met, many_s)]


def _fresh(name: str, out: Path, rows: pl.DataFrame, target: str, least: float) -> Found:
    """What the shipped file says of rows made anew."""
    if not (out / "model.onnx").exists():
        return [_row(f"{name}: fresh rows", f"over {least:g} right", "nothing was shipped", False)]
    told = ll.Model(out / "model.onnx").predict(rows.drop(target))["prediction"].cast(pl.String)
    right = float(np.mean((told == rows[target]).to_numpy()))
    return [_row(f"{name}: fresh rows", f"over {least:g} right", f"{right:.4f} of {len(rows):,}", right > least)]


def _wide(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2_000)).round(3)
    y = x[:, :20].sum(axis=1) * 2 + rng.normal(0, 1, rows) > 0
    return pl.DataFrame({f"g{i}": x[:, i] for i in range(2_000)} | {"y": np.where(y, "ill", "well")})


def wide(data: Path, folder: Path) -> Found:
    """300 rows of 2,000 numbers, 20 of which matter."""
    source, out = folder / "wide.csv", folder / "run-wide"
    _wide(300, 0).write_csv(source)
    found = _kept("wide", _fit(source, out, "--target", "y", "--memory", "2GB", "--budget", "1m"), 2.0, 60, 0.55)
    return found + _fresh("wide", out, _wide(2_000, 1), "y", 0.55)


def _tiny(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).round(2)
    y = x[:, 0] - x[:, 1] + rng.normal(0, 0.4, rows) > 0
    frame = {f"x{i}": x[:, i] for i in range(4)} | {"town": rng.choice(["Ulm", "Köln", "東京"], rows)}
    return pl.DataFrame(frame | {"y": np.where(y, "ja", "nein")})


def tiny(data: Path, folder: Path) -> Found:
    """60 rows of 5 columns."""
    source, out = folder / "tiny.csv", folder / "run-tiny"
    _tiny(60, 0).write_csv(source)
    found = _kept("tiny", _fit(source, out, "--target", "y", "--memory", "2GB", "--budget", "1m"), 2.0, 60, 0.6)
    return found + _fresh("tiny", out, _tiny(2_000, 1), "y", 0.7)


def _documents(rows: int, seed: int) -> pl.DataFrame:
    """Short texts, and one in five of 4,000 words; three words of each tell its class."""
    rng, letters = np.random.default_rng(seed), np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, size)) for size in rng.integers(2, 10, 3_000)]
    texts = []
    for row in range(rows):
        told = ["yes" if row % 2 else "no"] * 3
        texts.append(" ".join(rng.permutation([*rng.choice(words, 4_000 if row % 10 < 2 else 30), *told])))
    return pl.DataFrame({"body": texts, "y": ["pos" if row % 2 else "neg" for row in range(rows)]})


def documents(data: Path, folder: Path) -> Found:
    """2,000 texts, 400 of which are as long as an article."""
    source, out = folder / "documents.csv", folder / "run-documents"
    _documents(2_000, 0).write_csv(source)
    found = _kept("documents", _fit(source, out, "--target", "y", "--memory", "4GB", "--budget", "1m"), 4.0, 60, 0.7)
    return found + _fresh("documents", out, _documents(1_000, 2), "y", 0.7)


if __name__ == "__main__":
    rows = {
        "tiny": tiny, "wide": wide, "predict": predict, "rows5m": rows5m, "jpegs": jpegs, "documents": documents,
    }  # fmt: skip
    sys.exit(run(__doc__, RESULTS, FIELDS, rows))
