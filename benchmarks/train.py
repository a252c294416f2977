"""The training engine against what users would write instead, side by side.

    python benchmarks/train.py [--data ../shared/data] [--pairs 10] [NAME ...]

Programs are timed as whole processes, from start to test accuracy, in turns, so that both of a pair meet the same
machine. Printed and appended to benchmarks/results/train.csv: the median of the ratios of the pairs, with the interval
between two of the ordered ratios that covers the median with the confidence stated.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environments
import train_again
from record import write

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "train.csv"
FIELDS = (
    "when", "what", "must", "seen", "met", "n", "ratio", "low", "high", "confidence", "ours_s", "theirs_s",
    "ours_spread", "theirs_spread", "ours_accuracy", "theirs_accuracy", "machine", "versions",
)  # fmt: skip
EXAMPLE = HERE.parent / "examples" / "mnist_mlp.py"
PEERS = {
    "jax": HERE / "peers" / "jax_scan.py",
    **{name: HERE / "peers" / f"{name}_net.py" for name in ("skorch", "lightning", "keras", "sklearn", "fastai")},
}
WIDTHS, BATCH, TURN = (784, 256, 128, 10), 64, 200  # of the network; rows a step; steps a turn


def interval(values: list[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """(low, high, confidence): the innermost pair of ordered values that covers the median at least so surely.

    The median lies below k of n values or fewer with the chance of so few heads in n throws of a coin. Fewer than six
    values reach no 95%: then it is their whole range, and the confidence says how little that is.
    """
    ordered, n = sorted(values), len(values)
    covered = [1 - 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n for k in range(n // 2)]
    k = max((k for k, sure in enumerate(covered) if sure >= confidence), default=0)
    return ordered[k], ordered[-1 - k], covered[k] if covered else 0.0


def process(script: Path, *arguments: object, python: Path | None = None) -> tuple[float, float]:
    """(seconds of the whole process, test accuracy that it printed); `python` is that of another environment."""
    words = [sys.executable] if python is None else [str(python), "-E"]
    began = time.perf_counter()
    done = subprocess.run([*words, str(script), *map(str, arguments)], capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
    found = re.search(r"test accuracy ([\d.]+)%", done.stdout)
    assert found is not None, done.stdout
    return wall, float(found[1]) / 100


def against(peer: str, most: float) -> Callable[[Path, int], dict[str, Any]]:
    def measure(folder: Path, pairs: int) -> dict[str, Any]:
        """Whole processes in pairs; which comes first changes from pair to pair."""
        script = HERE / "peers" / f"{peer}.py"
        ours, theirs = [], []
        for pair in range(pairs):
            turns = [(ours, EXAMPLE, (folder,)), (theirs, script, (folder, pair))]
            for found, program, arguments in turns if pair % 2 else turns[::-1]:
                found.append(process(program, *arguments))
        row = compared([o[0] for o in ours], [t[0] for t in theirs], f"<= {most:.3g} of its time", most)
        return {**row, **shares(ours, theirs)}

    return measure


def jax(folder: Path, pairs: int) -> dict[str, Any]:
    """Whole processes in pairs against JAX with the epoch as one compiled scan, in an environment of its own."""
    ours, theirs = rounds(folder, ["jax"], pairs)
    row = compared([o[0] for o in ours], [t[0] for t in theirs["jax"]], "<= 0.60 of its time", 0.60)
    return {**row, **shares(ours, theirs["jax"]), "versions": environments.said(["jax"])}


def frameworks(folder: Path, pairs: int) -> dict[str, Any]:
    """Whole processes in rounds against five frameworks, each in its environment; the fastest by its median counts."""
    names = [name for name in PEERS if name != "jax"]
    ours, theirs = rounds(folder, names, pairs)
    spent = {name: statistics.median(seconds for seconds, _ in found) for name, found in theirs.items()}
    fastest = min(spent, key=lambda name: spent[name])
    must = "<= 0.35 of the fastest"
    row = compared([o[0] for o in ours], [t[0] for t in theirs[fastest]], must, 0.35)
    others = ", ".join(f"{name} {spent[name]:.3g} s" for name in sorted(spent, key=lambda name: spent[name]))
    seen = f"{row['seen']}; against {fastest}: {others}"
    return {**row, **shares(ours, theirs[fastest]), "seen": seen, "versions": environments.said(names)}


def rounds(folder: Path, peers: list[str], count: int) -> tuple[list[Any], dict[str, list[Any]]]:
    """(seconds, accuracy) of ours and of each peer in every round; the order turns from round to round."""
    pythons = {peer: environments.environment(peer, environments.DEFAULT) for peer in peers}
    ours: list[Any] = []
    theirs: dict[str, list[Any]] = {peer: [] for peer in peers}
    turns: list[tuple[list[Any], Callable[[int], tuple[float, float]]]] = [
        (ours, lambda number: process(EXAMPLE, folder)),
        *(
            (theirs[peer], lambda number, peer=peer: process(PEERS[peer], folder, number, python=pythons[peer]))
            for peer in peers
        ),
    ]
    for _, once in turns:
        once(0)  # not counted: it reads the environments from the disk, which can take longer than the run
    for number in range(count):
        turn = number % len(turns)
        for found, once in turns[turn:] + turns[:turn]:
            found.append(once(number))
    return ours, theirs


def shares(ours: list[Any], theirs: list[Any]) -> dict[str, str]:
    """The accuracies, as they are written down."""
    found = {"ours_accuracy": [o[1] for o in ours], "theirs_accuracy": [t[1] for t in theirs]}
    return {name: f"{min(values):.2%} to {max(values):.2%}" for name, values in found.items()}


def compared(ours: list[float], theirs: list[float], must: str, most: float) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    ratio, (low, high, sure) = statistics.median(ratios), interval(ratios)
    return {
        "must": must, "met": ratio <= most, "n": len(ratios), "ratio": round(ratio, 4), "low": round(low, 4),
        "high": round(high, 4), "confidence": round(sure, 4), "ours_s": round(statistics.median(ours), 6),
        "theirs_s": round(statistics.median(theirs), 6), "ours_spread": f"{min(ours):.4g} to {max(ours):.4g}",
        "theirs_spread": f"{min(theirs):.4g} to {max(theirs):.4g}",
        "seen": f"{ratio:.3f} [{low:.3f}, {high:.3f}] ({sure:.1%}), {statistics.median(ours):.4g} s and "
        f"{statistics.median(theirs):.4g} s, n={len(ratios)}",
    }  # fmt: skip


def step(folder: Path, pairs: int) -> dict[str, Any]:
    """A step of the network, from the draw of its batch to its update, against its matrix products alone, in turns."""
    import torch
    from torch import nn

    import leadline as ll
    from leadline.train import losses, schedule
    from leadline.train.autotune import Choice
    from leadline.train.batches import rows_of
    from leadline.train.config import Settings
    from leadline.train.flat import Flat
    from leadline.train.module_run import ModuleRun
    from leadline.train.optim import Adam

    rows = rows_of(ll.load(folder.name, data=folder.parent), "data")
    layers = [[nn.Linear(i, o), nn.ReLU()] for i, o in zip(WIDTHS, WIDTHS[1:], strict=False)]
    net = nn.Sequential(nn.Flatten(), *[layer for two in layers for layer in two][:-1])
    how = Settings(
        loss=losses.CrossEntropy(), optimizer=Adam(), schedule=schedule.constant, lr=1e-3, batch_size=BATCH, epochs=1,
        steps=None, budget=None, precision="auto", normalise=(0.5, 0.5), clip=None, ema=None,
        accumulate=1, patience=None, seed=0, compile=False, device="cpu",
    )  # fmt: skip
    x = [torch.randn(BATCH, width) for width in WIDTHS]
    w = [torch.randn(o, i) for i, o in zip(WIDTHS, WIDTHS[1:], strict=False)]
    dx, dw = [torch.empty_like(t) for t in x], [torch.empty_like(t) for t in w]

    def products() -> None:
        for i in range(len(w)):
            torch.mm(x[i], w[i].t(), out=dx[i + 1])
        for i in reversed(range(len(w))):
            torch.mm(x[i + 1].t(), x[i], out=dw[i])
            if i:
                torch.mm(x[i + 1], w[i], out=dx[i])

    ours, theirs = [], []
    with torch.no_grad():
        course = ModuleRun(net, Flat(net), rows, None, how, Choice())

        def whole() -> None:
            course.trainer.step_once()
            course.trainer.step(0.5)

        for pair in range(pairs + 1):
            turns = [(ours, whole), (theirs, products)]
            for found, once in turns if pair % 2 else turns[::-1]:
                began = time.perf_counter()
                for _ in range(TURN):
                    once()
                found.append((time.perf_counter() - began) / TURN)
    return compared(ours[1:], theirs[1:], "<= 1.6 times their time", 1.6)  # the first turns warm up


def overhead(folder: Path, pairs: int) -> dict[str, Any]:
    """The share of the run that is not forward, backward or optimizer: data, checks and the loop itself."""
    run = subprocess.run(
        [sys.executable, str(EXAMPLE), str(folder)], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    line = re.search(r"^seconds +([\d.]+): (.*)$", run, re.MULTILINE)
    assert line is not None, run
    parts = {name: float(spent) for name, spent in (item.split() for item in line[2].split(", "))}
    work = parts["forward"] + parts["backward"] + parts["optimizer"]
    share = 1 - work / float(line[1])
    return {
        "must": "<= 8% of the run", "met": share <= 0.08, "n": 1, "ratio": round(share, 4),
        "seen": f"{share:.1%}; {line[2]}",
    }  # fmt: skip


def accuracy(folder: Path, pairs: int) -> dict[str, Any]:
    """Test accuracy over as many seeds, ours and the plain loop's: a difference beyond their spread would show."""
    import torch
    from torch import nn

    import leadline as ll

    source, ours, theirs = ll.load(folder.name, data=folder.parent), [], []
    for seed in range(pairs):
        torch.manual_seed(seed)
        layers = [[nn.Linear(i, o), nn.ReLU()] for i, o in zip(WIDTHS, WIDTHS[1:], strict=False)]
        net = nn.Sequential(nn.Flatten(), *[layer for two in layers for layer in two][:-1])
        trained = ll.train(net, source, batch_size=BATCH, epochs=3, normalise=(0.5, 0.5), seed=seed)
        ours.append(float(trained.evaluate(source).accuracy or 0))
        theirs.append(process(HERE / "peers" / "plain_pytorch.py", folder, seed)[1])
    gap = statistics.mean(ours) - statistics.mean(theirs)
    error = math.sqrt((statistics.variance(ours) + statistics.variance(theirs)) / pairs)
    seen = [f"{statistics.mean(found):.2%} ({min(found):.2%} to {max(found):.2%})" for found in (ours, theirs)]
    return {
        "must": "not lower beyond seed noise", "met": gap > -2 * error, "n": pairs, "ours_accuracy": seen[0],
        "theirs_accuracy": seen[1], "seen": f"{seen[0]} and {seen[1]}, gap {gap:+.2%} ± {2 * error:.2%}",
    }  # fmt: skip


