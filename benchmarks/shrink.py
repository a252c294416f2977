"""Smaller files of a run: bytes, speed and drop beside the full file, and how often a worse one ships.

python benchmarks/shrink.py level                    choices among candidates that are all worse by the limit
python benchmarks/shrink.py bytes                    2,000 damaged files: none answers
python benchmarks/shrink.py predictor                trees as ONNX beside LightGBM's own predictor
python benchmarks/shrink.py smallest                 the smallest file that answers MNIST at 99.0%
python benchmarks/shrink.py eager-fsdd               eager PyTorch beside the float and the int8 file
python benchmarks/shrink.py eager-body               the same of the body of texts that pretrained and finetuned ship
python benchmarks/shrink.py mnist adult sst2 tinyshakespeare
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import Found, run

import leadline as ll
from leadline.graph.runtime import Session
from leadline.metrics.metrics import METRICS
from leadline.shrink.choose import halves, last_proved, sequence
from leadline.stats.foreseen import evidence
from leadline.stats.noninferiority import ALPHA, compare
from leadline.system.errors import LeadlineError
from leadline.tasks import Binary, Regression, Task

RESULTS = Path(__file__).parent / "results" / "shrink.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "machine", "versions")
# name: target, contenders, most of the bytes, drop allowed, speed in a batch at least (None: as measured)
WINNERS: dict[str, tuple[str | None, str, float, str, float | None]] = {
    "mnist": (None, "cnn", 0.32, "0.3%", 1.8), "fashion-mnist": (None, "cnn", 0.32, "0.3%", 1.8),
    "cifar10": (None, "cnn", 0.32, "0.3%", 1.8), "esc10": (None, "cnn", 0.32, "8%", 1.8),
    "fsdd": (None, "crnn", 0.35, "2%", None), "sst2": (None, "bag,linear", 0.35, "1%", None),
    "tinyshakespeare": (None, "lstm", 0.35, "0.5%", None), "adult": ("income", "boosting", 0.25, "0.3%", None),
    "covertype": ("Cover_Type", "boosting", 0.25, "0.3%", None),
    "california-housing": ("median_house_value", "boosting", 0.25, "1%", None),
}  # fmt: skip
BUDGET, LONGER = "60s", {"cifar10": "180s"}
CHOICES, CANDIDATES, ROWS, LIMIT = 200, 8, 2_000, 0.01
CALIB, MANY, SOME = (
    400,
    3_000,
    1_000,
)  # rows that choose; and choices, since one tested at its limit ships in 5% by design
FEW = 80  # test rows, as small runs have them
DAMAGES = 2_000
ROUNDS, BATCH, REPEATED = 500, 256, 60
EAGER_S = 15.0  # of a training whose network is timed


def level(data: Path, folder: Path) -> Found:
    """Candidates whose true drop is the limit, of sizes in random order: of classes, and of values."""
    half = [halves(ROWS, None, choice, whole=False) for choice in range(CHOICES)]
    few = [halves(FEW, None, choice, whole=False) for choice in range(SOME)]
    calib = np.arange(CALIB), np.arange(CALIB, CALIB + ROWS)
    by_calib = f"{ROWS:,} test rows, {CALIB} calib rows choose"
    cases = (
        ("classes", _classes, f"{ROWS:,} test rows, half of them choose", half),
        ("classes", _classes, by_calib, [calib] * MANY),
        ("values", _values, by_calib, [calib] * SOME),
        ("values with a few large errors", _heavy, by_calib, [calib] * SOME),
        ("values with a few large errors", _heavy, f"{FEW} test rows, half of them choose", few),
    )
    return [
        {
            "what": f"shrink: {CANDIDATES} candidates of {what} whose true drop is the limit of {LIMIT:.0%}, {how}",
            "must": f"one ships in at most {ALPHA:.0%} of {len(places):,} choices", "seen": f"{share:.1%}",
            "n": len(places),
            "met": share <= ALPHA,
        }
        for what, drawn, how, places in cases
        for share in [_shipped(places, drawn)]
    ]  # fmt: skip


Drawn = tuple[Task, np.ndarray, np.ndarray, list[np.ndarray]]  # task, truth, answers, those of each candidate


def _shipped(
    places: list[tuple[np.ndarray, np.ndarray]], drawn: Callable[[np.random.Generator, int], Drawn]
) -> float:  # fmt: skip
    """The share of choices in which one ships; `places` are the rows that choose and those that judge of each."""
    rng, shipped = np.random.default_rng(0), 0
    for chooses, judges in places:
        task, truth, full, small = drawn(rng, len(chooses) + len(judges))
        sizes = rng.permutation(CANDIDATES)
        found = [
            evidence(task, truth[chooses], full[chooses], each[chooses], LIMIT, len(judges)) for each in small
        ]  # fmt: skip

        def proved(k: int, rows: np.ndarray = judges, drawn: Drawn = (task, truth, full, small)) -> bool:
            task, truth, full, small = drawn
            return compare(truth[rows], full[rows], small[k][rows], METRICS[task.metric], LIMIT).proved

        order = sequence(range(CANDIDATES), lambda k, sizes=sizes: float(sizes[k]), lambda k, found=found: found[k])
        shipped += last_proved(order, proved) is not None
    return shipped / len(places)


def _classes(rng: np.random.Generator, rows: int) -> Drawn:
    """Candidates that lose and gain rows at random."""
    truth, full = np.zeros(rows, int), rng.random(rows) < 0.92
    gained = rng.permutation(np.linspace(0.0, 0.02, CANDIDATES))
    small = [_answers(_swapped(rng, full, LIMIT + each, each)) for each in gained]
    return Binary(target="y", classes=("a", "b"), metric="accuracy"), truth, _answers(full), small


def _values(rng: np.random.Generator, rows: int) -> Drawn:
    return _worse(rng, rng.normal(size=rows), 1.0)


def _heavy(rng: np.random.Generator, rows: int) -> Drawn:
    """Student's t of three degrees, whose variance is 3."""
    return _worse(rng, rng.standard_t(3, rows), math.sqrt(3))


