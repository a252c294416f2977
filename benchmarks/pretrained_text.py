"""Texts by a pretrained body: scores of whole runs beside classical ones, the speed of the body, and the files.

    python benchmarks/pretrained_text.py [--data ../shared/data] [NAME ...]

Needs the body of texts (requirements/bodies.txt). A run has three minutes and 3 seeds; of a set whose test part is its
own, a seed draws the valid rows. A run that trains the body further has 5 or 10 minutes, and the seed in SEED. Speeds
are the best of five turns that PyTorch and the graphs take one after another, on one thread each. Rows are appended to
benchmarks/results/transfer.csv. `opening` opens a folder of random weights of the size of RoBERTa-base, cold and warm,
each time in a process of its own; it needs the package transformers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from peers.torch_bert import Bert
from record import Found, run
from transfer import FIELDS, RESULTS, rt_polarity, sst2, written

import leadline as ll
from leadline.core.kind import View
from leadline.core.pretrained import Precision
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.text.bert import encoder
from leadline.kinds.text.wordpiece import Vocabulary, tokenizer
from leadline.kinds.weights import find_body

BUDGET, SEEDS = 180, (0, 1, 2)
MUST = {"sst2": 0.85, "rt-polarity": 0.815}
MUST_TUNED = {("sst2", 5): 0.875, ("sst2", 10): 0.885, ("rt-polarity", 10): 0.83}  # set, minutes
SETS = {"sst2": sst2, "rt-polarity": rt_polarity}
LENGTH = 128  # pieces
OPENED = 3  # times
MUST_OPEN = {"cold": (25.0, 3.0), "warm": (3.0, 0.5)}  # core-seconds and GB
OPENS = """
import sys, time
from leadline.kinds.weights import verify
from leadline.system.resources import peak_mb
verify(sys.argv[1])
print(time.process_time(), peak_mb())
"""
TURNS, ROWS_TIMED, BATCH = 5, 256, 32
FITTED, JUDGED = 1_000, 3_000  # train rows that fit a probe on either precision, and that judge it
# Predicts without PyTorch and LightGBM: to import either is an error.
WITHOUT = """
import sys
sys.modules["torch"] = sys.modules["lightgbm"] = None
import leadline as ll
print(len(ll.Model(sys.argv[1]).predict(sys.argv[2])))
"""


def _runs(name: str, data: Path, folder: Path) -> Found:
    """Whole runs: the contender on a frozen body, `linear` of the same run beside it, and the file of each run."""
    folder = folder / name
    source = written(SETS[name](data), folder / "source")
    found = [
        ll.fit(source, target="label", budget=BUDGET, seed=seed, only="linear,pretrained", out=folder / f"run-{seed}",
               cache=folder / f"cache-{seed}")
        for seed in SEEDS
    ]  # fmt: skip
    scores = {who: [_contender(each, who)["score"] for each in found] for who in ("pretrained", "linear")}
    told = {
        who: f"{np.mean(each):.4f} (" + ", ".join(f"{score:.4f}" for score in each) + ")"
        for who, each in scores.items()
    }
    transfers = [_contender(each, "pretrained")["transfer"] for each in found]
    valid = ", ".join(
        f"{part.replace('_', ' ')} {np.mean([each[part] for each in transfers]):.4f}"
        for part in ("body_alone", "features_alone", "both")
        if all(each[part] is not None for each in transfers)
    )
    rows = [{
        "what": f"pretrained text: {name}, {BUDGET} s", "must": f"at least {MUST[name]}",
        "seen": f"pretrained {told['pretrained']}, linear {told['linear']}; on valid {valid}",
        "met": bool(np.mean(scores["pretrained"]) >= MUST[name]), "budget_s": BUDGET, "n": len(SEEDS),
        "contenders": f"load {os.getloadavg()[0]:.1f}",
    }]  # fmt: skip
    return [*rows, *(_file(name, seed, each, source / "test.csv") for seed, each in zip(SEEDS, found, strict=True))]


def _tuned(name: str, minutes: int, data: Path, folder: Path) -> Found:
    """A whole run with a fine-tuned body, `linear` of the same run beside it, and its file; a seed more a call."""
    seed = int(os.environ.get("SEED", "0"))
    source = written(SETS[name](data), folder / f"tuned-{name}-{minutes}")
    found = ll.fit(source, target="label", budget=60 * minutes, seed=seed, only="linear,finetuned",
                   out=folder / f"tuned-{name}-{minutes}-run")  # fmt: skip
    tuned, least = _contender(found, "finetuned"), MUST_TUNED[name, minutes]
    row: dict[str, Any] = {
        "what": f"tuned text: {name}, {60 * minutes} s, seed {seed}", "must": f"at least {least}", "n": 1,
        "met": False, "budget_s": 60 * minutes, "seen": tuned["why"], "contenders": f"load {os.getloadavg()[0]:.1f}",
    }  # fmt: skip
    if tuned["score"] is None:
        return [row]
    row |= {
        "seen": f"finetuned {tuned['score']:.4f} (valid {tuned['valid_score']:.4f}), linear "
        f"{_contender(found, 'linear')['score']:.4f}; {'; '.join(tuned['describe'])}",
        "met": bool(tuned["score"] >= least),
        "contenders": f"{row['contenders']}; fit {tuned['fit_s']:.0f} s, {tuned['fit_cpu_s']:.0f} core-s",
    }  # fmt: skip
    return [row, _file(name, seed, found, source / "test.csv")]


def _contender(found: Any, who: str) -> dict[str, Any]:
    return next(each for each in found.result["contenders"] if each["name"] == who)


def _file(name: str, seed: int, found: Any, test: Path) -> dict[str, Any]:
    """Whether the file answers raw texts as the contender did, and without PyTorch."""
    shipped, model = found.result["shipped"], found.folder / "model.onnx"
    parity = shipped["parity"]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(model), str(test)], capture_output=True, text=True, check=False
    )
    alone = ended.returncode == 0 and int(ended.stdout) == found.result["rows"]["test"]
    return {
        "what": f"file of {shipped['contender']}: {name}, seed {seed}", "must": "parity on every row, without torch",
        "seen": f"{parity['rows']:,} rows, largest difference {parity['max_difference']:.1e}, "
        f"{parity['decisions_differ']} decisions differ; without torch {'all rows' if alone else 'not'}",
        "met": bool(alone and parity["decisions_differ"] == 0 and parity["rows"] == found.result["rows"]["test"]),
        "n": parity["rows"], "file_bytes": model.stat().st_size,
    }  # fmt: skip


def opening(data: Path, folder: Path) -> Found:
    """Seconds of the processor and memory to open a folder, the first time and later."""
    weights, spent = folder / "roberta", dict[str, list[tuple[float, float]]]()
    roberta(SETS["rt-polarity"](data)["train"]["text"].to_list(), weights)
    for turn in range(OPENED):
        cache = {**os.environ, "LEADLINE_CACHE": str(folder / f"cache-{turn}")}
        for which in ("cold", "warm"):
            ended = subprocess.run(
                [sys.executable, "-c", OPENS, str(weights)], capture_output=True, text=True, check=True, env=cache
            )
            seconds, peak_mb = map(float, ended.stdout.split())
            spent.setdefault(which, []).append((seconds, peak_mb / 1e3))
    return [{
        "what": f"opening a folder like RoBERTa-base, {which}",
        "must": "at most {} core-s, {} GB".format(*MUST_OPEN[which]),
        "seen": "; ".join(f"{seconds:.1f} core-s, {gb:.2f} GB" for seconds, gb in turns),
        "met": all(seconds <= MUST_OPEN[which][0] and gb <= MUST_OPEN[which][1] for seconds, gb in turns),
        "n": OPENED, "contenders": f"load {os.getloadavg()[0]:.1f}",
    } for which, turns in spent.items()]  # fmt: skip


def roberta(texts: list[str], folder: Path) -> None:
    """A folder as hubs have it: 125 million random weights, and byte pairs of these texts."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    cut = Tokenizer(models.BPE())
    cut.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    cut.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=16_000, initial_alphabet=letters, special_tokens=["<s>", "<pad>", "</s>"], show_progress=False,
    ))  # fmt: skip
    cut.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    config = transformers.RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    cut.save(str(folder / "tokenizer.json"))


