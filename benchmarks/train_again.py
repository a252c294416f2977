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
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

KILLS = 20
EPOCHS = {"mlp": 150, "bag": 150, "cnn": 20, "cnn of sounds": 4, "crnn": 4, "gpt": 1, "lstm": 1}
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
    with zipfile.ZipFile(data / "fsdd" / "fsdd-wav.zip") as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".wav"))[::10]:
            path = few / Path(name).name[0] / Path(name).name  # a folder a digit
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(name))
    return few, []


def _shakespeare(data: Path, folder: Path) -> tuple[Path, list[str]]:
    text = next((data / "tinyshakespeare").glob("*.txt")).read_text()[:LETTERS]
    (folder / "shakespeare.txt").write_text(text)
    return folder / "shakespeare.txt", []


SOURCES: dict[str, Callable[[Path, Path], tuple[Any, list[str]]]] = {
    "mlp": _adult, "bag": _sst2, "cnn": _digits, "cnn of sounds": _fsdd, "crnn": _fsdd, "gpt": _shakespeare,
    "lstm": _shakespeare,
}  # fmt: skip


def kills(name: str, data: Path, folder: Path) -> dict[str, Any]:
    """A deep contender, by epochs: the digest of all it learned after a kill -9 at a random moment, and a resume."""
    source, options = SOURCES[name](data, folder)
    same, late = _killed(name.split()[0], source, options, EPOCHS[name], folder)
    return {
        "must": "20 identical final hashes", "met": same == KILLS, "n": KILLS, "ratio": same / KILLS,
        "seen": f"{same} of {KILLS} identical, {late} of the kills after a checkpoint",
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
        worker = _worker(work, {**job, "folder": str(again)})
        time.sleep(chance.uniform(0.3, 1.0) * (end - start))
        worker.kill()
        worker.wait()
        late += any((again / "checkpoints").glob("0*"))
        worker = _worker(work, {**job, "folder": str(again)})
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


def repeat(name: str, data: Path, folder: Path) -> dict[str, Any]:
    """A run of 60 seconds under a budget, and its replay: every contender, and the shipped file."""
    source, options = SOURCES[name](data, folder)
    _leadline("fit", source, *options, "--budget", "60s", "--quiet", "--out", folder / "run", folder=folder)
    said = _leadline("replay", folder / "run", "--quiet", folder=folder)
    lines = [line.split(maxsplit=1) for line in said.splitlines()]
    same = bool(lines) and all(words == "the same bytes" for _, words in lines)
    return {"must": "the same bytes", "met": same, "n": 1, "seen": ", ".join(f"{who} {words}" for who, words in lines)}


def _leadline(*arguments: Any, folder: Path) -> str:
    words = [sys.executable, "-m", "leadline", *map(str, arguments)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.strip()[-500:])
    return done.stdout
