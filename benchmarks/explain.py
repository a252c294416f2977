"""Explanations, measured: planted causes are found, checks tell good from bad, exact effects add up, and it is fast.

    python benchmarks/explain.py [--data ../shared/data] [NAME ...]

Prints what must be and what was, and appends it to benchmarks/results/explain.csv with versions and machine. The
networks of the planted rows and of the checks learn for a number of epochs, so they do not depend on the machine.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
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
from leadline.core.parts import WINDOW, Layout, overlapping
from leadline.graph.builder import with_outputs
from leadline.graph.digest import CONTRACT, with_digest
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.results.explain_run import sample_of
from leadline.results.run_rows import RunRows
from leadline.use.explain import faithfulness, trees
from leadline.use.explain.games import PartGame, occlusion
from leadline.use.explain.gradients import integrated
from leadline.use.explain.graph import feeds_of, loaded
from leadline.use.explain.layers import LEARNED, depth_of
from leadline.use.explain.records import Curve, Explanation
from leadline.use.explain.sample import read_sample
from leadline.use.explain.scorer import Scorer

RESULTS = Path(__file__).parent / "results" / "explain.csv"
TESTS = Path(__file__).parent.parent / "tests"
FIELDS = ("when", "what", "must", "seen", "met", "wall_s", "machine", "versions")
ROWS_SHOWN = 100
RATE = 8_000
FIRST = 95  # of 100 rows, in which the cause must be ranked first
ENOUGH = 0.01  # p
SECONDS, SECONDS_ALONE = 10.0, 30.0
BUDGET_S = 60  # of a run
COMPLETE, COMPLETE_ROWS = 0.01, 100  # of the change of the margin (gradients.LEAST), on every one of so many rows
BY_HAND = 1e-5  # of a probability
RISE, SEEDS, PROBED = 0.2, 5, 2_000  # of an accuracy; networks; test rows of each
UNSEEN = 5_000  # the first of the test rows of pictures that chose no window of occlusion
SPEED = ("cifar10", "sst2", "fsdd", "adult", "cifar10 (pretrained)", "sst2 (pretrained)", "fsdd (pretrained)")
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "cifar10": ("cifar10", {"only": "cnn", "budget": "5m"}),
    "sst2": ("sst2", {"only": "bag,linear", "budget": "25s"}),
    "fsdd": ("fsdd/manifest.csv", {"only": "cnn", "epochs": 8}),
    "adult": ("adult", {"target": "income", "only": "boosting", "budget": "25s"}),
    "adult (mlp)": ("adult", {"target": "income", "only": "mlp", "budget": "25s"}),
    "sst2 (pretrained)": ("sst2", {"only": "pretrained", "epochs": 1}),
    "cifar10 (pretrained)": ("cifar10", {"only": "pretrained", "budget": "2m"}),
    "fsdd (pretrained)": ("fsdd/manifest.csv", {"only": "pretrained", "epochs": 1}),
}  # winners that several rows share


def _winner(name: str, data: Path, folder: Path, seed: int = 0) -> ll.Run:
    """The run of that name from a seed; fitted once."""
    out = folder / f"winner-{name.replace(' ', '-')}-{seed}"
    if not (out / "result.json").exists():
        source, options = SETTINGS[name]
        ll.fit(data / source, repeats=1, seed=seed, out=out, **options)
    return ll.open_run(out)


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


def _five(data: Path) -> list[tuple[str, Any, dict[str, Any]]]:
    """Five kinds of data: name, source, settings.

    Pictures from another seed than that by which the window of occlusion was chosen once.
    """
    return [
        ("pictures (fashion-mnist)", data / "fashion-mnist", {"only": "cnn", "epochs": 1, "seed": 1}),
        ("texts (sst2)", data / "sst2", {"only": "bag,linear", "budget": "25s"}),
        ("sounds (fsdd)", data / "fsdd" / "manifest.csv", {"only": "cnn", "epochs": 8}),
        ("series (gunpoint)", _series(data), {"target": "y", "only": "cnn,linear", "budget": "25s"}),
        ("table (adult)", data / "adult", {"target": "income", "only": "boosting", "budget": "25s"}),
    ]


def deletion(data: Path, folder: Path) -> Found:
    """Deletion against random order on the winner of each of five kinds of data."""
    found: Found = []
    for name, source, options in _five(data):
        began = time.perf_counter()
        fitted = ll.fit(source, repeats=1, out=folder / name.split()[0], **options)
        first = UNSEEN if "seed" in options else 0  # of pictures rows that chose no window
        shown = range(first, min(first + 60, fitted.result["rows"]["test"]))
        in_memory = isinstance(source, pl.DataFrame)
        explained = fitted.explain(source if in_memory else None, rows=shown)
        shipped = fitted.result["shipped"]
        found += _curves(f"{name}, {shipped['contender']} {shipped['score']:.1%}", explained.curves, began)
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


def additive(data: Path, folder: Path) -> Found:
    """Effects of boosted trees against the file's own sum, and how much of the difference is its single precision."""
    began, run = time.perf_counter(), _winner("adult", data, folder)
    explained = run.explain(rows=range(ROWS_SHOWN))
    model, sample = run.model, sample_of(RunRows.open(run), run.model, range(200))
    file = loaded(model)
    (node,) = [node for node in file.graph.node if node.op_type == "TreeEnsemble"]
    session, ensemble = Session(with_outputs(file, [node.input[0], node.output[0]])), trees.Ensemble.of(node)
    features, raw = trees._features(session, node, feeds_of(model, sample.rows))
    reaching, paths = ensemble.decisions(features), ensemble.paths(0)
    roots = {int(root): i for i, root in enumerate(np.flatnonzero(ensemble.parents[: len(ensemble.features)] < 0))}
    values = np.zeros((len(features), len(roots)), np.float32)
    for i, leaf in enumerate(paths.leaves):
        mine = paths.leaf == i
        there = (reaching[:, paths.nodes[mine]] == paths.sides[mine]).all(axis=1)
        values[there, roots[int(paths.nodes[mine][-1])]] = ensemble.weights[leaf]
    single = np.zeros(len(features), np.float32)
    for tree in values.T:
        single += tree
    same, away = int((single == raw[:, 0]).sum()), float(np.abs(values.sum(axis=1, dtype=np.float64) - raw[:, 0]).max())
    error, rounding = explained.additive_error or 0.0, explained.rounding or 0.0
    rows = len(features)
    sums = np.array([row.base + sum(each.effect for each in row.columns) for row in explained.rows])
    answers = np.array([row.answer for row in explained.rows])
    chances = float(np.abs(1 / (1 + np.exp(-sums)) - answers).max())
    return [
        _row("effects of trees (adult), as a probability", "give the file's answer within 1e-6",
             f"{chances:.1e}, n {len(answers)}", chances <= 1e-6, began),
        _row("effects of trees (adult), float64", "add up to the file's leaves within 1e-6",
             f"{error:.1e}, n {len(explained.rows)}", error <= 1e-6, began),
        _row("effects of trees (adult), float32", "add up to the file's answer within 1e-6",
             f"{max(rounding, away):.1e}, n {rows}, {len(roots)} trees", max(rounding, away) <= 1e-6, began),
        _row("rounding of the file (adult)", "all of that difference",
             f"{same} of {rows} answers are the float32 sum of the leaves in order, bit for bit", same == rows, began),
    ]  # fmt: skip


