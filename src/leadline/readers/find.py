"""Find the user's data: a path, a frame, arrays, or the name of a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leadline.config import Settings
from leadline.readers import samples
from leadline.readers.source import Source, read
from leadline.system.cache import cache_folder


def cache_of(settings: Settings) -> Path:
    """The folder of encoded data."""
    return Path(settings.cache) if settings.cache else cache_folder()


def find(source: Any, test: Any, settings: Settings) -> Source:
    """The source of a run, with its test rows, if any."""
    cache, running = cache_of(settings), settings.running
    if isinstance(source, str) and not Path(source).exists() and (settings.data or samples.is_known(source)):
        source = samples.load(source, data=settings.data, cache=cache, running=running)
    return read(source, test, cache=cache, running=running)
