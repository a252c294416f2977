"""Runs that lie on disk: listed, and opened again.

Enters: a folder. Leaves: `Run`, as `fit` returned it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from leadline.results.run import Run
from leadline.results.run_folder import left, made_by, name_of
from leadline.stats.verdict import Verdict
from leadline.system.errors import SourceError

FIELDS = {field.name for field in dataclasses.fields(Verdict)}


def open_run(run: str | Path | None = None, *, within: str | Path = "runs") -> Run:
    """A finished run, opened again.

    Args:
        run: its folder (default: the newest that lies in `within`).

    Raises:
        SourceError: where there is none.

    Example:
        >>> open_run("no-such-run")
        Traceback (most recent call last):
        leadline.system.errors.SourceError: no-such-run holds no finished run; leadline runs lists those in ./runs.
    """
    if run is None:
        found = list_runs(within)
        if not found:
            raise SourceError(f"{within} holds no finished run; leadline fit makes one.")
        return found[-1]
    made = _opened(Path(run))
    if made is None:
        raise SourceError(f"{run} holds no finished run; leadline runs lists those in ./runs.")
    return made


def list_runs(within: str | Path = "runs") -> list[Run]:
    """The finished runs of a folder, the newest last; none where the folder is not there."""
    folder = Path(within)
    found = [made for path in folder.glob("*/result.json") if (made := _opened(path.parent)) is not None]
    return sorted(found, key=lambda run: (str(run.result["created"]), run.folder.name))


def unfinished(within: str | Path = "runs") -> list[tuple[Path, int | None]]:
    """(the folder that a run will be, the process that makes it); None where it was killed."""
    return [(path.with_name(name_of(path)), made_by(path)) for path in left(Path(within))]


def _opened(folder: Path) -> Run | None:
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        told = {name: value for name, value in result["verdict"].items() if name in FIELDS}
        return Run(folder=folder, verdict=Verdict(**told), result=result)
    except (OSError, ValueError, KeyError, TypeError):  # some other file of that name
        return None
