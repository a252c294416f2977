"""One go at a run: what the user asked for, where it is written, and what an earlier go left behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from leadline.config import Settings, gigabytes
from leadline.race.history import Past
from leadline.race.journal import Event
from leadline.race.spare import Spares
from leadline.readers.find import cache_of
from leadline.readers.source import Source
from leadline.system.resources import memory_gb


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunContext:
    """What every stage of a run may know."""

    settings: Settings
    source: Source
    folder: Path  # that is written
    began: float  # monotonic moment from which the budget counts
    watch: Callable[[Event], None] = lambda event: None
    past: Past | None = None  # what an earlier go left behind, to be gone on from
    until: float | None = None  # monotonic end of the race (default: by the budget)
    spares: Spares = dataclasses.field(default_factory=lambda: Spares(None))

    @property
    def cache(self) -> Path:
        return cache_of(self.settings)

    @property
    def resumed(self) -> bool:
        """Whether it continues with the seconds that an earlier go left; a replay follows its readings instead."""
        return self.past is not None and self.until is None

    @property
    def earlier_s(self) -> float:
        """Seconds of the budget that an earlier go had spent."""
        return self.past.spent_s if self.past is not None and self.resumed else 0.0

    @property
    def budget(self) -> float | None:
        """Seconds; None where passes were asked for."""
        return None if self.settings.epochs else self.settings.seconds


def memory_cap(settings: Settings) -> float:
    """GB that a run may hold, with all that it starts."""
    return gigabytes(settings.memory) if settings.memory else round(0.75 * (memory_gb() or 1e6), 3)