def _worse(rng: np.random.Generator, errors: np.ndarray, unit: float) -> Drawn:
    """Candidates whose answers are noisier, or further off on the same side: the root mean square error is the same."""
    rows = len(errors)
    further = rng.permutation(np.linspace(0.0, 0.9 * LIMIT, CANDIDATES))
    noise = [unit * math.sqrt((1 + LIMIT) ** 2 - (1 + each) ** 2) for each in further]
    small = [
        -each * errors + size * rng.normal(size=rows) for each, size in zip(further, noise, strict=True)
    ]  # fmt: skip
    return Regression(target="y", classes=(), metric="rmse"), errors, np.zeros(rows), small


def _swapped(rng: np.random.Generator, full: np.ndarray, lost: float, gained: float) -> np.ndarray:
    """Which rows a candidate has right that loses and gains such shares of all rows, 92% of which the full one has."""
    draw = rng.random(len(full))
    return np.where(full, draw >= lost / 0.92, draw < gained / 0.08)


def _answers(right: np.ndarray) -> np.ndarray:
    return np.stack([np.where(right, 0.9, 0.1), np.where(right, 0.1, 0.9)], axis=1)


def damaged(data: Path, folder: Path) -> Found:
    """One byte of a small file changed, taken away or added, anywhere; each is opened and verified."""
    source = data / "titanic"
    made = ll.fit(source, target="Survived", only="linear", epochs=1, repeats=1, out=folder / "titanic")
    small = made.shrink(source, out=folder / "titanic-small", max_drop=0.2)
    whole, path = (small.folder / "model.onnx").read_bytes(), folder / "damaged.onnx"
    rng, refused, slowest = np.random.default_rng(0), 0, 0.0
    for number in range(DAMAGES):
        place = int(rng.integers(0, len(whole)))
        new = (bytes([whole[place] ^ int(rng.integers(1, 256))]), b"", bytes([int(rng.integers(0, 256))]) * 2)[
            number % 3
        ]
        path.write_bytes(whole[:place] + new + whole[place + 1 :])
        began = time.perf_counter()
        try:
            ll.Model(path).verify()
        except LeadlineError as error:
            refused += "\n" not in str(error)
        slowest = max(slowest, time.perf_counter() - began)
    return [{
        "what": f"verify: {DAMAGES:,} files of {len(whole):,} bytes with one byte changed, taken away or added",
        "must": "each refused in one sentence", "seen": f"{refused:,} refused", "n": DAMAGES,
        "met": refused == DAMAGES,
    }]  # fmt: skip


