"""Texts: the best classical contender beside the usual models of scikit-learn, and networks from scratch; pictures: a
body of an earlier run.

    python benchmarks/transfer.py [--data ../shared/data] [NAME ...]

`classical_text`: a run has 60 seconds. Four models of scikit-learn are tuned on its valid rows and fitted again on
train and valid, as a contender is; they have the time they like. The best of the four is told by the test rows, in
their favour. `deep_text`: networks from scratch in three minutes, beside `linear`; the best of a run is the best on
valid. `init_digits`, `init_few`, `init_objects`: a convolutional network on few pictures, from scratch and from the
body of an earlier run (--init), in the same seconds. `vision_transformer`: `vit` beside `cnn`. What must be, what was
seen, and versions and machine are appended to benchmarks/results/transfer.csv.
"""

from __future__ import annotations

import gzip
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import Found, run

import leadline as ll
from leadline.contenders.families import CLASSICAL
from leadline.core.records import Side
from leadline.kinds import KINDS
from leadline.results.run_data import RunData

RESULTS = Path(__file__).parent / "results" / "transfer.csv"
FIELDS = (
    "when", "what", "must", "seen", "met", "budget_s", "n", "gap_low", "gap_high", "contenders", "peers", "file_bytes",
    "machine", "versions",
)  # fmt: skip
BUDGET = 60
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # C
MIXED = (0.25, 1.0)  # shares of a weight that is its own, the rest the mean size of all (Wang & Manning)

Parts = dict[str, pl.DataFrame]  # train, test and perhaps valid, with columns text and label


def rt_polarity(data: Path) -> Parts:
    return {part: pl.read_csv(data / "rt-polarity" / f"{part}.csv") for part in ("train", "test")}


def sst2(data: Path) -> Parts:
    names = {"train": "train", "valid": "dev", "test": "test"}
    return {
        part: pl.read_csv(data / "sst2" / f"{name}.tsv", separator="\t", quote_char=None).rename({"sentence": "text"})
        for part, name in names.items()
    }


def ag_news(data: Path) -> Parts:
    return {part: pl.read_csv(data / "ag-news" / f"{part}.csv") for part in ("train", "test")}


def sms_spam(data: Path) -> Parts:
    lines = (data / "sms-spam" / "SMSSpamCollection").read_text().splitlines()
    rows = [line.split("\t", 1) for line in lines]
    return {"train": pl.DataFrame({"text": [text for _, text in rows], "label": [label for label, _ in rows]})}


def snips(data: Path) -> Parts:
    return {
        part: pl.read_ndjson(data / "snips" / f"{part}.jsonl").select("text", label="intent")
        for part in ("train", "valid", "test")
    }


SETS: dict[str, Callable[[Path], Parts]] = {
    "rt-polarity": rt_polarity, "sst2": sst2, "ag-news": ag_news, "sms-spam": sms_spam, "snips intents": snips,
}  # fmt: skip


def classical_text(data: Path, folder: Path) -> Found:
    """Every set: no fewer test rows right than the best of four models of scikit-learn."""
    return [_row(name, parts(data), folder / name.replace(" ", "-")) for name, parts in SETS.items()]


def _row(name: str, parts: Parts, folder: Path, **settings: Any) -> dict[str, Any]:
    source = written(parts, folder / "source")
    found = ll.fit(source, target="label", budget=BUDGET, out=folder / "run", **settings)
    data = RunData.open(found)
    best = _chosen(found.result, CLASSICAL)
    truth, texts = data.labels("test"), _texts(data)
    ours = data.predictions(best["name"]).argmax(axis=1) == truth
    peers = {peer: fit(texts) == truth for peer, fit in PEERS.items()}
    strongest = max(peers, key=lambda peer: float(peers[peer].mean()))
    gap = ours.astype(float) - peers[strongest]
    half = 1.96 * float(gap.std()) / len(gap) ** 0.5
    graph = found.folder / "contenders" / best["name"] / "graph.onnx"
    return {
        "what": f"classical text: {name}, {BUDGET} s", "must": "at or above scikit-learn's best of four",
        "seen": f"{best['name']} by {best['by']} {ours.mean():.4f}, {strongest} {peers[strongest].mean():.4f}: "
        f"{gap.mean():+.4f} [{gap.mean() - half:+.4f}, {gap.mean() + half:+.4f}], n = {len(gap):,}",
        "met": bool(gap.mean() >= 0), "budget_s": BUDGET, "n": len(gap),
        "gap_low": round(gap.mean() - half, 4), "gap_high": round(gap.mean() + half, 4),
        "contenders": "; ".join(f"{c['name']} {c['score']:.4f}" for c in found.result["contenders"] if c["score"]),
        "peers": "; ".join(f"{peer} {right.mean():.4f}" for peer, right in peers.items()),
        "file_bytes": graph.stat().st_size if graph.exists() else None,
    }  # fmt: skip