def completeness(data: Path, folder: Path) -> Found:
    """Integrated gradients of networks: how far the effects of a row are from the change of its margin."""
    found: Found = []
    for name in ("cifar10", "fsdd", "adult (mlp)"):
        run = _winner(name, data, folder)
        began, model, drawn = time.perf_counter(), run.model, RunRows.open(run)
        sample = sample_of(drawn, model, range(0, 3 * COMPLETE_ROWS, 3))
        scorer, rows = Scorer(model), [sample.rows[i] for i in sample.shown]
        outputs = scorer.chosen(scorer.scores(rows)).tolist()
        each = integrated(model, sample, sample.shown.tolist(), outputs)
        errors, points = np.array([one.error for one in each]), [one.points for one in each]
        missed = np.array([abs(sum(one.columns.values()) - one.change) for one in each])
        small = np.array([abs(one.change) < one.least for one in each])
        shares = missed[~small] / np.abs([one.change for one in each])[~small]
        a_row = (time.perf_counter() - began) / len(each)
        seen = (
            f"at most {shares.max():.2%}, mean {shares.mean():.2%} of the change on {len(shares)} rows; "
            f"{small.sum()} rows change by less than {each[0].least:.1g} log odds, by which they count"
            + (f": at most {missed[small].max():.1g} log odds away" if small.any() else "")
            + f"; {min(points)} to {max(points)} points, mean {np.mean(points):.0f}, {a_row:.2f} s a row"
        )
        found.append(_row(f"integrated gradients, {name}", "add up within 1% on every row", seen,
                          bool(errors.max() <= COMPLETE), began))  # fmt: skip
    return found