def speed(data: Path, folder: Path) -> Found:
    """Encoding of texts on one thread, many and one: PyTorch float32, and the graphs in float32 and int8."""
    import torch

    torch.set_num_threads(1)
    body = find_body(KINDS["text"], None)
    assert body is not None, "install requirements/bodies.txt"
    texts = np.array(sst2(data)["train"]["text"][:ROWS_TIMED].to_list(), object)
    pieces = Session(tokenizer("text", Vocabulary.read(body.folder), LENGTH, np.uint16, View.PIECES)).only(
        {"text": texts}
    )
    bert = Bert(body.folder)
    graphs = {p: Session(encoder("x", LENGTH, body.folder, p)) for p in (Precision.FLOAT32, Precision.INT8)}
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "torch float32": lambda rows: _sorted(bert, rows),
        **{str(p): lambda rows, s=s: s.only({"x": rows}) for p, s in graphs.items()},  # type: ignore[misc]
    }
    many = dict.fromkeys(ways, np.inf)
    ones: dict[str, list[float]] = {who: [] for who in ways}
    for _ in range(TURNS):
        for who, way in ways.items():
            many[who] = min(many[who], _timed(lambda way=way: way(pieces)))  # type: ignore[misc]
            for row in range(12):
                ones[who].append(_timed(lambda way=way, row=row: way(pieces[row : row + 1])))  # type: ignore[misc]
    one = {who: float(np.median(spent)) for who, spent in ones.items()}
    tokens = float((pieces > 0).sum(axis=1).mean())
    rates = ", ".join(f"{who} {len(texts) / spent:.0f}" for who, spent in many.items())
    alone = ", ".join(f"{who} {1e3 * spent:.1f}" for who, spent in one.items())
    faster, quicker = many["torch float32"] / many["int8"], one["torch float32"] / one["int8"]
    load = f"load {os.getloadavg()[0]:.1f}"
    return [
        {"what": "encoding of texts, int8 to torch float32", "must": "at least 1.4 times",
         "seen": f"{faster:.2f} times; rows a second of {tokens:.0f} pieces: {rates}", "met": faster >= 1.4,
         "n": TURNS, "contenders": load},
        {"what": "one text alone, int8 to torch float32", "must": "at least 4 times",
         "seen": f"{quicker:.2f} times; ms: {alone}", "met": quicker >= 4, "n": len(ones["int8"]), "contenders": load},
    ]  # fmt: skip


