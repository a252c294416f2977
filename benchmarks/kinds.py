"""Sound and text corpus on real data, measured: each command as a user runs it, and what odd files come to.

    python benchmarks/kinds.py [--data ../shared/data] [NAME ...]

Prints what must be and what was, and appends it to benchmarks/results/kinds.csv with versions and machine.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import Found, run

RESULTS = Path(__file__).parent / "results" / "kinds.csv"
FIELDS = ("when", "what", "must", "seen", "met", "wall_s", "contenders", "machine", "versions")


def leadline(*arguments: Any, folder: Path) -> tuple[subprocess.CompletedProcess[str], float, float]:
    """A command as a user runs it; also its seconds, and the most memory that it or a process of its held, in MB."""
    began = time.perf_counter()
    words = [sys.executable, "-m", "leadline", *map(str, arguments)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return done, time.perf_counter() - began, peak


def fit(source: Path, *options: Any, folder: Path, name: str) -> tuple[dict[str, Any], float]:
    """A run's result and its seconds."""
    done, wall, _ = leadline("fit", source, *options, "--out", folder / name, folder=folder)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-300:])
    return json.loads((folder / name / "result.json").read_text()), wall


def scores(result: dict[str, Any]) -> dict[str, float]:
    return {c["name"]: c["score"] for c in result["contenders"] if c["score"] is not None}


