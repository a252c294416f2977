"""Beside other work: whether Leadline takes what the machine has left, and no longer than that takes.

    python benchmarks/busy.py [--data ../shared/data] [--rounds 5] [--turns 3] [--seconds 4] [NAME ...]

Others are processes that count in a loop, begun before a run and ended after it. The README network is timed as a whole
process, in turns with itself on one thread (OMP_NUM_THREADS=1), with an earlier commit and with JAX, so that all meet
the same machine. Of the other works the seconds a unit (a step, a round, all rows) are compared with a fair share:
beside b processes that are always busy, a process has c = cores / (b + 1) of the cores, so it should take what it takes
alone on t = max(1, floor(c)) threads, times max(1, t / c). Appended to benchmarks/results/busy.csv.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import write

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "busy.csv"
FIELDS = (
    "when",
    "what",
    "must",
    "seen",
    "met",
    "n",
    "ratio",
    "low",
    "high",
    "ours_s",
    "theirs_s",
    "machine",
    "versions",
)
EXAMPLE = HERE.parent / "examples" / "mnist_mlp.py"
LONGEST = 300.0  # seconds that anything is waited for
LOOP = "import time\nuntil = time.monotonic() + {seconds}\nwhile time.monotonic() < until: pass"
OTHERS, BESIDE = (0, 1, 2, 4), (1, 2)  # busy processes beside the README network, and beside the other works
HALF = "50000"  # of 100,000 microseconds


@dataclass(frozen=True, kw_only=True)
class Asked:
    data: Path
    folder: Path  # scratch
    rounds: int
    turns: int
    seconds: float
    before: str
    cores: int


@contextmanager
def beside(count: int) -> Iterator[None]:
    """So many other processes are busy meanwhile; they end by themselves where nobody ends them."""
    loop = LOOP.format(seconds=LONGEST)
    others = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(count)]
    try:
        time.sleep(0.2 * bool(count))
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def timed(
    words: list[str], settings: Mapping[str, str], confine: Callable[[], None] | None = None
) -> tuple[float, str]:
    """(seconds of the whole process, what it printed)."""
    began = time.perf_counter()
    done = subprocess.run(
        words, env={**os.environ, **settings}, capture_output=True, text=True, check=False, timeout=LONGEST,
        preexec_fn=confine,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
    return time.perf_counter() - began, done.stdout


def _example(asked: Asked, **settings: str) -> Callable[..., float]:
    """The README network, from the start of its process to its test accuracy."""
    words = [sys.executable, str(EXAMPLE), str(asked.data / "mnist")]

    def once(confine: Callable[[], None] | None = None) -> float:
        return timed(words, {"LEADLINE_CACHE": str(asked.folder / "cache"), **settings}, confine)[0]

    return once


def _earlier(asked: Asked) -> Callable[[], float]:
    """The same, by the code of an earlier commit."""
    source = asked.folder / "before"
    source.mkdir(exist_ok=True)
    packed = subprocess.run(["git", "archive", asked.before, "src"], cwd=HERE.parent, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(source)], input=packed.stdout, check=True)
    return _example(asked, PYTHONPATH=str(source / "src"), LEADLINE_CACHE=str(asked.folder / "cache-before"))


def _jax(asked: Asked) -> Callable[[], float]:
    import environments

    python = environments.environment("jax", environments.DEFAULT)
    words = [str(python), "-E", str(HERE / "peers" / "jax_scan.py"), str(asked.data / "mnist")]
    return lambda: timed(words, {})[0]


def in_turns(works: Mapping[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    """Seconds of each work in every round; the order turns from round to round, and a first round is not counted."""
    names, found = list(works), {name: list[float]() for name in works}
    for name in names:
        works[name]()
    for number in range(count):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(works[name]())
    return found


def compared(what: str, ours: list[float], theirs: list[float], most: float, of: str) -> dict[str, Any]:
    """The median of the ratios of all rounds."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    ratio, mine, its = statistics.median(ratios), statistics.median(ours), statistics.median(theirs)
    seen = f"{ratio:.2f} [{ratios[0]:.2f} to {ratios[-1]:.2f}], {mine:.3g} s and {its:.3g} s, n={len(ratios)}"
    return {
        "what": what, "must": f"<= {most:g} of {of}", "seen": seen, "met": ratio <= most, "n": len(ratios),
        "ratio": round(ratio, 4), "low": round(ratios[0], 4), "high": round(ratios[-1], 4), "ours_s": round(mine, 4),
        "theirs_s": round(its, 4),
    }  # fmt: skip


