"""Smaller files of a run: bytes, speed and drop beside the full file, and how often a worse one ships.

python benchmarks/shrink.py level                    200 choices among candidates that are all worse by the limit
python benchmarks/shrink.py bytes                    2,000 damaged files: none answers
python benchmarks/shrink.py mnist adult sst2 tinyshakespeare
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import Found, run

import leadline as ll
from leadline.metrics.metrics import METRICS
from leadline.shrink.choose import halves, last_proved, sequence
from leadline.stats.noninferiority import ALPHA, compare
from leadline.system.errors import LeadlineError

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
BUDGET = "60s"
CHOICES, CANDIDATES, ROWS, LIMIT = 200, 8, 2_000, 0.01
DAMAGES = 2_000


def level(data: Path, folder: Path) -> Found:
    """Candidates that lose and gain rows at random, the true drop of each at the limit, of sizes in random order."""
    rng, shipped, truth, metric = np.random.default_rng(0), 0, np.zeros(ROWS, int), METRICS["accuracy"]
    for choice in range(CHOICES):
        full = rng.random(ROWS) < 0.92
        gained = rng.permutation(np.linspace(0.0, 0.02, CANDIDATES))
        small = [_swapped(rng, full, LIMIT + each, each) for each in gained]
        sizes = rng.permutation(CANDIDATES)
        chooses, judges = halves(ROWS, None, choice, whole=False)

        def tested(k: int, rows: np.ndarray, full: np.ndarray = full, small: list[np.ndarray] = small) -> Any:
            return compare(truth[rows], _answers(full[rows]), _answers(small[k][rows]), metric, LIMIT)

        evidence = [tested(k, chooses).p for k in range(CANDIDATES)]
        order = sequence(range(CANDIDATES), lambda k, sizes=sizes: float(sizes[k]), lambda k, p=evidence: p[k])
        shipped += last_proved(order, lambda k, judges=judges, tested=tested: tested(k, judges).proved) is not None
    share = shipped / CHOICES
    return [{
        "what": f"shrink: {CANDIDATES} candidates whose true drop is the limit of {LIMIT:.0%}, {ROWS:,} test rows",
        "must": f"one ships in at most {ALPHA:.0%} of {CHOICES} choices", "seen": f"{share:.1%}", "n": CHOICES,
        "met": share <= ALPHA,
    }]  # fmt: skip


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


def winner(name: str, data: Path, folder: Path) -> Found:
    """The best file of one data set beside its full one; speeds are printed, and no row of results depends on them."""
    target, only, most, drop, faster = WINNERS[name]
    made = ll.fit(data / name, target=target, only=only, budget=BUDGET, repeats=1, out=folder / name)
    small = made.shrink(out=folder / f"{name}-small", max_drop=drop)
    print(small)
    rows = {row["name"]: row for row in small.result["frontier"]}
    full, chosen = rows["full"], rows.get(small.result["chosen"] or "full", rows["full"])
    share, n = chosen["bytes"] / full["bytes"], small.result["judging_rows"]
    seen = f"{chosen['name']}: {chosen['bytes']:,} of {full['bytes']:,} bytes, {share:.2f}"
    if small.result["drop"] is not None:
        seen += f"; drop {100 * small.result['drop']:.2f}, at most {100 * small.result['upper']:.2f} points or %"
    found = [{
        "what": f"shrink: {name}, the winner of {BUDGET} among {only}",
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


def rows() -> dict[str, Any]:
    """Name of a row -> how it is measured."""

    def of(name: str) -> Any:
        return lambda data, folder: winner(name, data, folder)

    return {"level": level, "bytes": damaged, **{name: of(name) for name in WINNERS}}


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, rows()))
