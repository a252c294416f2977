"""The run folder: made whole or not at all, its settings written down, and the command line that makes it again.

While a run is made its folder is called `.NAME.partial-PID`, and a file in it is locked; where nobody holds the lock
the run was killed.

Enters: settings. Leaves: the place to write to, config.yaml, and a command line.

    >>> command("houses.csv", Settings(target="price", seed=3))
    'leadline fit houses.csv --target price --seed 3'
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from leadline.config import Settings, from_mapping, option_of, translated
from leadline.system.errors import OutputError, SourceError
from leadline.system.interrupts import deaf
from leadline.system.lock import Lock, holder, take
from leadline.system.os_errors import removed
from leadline.system.whole import appear

__all__ = [
    "change_config", "command", "finish", "hold", "left", "made_by", "making", "name_of", "read_config", "remarks",
    "run_folder", "source_of", "write_config",
]  # fmt: skip

PARTIAL = re.compile(r"\.(?P<name>.+)\.partial-\d+(-\d+)?")  # a run that is being made, or was killed
LOCK = "lock"  # the file in it
CONFIG = "config.yaml"


@contextmanager
def run_folder(settings: Settings, name: str) -> Iterator[tuple[Path, Path]]:
    """(where to write, where it will be): the run folder appears whole or not at all."""
    final = Path(settings.out) if settings.out else _free(name)
    with making(final) as partial:
        yield partial, final


@contextmanager
def making(final: Path) -> Iterator[Path]:
    """Where to write what will be `final`, which appears whole or not at all; locked meanwhile."""
    if final.exists():
        raise OutputError(f"{final} already exists; choose another --out, or remove it.")
    makers = (made_by(partial) for partial in left(final.parent, final.name))
    if (other := next((process for process in makers if process is not None), None)) is not None:
        raise OutputError(f"{final} is being made by process {other}; choose another --out, or wait for it.")
    alone = not final.parent.exists()
    try:
        partial = _begun(final)
    except OSError as error:
        raise OutputError(f"{final} cannot be made ({error.strerror}); choose another --out.") from error
    lock = hold(partial)
    try:
        yield partial
        finish(partial, final, lock)
    except BaseException:
        with deaf():
            if lock is not None:
                lock.release()
            removed(partial)
            if alone:
                with suppress(OSError):  # another run may have begun beside this one
                    partial.parent.rmdir()
        raise


def _begun(final: Path) -> Path:
    """A new folder for a run; in a container every process may have the number of one that was killed there."""
    first = final.with_name(f".{final.name}.partial-{os.getpid()}")
    for partial in chain([first], (first.with_name(f"{first.name}-{number}") for number in count(2))):
        with suppress(FileExistsError):
            partial.mkdir(parents=True)
            return partial
    raise AssertionError  # the numbers do not end


def hold(partial: Path) -> Lock | None:
    """The lock of a run that is made in this folder; None where another holds it, or its file system knows no locks."""
    try:
        return take(partial / LOCK)
    except OSError:
        return None


def finish(partial: Path, final: Path, lock: Lock | None) -> None:
    """Give a finished run its name."""
    if lock is not None and os.name == "nt":  # Windows moves no folder with an open file
        lock.release()
    appear(partial, final)
    (final / LOCK).unlink(missing_ok=True)
    if lock is not None:
        lock.release()


def made_by(partial: Path) -> int | None:
    """The process that makes this run now; None where it was killed."""
    return holder(partial / LOCK)


def left(folder: Path, name: str | None = None) -> list[Path]:
    """Runs in a folder, or those of this name, that are being made or were killed while they were, by their names."""
    found = sorted(path for path in folder.glob(".*.partial-*") if PARTIAL.fullmatch(path.name))
    return [path for path in found if name in (None, name_of(path))]


def name_of(partial: Path) -> str:
    """What a run is to be called when it is made."""
    found = PARTIAL.fullmatch(partial.name)
    assert found is not None
    return found["name"]


def remarks(partial: Path, final: Path) -> list[str]:
    """What the user should know of where this run is made."""
    messages = []
    if left(final.parent, final.name) != [partial]:
        messages.append(f"An earlier run into {final} was killed: leadline resume {final} continues it.")
    if made_by(partial) is None:
        messages.append(f"Files in {final.parent} cannot be locked: do not resume this run while it is under way.")
    return messages


def _free(name: str) -> Path:
    """A name of the moment. Two runs may begin within one second, and a clock may be set back."""
    stamped = Path("runs") / f"{name.replace('/', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
    named = chain([stamped], (stamped.with_name(f"{stamped.name}-{number}") for number in count(2)))
    return next(path for path in named if not path.exists() and not left(path.parent, path.name))


def write_config(folder: Path, source: Any, test: Any, settings: Settings) -> None:
    """Write the settings of a run, and what it was pointed at."""
    import yaml

    shown = str(source) if _is_path(source) else type(source).__name__
    config = {
        "source": shown, "in_memory": not _is_path(source), "test_in_memory": test is not None and not _is_path(test),
        **settings.as_dict(),
    }  # fmt: skip
    (folder / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def change_config(folder: Path, **changes: Any) -> None:
    """Write other settings into config.yaml: those by which the run continues, and is repeated."""
    import yaml

    path = folder / CONFIG
    config = {**yaml.safe_load(path.read_text(encoding="utf-8")), **changes}
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_config(folder: Path, source: Any = None, test: Any = None) -> tuple[Settings, Any, Any]:
    """The settings of a run, its source and its test rows; `source` and `test` are where they are now.

    Raises:
        SourceError: where the file is missing or damaged, or what was in memory is not given again.
    """
    import yaml

    path = folder / CONFIG
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        named, in_memory = config.pop("source"), config.pop("in_memory")
        test_in_memory = config.pop("test_in_memory", False)  # files of earlier versions do not have it
        if config["epochs"] is not None:
            config.pop("budget")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise SourceError(f"{path} is missing or damaged; start the run again with leadline fit.") from error
    if source is None and in_memory:
        raise SourceError(f"{folder} was run on a {named} in memory; give it again in Python, as `source`.")
    if test is None and test_in_memory:
        raise SourceError(f"{folder} was tested on rows in memory; give them again in Python, as `test`.")
    settings = from_mapping(translated(config))
    return settings, named if source is None else source, settings.test if test is None else test


def source_of(folder: Path) -> str:
    """The source as config.yaml names it."""
    import yaml

    return str(yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["source"])


def _is_path(source: Any) -> bool:
    return isinstance(source, (str, Path))


def command(source: str, settings: Settings) -> str:
    """The command line of a run."""
    words = ["leadline", "fit", source]
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        for item in value if isinstance(value, tuple) else [value]:
            if item != field.default and field.name != "out":
                words += [option_of(field.name), *([] if item is True else [str(item)])]
    return shlex.join(words)
