"""How measurements are run and written: one CSV a benchmark, only ever appended to, a line a row on the terminal."""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Found = list[dict[str, Any]]


def run(
    description: str | None, results: Path, fields: Sequence[str], rows: Mapping[str, Callable[[Path, Path], Found]]
) -> int:
    """Measure the rows named on the command line, or all; each gets the data and a scratch folder. 1 if any fell short.

    Every row is written when it is done, with the time, the machine and the versions.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--keep", type=Path, help="scratch folder that stays: a row of many runs goes on from it")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(rows))
    given = parser.parse_args()
    met = True
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    with nullcontext(str(given.keep.resolve())) if given.keep else tempfile.TemporaryDirectory() as folder:
        os.environ["LEADLINE_CACHE"] = str(Path(folder) / "cache")  # a first run: nothing encoded before
        for name in given.names or rows:
            found = rows[name](given.data.resolve(), Path(folder))
            write(results, fields, found)
            met = met and all(row["met"] for row in found)
    return 0 if met else 1


def write(path: Path, fields: Sequence[str], rows: Found) -> None:
    """Print rows, and add them to the file with the time, the machine and the versions; a new one gets its header."""
    from leadline.system.resources import machine, versions

    facts = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": json.dumps(machine()),
        "versions": json.dumps(versions()),
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fields)
        if new:
            writer.writeheader()
        writer.writerows({**facts, **row} for row in rows)
    for row in rows:
        wall = f"  in {row['wall_s']} s" if "wall_s" in row else ""
        word = "ok " if row["met"] else "NOT"
        print(f"{word}  {row['what']:36} must: {row['must']:45} seen: {row['seen']}{wall}", flush=True)
