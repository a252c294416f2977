"""What is made of a user's folder of weights once, and the seconds that there are for making it.

Enters: a folder, and how something is made of it. Leaves: the same bytes in every process and in later runs, from the
cache: a folder of it for what is in the user's folder. To make them may take half a minute (a package to import,
weights to read, a graph to write), so a caller with a budget limits the seconds it may take (`room`).
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path

from leadline.kinds.body_folder import digest, header, weight_bytes
from leadline.system.cache import BODIES, cache_folder
from leadline.system.errors import BudgetError
from leadline.system.slowdown import slowdown

# Seconds on a machine that does nothing else: to import packages and begin, and for a gigabyte of weights.
IMPORTS = {"torch": 4.0, "transformers": 8.0, "timm": 6.0}
READ, WRITTEN, TRIED = 4.0, 18.0, 6.0  # into a module; as a graph; by made-up rows

_HELD: dict[Path, bytes] = {}  # what no cache could keep, of this process
_UNTIL: ContextVar[float] = ContextVar("until", default=math.inf)  # a monotonic moment


class NoRoomError(BudgetError):
    """Something would take longer to make than there is time for it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"It takes about {seconds:.0f} s here.")
        self.seconds = seconds


@contextmanager
def room(seconds: float) -> Iterator[None]:
    """Inside the block nothing is begun that would take longer than what is left of these seconds."""
    token = _UNTIL.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _UNTIL.reset(token)


def kept(
    folder: Path, name: str, made: Callable[[], bytes], packages: Collection[str] = (), per_gb: float = 0.0
) -> bytes:  # fmt: skip
    """What is made of a folder once: the cache has it by what is in the folder, and by versions of packages.

    Args:
        name: of what is made, with a suffix.
        packages: on whose versions it depends.
        per_gb: seconds for a gigabyte of weights, with all that will be made after it; packages are imported besides.

    Raises NoRoomError where it has to be made, and there is no time for it.
    """
    versions = [f"{package}-{version(package)}" for package in packages]
    place = cache_folder() / BODIES / digest(folder) / "-".join([*versions, name])
    if place in _HELD:
        return _HELD[place]
    with contextlib.suppress(OSError):
        held = place.read_bytes()
        with contextlib.suppress(OSError):  # of somebody else's, who lets us read
            os.utime(place.parent)  # it was used
        return held
    if (until := _UNTIL.get()) < math.inf:
        seconds = per_gb * weight_bytes(header(folder)) / 1e9
        seconds += sum(IMPORTS.get(package, 0.0) for package in packages if package not in sys.modules)
        if (seconds := seconds * slowdown()) > until - time.monotonic():
            raise NoRoomError(seconds)
    held = made()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        hidden = place.with_name(f".{uuid.uuid4().hex}")
        hidden.write_bytes(held)
        hidden.replace(place)
    except OSError:
        _HELD[place] = held
    return held