def _sorted(bert: Bert, rows: np.ndarray) -> np.ndarray:
    """In batches of rows of about one length, without the padding that all of a batch have: as sentence encoders do."""
    lengths = (rows > 0).sum(axis=1)
    order, out = np.argsort(lengths), []
    for start in range(0, len(rows), BATCH):
        part = order[start : start + BATCH]
        out.append(bert(rows[part, : lengths[part].max()]))
    return np.concatenate(out)[np.argsort(order)]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def precision(data: Path, folder: Path) -> Found:
    """A logistic regression on states of either precision: accuracy on train rows that it was not fitted on."""
    from sklearn.linear_model import LogisticRegression

    body = find_body(KINDS["text"], None)
    assert body is not None, "install requirements/bodies.txt"
    tokens = Session(tokenizer("text", Vocabulary.read(body.folder), LENGTH, np.uint16, View.PIECES))
    found = []
    for name, parts in SETS.items():
        train = parts(data)["train"].sample(FITTED + JUDGED, shuffle=True, seed=0)
        labels, pieces = train["label"].to_numpy(), tokens.only({"text": train["text"].to_numpy().astype(object)})
        right: dict[str, np.ndarray] = {}
        for each in (Precision.FLOAT32, Precision.INT8):
            x = Session(encoder("x", LENGTH, body.folder, each)).only({"x": pieces})
            x = (x - x[:FITTED].mean(axis=0)) / (x[:FITTED].std(axis=0) + 1e-6)
            model = LogisticRegression(C=1e-3, max_iter=500).fit(x[:FITTED], labels[:FITTED])
            right[str(each)] = model.predict(x[FITTED:]) == labels[FITTED:]
        gap = right["int8"].astype(float) - right["float32"]
        half = 1.96 * float(gap.std()) / len(gap) ** 0.5
        found.append({
            "what": f"probe on int8 to float32 states: {name}", "must": "within half a point",
            "seen": f"int8 {right['int8'].mean():.4f}, float32 {right['float32'].mean():.4f}: {gap.mean():+.4f} "
            f"[{gap.mean() - half:+.4f}, {gap.mean() + half:+.4f}] on train rows held out",
            "met": bool(gap.mean() >= -0.005), "n": len(gap), "gap_low": round(gap.mean() - half, 4),
            "gap_high": round(gap.mean() + half, 4),
        })  # fmt: skip
    return found


ROWS = {
    "opening": opening, "speed": speed, "precision": precision, **{name: partial(_runs, name) for name in SETS},
    **{f"tuned-{name}-{minutes}": partial(_tuned, name, minutes) for name, minutes in MUST_TUNED},
}  # fmt: skip

if __name__ == "__main__":
    raise SystemExit(run(__doc__, RESULTS, FIELDS, ROWS))