def net(name: str, least: float) -> Callable[[Path, int], dict[str, Any]]:
    def measure(folder: Path, pairs: int) -> dict[str, Any]:
        """Rows a second of `ll.train` over those of the plain eager float32 loop, on one network, in turns."""
        import train_nets

        row = compared(*train_nets.nets(name, folder.parent, pairs)[::-1], f">= {least:g} times the rows a second", 9.9)
        row["met"] = row["ratio"] >= least
        ours = {field: row[field.replace("ours", "theirs")] for field in ("ours_s", "ours_spread")}
        theirs = {field: row[field.replace("theirs", "ours")] for field in ("theirs_s", "theirs_spread")}
        seen = f"{row['ratio']:.2f} times [{row['low']:.2f}, {row['high']:.2f}] ({row['confidence']:.1%}), a step "
        seen += f"{ours['ours_s']:.3g} s and {theirs['theirs_s']:.3g} s, n={row['n']}"
        return {**row, **ours, **theirs, "seen": seen}

    return measure


def net_accuracy(folder: Path, pairs: int) -> dict[str, Any]:
    """Test accuracy of the convolutional net, over 3 seeds, after as many passes."""
    import train_nets

    ours, theirs = train_nets.accuracy(folder.parent)
    gap = statistics.mean(ours) - statistics.mean(theirs)
    error = math.sqrt((statistics.variance(ours) + statistics.variance(theirs)) / len(ours))
    seen = f"{train_nets.said(ours, theirs)}, gap {gap:+.2%} ± {2 * error:.2%}"
    return {"must": "not lower over 3 seeds", "met": gap > -2 * error, "n": len(ours), "seen": seen}


