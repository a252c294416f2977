"""Model files with changed, missing or added bytes: none may answer, crash, or show a traceback.

    python benchmarks/damage.py [NAME ...]

Makes a file of a table, of images, of texts and of a text corpus, damages each 500 times in twelve ways, and asks each
for answers: in Python, and 40 of them on the command line. Appends to benchmarks/results/damage.csv.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import polars as pl
from record import Found, run

RESULTS = Path(__file__).parent / "results" / "damage.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "wall_s", "machine", "versions")
EACH, BY_COMMAND = 500, 10  # damaged files of a kind; and those of them that the command line gets
SECOND = 1.0


def _table() -> Any:
    rng = np.random.default_rng(0)
    size, colour = rng.normal(50, 10, 400), rng.choice(["red", "green", "blue"], 400)
    return pl.DataFrame({"size": size.round(2), "colour": colour, "y": np.where(size > 52, "high", "low")})


def _texts() -> Any:
    rng = np.random.default_rng(1)
    words = ["the", "a", "of", "and", "to", "in", "is", "it", "you", "that", "he", "was", "for", "on", "are", "with"]
    told = {"spam": ["win", "prize"], "ham": ["lunch", "home"]}
    labels = rng.choice(list(told), 300)
    cells = [" ".join([*rng.choice(words, 6), *rng.choice(told[label], 2)]) for label in labels]
    return pl.DataFrame({"text": cells, "label": labels})


def _story(folder: Path) -> Path:
    rng = np.random.default_rng(2)
    who, does, what = ["The fox", "A crow", "My aunt"], ["sees", "eats", "wants"], ["cheese", "a hat", "tea"]
    lines = [f"{rng.choice(who)} {rng.choice(does)} {rng.choice(what)}." for _ in range(2_000)]
    (folder / "story.txt").write_text("\n".join(lines))
    return folder / "story.txt"


# name: (the source, written where the command line finds it; settings)
KINDS: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "table": (lambda folder: _written(_table(), folder / "table.csv"), {"target": "y", "only": "boosting"}),
    "images": (lambda folder: "digits", {"only": "cnn"}),
    "texts": (lambda folder: _written(_texts(), folder / "texts.csv"), {"target": "label", "only": "linear"}),
    "text corpus": (_story, {"only": "ngram"}),
}


def _written(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path)
    return path


def _put(rng: np.random.Generator, data: bytes, place: int, many: int) -> bytes:
    return data[:place] + rng.bytes(many) + data[place + many :]


def _field(rng: np.random.Generator, data: bytes, mark: bytes) -> bytes:
    """One bit near a part that is read before all else."""
    place = min(len(data) - 1, max(0, data.rindex(mark) + int(rng.integers(-8, 200))))
    return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]


def _letter(rng: np.random.Generator, data: bytes) -> bytes:
    """Another letter or digit in the contract, which stays JSON."""
    start = data.rindex(b"leadline.contract")
    places = [place for place in range(start, len(data)) if chr(data[place]).isalnum()]
    place = int(rng.choice(places))
    return data[:place] + bytes([97 + (data[place] + 1) % 26]) + data[place + 1 :]


WAYS: dict[str, Callable[[np.random.Generator, bytes, int], bytes]] = {
    "a bit": lambda rng, data, at: data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :],
    "a byte": lambda rng, data, at: _put(rng, data, at, 1),
    "64 bytes": lambda rng, data, at: _put(rng, data, at, 64),
    "a block of zeros": lambda rng, data, at: data[:at] + bytes(512) + data[at + 512 :],
    "a byte lost": lambda rng, data, at: data[:at] + data[at + 1 :],
    "a block lost": lambda rng, data, at: data[:at] + data[at + int(rng.integers(2, 4096)) :],
    "cut short": lambda rng, data, at: data[:at],
    "bytes added inside": lambda rng, data, at: data[:at] + rng.bytes(int(rng.integers(1, 64))) + data[at:],
    "bytes added behind": lambda rng, data, at: data + rng.bytes(int(rng.integers(1, 64))),
    "near the beginning": lambda rng, data, at: _put(rng, data, int(rng.integers(24)), 1),
    "in the contract": lambda rng, data, at: _letter(rng, data),
    "near the digest": lambda rng, data, at: _field(rng, data, b"leadline.digest"),
}


def _damaged(data: bytes, number: int) -> tuple[str, bytes]:
    """The way of this number's damage, and the bytes: the same each time."""
    way, rng = list(WAYS)[number % len(WAYS)], np.random.default_rng(number)
    while True:
        made = WAYS[way](rng, data, int(rng.integers(len(data))))
        if made != data:
            return way, made


