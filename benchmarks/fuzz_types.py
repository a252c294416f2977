"""Whatever a frame, an array, a file or a module can hold: an answer, or one `LeadlineError`, and no other exception.

    python benchmarks/fuzz_types.py [NAME ...]

Draw number i of a row is made from (row, i) alone. Draws are run in processes of their own, 250 a process: one that
dies names the draw, and the next one goes on behind it. A fault is any exception but ours, a crash, a draw that takes
over a minute, or a process that is left. Prints what must be and what was, and appends it to
benchmarks/results/types.csv with versions and machine. One draw again, or a range, with its traceback:

    python benchmarks/fuzz_types.py --draws check 17 18 FOLDER
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from odd_modules import batch, module, settings
from odd_values import NAMES, Rng, any_array, odd_data, odd_file, pick, polars_column, rows
from record import Found, run

RESULTS = Path(__file__).parent / "results" / "types.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "wall_s", "machine", "versions")
A_PROCESS = 250  # draws
LONGEST = 60  # seconds of one draw
DRAWS = {"check": 2_200, "predict": 1_300, "train": 1_000, "trace": 250, "load": 150, "fit": 100}


@dataclass(frozen=True)
class Draw:
    """What is called, and what with."""

    what: str
    call: Callable[[], Any]


def draw(name: str, number: int, folder: Path) -> Draw:
    """Draw `number` of the row `name`; `folder` holds the models and takes files."""
    return MAKERS[name](np.random.default_rng([sum(name.encode()), number]), folder)


def _source(rng: Rng, folder: Path) -> tuple[str, Any, dict[str, Any]]:
    """A source with the settings of a fit: mostly a column of it as the target, at times test rows of another sort."""
    said, source = odd_file(rng, folder) if rng.random() < 0.1 else odd_data(rng)
    held = list(source) if isinstance(source, dict) else []
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        held = source.collect_schema().names()
    elif type(source).__module__.startswith("pandas"):
        held = list(getattr(source, "columns", []))
    chosen: dict[str, Any] = {}
    if held and rng.random() < 0.85:
        chosen["target"] = pick(rng, held)
    elif rng.random() < 0.3:
        chosen["target"] = pick(rng, NAMES)
    if rng.random() < 0.15:
        chosen["test"] = _test(rng, source)
    if held and rng.random() < 0.1:
        chosen[pick(rng, ("group", "time", "split", "drop"))] = str(pick(rng, held))
    if rng.random() < 0.05:
        chosen["task"] = pick(rng, ("binary", "multiclass", "multilabel", "regression", "language"))
    if held and rng.random() < 0.05:
        kind = pick(rng, ("number", "category", "text", "time", "image", "audio", "series", "tags"))
        chosen["kind"] = {str(pick(rng, held)): kind}
    return (
        f"{said}, { ({k: v for k, v in chosen.items() if k != 'test'})!r:.80}{' with test' * ('test' in chosen)}",
        source,
        chosen,
    )


def _test(rng: Rng, source: Any) -> Any:
    """The same rows, the same columns of other types, or anything."""
    way = int(rng.integers(3))
    if way == 0 or not isinstance(source, pl.DataFrame):
        return source if way < 2 else odd_data(rng)[1]
    n = max(1, rows(rng))
    return (
        pl.DataFrame([polars_column(rng, n).alias(name) for name in source.columns]) if way == 1 else odd_data(rng)[1]
    )


def _check(rng: Rng, folder: Path) -> Draw:
    import leadline as ll

    said, source, chosen = _source(rng, folder)
    return Draw(f"check({said})", lambda: str(ll.check(source, cache=folder / "cache", **chosen)))


def _fit(rng: Rng, folder: Path) -> Draw:
    import leadline as ll

    said, source, chosen = _source(rng, folder)
    out = folder / f"run-{rng.integers(2**31)}"
    return Draw(
        f"fit({said})", lambda: ll.fit(source, only="linear", budget="4s", out=out, cache=folder / "cache", **chosen)
    )


MODELS = ("table", "table", "table", "image", "text", "series")


def models() -> dict[str, Any]:
    """Sources of the models that answer odd rows, by name; small, each of another kind of input."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    table = pl.DataFrame({
        "size": rng.normal(size=120) + y, "colour": rng.choice(["red", "green"], 120), "many": rng.integers(0, 9, 120),
        "when": pl.Series(rng.integers(0, 9_000, 120)).cast(pl.Date), "yes": rng.random(120) < 0.5,
        "tags": [["a", "b"][: 1 + int(k)] for k in y], "label": y,
    })  # fmt: skip
    texts = [
        f"{a} {b} it was a {('good', 'bad')[k]} day"
        for a, b, k in zip(rng.choice(list("stu"), 120), range(120), y, strict=True)
    ]
    return {
        "table": table, "image": ((rng.random((120, 8, 8, 3)) * 255).astype("u1"), y),
        "text": pl.DataFrame({"text": texts, "label": y}),
        "series": pl.DataFrame({"wave": rng.normal(size=(120, 12)) + y[:, None], "label": y}),
    }  # fmt: skip


