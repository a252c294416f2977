"""The races of a run: the first one, then those on other folds or from other seeds, within the budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from leadline.dataset.store import Store
from leadline.race import repeats
from leadline.race.context import RunContext, memory_cap
from leadline.race.finalization_time import reserve
from leadline.race.journal import Journal
from leadline.race.local_executor import Idle, LocalExecutor
from leadline.race.race import Race
from leadline.race.repeats import Population, Trials
from leadline.race.resumed import again_s
from leadline.race.setup import Setup
from leadline.race.stages import Stages
from leadline.system.resources import cores


@dataclass(frozen=True, kw_only=True)
class Starter:
    """Sets up a race of these contenders: of a store, from a seed, as repeat so and so; the first is number 0."""

    context: RunContext
    names: Sequence[str]
    journal: Journal
    slow: float  # times longer than alone that all cores take now
    one: float  # that one thread takes
    init: Mapping[str, Path]  # networks of an earlier run, by the contender to begin from them
    idle: Idle = field(default_factory=Idle)

    def __call__(self, store: Store, seed: int, number: int = 0) -> Race:
        settings, past, spares = self.context.settings, self.context.past, self.context.spares
        if number and self.idle.empty:
            spares.ready()
        folder = self.context.folder
        executor = LocalExecutor(cores(), memory_cap(settings), spares, self.idle if number else None)
        return Race(
            store, self.names, folder / "rounds" / str(number) if number else folder / "contenders",
            Setup(
                executor=executor, epochs=settings.epochs, budget=settings.seconds, given=settings.given,
                slow=self.slow, init=self.init,
                prints=settings.interpretable,
            ),
            seed=seed, journal=self.journal, number=number, past=None if past is None else past.repeats.get(number),
        )  # fmt: skip


def run_race(race: Race, start: Starter, rows: Population, stages: Stages) -> Trials:
    """Run the first race, then further ones in the seconds that are left; score them on their test rows."""
    context, settings, past = start.context, start.context.settings, start.context.past
    end, began = context.began + settings.seconds - _kept(race, start), time.monotonic()
    until = context.until or end
    planned = repeats.plan(
        rows.table, race.store, settings, until - began, None if past is None else past.ended,
        race.claimed(until - began),
    )  # fmt: skip
    race.run(until=began + planned.each, usual=planned.usual, most=planned.longest)
    race.begin_exports()
    stages.end("race")
    raced_s = time.monotonic() - began + (0.0 if past is None else past.raced.get(0, 0.0))
    with closing(start.idle):
        trials = repeats.run(race, rows, settings, planned, seconds=raced_s, until=until, start=start, past=past)
    if trials.raced_until is not None:
        stages.end("repeats", at=trials.raced_until)
    return trials


def _kept(race: Race, start: Starter) -> float:
    """Seconds that the end of the run takes."""
    context, past = start.context, start.context.past
    kept = reserve(race.store, start.names, context.settings.seconds, start.slow, start.one)
    if past is None or not context.resumed:
        return kept
    return kept + again_s(race.entries, past.records, len(race.store.split.test), start.slow)