def smallest(data: Path, folder: Path) -> Found:
    """The smallest file that answers MNIST at 99.0%, on all 10,000 test rows."""
    made = ll.fit(data / "mnist", only="cnn", budget="180s", repeats=1, out=folder / "mnist-full")
    small = made.shrink(out=folder / "mnist-smallest", max_drop="0.5%", distill="6m")
    print(small)
    path = small.folder / "model.onnx"
    tested = made.data()
    answers = ll.Model(path).predict(data / "mnist")["prediction"].to_numpy()[tested.rows("test")]
    right = float((answers == tested.table.task.true(tested.labels("test"))).mean())
    size, chosen = path.stat().st_size, next(r for r in small.result["frontier"] if r["name"] == small.result["chosen"])
    return [{
        "what": "shrink: the smallest file that answers mnist", "must": "under 60 kB, at least 99.0% right",
        "seen": f"{small.result['chosen']}: {size:,} bytes, {right:.2%}; {chosen['one_us']:.0f} us for one row, "
        f"{chosen['batch_us']:.0f} us a row in a batch, one thread",
        "met": size < 60_000 and right >= 0.99, "n": len(answers),
    }]  # fmt: skip


def winner(name: str, data: Path, folder: Path) -> Found:
    """The best file of one data set beside its full one; speeds are printed, and no row of results depends on them."""
    target, only, most, drop, faster = WINNERS[name]
    budget = LONGER.get(name, BUDGET)
    made = ll.fit(data / name, target=target, only=only, budget=budget, repeats=1, out=folder / name)
    small = made.shrink(out=folder / f"{name}-small", max_drop=drop)
    print(small)
    rows = {row["name"]: row for row in small.result["frontier"]}
    full, chosen = rows["full"], rows.get(small.result["chosen"] or "full", rows["full"])
    share, n = chosen["bytes"] / full["bytes"], small.result["judging_rows"]
    seen = f"{chosen['name']}: {chosen['bytes']:,} of {full['bytes']:,} bytes, {share:.2f}"
    if small.result["drop"] is not None:
        seen += f"; drop {100 * small.result['drop']:.2f}, at most {100 * small.result['upper']:.2f} points or %"
    found = [{
        "what": f"shrink: {name}, the winner of {budget} among {only}",
        "must": f"at most {most:.2f} of the bytes, a drop of {drop} excluded", "seen": seen, "n": n,
        "met": share <= most and small.result["drop"] is not None,
    }]  # fmt: skip
    if faster is not None:
        found.append({
            "what": f"shrink: {name}, speed of the file in a batch and for one row",
            "must": f"at least {faster} times in a batch, not slower for one row",
            "seen": f"{full['batch_us'] / chosen['batch_us']:.2f} and {full['one_us'] / chosen['one_us']:.2f} times",
            "n": 1, "met": full["batch_us"] >= faster * chosen["batch_us"] and full["one_us"] >= chosen["one_us"],
        })  # fmt: skip
    return found