def shown(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {score:.4g}" for name, score in found.items())


def fsdd(data: Path, folder: Path) -> Found:
    result, wall = fit(data / "fsdd", "--budget", "3m", folder=folder, name="fsdd")
    shipped, low = result["shipped"], result["rows"]["test"]
    seen = f"{shipped['contender']} {shipped['score']:.2%} on {low} test rows; {result['verdict']['answer']}"
    met = shipped["score"] >= 0.98 and wall <= 1.05 * 180
    return [{
        "what": "fsdd, 3 min, its own split", "must": "shipped >= 98%", "seen": seen, "met": met,
        "wall_s": round(wall, 1), "contenders": shown(scores(result)),
    }]  # fmt: skip


def esc10(data: Path, folder: Path) -> Found:
    """Five folds in five minutes together: a minute each."""
    runs = [
        fit(data / "esc10", "--split", f"fold={k}", "--budget", "60s", folder=folder, name=f"esc{k}")
        for k in range(1, 6)
    ]
    every = [scores(result) for result, _ in runs]
    means = {name: float(np.mean([one.get(name, 0.0) for one in every])) for name in every[0]}
    shipped = [result["shipped"]["score"] for result, _ in runs]
    best = max(means, key=lambda name: means[name])
    low, high = min(one[best] for one in every), max(one[best] for one in every)
    seen = f"{best} {means[best]:.2%} (folds {low:.2%} to {high:.2%}); shipped {np.mean(shipped):.2%}"
    return [{
        "what": "esc10, 5 folds of 60 s", "must": "best contender >= 78%", "seen": seen, "met": means[best] >= 0.78,
        "wall_s": round(sum(wall for _, wall in runs), 1), "contenders": shown(means),
    }]  # fmt: skip


def shakespeare(data: Path, folder: Path) -> Found:
    source = data / "tinyshakespeare"
    result, wall = fit(source, "--budget", "5m", "--only", "gpt,ngram", folder=folder, name="free")
    nats = {name: bits * math.log(2) for name, bits in scores(result).items()}  # a byte is a character here
    seen = f"gpt {nats['gpt']:.3f}, ngram {nats['ngram']:.3f} nats; {result['verdict']['answer']}"
    rows = [{
        "what": "tinyshakespeare, 5 min, free choice", "must": "gpt <= 1.65 nats", "seen": seen,
        "met": nats["gpt"] <= 1.65 and wall <= 1.05 * 300, "wall_s": round(wall, 1), "contenders": shown(nats),
    }]  # fmt: skip
    return rows + generation(source, folder)


def generation(source: Path, folder: Path) -> Found:
    """500 characters from the file of a network, with the cache and without; as large as two minutes allow."""
    from leadline.use.model import Model

    fit(source, "--budget", "120s", "--only", "gpt", folder=folder, name="gpt")
    model = Model(folder / "gpt" / "model.onnx")
    texts, seconds = {}, {}
    for cache in (True, False, True):  # the first call warms up
        began = time.perf_counter()
        texts[cache] = model.generate("ROMEO:\n", length=500, seed=1, cache=cache)
        seconds[cache] = time.perf_counter() - began
    same = texts[True] == texts[False] == model.generate("ROMEO:\n", length=500, seed=1)
    faster = seconds[False] / seconds[True]
    seen = f"{faster:.1f} times ({seconds[True]:.2f} s and {seconds[False]:.2f} s), same text: {same}"
    return [{
        "what": "generate 500 characters", "must": ">= 10 times faster with the cache, same text", "seen": seen,
        "met": faster >= 10 and same,
    }]  # fmt: skip


def speed(data: Path, folder: Path) -> Found:
    """The fixed net: 4 layers of 128, windows of 64, batches of 12, 2,000 steps."""
    from language_speed import measure

    text = (data / "tinyshakespeare" / "input.txt").read_text()
    ours, plain, faster = measure(text)
    return [
        {
            "what": "fixed net: 4 x 128, 64 x 12, 2,000 steps", "must": "valid <= 1.88 nats",
            "seen": f"{ours['valid']:.3f}, plain eager {plain['valid']:.3f}", "met": ours["valid"] <= 1.88,
            "wall_s": round(ours["seconds"], 1),
        },
        {
            "what": "fixed net: tokens a second", "must": ">= 1.2 times plain eager PyTorch",
            "seen": f"{np.median(faster):.2f} times ({min(faster):.2f} to {max(faster):.2f}, n = {len(faster)}): "
            f"{ours['tokens_s']:,.0f} and {plain['tokens_s']:,.0f}",
            "met": float(np.median(faster)) >= 1.2,
        },
    ]  # fmt: skip


def odd_clips(data: Path, folder: Path) -> Found:
    """Good clips of two classes, and every odd one among them: a run ends with a verdict, or says what is wrong."""
    import soundfile

    rng, root = np.random.default_rng(0), folder / "clips"
    rate = 16_000

    def tone(hertz: float, seconds: float, at: int = rate) -> np.ndarray:
        steps = np.arange(int(at * seconds)) / at
        return 0.4 * np.sin(2 * np.pi * hertz * steps) + rng.normal(0, 0.02, len(steps))

    for label, hertz in (("low", 300.0), ("high", 900.0)):
        (root / label).mkdir(parents=True)
        for i in range(40):
            soundfile.write(root / label / f"{i:02}.wav", tone(hertz, rng.uniform(0.3, 1.5)), rate)
    odd = {
        "tenth": (tone(300, 0.1), rate, {}), "minute": (tone(300, 60), rate, {}), "silent": (np.zeros(rate), rate, {}),
        "clipped": (np.clip(9 * tone(300, 1), -1, 1), rate, {}), "eight": (tone(300, 1), rate, {"subtype": "PCM_U8"}),
        "stereo": (np.stack([tone(300, 1)] * 2, axis=1), rate, {}), "fast": (tone(300, 1, 96_000), 96_000, {}),
        "nan": (np.where(np.arange(rate) % 100 == 0, np.nan, tone(300, 1)), rate, {"subtype": "FLOAT"}),
        "all_nan": (np.full(rate, np.nan), rate, {"subtype": "FLOAT"}),
    }  # fmt: skip
    for name, (wave, at, how) in odd.items():
        soundfile.write(root / "low" / f"{name}.wav", wave, at, **how)
    soundfile.write(root / "low" / "long.flac", np.tile(tone(300, 60), 30), rate)  # half an hour
    whole = (root / "low" / "minute.wav").read_bytes()
    (root / "low" / "truncated.wav").write_bytes(whole[:50_000])
    (root / "low" / "empty.wav").write_bytes(b"")
    (root / "low" / "prose.wav").write_text("this is no sound")
    done, wall, peak = leadline("fit", root, "--budget", "45s", "--out", folder / "odd", folder=folder)
    aside = (folder / "odd" / "quarantine.csv").read_text() if done.returncode == 0 else done.stderr
    named = [name for name in [*odd, "long", "truncated", "empty", "prose"] if f"/{name}." in aside]
    met = done.returncode == 0 and "Traceback" not in done.stderr and named == ["all_nan", "empty", "prose"]
    seen = f"exit {done.returncode}, set aside: {', '.join(named)}; {peak:.0f} MB at most"
    return [{
        "what": "13 odd clips among 80", "must": "handled, or set aside with a sentence; memory bounded",
        "seen": seen, "met": met and peak < 2_000, "wall_s": round(wall, 1),
    }]  # fmt: skip


def odd_texts(data: Path, folder: Path) -> Found:
    text = (data / "tinyshakespeare" / "input.txt").read_text()
    german = "Die Größe der Bäume übertraf alles. Möwen kreischten; es war Föhn.\n"
    chinese = "学而时习之,不亦说乎?有朋自远方来,不亦乐乎?人不知而不愠,不亦君子乎?\n"
    rng = np.random.default_rng(0)
    words = ["".join(chr(0x4E00 + int(c)) for c in rng.integers(0, 900, 4)) for _ in range(300)]
    cases: dict[str, bytes] = {
        "nothing": b"", "one": b"x", "mojibake": (german * 400).encode().decode("latin-1").encode(),
        "latin": (german * 400).encode("latin-1"),
        "chinese": (chinese * 20 + "。".join(rng.choice(words, 8_000))).encode(),
        "binary": bytes(range(256)) * 100, "hundred": (text.encode() * 90)[:100_000_000],
    }  # fmt: skip
    found = []
    for name, content in cases.items():
        (folder / f"{name}.txt").write_bytes(content)
        out = folder / f"{name}-run"
        options = ("--task", "language", "--budget", "45s", "--out", out)
        done, wall, peak = leadline("fit", folder / f"{name}.txt", *options, folder=folder)
        one_line = done.stderr.count("\n") == 1 and done.stderr.startswith("leadline: ")
        met = done.returncode == 0 or (done.returncode == 2 and one_line and name in ("nothing", "one", "binary"))
        said = done.stderr.strip() if done.returncode else done.stdout.strip().splitlines()[-3][:110]
        found.append({
            "what": f"a text: {name}, {len(content):,} bytes", "must": "handled, or one clear sentence; memory bounded",
            "seen": f"{said} ({peak:.0f} MB at most so far)", "met": met and peak < 3_000, "wall_s": round(wall, 1),
        })  # fmt: skip
    return found


ROWS: dict[str, Callable[[Path, Path], Found]] = {
    "odd_clips": odd_clips, "odd_texts": odd_texts, "fsdd": fsdd, "esc10": esc10, "tinyshakespeare": shakespeare,
    "speed": speed,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
