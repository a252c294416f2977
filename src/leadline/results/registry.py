"""Runs that lie on disk: listed, and opened again.

Enters: a folder. Leaves: `Run`, as `fit` returned it.
"""

from __future__ import annotations

import json
from pathlib import Path

from leadline.core.records import Verdict
from leadline.results.run import Run
from leadline.results.run_folder import left, made_by, name_of
from leadline.results.upgrade import NewerResultError, upgraded
from leadline.system.arguments import checked
from leadline.system.errors import SourceError


@checked
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


@checked
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
        written = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        result = upgraded(written)
        return Run(folder=folder, verdict=Verdict(**result["verdict"]), result=result)
    except NewerResultError as error:
        raise SourceError(f"{folder} was made by {error}; update with `pip install -U leadline`.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # some other file of that name
        return None
