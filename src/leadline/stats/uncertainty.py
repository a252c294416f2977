"""How sure a contender's answers are: its calibrator and its threshold, learned on rows that it has not seen.

Enters: the entries of a race and its rounds. Leaves: a `Certainty` a contender. Such rows are the calib part, where
there is one (from about 6,000 rows on); else those of folds 2 to 5, as far as they were raced, each answered by
contenders that were trained without them. Where a run has neither, probabilities stay as they are, no set is stated,
and a warning says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from leadline.metrics.multilabel import unpacked
from leadline.stats.advice import Advice
from leadline.stats.calibration import Calibrator, LabelCalibrator, calibrator, label_calibrator
from leadline.stats.conformal import Conformal, conformal

if TYPE_CHECKING:
    from leadline.core.tensors import Tensors
    from leadline.stats.round import Round


class Candidate(Protocol):
    """A contender in a race, as far as it is asked here."""

    name: str

    @property
    def baseline(self) -> bool: ...
    @property
    def done(self) -> bool: ...

    def calib(self) -> np.ndarray | None:
        """Its answers on the calib rows; None where there are none."""


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """What is done to a contender's answers so that they say how sure they are."""

    calibrator: Calibrator | LabelCalibrator | None  # None: values, which have no probability
    conformal: Conformal | None  # None: too few rows

    def __call__(self, answers: np.ndarray) -> np.ndarray:
        return answers if self.calibrator is None else self.calibrator(answers)


def certainty(
    store: Tensors, entries: Iterable[Candidate], rounds: Sequence[Round], seed: int, coverage: float
) -> dict[str, Certainty]:  # fmt: skip
    """{contender: its certainty}, of those that finished and have rows for it."""
    found = {}
    for entry in entries:
        if not entry.done or entry.baseline:
            continue
        rows = _unseen(store, rounds, entry.name, entry.calib())
        if rows is None:
            continue
        truth, answers = rows
        mapped: Calibrator | LabelCalibrator | None = None
        if store.task.multilabel:
            truth = unpacked(truth, len(store.task.classes))
            mapped = label_calibrator(truth, answers, seed)
        elif store.task.classes:
            mapped = calibrator(truth, answers, seed)
        answers = answers if mapped is None else mapped(answers)
        found[entry.name] = Certainty(calibrator=mapped, conformal=conformal(truth, answers, coverage))
    return found


def doubts(
    store: Tensors, answers: Mapping[str, np.ndarray], certain: Mapping[str, Certainty], advice: Advice
) -> list[str]:
    """What to report where answers have no calibration or no prediction sets."""
    if store.task.generative or not answers:
        return []
    if not certain:
        how = "" if advice.calibrate is None else f", or {advice.calibrate}"
        return [
            f"No calibration rows: probabilities are uncalibrated and prediction sets are unavailable. Add rows{how}."
        ]
    if any(each.conformal is None for each in certain.values()):
        return [
            "The calib rows are too few for sets or intervals of this coverage; lower --coverage, or give more rows."
        ]
    return []


def _unseen(
    store: Tensors, rounds: Sequence[Round], name: str, calib: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """(truth, answers) on rows that the contender was not trained on and that are not in the test."""
    if calib is not None and len(calib):
        return np.asarray(store.labels[store.split.calib]), calib
    folds = [one for one in rounds[1:] if one.fold is not None and 0 < one.number < 5 and name in one.answers]
    if not folds:
        return None
    return np.concatenate([one.truth for one in folds]), np.concatenate([one.answers[name] for one in folds])
