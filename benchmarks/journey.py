"""The whole journey on real data, measured: each command as a user runs it, and its file run by plain ONNX Runtime.

    python benchmarks/journey.py [--data ../shared/data] [NAME ...]

Prints a table of what must be and what was, and appends it to benchmarks/results/journey.csv with versions and machine.
Test rows are decoded here a second time without Leadline, so the last columns also check the contract of the file.
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import polars as pl
from PIL import Image
from record import Found, run

RESULTS = Path(__file__).parent / "results" / "journey.csv"
FIELDS = (
    "when", "what", "must", "seen", "met", "wall_s", "budget_s", "answer", "gap_low", "gap_high", "contenders",
    "machine", "versions",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One command and what it must give."""

    source: str
    options: tuple[str, ...]
    seconds: float  # the budget
    must: str
    met: Callable[[dict[str, Any]], bool]
    raw: Callable[[Path, np.ndarray], Iterator[dict[str, Any]]] | None  # feeds of the given test rows
    limit: float = 1.05  # of the budget


def score(result: dict[str, Any]) -> float:
    return float(result["shipped"]["score"])


def contender(result: dict[str, Any], name: str) -> float:
    return next(float(c["score"] or 0) for c in result["contenders"] if c["name"] == name)


def idx_images(folder: Path, rows: np.ndarray) -> Iterator[dict[str, Any]]:
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    for part in np.array_split(rows - 60_000, 20):
        yield {"image": pixels[part]}


def encoded_images(folder: Path, rows: np.ndarray) -> Iterator[dict[str, Any]]:
    cells = pl.read_parquet(folder / "cifar10-test.parquet")["image"].to_list()
    for part in np.array_split(rows - 50_000, 20):
        yield {"image": np.stack([np.asarray(Image.open(io.BytesIO(cells[i]["bytes"])).convert("RGB")) for i in part])}


def test_table(name: str, first: int) -> Callable[[Path, np.ndarray], Iterator[dict[str, Any]]]:
    """Rows of a CSV, numbers as float64 and the rest as text; `first` is the row number of its first line."""

    def feeds(path: Path, rows: np.ndarray) -> Iterator[dict[str, Any]]:
        frame = pl.read_csv(path / name if path.is_dir() else path.parent / name, null_values=["?", ""])[rows - first]
        yield {
            column.name: column.cast(pl.Float64).to_numpy() if column.dtype.is_numeric()
            else column.str.strip_chars().fill_null("").to_numpy().astype(object)
            for column in frame
        }  # fmt: skip

    return feeds


ROWS = {
    "demo": Row("demo", (), 50, "verdict in under 60 s", lambda r: True, None, 1.2),
    "mnist": Row(
        "mnist", (), 180, "accuracy >= 0.994, answer deep, within 190 s",
        lambda r: score(r) >= 0.994 and r["verdict"]["answer"] == "deep", idx_images, 190 / 180,
    ),
    "fashion-mnist": Row("fashion-mnist", (), 300, "accuracy >= 0.920", lambda r: score(r) >= 0.92, idx_images),
    "cifar10": Row(
        "cifar10", (), 600, "accuracy >= 0.80; boosting >= 0.50",
        lambda r: score(r) >= 0.80 and contender(r, "boosting") >= 0.50, encoded_images,
    ),
    "adult": Row(
        "adult/train.csv", ("--test", "adult/test.csv", "--target", "income"), 60, "accuracy >= 0.870",
        lambda r: score(r) >= 0.870, test_table("test.csv", 32_561),
    ),
    "california": Row(
        "california-housing/housing.csv", ("--target", "median_house_value"), 60, "rmse <= 46,000",
        lambda r: score(r) <= 46_000, test_table("housing.csv", 0),
    ),
    "rt-polarity": Row(
        "rt-polarity/train.csv", ("--test", "rt-polarity/test.csv", "--target", "label"), 60,
        "accuracy >= 0.780, answer not deep",
        lambda r: score(r) >= 0.78 and r["verdict"]["answer"] != "deep", test_table("test.csv", 9_596),
    ),
}  # fmt: skip


