"""Three sides and the worth of pretraining on few rows, held against what many rows say.

    python benchmarks/sides.py [--data ../shared/data] [NAME ...]

Needs a body of texts: pip install 'leadline[pretrained]'. A row draws 100 to 300 rows of a pool many times, lets a run
judge them by folds, and counts how often the side that it names is not the one that is best with so many rows on the
rest of the pool. With --keep FOLDER a count that was ended goes on. Results go to benchmarks/results/sides.csv.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import Found, run

import leadline as ll
from leadline.contenders.portfolio import PORTFOLIO
from leadline.stats.verdict import POINTS
from leadline.stats.worth import distance

RESULTS = Path(__file__).parent / "results" / "sides.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "budget_s", "contenders", "machine", "versions")
POOL, DRAWS, TRUTHS, SIZES = 5_000, 40, 4, (100, 200, 300)
BUDGET, LONG = 30, 150  # seconds of a run on few rows, and of one that answers the rest of the pool too
RACED = "linear,bag,pretrained"


def _pool(data: Path) -> pl.DataFrame:
    parts = [pl.read_csv(data / "sst2" / f"{part}.tsv", separator="\t", quote_char=None) for part in ("train", "dev")]
    rows = pl.concat(parts).select(text="sentence", label=pl.col("label").cast(pl.String))
    return rows.sample(POOL, seed=0, shuffle=True)


def _sides(result: dict[str, Any]) -> dict[str, float]:
    """{side: the test score of its contender}."""
    found = {}
    for each in result["contenders"]:
        contender = PORTFOLIO[each["name"]]
        if each["score"] is not None and not contender.baseline:
            side = "pretrained" if contender.pretrained else "classical" if each["family"] == "classical" else "scratch"
            found[side] = max(found.get(side, 0.0), float(each["score"]))
    return found


def three_sides(data: Path, folder: Path) -> Found:
    """Verdicts on three sides from few rows: wrong in at most 5%, decided in at least 60%."""
    pool = _pool(data)
    truth = {}
    for size in SIZES:
        scores: dict[str, list[float]] = {}
        for draw in range(TRUTHS):
            rows = pool.sample(POOL, seed=1_000 * size + draw, shuffle=True)
            done = _run(
                folder / f"truth-{size}-{draw}", rows[:size], test=rows[size:], budget=LONG, repeats=1, seed=draw
            )  # fmt: skip
            for side, score in _sides(done).items():
                scores.setdefault(side, []).append(score)
        means = {side: float(np.mean(each)) for side, each in scores.items()}
        assert len(means) == 3 and all(len(each) == TRUTHS for each in scores.values()), "a side has no score"
        best, second = sorted(means.values(), reverse=True)[:2]
        truth[size] = max(means, key=lambda side: means[side]) if best - second > POINTS else "tie"
        print(f"{size} rows: {truth[size]} of {means}", file=sys.stderr, flush=True)
    answers, folds = [], []
    for draw, size in zip(range(DRAWS), itertools.cycle(SIZES), strict=False):
        rows = pool.sample(size, seed=draw)
        done = _run(folder / f"draw-{draw}", rows, budget=BUDGET, seed=draw)
        folds.append(len(done["repeats_run"]))
        answers.append((size, "unsure" if done["sides"] is None else done["sides"]["answer"]))
        print(draw, *answers[-1], folds[-1], file=sys.stderr, flush=True)
    decided = [(size, answer) for size, answer in answers if answer not in ("unsure", "tie")]
    wrong = sum(answer != truth[size] for size, answer in decided)
    share, errors = len(decided) / len(answers), wrong / len(answers)
    return [
        {
            "what": "three sides, 100 to 300 rows of sst2", "must": "wrong at most 5%, decided at least 60%",
            "seen": f"wrong {wrong}, decided {len(decided)} of {len(answers)}; truth {truth}, {TRUTHS} draws each; "
            f"{min(folds)} to {max(folds)} folds, median {np.median(folds):g}; load {os.getloadavg()[0]:.1f}",
            "met": errors <= 0.05 and share >= 0.6, "n": len(answers), "budget_s": BUDGET, "contenders": RACED,
        }
    ]  # fmt: skip


def _run(out: Path, rows: pl.DataFrame, **settings: Any) -> dict[str, Any]:
    """The result of a run, or of the one that is there."""
    if (out / "result.json").exists():
        return dict(ll.open_run(out).result)
    return dict(ll.fit(rows, target="label", only=RACED, out=out, **settings).result)


WORTH_DRAWS, LABELLED, TESTED = 5, 400, 400
# Seconds of a run, and of the curves after it: a convolution takes longer than an embedding bag.
SHORT, CURVES = {"sst2": 20, "cifar10": 40, "fsdd": 40}, {"sst2": "120s", "cifar10": "180s", "fsdd": "180s"}
MOST_S = 540  # after which no further draw begins


def _sst2(data: Path, folder: Path) -> tuple[pl.DataFrame, str]:
    return _pool(data), "bag,pretrained"


def _cifar10(data: Path, folder: Path) -> tuple[pl.DataFrame, str]:
    table = pl.read_parquet(data / "cifar10" / "cifar10-train.parquet")
    return table.with_columns(pl.col("label").cast(pl.String)), "cnn,pretrained"


def _fsdd(data: Path, folder: Path) -> tuple[pl.DataFrame, str]:
    with zipfile.ZipFile(data / "fsdd" / "fsdd-wav.zip") as archive:
        archive.extractall(folder / "fsdd")
    table = pl.read_csv(data / "fsdd" / "manifest.csv", infer_schema=False).select("path", "label")
    return table.with_columns(path=pl.lit(f"{folder / 'fsdd'}/") + pl.col("path")), "cnn,pretrained"


Pool = Callable[[Path, Path], tuple[pl.DataFrame, str]]


def _worth(name: str, pool: Pool, data: Path, folder: Path) -> Found:
    """'Worth N rows' of some draws, against the curves of all of them together."""
    table, raced = pool(data, folder)
    found: list[dict[str, Any]] = []
    late, began = 0, time.monotonic()
    for draw in range(WORTH_DRAWS):
        if time.monotonic() - began > MOST_S:
            break
        try:
            found.append(_curves(table.sample(LABELLED + TESTED, seed=draw, shuffle=True), name, raced, draw, folder))
        except ll.LeadlineError as error:
            late += 1
            print(error, file=sys.stderr, flush=True)
            continue
        print(name, draw, _gap(found[-1]), file=sys.stderr, flush=True)
    stated = [each for each in found if _gap(each) is not None]
    pooled: dict[str, dict[int, list[float]]] = {"pretrained": {}, "scratch": {}}
    for curve in (curve for each in stated for curve in each["curves"] if curve["side"] in pooled):
        for point in curve["points"]:  # draws may have other numbers of rows: as many as there was time for
            pooled[curve["side"]].setdefault(point["rows"], []).extend(point["scores"])
    sizes = sorted(pooled["scratch"])
    means = {side: np.array([np.mean(scores[size]) for size in sizes]) for side, scores in pooled.items()}
    true = distance(sizes, means["pretrained"], means["scratch"]) if sizes else float("nan")
    inside, told = 0, []
    for each in stated:
        gap = _gap(each)
        assert gap is not None
        inside += gap["low"] <= true <= gap["high"]
        told.append(f"{gap['code']} {gap['rows']:.0f} [{gap['low']:.0f}, {gap['high']:.0f}]")
    return [
        {
            "what": f"worth N rows: {name}, {LABELLED} rows", "must": "inside the interval in at least 75%",
            "seen": f"{inside} of {len(stated)} hold {true:.0f}: {'; '.join(told)}; {len(found) - len(stated)} of "
            f"{len(found)} state none, {late} draws had too little time; load {os.getloadavg()[0]:.1f}",
            "met": bool(stated) and inside >= 0.75 * len(stated), "n": len(found), "budget_s": SHORT[name],
            "contenders": raced,
        }
    ]  # fmt: skip


def _curves(rows: pl.DataFrame, name: str, raced: str, draw: int, folder: Path) -> dict[str, Any]:
    """The curves of a run on so many rows, or those that are there."""
    train, test, out = rows[:LABELLED], rows[LABELLED:], folder / f"worth-{name}-{draw}"
    if (out / "curves.json").exists():
        return dict(json.loads((out / "curves.json").read_text()))
    if (out / "result.json").exists():
        done = ll.open_run(out)
    else:
        done = ll.fit(
            train, test=test, target="label", task=None if name == "sst2" else "multiclass", only=raced,
            budget=SHORT[name], repeats=1, seed=draw, out=out,
        )  # fmt: skip
    return ll.learning_curves(done, train, test, budget=CURVES[name]).as_dict()


def _gap(curves: Mapping[str, Any]) -> dict[str, Any] | None:
    found = [w["distance"] for w in curves["worth"] if (w["first"], w["second"]) == ("pretrained", "scratch")]
    return found[0] if found else None


POOLS: dict[str, Pool] = {"sst2": _sst2, "cifar10": _cifar10, "fsdd": _fsdd}


if __name__ == "__main__":
    rows = {f"worth-{name}": partial(_worth, name, pool) for name, pool in POOLS.items()}
    sys.exit(run(__doc__, RESULTS, FIELDS, {"three_sides": three_sides, **rows}))
