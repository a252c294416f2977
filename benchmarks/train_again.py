"""Killed and repeated: whether a training ends with the bytes that it would have had.

Enters: the folder of real data and a scratch folder. Leaves: rows of benchmarks/train.py.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

KILLS = 20
EPOCHS = {"mlp": 20, "bag": 20, "cnn": 20, "cnn of sounds": 4, "crnn": 4, "gpt": 1, "lstm": 1}
ROWS, LETTERS = 3_000, 300_000  # of a table; of a text


def _adult(data: Path, folder: Path) -> tuple[Path, list[str]]:
    table = pl.read_csv(data / "adult" / "train.csv", n_rows=ROWS)
    table.write_csv(folder / "adult.csv")
    return folder / "adult.csv", ["--target", table.columns[-1]]


def _sst2(data: Path, folder: Path) -> tuple[Path, list[str]]:
    table = pl.read_csv(data / "sst2" / "train.tsv", separator="\t", quote_char=None, n_rows=ROWS)
    table.write_csv(folder / "sst2.csv")
    return folder / "sst2.csv", ["--target", "label"]


def _digits(data: Path, folder: Path) -> tuple[str, list[str]]:
    return "digits", []


def _fsdd(data: Path, folder: Path) -> tuple[Path, list[str]]:
    few = folder / "fsdd"
    for path in sorted((data / "fsdd").rglob("*.wav"))[::10]:
        (few / path.name[0]).mkdir(parents=True, exist_ok=True)
        (few / path.name[0] / path.name).symlink_to(path)
    return few, []


def _shakespeare(data: Path, folder: Path) -> tuple[Path, list[str]]:
    text = next((data / "tinyshakespeare").glob("*.txt")).read_text()[:LETTERS]
    (folder / "shakespeare.txt").write_text(text)
    return folder / "shakespeare.txt", []


SOURCES: dict[str, Callable[[Path, Path], tuple[Any, list[str]]]] = {
    "mlp": _adult, "bag": _sst2, "cnn": _digits, "cnn of sounds": _fsdd, "crnn": _fsdd, "gpt": _shakespeare,
    "lstm": _shakespeare,
}  # fmt: skip


def kills(data: Path, folder: Path) -> dict[str, Any]:
    """Each deep contender, by epochs: the digest of all it learned after a kill -9 at a random moment, and a resume."""
    seen, same, total = [], 0, 0
    for name, make in SOURCES.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        source, options = make(data, place)
        found, late = _killed(name.split()[0], source, options, EPOCHS[name], place)
        same, total = same + found, total + KILLS
        seen.append(f"{name} {found} of {KILLS} ({late} after a checkpoint)")
    return {
        "must": "20 identical final hashes each", "met": same == total, "n": total, "ratio": same / total,
        "seen": ", ".join(seen),
    }  # fmt: skip


def _killed(name: str, source: Any, options: list[str], epochs: int, folder: Path) -> tuple[int, int]:
    """(kills after which the end was the same, kills that came after a checkpoint)."""
    words = ["fit", source, *options, "--only", name, "--epochs", epochs, "--quiet", "--out"]
    _leadline(*words, folder / "whole", folder=folder)
    events = [json.loads(line) for line in (folder / "whole" / "journal.jsonl").read_text().splitlines()]
    digest = next(e["digest"] for e in events if e["event"] == "end" and e["contender"] == name)
    start, end = (next(e["t"] for e in events if e["event"] == w and e["contender"] == name) for w in ("start", "end"))
    job = json.loads((folder / "whole" / "contenders" / name / "job.json").read_text())
    chance, same, late = random.Random(0), 0, 0
    for number in range(KILLS):
        again = folder / str(number)
        again.mkdir()
        work = again / "job.json"
        worker = _worker(work, {**job, "folder": str(again), "began": time.monotonic()})
        time.sleep(chance.uniform(0.3, 1.0) * (end - start))
        worker.kill()
        worker.wait()
        late += any((again / "checkpoints").glob("0*"))
        worker = _worker(work, {**job, "folder": str(again), "began": time.monotonic()})
        assert worker.stdout is not None
        messages = (json.loads(line) for line in worker.stdout)
        same += next(m["digest"] for m in messages if m["event"] == "fitted") == digest
        worker.communicate("")
    return same, late


def _worker(path: Path, job: dict[str, Any]) -> subprocess.Popen[str]:
    path.write_text(json.dumps(job))
    words = [sys.executable, "-m", "leadline.race.worker", str(path)]
    settings = {**os.environ, "OMP_NUM_THREADS": str(job["threads"]), "OMP_WAIT_POLICY": "PASSIVE"}
    log = (path.parent / "log.txt").open("a")
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=settings
    )  # fmt: skip


def repeat(data: Path, folder: Path) -> dict[str, Any]:
    """A run of 60 seconds under a budget, and its replay: every contender, and the shipped file."""
    seen, same = [], True
    for name, (source, options) in {
        "digits": ("digits", []), "adult": _adult(data, folder), "text": _shakespeare(data, folder),
    }.items():  # fmt: skip
        _leadline("fit", source, *options, "--budget", "60s", "--quiet", "--out", folder / name, folder=folder)
        said = _leadline("replay", folder / name, "--quiet", folder=folder)
        lines = [line.split(maxsplit=1) for line in said.splitlines()]
        same = same and all(words == "the same bytes" for _, words in lines)
        seen.append(f"{name}: " + ", ".join(f"{who} {words}" for who, words in lines))
    return {"must": "the same bytes", "met": same, "n": len(seen), "seen": "; ".join(seen)}


def _leadline(*arguments: Any, folder: Path) -> str:
    words = [sys.executable, "-m", "leadline", *map(str, arguments)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.strip()[-500:])
    return done.stdout
