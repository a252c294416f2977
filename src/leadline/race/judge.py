"""What the answers of the first repeat's contenders on its test rows are worth, and their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from leadline.config import Settings
from leadline.metrics.metrics import METRICS
from leadline.race.baseline import answer_baseline
from leadline.race.race import Race
from leadline.race.repeats import Trials
from leadline.stats.intervals import Scored, score
from leadline.stats.uncertainty import Certainty, certainty


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A race whose repeats have ended, with the answers of its contenders, by their names."""

    race: Race
    trials: Trials
    certain: Mapping[str, Certainty]
    answers: dict[str, np.ndarray]  # calibrated where there were rows for it; the baseline's too
    scored: Mapping[str, Scored]

    @property
    def truth(self) -> np.ndarray:
        return self.trials.repeats[0].truth

    @property
    def raw(self) -> Mapping[str, np.ndarray]:
        """Answers before calibration."""
        return self.trials.repeats[0].answers


def judge(race: Race, trials: Trials, settings: Settings) -> Judged:
    """Calibrate on rows that were not learned from, and score the test rows."""
    first, metric = trials.repeats[0], METRICS[race.store.task.metric]
    certain = certainty(race.store, race.entries, trials.repeats, settings.seed, settings.coverage)
    answers = answer_baseline(race)
    answers |= {name: certain[name](raw) if name in certain else raw for name, raw in first.answers.items()}
    scored = score(first.truth, answers, metric, settings.seed, trials.group)
    return Judged(race=race, trials=trials, certain=certain, answers=answers, scored=scored)