def _ask(path: Path, source: Any) -> tuple[str, float]:
    """(how it ended, seconds) of asking the file for answers."""
    import leadline as ll

    began = time.perf_counter()
    try:
        model = ll.Model(path)
        model.generate("The", length=3) if model.contract["task"] == "language" else model.predict(source)
        end = "answered"
    except ll.LeadlineError as error:
        end = "refused" if "is damaged (" in str(error) and "\n" not in str(error) else f"said: {error}"
    except Exception as error:
        end = f"{type(error).__name__}: {error}"
    return end, time.perf_counter() - began


def _command(path: Path, source: Any, cwd: Path) -> tuple[str, float]:
    words = ["generate", str(path), "--length", "3"] if source is None else ["predict", str(path), str(source)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "leadline", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - began
    line = done.stderr.startswith("leadline: ") and done.stderr.count("\n") == 1 and not done.stdout
    return ("refused" if done.returncode == 2 and line else f"{done.returncode}: {done.stderr[-300:]}"), wall


def _kind(name: str, folder: Path) -> Found:
    """One kind of model: made, asked as it is, and asked damaged."""
    import leadline as ll

    where = folder / name.replace(" ", "-")
    where.mkdir()
    make, settings = KINDS[name]
    source = make(where)
    made = ll.fit(source, budget="15s", out=where / "run", **settings)
    data, path = (made.folder / "model.onnx").read_bytes(), where / "model.onnx"
    path.write_bytes(data)
    whole, _ = _ask(path, source)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    plain = len(ort.InferenceSession(str(path), options).get_outputs())
    began, ends, slowest, wrong = time.perf_counter(), Counter[str](), 0.0, list[str]()
    by_command, slowest_command = Counter[str](), 0.0
    for number in range(EACH):
        way, broken = _damaged(data, number)
        path.write_bytes(broken)
        end, wall = _ask(path, source)
        ends["refused" if end == "refused" else "not"] += 1
        slowest = max(slowest, wall)
        if end != "refused" or wall > SECOND:
            wrong.append(f"{number} ({way}): {end[:200]} in {wall:.2f} s")
        if number % (EACH // BY_COMMAND) == 7:
            end, wall = _command(path, None if name == "text corpus" else source, where)
            by_command["refused" if end == "refused" else "not"] += 1
            slowest_command = max(slowest_command, wall)
            if end != "refused":
                wrong.append(f"{number} ({way}) by command: {end[:300]}")
    seen = (
        f"as shipped: {whole}, {plain} outputs by plain ONNX Runtime; {ends['refused']} of {EACH} refused in at most "
        f"{slowest:.3f} s; by command {by_command['refused']} of {sum(by_command.values())}, at most "
        f"{slowest_command:.1f} s with the start of Python" + "".join(f"; {each}" for each in wrong[:5])
    )
    return [{
        "what": f"damaged files: {name}, {len(data) / 1e3:,.0f} kB", "seen": seen, "n": EACH,
        "must": "none answers, none crashes, one sentence, under 1 s; the whole one answers",
        "met": not wrong and whole == "answered" and plain > 0, "wall_s": round(time.perf_counter() - began, 1),
    }]  # fmt: skip


def _apart(name: str) -> Callable[[Path, Path], Found]:
    """A kind in a process of its own, so that one that crashes is a row that is not met."""

    def measure(data: Path, folder: Path) -> Found:
        done = subprocess.run(
            [sys.executable, __file__, "--child", name, str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]
        seen = f"the process ended with {done.returncode}: {done.stderr[-300:]}"
        return [
            {"what": f"damaged files: {name}", "must": "no crash", "seen": seen, "met": False, "n": EACH, "wall_s": 0}
        ]

    return measure


def large(data: Path, folder: Path) -> Found:
    """What the check costs: a file of 100 MB, refused and taken."""
    from leadline.graph.digest import damage, with_digest

    made = with_digest(b"\x08\x0a\x12\x08leadline" + np.random.default_rng(0).bytes(100_000_000))
    broken = made[:50_000_000] + b"?" + made[50_000_001:]
    walls = []
    for each, wanted in ((made, True), (broken, False)) * 5:
        began = time.perf_counter()
        assert (damage(each) is None) is wanted
        walls.append(time.perf_counter() - began)
    return [{
        "what": "checking 100 MB", "must": "under 1 s", "met": max(walls) < SECOND, "n": len(walls),
        "seen": f"{np.median(walls):.2f} s, at most {max(walls):.2f} s", "wall_s": round(sum(walls), 1),
    }]  # fmt: skip


ROWS: dict[str, Callable[[Path, Path], Found]] = {**{name: _apart(name) for name in KINDS}, "large": large}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        warnings.simplefilter("error")
        os.environ["LEADLINE_CACHE"] = str(Path(sys.argv[3]) / "cache")
        print(json.dumps(_kind(sys.argv[2], Path(sys.argv[3]))))
        sys.exit(0)
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