def readme(count: int) -> Callable[[Asked], list[dict[str, Any]]]:
    def measure(asked: Asked) -> list[dict[str, Any]]:
        """The README network beside so many processes."""
        works: dict[str, Callable[[], float]] = {
            "ours": _example(asked), "one": _example(asked, OMP_NUM_THREADS="1"),
        }  # fmt: skip
        if count == 0:
            works["before"] = _earlier(asked)
        if count == 1:
            works["jax"] = _jax(asked)
        with beside(count):
            found = in_turns(works, asked.rounds)
        what = f"README network beside {count} busy processes"
        rows = [compared(what, found["ours"], found["one"], 1.15, "its time on one thread")]
        if count == 0:
            rows.append(compared(what, found["ours"], found["before"], 1.05, f"that of {asked.before}"))
        if count == 1:
            rows.append(compared(what, found["ours"], found["jax"], 1.1, "that of JAX"))
        return rows

    return measure


def work(name: str) -> Callable[[Asked], list[dict[str, Any]]]:
    def measure(asked: Asked) -> list[dict[str, Any]]:
        """Seconds a unit beside others, over those of a fair share."""
        if name == "predict":
            _model(asked.folder)
        alone: dict[int, list[float]] = {}
        found: dict[int, list[float]] = {others: [] for others in BESIDE}
        threads = {others: max(1, math.floor(asked.cores / (others + 1))) for others in BESIDE}
        for _ in range(asked.turns):
            for count in sorted(set(threads.values())):
                alone.setdefault(count, []).append(_unit(name, asked, {"OMP_NUM_THREADS": str(count)}))
            for others in BESIDE:
                with beside(others):
                    found[others].append(_unit(name, asked, {}))
        rows = []
        for others in BESIDE:
            slower = max(1.0, threads[others] * (others + 1) / asked.cores)
            fair = [spent * slower for spent in alone[threads[others]]]
            rows.append(
                compared(f"{name} beside {others} busy processes", found[others], fair, 1.3, "a fair share's time")
            )
        return rows

    return measure


def _unit(name: str, asked: Asked, settings: Mapping[str, str]) -> float:
    """Seconds a unit, by a process of its own."""
    words = [sys.executable, str(Path(__file__).resolve()), "--work", name, "--seconds", str(asked.seconds)]
    settings = {"LEADLINE_CACHE": str(asked.folder / "cache"), "LEADLINE_BUSY": str(asked.folder), **settings}
    if name == "trees":
        settings["OMP_WAIT_POLICY"] = "PASSIVE"  # as in a worker of a race
    return float(timed(words, settings)[1].split()[-1])


def confined(kind: str) -> Callable[[Asked], list[dict[str, Any]]]:
    def measure(asked: Asked) -> list[dict[str, Any]]:
        """The README network with one core, or half of one, against itself on one thread in the same confines."""
        what = f"README network with {kind}"
        group = None if kind == "one core" else _group()
        if kind != "one core" and group is None:
            none = {"what": what, "must": "<= 1.05 of one thread", "seen": "not measured: no group can be made here"}
            return [{**none, "met": True, "n": 0}]
        try:

            def confine() -> None:
                if group is None:
                    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
                else:
                    (group / "cgroup.procs").write_text(str(os.getpid()))

            ours, one = _example(asked), _example(asked, OMP_NUM_THREADS="1")
            found = in_turns({"ours": lambda: ours(confine), "one": lambda: one(confine)}, min(3, asked.rounds))
        finally:
            if group is not None:
                group.rmdir()
        return [compared(what, found["ours"], found["one"], 1.05, "its time on one thread")]

    return measure


def _group() -> Path | None:
    """A control group of half a core; None where none can be made."""
    for above, name in (("/sys/fs/cgroup", "cpu.max"), ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us")):
        group = Path(above) / f"leadline-busy-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / "cgroup.procs").exists() and (group / name).exists():  # it may be an ordinary folder
                (group / name).write_text(f"{HALF} 100000" if name == "cpu.max" else HALF)
                return group
        except OSError:
            pass
        group.rmdir()
    return None


def _model(folder: Path) -> None:
    """A shipped model of a table of numbers, and 100,000 rows for it."""
    import numpy as np
    import polars as pl

    import leadline as ll

    if (folder / "rows.parquet").exists():
        return
    rng = np.random.default_rng(0)
    table = pl.DataFrame({f"x{i}": rng.normal(size=100_000).astype(np.float32) for i in range(12)})
    few = table[:3_000].with_columns((pl.col("x0") + pl.col("x1") * pl.col("x2") > 0).alias("y"))
    ll.fit(few, target="y", budget="8s", only="boosting", out=str(folder / "run"), cache=str(folder / "cache"))
    table.write_parquet(folder / "rows.parquet")


def _conv(seconds: float) -> float:
    import torch
    import train_nets

    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 256, (1_024, 3, 32, 32), dtype=torch.uint8, generator=generator), torch.arange(1_024) % 10
    return _training(train_nets.conv(), rows, 128, seconds)