def _chosen(result: dict[str, Any], of: str) -> dict[str, Any]:
    """The contender that stands for a family or a side, with the measure that chose it."""
    choice = next(each for each in result["chosen"] if each["of"] == of)
    contender = next(each for each in result["contenders"] if each["name"] == choice["contender"])
    return {**contender, "by": choice["by"]}


def written(parts: Parts, source: Path) -> Path:
    source.mkdir(parents=True)
    for part, frame in parts.items():
        frame.select("text", pl.col("label").cast(pl.String)).write_csv(source / f"{part}.csv", quote_style="always")
    return source


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f}, {len(values)} seeds)"


Texts = tuple[list[str], np.ndarray, list[str], np.ndarray, list[str]]  # of train and valid with labels, of test


def _texts(data: RunData) -> Texts:
    train, valid, test = (
        data.table.take(data.rows(part), ["text"])["text"].fill_null("").to_list()
        for part in ("train", "valid", "test")
    )
    return train, data.labels("train"), valid, data.labels("valid"), test


def _tuned(make: Callable[[Any], Any], choices: Sequence[Any], texts: Texts) -> np.ndarray:
    """The classes of test rows from the settings that are best on valid, fitted again on train and valid."""
    train, y, valid, y_valid, test = texts
    right = {choice: (make(choice).fit(train, y).predict(valid) == y_valid).mean() for choice in choices}
    chosen = make(max(right, key=lambda choice: right[choice]))
    return np.asarray(chosen.fit([*train, *valid], np.concatenate([y, y_valid])).predict(test))


def _logistic(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(LogisticRegression(C=strength, solver="liblinear", dual=True, max_iter=1_000))


def _words(strength: float) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), _logistic(strength))


def _words_and_characters(strength: float) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(ngram_range=(2, 5), analyzer="char_wb", sublinear_tf=True)
    return make_pipeline(make_union(words, characters), _logistic(strength))


def _svm(strength: float) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(C=strength))


class _NaiveBayesSVM:
    """Wang & Manning 2012: marks of words and pairs, times their log-count ratios, into linear support vectors."""

    def __init__(self, settings: tuple[float, float]) -> None:
        self._strength, self._mixed = settings

    def fit(self, texts: list[str], y: np.ndarray) -> _NaiveBayesSVM:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.svm import LinearSVC

        self._vectorizer = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\S+")
        x = self._vectorizer.fit_transform(texts).astype(np.float64)
        self._classes = np.unique(y)
        columns, intercepts = [], []
        for one in self._classes[1:] if len(self._classes) == 2 else self._classes:
            inside, rest = (1 + np.asarray(x[part].sum(axis=0)).ravel() for part in (y == one, y != one))
            ratio = np.log(inside / inside.sum()) - np.log(rest / rest.sum())
            machine = LinearSVC(C=self._strength).fit(x.multiply(ratio).tocsr(), y == one)
            weight = machine.coef_[0]
            columns.append(((1 - self._mixed) * np.abs(weight).mean() + self._mixed * weight) * ratio)
            intercepts.append(machine.intercept_[0])
        self._weights, self._intercepts = np.stack(columns, axis=1), np.array(intercepts)
        return self

    def predict(self, texts: list[str]) -> np.ndarray:
        raw = self._vectorizer.transform(texts) @ self._weights + self._intercepts
        place = (raw[:, 0] > 0).astype(int) if raw.shape[1] == 1 else raw.argmax(axis=1)
        return np.asarray(self._classes[place])


