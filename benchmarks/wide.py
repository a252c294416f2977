"""Tables with more columns than rows: nothing that is read, checked or looked at costs many calls a column.

    python benchmarks/wide.py [--data ../shared/data] [NAME ...]

Prints what must be and what was, and appends it to benchmarks/results/strangers.csv with versions and machine. The
tables are synthetic: log-normal measurements of genes, of which thirty tell two tissues apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import Found, run
from strangers import FIELDS, RESULTS

BUDGET, LATEST, CHECKED, PREDICTED = 30.0, 33.0, 10.0, 10.0  # seconds


def _genes(path: Path, rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows)
    values = rng.lognormal(2, 1, (rows, columns))
    tissue = np.where(np.log(values[:, :30]).mean(axis=1) > 2, "tumour", "normal")
    lines = [",".join(["sample", *(f"GENE{place}" for place in range(columns)), "tissue"])]
    for place, row in enumerate(values):
        lines.append(",".join([f"S{place}", *(f"{value:.3f}" for value in row), tissue[place]]))
    path.write_text("\n".join(lines) + "\n")


def _timed(words: list[str], folder: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "leadline", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    return done, time.perf_counter() - began


def wide(rows: int, columns: int) -> Callable[[Path, Path], Found]:
    def measure(data: Path, folder: Path) -> Found:
        what, source = f"wide: {rows:,} x {columns:,}", folder / f"genes-{rows}.csv"
        _genes(source, rows, columns)
        checked, check_s = _timed(["check", str(source), "--target", "tissue"], folder)
        out = folder / f"genes-{rows}-run"
        words = ["fit", str(source), "--target", "tissue", "--budget", f"{BUDGET:g}s", "--out", str(out)]
        fitted, fit_s = _timed(words, folder)
        print(fitted.stdout[-2_000:], fitted.stderr[-2_000:], flush=True)
        families: set[str] = set()
        seen = fitted.stderr[-300:]
        if fitted.returncode == 0:
            result: dict[str, Any] = json.loads((out / "result.json").read_text())
            families = {c["family"] for c in result["contenders"] if c["score"] is not None} - {"baseline"}
            seen = f"{result['verdict']['answer']}; raced: {', '.join(sorted(families))}; {fit_s:.1f} s"
        answered, predict_s = _timed(["predict", str(out), str(source), "--out", str(folder / "answers.csv")], folder)
        return [
            {
                "what": f"{what}: check", "must": f"within {CHECKED:g} s", "seen": f"{check_s:.1f} s",
                "met": checked.returncode == 0 and check_s <= CHECKED, "wall_s": round(check_s, 1),
            },
            {
                "what": f"{what}: fit, {BUDGET:g} s", "must": f"a verdict, both families, within {LATEST:g} s",
                "seen": seen, "met": families == {"deep", "classical"} and fit_s <= LATEST, "wall_s": round(fit_s, 1),
            },
            {
                "what": f"{what}: predict", "must": f"within {PREDICTED:g} s", "seen": f"{predict_s:.1f} s",
                "met": answered.returncode == 0 and predict_s <= PREDICTED, "wall_s": round(predict_s, 1),
            },
        ]  # fmt: skip

    return measure


ROWS = {"genes": wide(120, 12_000), "many rows": wide(2_000, 3_000)}


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
