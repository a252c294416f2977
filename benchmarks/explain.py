"""Explanations, measured: planted causes are found, checks tell good from bad, exact effects add up, and it is fast.

    python benchmarks/explain.py [--data ../shared/data] [NAME ...]

Prints what must be and what was, and appends it to benchmarks/results/explain.csv with versions and machine. The
networks of the planted rows and of the checks learn for a number of epochs, so they do not depend on the machine.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import soundfile
from onnx import numpy_helper
from PIL import Image
from record import Found, run

import leadline as ll
from leadline.core.parts import Layout
from leadline.graph.digest import CONTRACT, with_digest
from leadline.use.explain import faithfulness
from leadline.use.explain.games import PartGame, occlusion
from leadline.use.explain.records import Curve, Explanation
from leadline.use.explain.sample import read_sample
from leadline.use.explain.scorer import Scorer

RESULTS = Path(__file__).parent / "results" / "explain.csv"
FIELDS = ("when", "what", "must", "seen", "met", "wall_s", "machine", "versions")
ROWS_SHOWN = 100
RATE = 8_000
FIRST = 95  # of 100 rows, in which the cause must be ranked first
ENOUGH = 0.01  # p
SECONDS, SECONDS_ALONE = 10.0, 30.0


def _row(what: str, must: str, seen: str, met: bool, began: float) -> dict[str, Any]:
    return {"what": what, "must": must, "seen": seen, "met": met, "wall_s": round(time.perf_counter() - began, 1)}


def _strongest(found: Explanation, layout: Layout) -> list[int]:
    parts = [next(part for part in row.parts if part.layout is layout) for row in found.rows]
    return [int(part.effects.argmax()) for part in parts]


def planted_patch(data: Path, folder: Path) -> Found:
    """Noise with one patch, red or blue, anywhere on the grid of patches."""
    began = time.perf_counter()
    path, fitted = _patches(folder, count=900, epochs=12)
    model = fitted.model
    column = next(iter(model.contract["inputs"]))
    sample = read_sample(model, path, range(ROWS_SHOWN), folder / "cache")
    places = [int(sample.written[column][int(i)].rsplit("-")[-1].split(".")[0]) for i in sample.shown]
    found = _strongest(model.explain(path, rows=range(ROWS_SHOWN)), Layout.GRID)
    hits = sum(a == b for a, b in zip(found, places, strict=True))
    return [_row("a patch in a picture", f"first in >= {FIRST} of 100 rows", _hits(hits, fitted), hits >= FIRST, began)]


def _patches(folder: Path, count: int, epochs: int) -> tuple[Path, ll.Run]:
    """Pictures in class folders, their patch's number in their name, and a network of them."""
    rng, source = np.random.default_rng(0), folder / f"patches-{count}"
    for i in range(count):
        picture, place = rng.integers(60, 196, (32, 32, 3), np.uint8), int(rng.integers(64))
        top, left = 4 * (place // 8), 4 * (place % 8)
        picture[top : top + 4, left : left + 4] = (255, 0, 0) if i % 2 else (0, 0, 255)
        path = source / ("red" if i % 2 else "blue") / f"{i:04}-{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return source, ll.fit(source, epochs=epochs, only="cnn", repeats=1, out=folder / f"patch-run-{count}")


def _hits(hits: int, fitted: ll.Run) -> str:
    shipped = fitted.result["shipped"]
    return f"{hits} of {ROWS_SHOWN}; {shipped['contender']}, score {shipped['score']:.4g}"


def planted_word(data: Path, folder: Path) -> Found:
    """Texts of common words with one that decides."""
    began, rng = time.perf_counter(), np.random.default_rng(1)
    common = [
        "the",
        "of",
        "and",
        "to",
        "in",
        "is",
        "it",
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
        "be",
        "this",
    ]
    texts = [rng.choice(common, 18).tolist() for _ in range(900)]
    for i, words in enumerate(texts):
        words[int(rng.integers(18))] = "wonderful" if i % 2 else "dreadful"
    frame = pl.DataFrame({"review": [" ".join(words) for words in texts], "y": ["good", "bad"] * 450})
    frame = frame.with_columns(y=pl.Series(["good" if i % 2 else "bad" for i in range(900)]))
    fitted = ll.fit(frame, target="y", epochs=12, only="bag", repeats=1, out=folder / "word-run")
    found = fitted.model.explain(frame, rows=range(ROWS_SHOWN))
    hits = sum(
        row.parts[0].names[int(row.parts[0].effects.argmax())] in ("wonderful", "dreadful") for row in found.rows
    )
    return [_row("a word in a text", f"first in >= {FIRST} of 100 rows", _hits(hits, fitted), hits >= FIRST, began)]


def planted_tone(data: Path, folder: Path) -> Found:
    """A second of noise with a sixteenth of a low or a high tone."""
    began, rng = time.perf_counter(), np.random.default_rng(2)
    for i in range(360):
        sound, window = rng.normal(0, 300, RATE), int(rng.integers(16))
        part = slice(window * RATE // 16, (window + 1) * RATE // 16)
        tone = 9_000 * np.sin(2 * np.pi * (700 if i % 2 else 1_900) * np.arange(RATE // 16) / RATE)
        sound[part] += tone * np.hanning(RATE // 16)
        path = folder / "tones" / ("low" if i % 2 else "high") / f"{i:04}-{window}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(sound, -32_000, 32_000).astype(np.int16), RATE)
    fitted = ll.fit(folder / "tones", epochs=10, only="cnn", repeats=1, out=folder / "tone-run")
    model = fitted.model
    column = next(iter(model.contract["inputs"]))
    sample = read_sample(model, folder / "tones", range(ROWS_SHOWN), folder / "cache")
    truth = [int(sample.written[column][int(i)].rsplit("-")[-1].split(".")[0]) for i in sample.shown]
    found = _strongest(model.explain(folder / "tones", rows=range(ROWS_SHOWN)), Layout.WINDOWS)
    hits = sum(a == b for a, b in zip(found, truth, strict=True))
    return [_row("a tone in a sound", f"first in >= {FIRST} of 100 rows", _hits(hits, fitted), hits >= FIRST, began)]


def planted_column(data: Path, folder: Path) -> Found:
    """One of twenty columns decides; by trees and by a network."""
    rng = np.random.default_rng(3)
    columns = {f"x{i}": rng.normal(size=1_500).round(5) for i in range(20)}
    frame = pl.DataFrame(columns).with_columns(y=pl.when(pl.col("x7") > 0).then(pl.lit("yes")).otherwise(pl.lit("no")))
    found = []
    for only in ("boosting", "mlp"):
        began = time.perf_counter()
        fitted = ll.fit(frame, target="y", epochs=12, only=only, repeats=1, out=folder / f"column-{only}")
        explained = fitted.model.explain(frame, rows=range(ROWS_SHOWN))
        hits = sum(row.columns[0].name == "x7" for row in explained.rows)
        what = f"one column of twenty ({only})"
        found.append(_row(what, f"first in >= {FIRST} of 100 rows", _hits(hits, fitted), hits >= FIRST, began))
    return found


def _curves(what: str, curves: Sequence[Curve], began: float) -> Found:
    found = []
    for curve in curves:
        if curve.deletion:
            of = curve.layout or "columns"
            gap = curve.gap
            seen = f"area {gap.value:.3f} ({gap.low:.3f} to {gap.high:.3f}), p {gap.p:.1e}, n {gap.rows}"
            met = curve.gap.p < ENOUGH and curve.gap.value > 0
            found.append(_row(f"deletion, {what}, {of}", "beats random order, p < 0.01", seen, met, began))
    return found


def _series(data: Path) -> pl.DataFrame:
    """gunpoint as a column of lists."""
    parts = [pl.read_csv(path, separator="\t", has_header=False) for path in sorted((data / "gunpoint").glob("*.tsv"))]
    rows = np.concatenate([part.to_numpy() for part in parts])
    return pl.DataFrame({"trace": rows[:, 1:].tolist(), "y": [f"class {int(label)}" for label in rows[:, 0]]})


def deletion(data: Path, folder: Path) -> Found:
    """Deletion against random order on the winner of each of five kinds of data."""
    found: Found = []
    for name, source, options in (
        ("pictures (fashion-mnist)", data / "fashion-mnist", {"only": "cnn", "budget": "60s"}),
        ("texts (sst2)", data / "sst2", {"only": "bag,linear", "budget": "25s"}),
        ("sounds (fsdd)", data / "fsdd" / "manifest.csv", {"only": "cnn", "budget": "60s"}),
        ("series (gunpoint)", _series(data), {"target": "y", "only": "cnn,linear", "budget": "25s"}),
        ("table (adult)", data / "adult", {"target": "income", "only": "boosting", "budget": "25s"}),
    ):
        began = time.perf_counter()
        fitted = ll.fit(source, repeats=1, out=folder / name.split()[0], **options)
        shown = range(min(60, fitted.result["rows"]["test"]))
        in_memory = isinstance(source, pl.DataFrame)
        explained = fitted.explain(source if in_memory else None, rows=shown)
        found += _curves(f"{name}, {fitted.result['shipped']['contender']}", explained.curves, began)
        if explained.rounding is not None:
            seen = (
                f"{explained.additive_error:.1e}; the file's own sum, in float32, differs by {explained.rounding:.1e}"
            )
            met = explained.additive_error <= 1e-6
            found.append(
                _row("exact effects of trees (adult)", "add up to the trees' sum within 1e-6", seen, met, began)
            )
    return found


def shuffled_weights(data: Path, folder: Path) -> Found:
    """Adebayo et al. 2018: effects from a network with shuffled weights, checked on the trained one."""
    began = time.perf_counter()
    path, fitted = _patches(folder, count=300, epochs=10)
    model = fitted.model
    other = ll.Model(_shuffled(model.path, folder / "shuffled.onnx"))
    column, sample = next(iter(model.contract["inputs"])), read_sample(model, path, range(40), folder / "cache")
    rows, scorer = [sample.rows[i] for i in sample.shown], Scorer(model)
    outputs = scorer.chosen(scorer.scores(rows)).tolist()
    from leadline.kinds import KINDS

    kind = KINDS[model.contract["inputs"][column]["kind"]]
    games = [PartGame(row=row, column=column, parts=kind.parts(row[column], {})[0]) for row in rows]
    effects = occlusion(Scorer(other), games, outputs)
    curves = faithfulness.curves(scorer, games, effects, outputs, column, Layout.GRID)
    own = occlusion(scorer, games, outputs)
    alike = float(np.mean([faithfulness.rank_correlation(a, b) for a, b in zip(own, effects, strict=True)]))
    gaps = ", ".join(f"{curve.gap.value:.3f} ({curve.gap.low:.3f} to {curve.gap.high:.3f})" for curve in curves)
    seen = f"deletion and insertion areas {gaps}; rank correlation with the trained network's {alike:.2f}; n 40"
    return [_row("effects from shuffled weights", "the check fails", seen, not any(c.better for c in curves), began)]


def _shuffled(path: Path, to: Path) -> Path:
    model, rng = onnx.load(path), np.random.default_rng(0)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name.startswith("contender/") and values.dtype == np.float32 and values.ndim > 1:
            tensor.CopyFrom(numpy_helper.from_array(rng.permuted(values.ravel()).reshape(values.shape), tensor.name))
    contract = next(entry for entry in model.metadata_props if entry.key == CONTRACT)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {CONTRACT: contract.value})
    to.write_bytes(with_digest(model.SerializeToString()))
    return to


def probes(data: Path, folder: Path) -> Found:
    """Linear probes by layer on cifar10."""
    began = time.perf_counter()
    fitted = ll.fit(data / "cifar10", budget="5m", only="cnn", repeats=1, out=folder / "cifar10")
    depth = fitted.explain(rows=[0], layers=True).depth
    assert depth is not None
    shares = [layer.probe.value for layer in depth.layers]
    names = [layer.name for layer in depth.layers]
    seen = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True))
    rise = shares[-1] - shares[names.index("layer 1")]
    seen = f"{seen}; n {depth.held}; network {fitted.result['shipped']['score']:.1%}"
    return [_row("linear probes, cifar10", "first to last layer + >= 20 points", seen, rise >= 0.2, began)]


def speed(data: Path, folder: Path) -> Found:
    """A hundred rows of a winner: by the command with its run, and from the file alone without torch."""
    found: Found = []
    for name, source, options in (
        ("cifar10", data / "cifar10", {"only": "cnn", "budget": "60s"}),
        ("sst2", data / "sst2", {"only": "bag,linear", "budget": "25s"}),
        ("fsdd", data / "fsdd" / "manifest.csv", {"only": "cnn", "budget": "60s"}),
        ("adult", data / "adult", {"target": "income", "only": "boosting", "budget": "25s"}),
    ):
        out = folder / f"speed-{name}"
        fitted = ll.fit(source, repeats=1, out=out, **options)
        rows = ", ".join(map(str, range(ROWS_SHOWN)))
        ways = {
            "from the run": (f"ll.open_run(r'{out}').explain(rows=[{rows}])", SECONDS),
            "from the file alone": (
                f"ll.Model(r'{out / 'model.onnx'}').explain(r'{source}', rows=[{rows}])",
                SECONDS_ALONE,
            ),
        }
        for way, (call, most) in ways.items():
            code = f"import leadline as ll, sys; {call}; print('torch' in sys.modules)"
            began = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            wall = time.perf_counter() - began
            torch = done.stdout.split()[-1] == "True"
            seen = f"{wall:.1f} s, {'with' if torch else 'without'} torch; {fitted.result['shipped']['contender']}"
            met = wall <= most and not torch
            found.append(_row(f"100 rows of {name}, {way}", f"<= {most:.0f} s, without torch", seen, met, began))
    return found


ROWS: dict[str, Callable[[Path, Path], Found]] = {
    "planted_patch": planted_patch, "planted_word": planted_word, "planted_tone": planted_tone,
    "planted_column": planted_column, "shuffled_weights": shuffled_weights, "deletion": deletion, "probes": probes,
    "speed": speed,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
