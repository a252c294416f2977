"""The run folder: made whole or not at all, its settings written down, and the command line that makes it again.

Enters: settings. Leaves: the place to write to, config.yaml, and a command line.

    >>> command("houses.csv", Settings(target="price", seed=3))
    'leadline fit houses.csv --target price --seed 3'
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from leadline.config import Settings
from leadline.errors import OutputError
from leadline.refused import removed
from leadline.stop import deaf

__all__ = ["PARTIAL", "alive", "command", "run_folder", "source_of", "write_config"]

PARTIAL = re.compile(r"\.(?P<name>.+)\.partial-(?P<pid>\d+)")  # a run that is being made, or was killed


@contextmanager
def run_folder(asked: Settings, name: str) -> Iterator[tuple[Path, Path]]:
    """(where to write, where it will be): the run folder appears whole or not at all."""
    final = Path(asked.out) if asked.out else _free(name)
    if final.exists():
        raise OutputError(f"{final} already exists; choose another --out, or remove it.")
    if (other := _maker(final)) is not None:
        raise OutputError(f"{final} is being made by process {other}; choose another --out, or wait for it.")
    partial = final.with_name(f".{final.name}.partial-{os.getpid()}")
    alone = not partial.parent.exists()
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{final} cannot be made ({error.strerror}); choose another --out.") from error
    try:
        yield partial, final
        partial.rename(final)
    except BaseException:
        with deaf():
            removed(partial)
            if alone:
                with suppress(OSError):  # another run may have begun beside this one
                    partial.parent.rmdir()
        raise


def alive(pid: int) -> bool:
    """Whether another process of this number runs; on Windows, where asking would send it Ctrl-C, it is not known."""
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _maker(final: Path) -> int | None:
    """The process that makes this run now, if one does."""
    return next((pid for pid in _made(final) if alive(pid)), None)


def _made(final: Path) -> list[int]:
    """The processes that make this run, or were killed while they did."""
    found = [PARTIAL.fullmatch(path.name) for path in final.parent.glob(".*.partial-*")]
    return [int(each["pid"]) for each in found if each is not None and each["name"] == final.name]


def _free(name: str) -> Path:
    """A name of the moment. Two runs may begin within one second, and a clock may be set back."""
    stamped = Path("runs") / f"{name.replace('/', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
    named = chain([stamped], (stamped.with_name(f"{stamped.name}-{number}") for number in count(2)))
    return next(path for path in named if not path.exists() and not _made(path))


def write_config(folder: Path, source: Any, asked: Settings) -> None:
    """Write the settings of a run, and what it was pointed at."""
    import yaml

    shown = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    config = {"source": shown, "in_memory": not isinstance(source, (str, Path)), **asked.as_dict()}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def source_of(folder: Path) -> str:
    """The source as config.yaml names it."""
    import yaml

    return str(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["source"])


def command(source: str, asked: Settings) -> str:
    """The command line of a run."""
    words = ["leadline", "fit", source]
    for field in dataclasses.fields(Settings):
        value = getattr(asked, field.name)
        for item in value if isinstance(value, tuple) else [value]:
            if item != field.default and field.name != "out":
                words += [f"--{field.name.replace('_', '-')}", *([] if item is True else [str(item)])]
    return shlex.join(words)