def again(what: str, name: str) -> Callable[[Path, int], dict[str, Any]]:
    def measure(folder: Path, pairs: int) -> dict[str, Any]:
        import tempfile

        with tempfile.TemporaryDirectory() as scratch:
            measured: dict[str, Any] = getattr(train_again, what)(name, folder.parent, Path(scratch))
            return measured

    return measure


ROWS: dict[str, tuple[str, Callable[[Path, int], dict[str, Any]]]] = {
    "plain": ("mnist_mlp.py against the plain PyTorch loop", against("plain_pytorch", 0.55)),
    "reference": ("mnist_mlp.py against the reference script", against("reference_script", 1 / 6)),
    "jax": ("mnist_mlp.py against JAX, the epoch one compiled scan", jax),
    "frameworks": ("mnist_mlp.py against skorch, Lightning, Keras, scikit-learn, fastai", frameworks),
    "step": ("step against its matrix products alone", step),
    "overhead": ("overhead of the loop at batch 64", overhead),
    "accuracy": ("test accuracy against the plain loop, over seeds", accuracy),
    "conv": ("small conv net 32x32, batch 128, against eager float32", net("conv", 2.3)),
    "conv accuracy": ("test accuracy of that net", net_accuracy),
    "transformer4": ("4-layer character transformer against eager float32", net("transformer4", 1.3)),
    "transformer6": ("6-layer character transformer against eager float32", net("transformer6", 1.6)),
    "lstm": ("LSTM classifier against eager float32", net("lstm", 1.2)),
    **{
        f"kills {name}": (f"20 kills of {name} at random moments of a run by epochs", again("kills", name))
        for name in train_again.SOURCES
    },
    **{
        f"repeat {name}": (f"replay of a run of 60 s, on the data of {name}", again("repeat", name))
        for name in ("mlp", "cnn", "gpt")
    },
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds mnist/")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of runs, or of turns, or seeds")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    given = parser.parse_args()
    met = True
    for name in given.names or ROWS:
        what, measure = ROWS[name]
        row = {"what": what, **measure((given.data / "mnist").resolve(), given.pairs)}
        write(RESULTS, FIELDS, [row])
        met = met and bool(row["met"])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