def ship(folder: Path, only: tuple[str, ...] = MODELS) -> None:
    """Fit the models, once a folder."""
    import leadline as ll

    for name, source in models().items():
        if name in only and not (folder / f"model-{name}" / "model.onnx").exists():
            ll.fit(
                source,
                target="label",
                only="linear",
                budget="10s",
                out=folder / f"model-{name}",
                cache=folder / "cache",
            )


OPENED: dict[Path, Any] = {}


def _predict(rng: Rng, folder: Path) -> Draw:
    import leadline as ll

    which = str(pick(rng, MODELS))
    path = folder / f"model-{which}" / "model.onnx"
    model = OPENED.setdefault(path, None) or ll.Model(path)
    OPENED[path] = model
    way = rng.random()
    if way < 0.1:
        said, source = odd_file(rng, folder)
    elif way < 0.3:
        said, source = odd_data(rng)
    else:
        said, source = _odd_rows(rng, model)
    return Draw(f"predict({which}, {said})", lambda: model.predict(source, cache=folder / "cache"))


def _odd_rows(rng: Rng, model: Any) -> tuple[str, Any]:
    """A frame or a dict with the columns of the model, some of them of another type."""
    n = rows(rng)
    good = {name: held for name, held in _good(n).items() if name in model.contract["inputs"]}
    columns: list[pl.Series] = []
    for name, held in good.items():
        odd = rng.random() < 0.5
        columns.append((polars_column(rng, n) if odd else held).alias(name))
    if rng.random() < 0.2:
        columns.append(polars_column(rng, n).alias("more"))
    said = f"{n} {[(c.name, str(c.dtype)[:40]) for c in columns]}"
    if rng.random() < 0.2:
        told, held = any_array(rng, pick(rng, ((n,), (n, 12), (n, 8, 8, 3), (n, 8, 8))))
        return f"dict {said} {told}", {**{c.name: c for c in columns}, columns[0].name: held}
    frame = pl.DataFrame(columns)
    if rng.random() < 0.2 and not any(c.dtype == pl.Object for c in columns):
        with contextlib.suppress(Exception):  # what pandas cannot take over from polars is no draw
            import pandas as pd

            return f"pandas {said}", pd.DataFrame({c.name: c.to_list() for c in columns})
    return said, frame


def _good(n: int) -> dict[str, pl.Series]:
    """Columns as the models were trained on them."""
    held = {c.name: c for c in models()["table"].get_columns()}
    held |= {"image": pl.Series("image", models()["image"][0]), "text": models()["text"]["text"]}
    held["wave"] = models()["series"]["wave"]
    return {name: column.head(n) for name, column in held.items()}


# What of a training is odd: module, rows, settings. One at a time, or the first that is refused hides the others.
ODD = ((True, False, False), (False, True, False), (False, True, False), (False, False, True), (True, True, True))


def _train(rng: Rng, folder: Path) -> Draw:
    import leadline as ll

    odd = pick(rng, ODD)
    name, net = module(rng, odd[0])
    (said, data), (told, chosen) = batch(rng, name, odd[1]), settings(rng, odd[2])
    if rng.random() < 0.15:
        chosen["valid"] = batch(rng, name, odd[1])[1]
    again = rng.random() < 0.3

    def call() -> Any:
        trained = ll.train(net, data, **chosen)
        trained.describe()
        return (trained.predict(data[0]), trained.evaluate(data)) if again else trained

    return Draw(f"train({name}, {said}, {told})", call)


def _trace(rng: Rng, folder: Path) -> Draw:
    import leadline as ll

    odd = pick(rng, ODD)
    name, net = module(rng, odd[0])
    (said, data), (told, chosen) = batch(rng, name, odd[1]), settings(rng, odd[2])
    kept = {k: v for k, v in chosen.items() if k in ("loss", "seed")}

    def call() -> Any:
        seen = ll.trace(net, data, **kept)
        return str(seen), seen.svg()

    return Draw(f"trace({name}, {said}, {told})", call)


def _load(rng: Rng, folder: Path) -> Draw:
    import leadline as ll

    said, path = odd_file(rng, folder)
    way = int(rng.integers(4))
    if way == 0:
        return Draw(f"Model({said})", lambda: ll.Model(path))
    if way == 1:
        return Draw(f"load({said})", lambda: ll.load(path.name, data=path.parent, cache=folder / "cache"))
    if way == 2:
        return Draw(f"train on load({said})", lambda: _trained(path, folder))
    name = pick(rng, (*NAMES, "no such", "..", ".", "/", "~", "\x00", "a" * 5000, "digits/..", "*", "a/b"))
    return Draw(f"load({name!r:.60})", lambda: ll.load(name, data=folder / "none", cache=folder / "cache"))


def _trained(path: Path, folder: Path) -> Any:
    import torch

    import leadline as ll

    return ll.train(torch.nn.LazyLinear(3), ll.load(path.name, data=path.parent, cache=folder / "cache"), steps=1)