def windows(data: Path, folder: Path) -> Found:
    """The window that occlusion removes from a picture, chosen on valid rows; then its check on test rows."""
    began, run = time.perf_counter(), _winner("cifar10", data, folder)
    model, drawn = run.model, RunRows.open(run)
    (column,) = model.contract["inputs"]
    decode, scorer = model.contract["inputs"][column]["decode"], Scorer(model)

    def gap(part: str, size: int, rows: range) -> Curve:
        sample = sample_of(drawn, model, rows, part)
        shown = [sample.rows[i] for i in sample.shown]
        outputs = scorer.chosen(scorer.scores(shown)).tolist()
        whole = [KINDS["image"].parts(row[column], decode)[0] for row in shown]
        games = [
            PartGame(row=row, column=column, parts=dataclasses.replace(each, sets=overlapping(*each.shape, size)))
            for row, each in zip(shown, whole, strict=True)
        ]
        effects = occlusion(scorer, games, outputs)
        return next(c for c in faithfulness.curves(scorer, games, effects, outputs, column, Layout.GRID) if c.deletion)

    tried = {size: gap("valid", size, range(0, 64 * 7, 7)).gap for size in (1, 2, 3, 4)}
    best = max(tried.values(), key=lambda mean: mean.value)
    error = (best.high - best.low) / 4  # a standard error, about
    seen = ", ".join(
        f"{size} x {size}: {mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f})" for size, mean in tried.items()
    )
    met = tried[WINDOW].value >= best.value - error
    found = [_row(f"window of {WINDOW} x {WINDOW} patches, cifar10, valid rows", "within a standard error of the best",
                  f"{seen}; n 64", met, began)]  # fmt: skip
    test = gap("test", WINDOW, range(UNSEEN, UNSEEN + 64 * 7, 7)).gap
    seen = f"area {test.value:.3f} ({test.low:.3f} to {test.high:.3f}), p {test.p:.1e}, n {test.rows}"
    met = test.p < ENOUGH and test.value > 0
    return [*found, _row("deletion, pictures (cifar10), cnn, grid", "beats random order, p < 0.01", seen, met, began)]


def probes(data: Path, folder: Path) -> Found:
    """Linear probes by layer of networks on cifar10: a frozen layer, then three blocks of two layers each."""
    began, rises, told = time.perf_counter(), [], ""
    for seed in range(SEEDS):
        run = _winner("cifar10", data, folder, seed)
        drawn = RunRows.open(run)
        learned, held = (sample_of(drawn, run.model, None, part, rows) for part, rows in
                         (("train", LEARNED), ("test", PROBED)))  # fmt: skip
        depth = depth_of(run.model, learned, held)
        shares = {layer.name: layer.probe.value for layer in depth.layers}
        last = depth.layers[-1].probe
        rises.append([100 * (last.value - shares[name]) for name in ("layer 3", "layer 1", "input")])
        told += "; " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        told += f" (network {run.result['shipped']['score']:.1%})"
    end, start, raw = np.array(rises).T
    seen = (
        f"{_several(end)} points from the first block's output to the last's; {_several(start)} from what the first "
        f"block reads (layer 1), {_several(raw)} from the pixels; {SEEDS} seeds, {len(held.rows):,} test rows each, +- "
        f"{100 * (last.high - last.value):.1f}{told}"
    )
    must = "output of first block to that of last + >= 20 points"
    return [_row("linear probes, cifar10", must, seen, end.mean() >= 100 * RISE, began)]