PEERS: dict[str, Callable[[Texts], np.ndarray]] = {
    "TF-IDF of words": lambda texts: _tuned(_words, STRENGTHS, texts),
    "TF-IDF of words and characters": lambda texts: _tuned(_words_and_characters, STRENGTHS, texts),
    "NB-SVM": lambda texts: _tuned(_NaiveBayesSVM, list(itertools.product(STRENGTHS, MIXED)), texts),
    "linear SVM": lambda texts: _tuned(_svm, STRENGTHS, texts),
}

LONGER, SEEDS = 180, (0, 1, 2)
NETWORKS = ("bag", "transformer", "rnn")
LEAST = {"sst2": 0.81, "rt-polarity": 0.77}


def deep_text(data: Path, folder: Path) -> Found:
    """Test accuracy of each network, mean of the seeds and the lowest and highest of them."""
    return [_networks(name, SETS[name](data), least, folder / f"deep-{name}") for name, least in LEAST.items()]


def _networks(name: str, parts: Parts, least: float, folder: Path) -> dict[str, Any]:
    source = written(parts, folder / "source")
    scores: dict[str, list[float]] = {each: [] for each in (*NETWORKS, "linear", "best")}
    rows = 0
    for seed in SEEDS:
        only = ",".join(("linear", *NETWORKS))
        found = ll.fit(source, target="label", budget=LONGER, seed=seed, only=only, out=folder / f"run-{seed}")
        contenders = {c["name"]: c for c in found.result["contenders"] if c["score"] is not None}
        rows = found.result["rows"]["test"]
        best = _chosen(found.result, Side.SCRATCH)["name"]
        for each in (*NETWORKS, "linear"):
            if each in contenders:
                scores[each].append(contenders[each]["score"])
        scores["best"].append(contenders[best]["score"])
    seen = {each: _spread(values) for each, values in scores.items()}
    return {
        "what": f"networks from scratch: {name}, {LONGER} s", "must": f"the best on valid at least {least}",
        "seen": f"best {seen['best']}", "met": bool(np.mean(scores["best"]) >= least), "budget_s": LONGER, "n": rows,
        "contenders": "; ".join(f"{each} {seen[each]}" for each in (*NETWORKS, "linear")),
    }  # fmt: skip


BODY, FEW, A_CLASS, TESTED, DRAWS = 60, 20, 50, 2_000, 5  # seconds of the earlier run and of a later one; rows
HALF = 5  # classes of cifar10 that an earlier run learns

Pictures = tuple[np.ndarray, np.ndarray]  # uint8 [n, height, width(, channels)], class numbers [n]


def _idx(folder: Path, part: str) -> Pictures:
    def held(name: str, header: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=header)

    labels = held(f"{part}-labels-idx1-ubyte.gz", 8).astype(np.int64)
    return held(f"{part}-images-idx3-ubyte.gz", 16).reshape(len(labels), 28, 28), labels


def _cifar(data: Path, part: str) -> Pictures:
    table = pl.read_parquet(data / "cifar10" / f"cifar10-{part}.parquet")
    return np.stack(list(KINDS["image"].decode(table["image"], None, {"channels": 3}).values)), table[
        "label"
    ].to_numpy()


def init_digits(data: Path, folder: Path) -> Found:
    """A body of fashion-mnist onto digits, 50 rows a class."""
    train, test = (_idx(data / "mnist", part) for part in ("train", "t10k"))
    return [_begun("fashion-mnist onto mnist", _idx(data / "fashion-mnist", "train"), train, test, folder / "digits")]


def init_few(data: Path, folder: Path) -> Found:
    """The same with 5 rows a class, of which scratch leaves more to gain."""
    train, test = (_idx(data / "mnist", part) for part in ("train", "t10k"))
    return [_begun("fashion-mnist onto mnist", _idx(data / "fashion-mnist", "train"), train, test, folder / "few", 5)]


def init_objects(data: Path, folder: Path) -> Found:
    """A body of five classes of cifar10 onto the other five, 50 rows a class."""
    (x, y), (tx, ty) = _cifar(data, "train"), _cifar(data, "test")
    early, late, tested = y < HALF, y >= HALF, ty >= HALF
    what = "five classes of cifar10 onto the other five"
    return [_begun(what, (x[early], y[early]), (x[late], y[late]), (tx[tested], ty[tested]), folder / "objects")]