def predictor(data: Path, folder: Path) -> Found:
    """Trees as ONNX, as the operator and as tables, beside LightGBM's own predictor on the same rows, one thread."""
    import lightgbm as lgb

    from leadline.contenders.boosting import BASE, FittedBoosting
    from leadline.contenders.features import layout, matrix
    from leadline.core.contender import Clock, Data
    from leadline.shrink.network import feeds
    from leadline.shrink.packed_trees import packed_trees

    made = ll.fit(data / "california-housing", target="median_house_value", only="linear", epochs=1, repeats=1,
                  out=folder / "california")  # fmt: skip
    store = made.data().store
    plan, scale = layout(store, ("codes", "dense")), Data(store=store, clock=Clock(1.0), threads=1).scale()
    x = matrix(store, plan, store.split.train)
    y = Data(store=store, clock=Clock(1.0), threads=1).encoded(store.split.train, scale)
    settings = {**BASE, "objective": "l2", "verbosity": -1, "num_threads": 1}
    booster = lgb.train(settings, lgb.Dataset(x, y, params=settings), ROUNDS)
    graph = FittedBoosting(booster, plan, store.task, scale, float("nan"), [], None).graph()
    tables = packed_trees(graph)
    assert tables is not None
    names, rows = [value.name for value in graph.graph.input], store.split.test[:BATCH]
    ways: dict[str, Any] = {}
    for count in (1, BATCH):
        given, part = next(feeds(store, names, rows[:count])), matrix(store, plan, rows[:count])
        ways[f"LightGBM {count}"] = lambda part=part: booster.predict(part, num_threads=1)
        for name, network in (("operator", graph), ("tables", tables)):
            session = Session(network)
            ways[f"{name} {count}"] = lambda session=session, given=given: session.only(given)
    us = {name: value / int(name.split()[1]) for name, value in interleaved(ways).items()}
    found = []
    for count in (1, BATCH):
        times = {name: us[f"{name} {count}"] for name in ("LightGBM", "operator", "tables")}
        found.append({
            "what": f"boosting on one thread: {ROUNDS} trees as ONNX beside LightGBM's predictor, {count} row(s)",
            "must": "the operator is not slower; tables as measured",
            "seen": ", ".join(f"{name} {value:.1f} us a row" for name, value in times.items()), "n": REPEATED,
            "met": times["operator"] <= times["LightGBM"],
        })  # fmt: skip
    return found