def _transformer(seconds: float) -> float:
    import torch
    import train_nets

    ids = torch.randint(0, 65, (512, 129), generator=torch.Generator().manual_seed(0))
    return _training(train_nets.Characters(4, 128, 65, 128), (ids[:, :-1], ids[:, 1:]), 32, seconds)


def _lstm(seconds: float) -> float:
    import train_nets

    return _training(train_nets.Recurrent(40, 128, 4), train_nets.sounds(Path()), 64, seconds)


def _training(module: Any, rows: Any, batch: int, seconds: float) -> float:
    """Seconds a step of `ll.train`, its choices left out: they are remembered after the first time."""
    import leadline as ll

    ll.train(module, rows, batch_size=batch, steps=2)
    trained = ll.train(module, rows, batch_size=batch, budget=seconds)
    return sum(trained.history.seconds.values()) / len(trained.history.losses)


def _trees(seconds: float) -> float:
    """Seconds a round of the boosting contender."""
    import numpy as np
    import polars as pl

    from leadline.config import from_mapping
    from leadline.contenders.boosting import Boosting
    from leadline.core.contender import Clock, Data, Progress
    from leadline.dataset.audit import audit
    from leadline.dataset.split import split
    from leadline.dataset.store import build
    from leadline.dataset.table import read as understand
    from leadline.readers.source import read
    from leadline.system.resources import most_threads

    rng = np.random.default_rng(0)
    x = rng.normal(size=(40_000, 20))
    table = pl.DataFrame({f"x{i}": column for i, column in enumerate(x.T)})
    table = table.with_columns(
        pl.Series("y", np.where(x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=len(x)) > 0, "a", "b"))
    )
    asked, cache = from_mapping({"target": "y", "budget": "60s"}), Path(os.environ["LEADLINE_CACHE"])
    known, _ = audit(understand(read(table, cache=cache), asked), asked)
    store = build(known, split(known.labels, known.part, 0), cache, seconds=60.0, key={"seed": 0})
    began, rounds = time.perf_counter(), 1
    for item in Boosting().fit(Data(store=store, clock=Clock(seconds), threads=most_threads()), 0):
        if isinstance(item, Progress) and item.step > 0:
            rounds, spent = item.step, time.perf_counter() - began
    return spent / rounds


def _predict(seconds: float) -> float:
    """Seconds for 100,000 rows, from the file to the frame of answers."""
    import polars as pl

    import leadline as ll

    folder = Path(os.environ["LEADLINE_BUSY"])
    model, rows = ll.Model(folder / "run" / "model.onnx"), pl.read_parquet(folder / "rows.parquet")
    began = time.perf_counter()
    model.predict(rows)
    return time.perf_counter() - began


WORKS = {"conv": _conv, "transformer": _transformer, "lstm": _lstm, "trees": _trees, "predict": _predict}
ROWS: dict[str, Callable[[Asked], list[dict[str, Any]]]] = {
    **{f"readme {count}": readme(count) for count in OTHERS},
    **{name: work(name) for name in WORKS},
    "one core": confined("one core"), "half a core": confined("half a core"),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds mnist/")
    parser.add_argument("--rounds", type=int, default=5, help="of the README network")
    parser.add_argument("--turns", type=int, default=3, help="of the other works")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one turn")
    parser.add_argument("--before", default="dc77118", help="commit that it must not be slower than")
    parser.add_argument("--dry", action="store_true", help="print only, write no results")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    given = parser.parse_args()
    if given.work:
        print(WORKS[given.work](given.seconds))
        return 0
    from leadline.system.resources import cores

    met = True
    with tempfile.TemporaryDirectory() as folder:
        asked = Asked(
            data=given.data.resolve(), folder=Path(folder), rounds=given.rounds, turns=given.turns,
            seconds=given.seconds, before=given.before, cores=cores(),
        )  # fmt: skip
        for name in given.names or ROWS:
            rows = ROWS[name](asked)
            if given.dry:
                print(*(f"{row['what']}: must {row['must']}, seen {row['seen']}" for row in rows), sep="\n", flush=True)
            else:
                write(RESULTS, FIELDS, rows)
            met = met and all(row["met"] for row in rows)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