def _several(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ({values.min():.1f} to {values.max():.1f})"


def budget(data: Path, folder: Path) -> Found:
    """The section of the report in a run's own budget: how long it takes, and whether the run ends in time."""
    found: Found = []
    for name, source, options in (("digits", "digits", {}), ("adult", data / "adult", {"target": "income"})):
        began = time.perf_counter()
        run = ll.fit(source, budget=f"{BUDGET_S}s", repeats=1, out=folder / f"budget-{name}", **options)
        wall, spent = time.perf_counter() - began, run.result["seconds"]["explain"]
        rows = run.report().read_text().count('<article class="row">')
        seen = f"{rows} rows in {spent:.1f} s; {run.result['shipped']['contender']}; the run took {wall:.1f} s"
        found.append(_row(f"explained in the report, {name}", f"a dozen rows within the budget of {BUDGET_S} s", seen,
                          rows >= 12 and wall <= BUDGET_S, began))  # fmt: skip
    return found


def speed(data: Path, folder: Path) -> Found:
    """A hundred rows of a winner, from its run and from the file alone, and one row by the command.

    The cache is empty each time: nothing that was decoded or encoded for the run is there.
    """
    found: Found = []
    for name in SPEED:
        fitted, source = _winner(name, data, folder), data / SETTINGS[name][0]
        rows, shipped = list(range(ROWS_SHOWN)), fitted.result["shipped"]["contender"]
        model = fitted.folder / "model.onnx"
        ways = (
            ("100 rows of", "from the run", f"ll.open_run(r'{fitted.folder}').explain(rows={rows})", SECONDS),
            ("100 rows of", "from the file alone", f"ll.Model(r'{model}').explain(r'{source}', rows={rows})",
             SECONDS_ALONE),
            ("one row of", "leadline explain RUN --row 7",
             f"assert main(['explain', r'{fitted.folder}', '--row', '7']) == 0", SECONDS),
        )  # fmt: skip
        for what, way, call, most in ways:
            imports = "import leadline as ll, sys; from leadline.cli.commands import main"
            code = f"{imports}; {call}; print('torch' in sys.modules)"
            began, busy, before = time.perf_counter(), os.getloadavg()[0], os.times()
            with tempfile.TemporaryDirectory(dir=folder) as cache:
                done = subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, text=True, check=True,
                    env={**os.environ, "LEADLINE_CACHE": cache},
                )  # fmt: skip
                wall, after = time.perf_counter() - began, os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            torch = done.stdout.split()[-1] == "True"
            seen = (
                f"{wall:.1f} s, {cpu:.1f} s of CPU, empty cache, {'with' if torch else 'without'} torch; {shipped}; "
                f"load before {busy:.1f}"
            )
            without = what.startswith("100")  # of one row of a network gradients are computed too
            must, met = (
                f"<= {most:.0f} s{', without torch' if without else ''}",
                wall <= most and not (without and torch),
            )
            found.append(_row(f"{what} {name}, {way}", must, seen, met, began))
    return found


def interpretable(data: Path, folder: Path) -> Found:
    """Printed models: the answers that the printed numbers give by hand, against the file's on every test row."""
    spec = importlib.util.spec_from_file_location("by_hand", TESTS / "results" / "by_hand.py")
    assert spec is not None and spec.loader is not None
    by_hand = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(by_hand)
    found: Found = []
    for name, source, target in (("adult", "adult", "income"), ("credit-g", "credit-g/credit-g.csv", "class")):
        for only in (None, "linear,boosting", "ebm,boosting", "tree,boosting"):
            began, out = time.perf_counter(), folder / f"printed-{name}-{only}"
            run = ll.fit(data / source, target=target, interpretable=True, only=only, budget="25s", repeats=1, out=out)
            printed = json.loads((run.folder / "printed_model.json").read_text())
            every = run.data().table.take(
                np.arange(sum(run.result["rows"].values())), list(run.model.contract["inputs"])
            )
            frame = every[pl.read_parquet(run.folder / "predictions.parquet")["row"].to_list()]
            answers = run.model.predict(frame)
            expected = answers.select(f"p_{each}" for each in run.result["classes"]).to_numpy()
            mine = np.array([by_hand.answers(printed, row) for row in frame.to_dicts()])
            away, price = float(np.abs(mine - expected).max()), printed["price"]
            told = "nothing to compare with" if price is None else (
                f"{100 * price['gap']:.1f} points ({100 * price['low']:.1f} to {100 * price['high']:.1f}) worse than "
                f"{price['against']}"
            )  # fmt: skip
            score = run.result["shipped"]["score"]
            seen = f"at most {away:.1e} apart, n {len(mine)}; {printed['contender']} {score:.2%}, "
            what = f"the model as printed, {name}, {only or 'all'}"
            found.append(_row(what, "gives the file's answers by hand", f"{seen}{told}", away <= BY_HAND, began))
    return found


ROWS: dict[str, Callable[[Path, Path], Found]] = {
    "planted_patch": planted_patch, "planted_word": planted_word, "planted_tone": planted_tone,
    "planted_column": planted_column, "shuffled_weights": shuffled_weights, "deletion": deletion,
    "additive": additive, "completeness": completeness, "windows": windows, "probes": probes, "budget": budget,
    "speed": speed, "interpretable": interpretable,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