def interleaved(ways: dict[str, Any], repeated: int = REPEATED) -> dict[str, float]:
    """Median microseconds of each call on its thread, all of them in turn, so that what else is done falls on all."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for each in ways.values():
        each()
    for _ in range(repeated):
        for name, each in ways.items():
            began = time.thread_time()
            each()
            times[name].append(time.thread_time() - began)
    return {name: 1e6 * float(np.median(found)) for name, found in times.items()}


def eager(name: str, architecture: str, data: Path, folder: Path) -> Found:
    """A network in eager PyTorch beside its float and its int8 graph, one thread."""
    from leadline.contenders.bodies import gathered
    from leadline.contenders.portfolio import PORTFOLIO
    from leadline.core.contender import Clock, Data
    from leadline.graph.quantize import Static, dynamic_int8, recurrent
    from leadline.graph.spectra import short_transforms
    from leadline.shrink.network import feeds

    made = ll.fit(data / name, only=architecture, epochs=1, repeats=1, out=folder / f"{name}-net")
    store = made.data().store
    *_, fitted = PORTFOLIO[architecture].fit(Data(store=store, clock=Clock(EAGER_S), threads=2), 0)
    graph = fitted.graph()  # type: ignore[union-attr]
    names = [value.name for value in graph.graph.input]
    if architecture == "transformer":
        small, (whole, int8) = dynamic_int8(graph, recurrent(graph), folder), (None, {1: 4.0, BATCH: 1.4})
    else:
        small = Static(graph, list(feeds(store, names, store.split.train[:256], 32)), folder).quantized("minmax")
        short_transforms(small)  # as the shipped file has it
        whole, int8 = 2.0, {1: 4.0, BATCH: 4.0}
    sessions = {"float": Session(graph), "int8": Session(small)}
    net = fitted._net.eval()  # type: ignore[union-attr]

    def one(tensors: tuple[Any, ...]) -> Any:
        return net(*tensors)

    cases = {}
    for count in (1, BATCH):
        rows = store.split.test[:count]
        cases[count] = (gathered(store, names, rows), next(feeds(store, names, rows)))
    return beside_eager(f"{name}, {architecture}", one, sessions, cases, int8, whole)


def body(data: Path, folder: Path) -> Found:
    """The encoder of texts in eager PyTorch, as it is trained further, beside its graphs in the file, one thread."""
    import torch

    from leadline.contenders.states import readers
    from leadline.core.pretrained import Precision
    from leadline.kinds.text.trainable import TrainableBert

    made = ll.fit(data / "rt-polarity", only="linear", epochs=1, repeats=1, out=folder / "texts")
    store = made.data().store
    (reader,) = readers(store)
    net = TrainableBert(reader.found.folder).eval()
    sessions = {
        name: Session(reader.graph(store, precision))
        for name, precision in (("float", Precision.FLOAT32), ("int8", Precision.INT8))
    }
    cases = {}
    for count in (1, BATCH):
        pieces = store.tensor(reader.tensor)[store.split.test[:count]]
        used = pieces[:, : int((pieces > 0).sum(axis=1).max())]  # eager PyTorch is not given what no row of them has
        cases[count] = (torch.from_numpy(used.astype(np.int64)), {reader.tensor: pieces})

    def states(pieces: Any) -> Any:
        return net.upper(net.lower(pieces, 0), pieces, 0)

    what = f"{reader.found.body.name}, rt-polarity"
    return beside_eager(what, states, sessions, cases, {1: 4.0, BATCH: 1.4}, None, repeated=8)


def beside_eager(
    what: str, net: Any, sessions: dict[str, Session], cases: dict[int, tuple[Any, Any]], int8: dict[int, float],
    whole: float | None, repeated: int = REPEATED,
) -> Found:  # fmt: skip
    """A module beside its graphs, on one thread.

    Args:
        cases: by the number of rows, what the module and what the graphs are given.
        int8: how many times as fast the int8 graph must be, by the number of rows; `whole` the float one.
    """
    import torch

    ways = dict[str, Any]()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for count, (tensors, given) in cases.items():
        ways[f"eager {count}"] = lambda tensors=tensors: net(tensors)
        for kind, session in sessions.items():
            ways[f"{kind} {count}"] = lambda session=session, given=given: session.only(given)
    with torch.inference_mode():
        us = interleaved(ways, repeated)
    torch.set_num_threads(threads)
    found = []
    for count in cases:
        times = {kind: us[f"eager {count}"] / us[f"{kind} {count}"] for kind in sessions}
        found.append({
            "what": f"eager PyTorch beside the file's network on one thread: {what}, {count} row(s)",
            "must": f"int8 at least {int8[count]} times as fast" + (f", float {whole} times" if whole else ""),
            "seen": f"float {times['float']:.2f} times, int8 {times['int8']:.2f} times; eager "
            f"{us[f'eager {count}'] / count:.1f} us a row",
            "n": repeated, "met": times["float"] >= (whole or 0) and times["int8"] >= int8[count],
        })  # fmt: skip
    return found


def rows() -> dict[str, Any]:
    """Name of a row -> how it is measured."""

    def of(name: str) -> Any:
        return lambda data, folder: winner(name, data, folder)

    nets = {
        f"eager-{name}": lambda data, folder, name=name, net=net: eager(name, net, data, folder)
        for name, net in (("fsdd", "cnn"), ("cifar10", "cnn"), ("sst2", "transformer"))
    }
    nets["eager-body"] = body
    alone = {"level": level, "bytes": damaged, "predictor": predictor, "smallest": smallest}
    return {**alone, **nets, **{name: of(name) for name in WINNERS}}


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, rows()))
