"""Races after the first one, on other folds or from other seeds, so that a verdict can be on methods.

Enters: the first race. Leaves: a `Repeat` a race, the first included. Without a predefined test part they are folds:
five of them test on every row once, then five of another order. Each fold has its own train, valid and test rows, and
all that is learned from train rows, encoding included, is learned anew: no choice sees the rows that it is tested on.
With a predefined test part only the seed changes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from leadline.dataset.heldout import HeldOut
from leadline.dataset.store import Store
from leadline.metrics.metrics import METRICS
from leadline.race.race import Race
from leadline.stats.choice import ValidAnswers
from leadline.stats.repeat import Repeat

ENOUGH = 25  # repeats that are worth their seconds where nobody asked for more: five times five folds
MOST = 100
# Seconds on a quiet machine, and share of all at most, in which the processes of the first of them are started.
STARTED_S, STARTED = 3.0, 0.6
SLACK, SLACK_S = 0.25, 5.0  # share of a repeat, and seconds at most, that one may end late: the smaller of them


def repeat_of(race: Race, held: HeldOut, seed: int, seconds: float, fold: int | None, number: int = 0) -> Repeat:
    """A race that has ended, scored on its test rows: here their labels are handed out."""
    store = race.store
    metric, truth = METRICS[store.task.metric], held.evaluate(store.split.test)
    done = [entry for entry in race.entries if entry.done and not entry.baseline]
    answers = {entry.name: entry.scores() for entry in done}
    on_valid = {entry.name: found for entry in done if (found := entry.valid()) is not None}
    kept = ValidAnswers(truth=np.asarray(store.labels[store.split.valid]), answers=on_valid) if on_valid else None
    return Repeat(
        number=number, fold=fold, seed=seed, seconds=seconds, rows=store.split.test, truth=truth, answers=answers,
        valid={e.name: math.nan if e.facts["score"] is None else e.facts["score"] for e in done},
        scores={name: metric(truth, scores) for name, scores in answers.items()},
        on_valid=kept,
    )  # fmt: skip


@dataclass(kw_only=True)
class Resampling:
    """How further repeats are run.

    `stores` gives the store of a fold, of the order that a seed draws; `start` sets up a race. `begun`
    counts them; `stopped` and `late` say whether the user or the time limit ended the last one early.
    """

    store: Store
    held: HeldOut
    folds: int  # 1: the test part is predefined
    seed: int
    stores: Callable[[int, int], AbstractContextManager[Store]]
    start: Callable[[Store, int, int], Race]  # store, seed, number
    slow: float = 1.0  # times longer than alone that the machine takes
    raced: Mapping[int, float] = field(default_factory=dict)  # seconds of repeats in an earlier go
    begun: int = 0
    expected: float = 0.0  # seconds of the next one: as many as the longest took, but what only the first of them needs
    stopped: bool = False
    late: bool = False

    def after(
        self, first: Repeat, given: Mapping[str, float], until: float, most: int, fewest: int = 0
    ) -> Iterator[Repeat]:
        """Repeats after the first one, as many as fit before the monotonic moment `until`, and at most `most` in all.

        Each contender gets the seconds that it was given in the first one, and a repeat is begun where as many are left
        as are `expected`: the clock alone ends them, never what they show. Ctrl-C does too. A repeat that was cut short
        does not count.

        Args:
            given: {contender: seconds}, of those that finished the first repeat.
            fewest: repeats in all that there must be time for, to begin with the second.
        """
        self.expected = longest = first.seconds
        for number in range(1, most):
            began, slack = time.monotonic(), min(SLACK * longest, SLACK_S)
            if began + max(1, fewest - number) * self.expected > until + (0.0 if fewest else slack):
                return
            self.begun += 1
            repetition, fold = divmod(number, self.folds)
            stores: AbstractContextManager[Store] = nullcontext(self.store)
            if self.folds > 1:
                stores = self.stores(fold, self.seed + repetition)
            with stores as store:
                race = self.start(store, self.seed + number, number)
                try:
                    race.run(until=until + slack, given=given)
                    self.stopped, self.late = race.stopped, race.late
                    if race.stopped or race.late:
                        return
                    made = repeat_of(
                        race, self.held, self.seed + number, time.monotonic() - began + self.raced.get(number, 0.0),
                        fold if self.folds > 1 else None, number,
                    )  # fmt: skip
                finally:
                    race.close()
            longest = made.seconds if number <= 2 else max(longest, made.seconds)
            self.expected = longest - min(self.slow * STARTED_S, STARTED * longest) if number == 1 else longest
            yield made