MAKERS: dict[str, Callable[[Rng, Path], Draw]] = {
    "check": _check, "predict": _predict, "train": _train, "trace": _trace, "load": _load, "fit": _fit,
}  # fmt: skip


def tried(name: str, number: int, folder: Path) -> tuple[str, str, str]:
    """(how a draw ended, what it was, the fault: exception and innermost line of ours, '' where there is none)."""
    from leadline.system.errors import LeadlineError

    what = "not made"
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            made = draw(name, number, folder)
            what = made.what
            made.call()
        except LeadlineError as error:
            return ("sentence" if str(error).strip() else "other"), what, "" if str(error).strip() else "no words"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of polars is no Exception
            return "other", what, _named(error)
    return "answer", what, ""


def _named(error: BaseException) -> str:
    """The type of an error and the innermost line of Leadline that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/leadline/" in f.filename] or frames[-1:]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}" if ours else "?"
    return f"{type(error).__name__} in {place}: {str(error).splitlines()[0][:120] if str(error) else ''}"


def draws(name: str, first: int, stop: int, folder: Path) -> None:
    """Run some draws in this process; a line of JSON before and after each."""

    def late(signum: int, frame: Any) -> None:
        raise TimeoutError(f"over {LONGEST} s")

    signal.signal(signal.SIGALRM, late)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    for number in range(first, stop):
        out.write(json.dumps({"begins": number}) + "\n")
        signal.alarm(LONGEST)
        faulthandler.dump_traceback_later(LONGEST + 10, exit=True)  # where no Python is run that an alarm could end
        began = time.perf_counter()
        end, what, fault = tried(name, number, folder)
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        wall = round(time.perf_counter() - began, 3)
        out.write(json.dumps({"number": number, "end": end, "what": what, "fault": fault, "s": wall}) + "\n")


def measured(name: str, first: int, stop: int, folder: Path) -> tuple[Counter[str], list[tuple[str, int, str]], float]:
    """(ends, faults as (fault, number, what), seconds of the longest draw) of draws in processes of their own."""
    ends: Counter[str] = Counter()
    faults: list[tuple[str, int, str]] = []
    longest = 0.0
    while first < stop:
        last = min(first + A_PROCESS, stop)
        words = [sys.executable, __file__, "--draws", name, str(first), str(last), str(folder)]
        with (folder / "stderr.txt").open("w") as err:
            child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=err, text=True, start_new_session=True)
            assert child.stdout is not None
            lines = [json.loads(line) for line in child.stdout]
            code = child.wait()
        begun = max((line["begins"] for line in lines if "begins" in line), default=first)
        done = [line for line in lines if "end" in line]
        ends.update(line["end"] for line in done)
        longest = max([longest, *(line["s"] for line in done)])
        faults += [(line["fault"], line["number"], line["what"]) for line in done if line["fault"]]
        if code:
            ends["other"] += 1
            faults.append((f"the process ended with {code}", begun, (folder / "stderr.txt").read_text()[-300:]))
        if left := _left(child.pid):
            faults.append((f"{left} processes left", first, f"of draws {first} to {last}"))
        first = begun + 1
    return ends, faults, longest


def _left(session: int) -> int:
    """Processes of a session whose leader has ended."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = entry.read_text().rpartition(")")[2].split()
            found += int(fields[3]) == session and fields[0] != "Z"
    return found


def row(name: str, folder: Path, first: int = 0, many: int | None = None) -> Found:
    """One row of the results: all draws of one name."""
    many = DRAWS[name] if many is None else many
    began = time.perf_counter()
    if name == "predict":
        ship(folder)
    ends, faults, longest = measured(name, first, first + many, folder)
    kinds = Counter(fault.split(": ")[0] for fault, _, _ in faults)
    for kind, count in kinds.most_common():
        some = [(number, fault, what) for fault, number, what in faults if fault.split(": ")[0] == kind][:2]
        print(
            f"NOT {count} x {kind}",
            *(f"    draw {number}: {fault}\n      {what}" for number, fault, what in some),
            sep="\n",
            flush=True,
        )
    seen = f"{', '.join(f'{ends[end]} {end}' for end in ('answer', 'sentence', 'other'))}; longest {longest:.1f} s"
    return [{
        "what": f"types: {name}, draws {first} to {first + many - 1}",
        "must": "no exception but LeadlineError, no hang, no process left",
        "seen": seen + "".join(f"; {count} x {kind}" for kind, count in kinds.most_common(5)), "met": not faults,
        "n": ends.total(), "wall_s": round(time.perf_counter() - began, 1),
    }]  # fmt: skip


def _row(name: str) -> Callable[[Path, Path], Found]:
    return lambda data, folder: row(name, folder)


ROWS: dict[str, Callable[[Path, Path], Found]] = {name: _row(name) for name in DRAWS}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--draws"]:
        draws(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    else:
        sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