def _begun(
    what: str, first: Pictures, train: Pictures, test: Pictures, folder: Path, a_class: int = A_CLASS
) -> dict[str, Any]:
    """Draws of few rows: the same network from scratch and from the earlier body, in turns."""
    settings: dict[str, Any] = {"task": "multiclass", "only": "cnn", "repeats": 1}
    earlier = ll.fit(first, budget=BODY, out=folder / "earlier", **settings).folder
    scores: dict[str, list[float]] = {"scratch": [], "init": []}
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        rows = np.sort(np.concatenate([
            rng.choice(np.flatnonzero(train[1] == k), a_class, replace=False) for k in np.unique(train[1])
        ]))  # fmt: skip
        some = np.sort(rng.choice(len(test[1]), TESTED, replace=False))
        for arm in ("scratch", "init") if draw % 2 else ("init", "scratch"):
            found = ll.fit(
                (train[0][rows], train[1][rows]), test=(test[0][some], test[1][some]), budget=FEW, seed=draw,
                out=folder / f"{arm}-{draw}", **settings, **({"init": str(earlier)} if arm == "init" else {}),
            ).result  # fmt: skip
            scores[arm].append(next(c["score"] for c in found["contenders"] if c["name"] == settings["only"]))
    gaps = np.array(scores["init"]) - np.array(scores["scratch"])
    half = 2.776 * float(gaps.std(ddof=1)) / len(gaps) ** 0.5  # Student's t with 4 degrees of freedom
    return {
        "what": f"--init: {what}, {a_class} a class", "must": "at least 2 points over scratch",
        "seen": f"{gaps.mean():+.4f} [{gaps.mean() - half:+.4f}, {gaps.mean() + half:+.4f}]: "
        + ", ".join(f"{arm} {_spread(values)}" for arm, values in scores.items()),
        "met": bool(gaps.mean() >= 0.02), "budget_s": FEW, "n": len(gaps), "gap_low": round(gaps.mean() - half, 4),
        "gap_high": round(gaps.mean() + half, 4), "contenders": f"cnn; load {os.getloadavg()[0]:.1f}",
    }  # fmt: skip


VIT_S, VIT_ROWS, VIT_SEEDS, BESIDE = 60, 10_000, (0, 1), ("vit", "cnn")  # seconds of a run of one network


def vision_transformer(data: Path, folder: Path) -> Found:
    """`vit` and `cnn` on cifar10, each alone for as long, in turns: what the docstring of `vit` says."""
    (x, y), test = _cifar(data, "train"), _cifar(data, "test")
    train = x[:VIT_ROWS], y[:VIT_ROWS]
    some = np.sort(np.random.default_rng(0).choice(len(test[1]), TESTED, replace=False))
    scores: dict[str, list[float]] = {name: [] for name in BESIDE}
    for seed in VIT_SEEDS:
        for name in BESIDE if seed % 2 else BESIDE[::-1]:
            found = ll.fit(
                train, test=(test[0][some], test[1][some]), task="multiclass", only=name, budget=VIT_S, seed=seed,
                repeats=1, out=folder / f"{name}-{seed}",
            ).result  # fmt: skip
            scores[name].append(next(c["score"] for c in found["contenders"] if c["name"] == name))
    seen = {name: _spread(values) for name, values in scores.items()}
    return [{
        "what": f"vit beside cnn: {VIT_ROWS:,} rows of cifar10, {VIT_S} s", "must": "stated where it does not pay",
        "seen": ", ".join(f"{name} {told}" for name, told in seen.items()), "met": all(scores.values()),
        "budget_s": VIT_S, "n": TESTED, "contenders": f"{', '.join(BESIDE)}; load {os.getloadavg()[0]:.1f}",
    }]  # fmt: skip


ROWS = {
    "vision_transformer": vision_transformer,
    "classical_text": classical_text, "deep_text": deep_text, "init_digits": init_digits, "init_few": init_few,
    "init_objects": init_objects,
}  # fmt: skip

if __name__ == "__main__":
    raise SystemExit(run(__doc__, RESULTS, FIELDS, ROWS))
