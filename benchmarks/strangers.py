"""Sources as strangers send them: 200 damaged ones, and real folders with no option but the target, also beside other
work; and where the seconds of a budget go.

    python benchmarks/strangers.py [--data ../shared/data] [NAME ...]

Prints what must be and what was, and appends it to benchmarks/results/strangers.csv with versions and machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import Found, run
from strange_sources import CASES, Case, make
from strange_times import beside, parts

RESULTS = Path(__file__).parent / "results" / "strangers.csv"
FIELDS = ("when", "what", "must", "seen", "met", "wall_s", "machine", "versions")
LONGEST = 60.0  # seconds that a run of an 8 s budget may take on a busy machine before it counts as a hang
# A sentence that helps says what to do; these are the words in which the errors of Leadline do.
REMEDY = re.compile(
    r"\b(give|check|save|copy|add|choose|rename|name|write|put|pack|unpack|make|keep|take|mend|remove|drop|join|leave "
    r"out|pass|point|could race|need(s|ed)?)\b|--\w+|did you mean",
    re.IGNORECASE,
)


def fuzz(data: Path, folder: Path) -> Found:
    """Every case as a user runs it, in a folder of its own, all with one cache."""
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[str] = []
    longest = 0.0
    began = time.perf_counter()
    for number in range(CASES):
        where = folder / f"case-{number:03}"
        where.mkdir()
        case = make(number, where)
        end, faults, wall, said = _try(case, where)
        longest = max(longest, wall)
        ends[case.form][end] += 1
        shown = f"{number:3} {case.form:12} ({', '.join(case.mutations)}) {end} in {wall:.1f} s"
        if faults:
            wrong.append(f"{shown}: {'; '.join(faults)}")
        print(f"{'NOT' if faults else 'ok '} {shown}  {said[:300]!r}", flush=True)
    total = sum(ends.values(), Counter[str]())
    for left in (folder / "cache").glob("*/*"):
        if re.match(r"\.|tmp", left.name):
            wrong.append(f"left in the cache: {left.relative_to(folder)}")
    seen = f"{_ended(total)}; faults: {len(wrong)}; longest {longest:.1f} s" + "".join(f"; {w}" for w in wrong[:5])
    rows = [{
        "what": f"fuzz: {CASES} damaged sources", "must": "no traceback, no hang, no half run, errors one sentence",
        "seen": seen, "met": not wrong, "wall_s": round(time.perf_counter() - began, 1),
    }]  # fmt: skip
    for form, counts in sorted(ends.items()):
        rows.append({"what": f"fuzz: {form}", "must": "counted", "seen": _ended(counts), "met": True})
    return rows


def _ended(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[end]} {end}" for end in ("verdict", "no model", "sentence", "other") if counts[end])


def _try(case: Case, where: Path) -> tuple[str, list[str], float, str]:
    """(how it ended, what is wrong with that, seconds, what was said)."""
    words = [sys.executable, "-m", "leadline", "fit", case.source, *case.options, "--budget", "8s", "--only", "linear"]
    began = time.perf_counter()
    with (where / "out.txt").open("w") as out, (where / "err.txt").open("w") as err:
        process = subprocess.Popen(
            [*words, "--out", "run"],
            cwd=where,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "other", ["hangs"], LONGEST, (where / "out.txt").read_text(errors="replace")[-300:]
    wall = time.perf_counter() - began
    said = (where / "err.txt").read_text(errors="replace").strip()
    shown = (where / "out.txt").read_text(errors="replace").strip()
    faults = [word for word in ("Traceback", "Warning:", "panicked") if word in said + shown]
    if list(where.glob(".run.partial-*")):
        faults.append("a half-written run")
    if _alive(where):
        faults.append("a process left")
    run_folder = where / "run"
    if code in (0, 1):
        wanted = ("result.json", "report.html", "model.onnx") if code == 0 else ("result.json", "report.html")
        faults += [f"no {name}" for name in wanted if not (run_folder / name).is_file()]
        return (
            ("verdict" if code == 0 else "no model"),
            faults + (["words on stderr"] if said else []),
            wall,
            said or shown[-250:],
        )
    if code != 2:
        return "other", [*faults, f"exit code {code}"], wall, said
    if run_folder.exists():
        faults.append("a run in spite of an error")
    if said.count("\n") or not said.startswith("leadline: "):
        faults.append("not one line")
    if len(said) > 700:
        faults.append(f"{len(said)} letters")
    if not REMEDY.search(said):
        faults.append("no remedy")
    if not any(place in said for place in case.places):
        faults.append("no place")
    return "sentence", faults, wall, said


def _alive(where: Path) -> bool:
    """Whether a process is left that was started for this case: workers carry the folder in their command."""
    mark = str(where).encode()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in entry.read_bytes():
                return True
        except OSError:  # it has ended meanwhile
            continue
    return False


def folders(data: Path, folder: Path) -> Found:
    """Real data as it lies there."""
    return [_folder(name, *given, folder) for name, given in _sources(data, folder).items()]


def crowded(data: Path, folder: Path) -> Found:
    """The same beside two busy processes."""
    return beside(_sources(data, folder), folder)


def _sources(data: Path, folder: Path) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """Ten real folders, and the options that each needs."""
    (folder / "crops").mkdir(exist_ok=True)
    return {
        "bccd crops": (_crops(data / "bccd" / "bccd-voc.zip", folder / "crops"), ()),
        "esc10": (data / "esc10", ()),
        "adult": (data / "adult", ("--target", "income")),
        "titanic": (data / "titanic", ("--target", "Survived")),
        "telco-churn": (data / "telco-churn", ("--target", "Churn")),
        "bank-marketing": (data / "bank-marketing", ()),
        "sms-spam": (data / "sms-spam", ("--target", "column_1")),
        "wine-quality": (data / "wine-quality", ("--target", "quality")),
        "snips": (data / "snips", ("--target", "intent")),
        "cifar10": (data / "cifar10", ()),
    }


def _folder(name: str, source: Path, options: tuple[str, ...], folder: Path) -> dict[str, Any]:
    began = time.perf_counter()
    out = folder / f"{name.replace(' ', '-')}-run"
    words = [sys.executable, "-m", "leadline", "fit", str(source), *options, "--budget", "30s", "--out", str(out)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    print(done.stdout, done.stderr, flush=True)  # how it reads is part of what is looked at
    seen = done.stderr.strip()[-300:]
    if done.returncode == 0:
        result = json.loads((out / "result.json").read_text())
        shipped = result["shipped"]
        seen = f"{result['verdict']['answer']}; {shipped['contender']} {result['metric']} {shipped['score']:.4g}"
    return {
        "what": f"folders: {name}, 30 s", "must": "a verdict and a file, within 33 s", "seen": seen,
        "met": done.returncode == 0 and not done.stderr and wall <= 33, "wall_s": round(wall, 1),
    }  # fmt: skip


def _crops(archive: Path, folder: Path) -> Path:
    """The boxes of a detection data set as class folders: each cell by itself, at most 200 of a class."""
    import io
    import xml.etree.ElementTree as ET
    import zipfile

    from PIL import Image

    taken: Counter[str] = Counter()
    with zipfile.ZipFile(archive) as packed:
        names = set(packed.namelist())
        for name in sorted(n for n in names if n.endswith(".xml")):
            picture = name.replace("Annotations", "JPEGImages").replace(".xml", ".jpg")
            if picture not in names:
                continue
            image = Image.open(io.BytesIO(packed.read(picture))).convert("RGB")
            for box in ET.fromstring(packed.read(name)).iter("object"):
                label = box.findtext("name") or "?"
                sides = [int(box.findtext(f"bndbox/{side}") or 0) for side in ("xmin", "ymin", "xmax", "ymax")]
                if taken[label] == 200 or sides[2] - sides[0] < 8 or sides[3] - sides[1] < 8:
                    continue
                (folder / label).mkdir(exist_ok=True)
                image.crop(tuple(sides)).save(folder / label / f"{taken[label]:03}.jpg")  # type: ignore[arg-type]
                taken[label] += 1
    return folder


ROWS: dict[str, Callable[[Path, Path], Found]] = {
    "fuzz": fuzz, "folders": folders, "parts": parts, "folders beside two busy processes": crowded,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