def command(name: str, row: Row, data: Path, out: Path) -> list[str]:
    base = [sys.executable, "-m", "leadline"]
    if name == "demo":
        return [*base, "demo", "--out", str(out)]
    options = [str(data / option) if "/" in option else option for option in row.options]
    return [*base, "fit", str(data / row.source), *options, "--budget", str(row.seconds), "--out", str(out)]


def agreement(run: Path, row: Row, data: Path) -> tuple[int, int]:
    """(test rows, rows on which plain ONNX Runtime decides otherwise than the trained contender)."""
    assert row.raw is not None
    frame = pl.read_parquet(run / "predictions.parquet")
    session = ort.InferenceSession(str(run / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    answers = [
        session.run(["prediction"], {key: value for key, value in feeds.items() if key in wanted})[0]
        for feeds in row.raw(data / row.source, frame["row"].to_numpy())
    ]
    answer, trained = np.concatenate(answers), frame["prediction"].to_numpy()
    if answer.dtype.kind == "f":
        return len(answer), int((np.abs(answer - trained) > 1e-4 * trained.std()).sum())
    return len(answer), int((answer.astype(str) != trained.astype(str)).sum())


def one_row(run: Path, data: Path) -> tuple[float, float]:
    """Seconds of `leadline predict` on one table row (median of 5, whole process), and of the model call alone."""
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.csv"
        pl.read_csv(data / "adult/test.csv", infer_schema=False).head(1).drop("income").write_csv(one)
        walls = []
        for _ in range(5):
            began = time.perf_counter()
            arguments = [sys.executable, "-m", "leadline", "predict", str(run), str(one)]
            subprocess.run(arguments, check=True, capture_output=True)
            walls.append(time.perf_counter() - began)
    session = ort.InferenceSession(str(run / "model.onnx"), providers=["CPUExecutionProvider"])
    feeds = next(iter(test_table("test.csv", 0)(data / "adult/test.csv", np.array([0]))))
    feeds = {value.name: feeds[value.name] for value in session.get_inputs()}
    calls = []
    for _ in range(50):
        began = time.perf_counter()
        session.run(None, feeds)
        calls.append(time.perf_counter() - began)
    return float(np.median(walls)), float(np.median(calls))


def measure(name: str, row: Row, data: Path, folder: Path) -> Found:
    out = folder / name
    began = time.perf_counter()
    done = subprocess.run(command(name, row, data, out), cwd=folder, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode:
        return [{"what": name, "must": row.must, "seen": done.stderr.strip()[-200:], "met": False}]
    result = json.loads((out / "result.json").read_text())
    scores = ", ".join(f"{c['name']} {c['score']:.5g}" for c in result["contenders"] if c["score"] is not None)
    verdict = result["verdict"]
    seen = f"{result['shipped']['contender']} {score(result):.5g}; {verdict['answer']}"
    found = [{
        "what": name, "must": row.must, "met": row.met(result) and wall <= row.limit * row.seconds,
        "wall_s": round(wall, 1), "budget_s": row.seconds, "seen": seen,
        "answer": verdict["answer"], "gap_low": verdict["low"], "gap_high": verdict["high"], "contenders": scores,
    }]  # fmt: skip
    if row.raw is not None:
        rows, differ = agreement(out, row, data)
        seen = f"{differ} of {rows} rows differ"
        found.append(
            {"what": f"{name}: plain onnxruntime", "must": "no decision differs", "seen": seen, "met": differ == 0}
        )
    if name == "adult":
        wall, call = one_row(out, data)
        seen = f"{wall:.2f} s, {call * 1e3:.2f} ms"
        found.append(
            {
                "what": "predict one row",
                "must": "process < 1 s, call < 5 ms",
                "seen": seen,
                "met": wall < 1 and call < 0.005,
            }
        )
    return found


def measured(name: str, row: Row) -> Callable[[Path, Path], Found]:
    return lambda data, folder: measure(name, row, data, folder)


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, {name: measured(name, row) for name, row in ROWS.items()}))
