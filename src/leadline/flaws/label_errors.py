"""Label errors: labels that are more likely wrong than right, by the predictions of a probe.

The probe is trained on train and valid rows, and predicts each row without having been trained on it. What --fix
excludes is inferred from the labels of train and valid rows alone. After the verdict the stored predictions are
compared with the labels of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from leadline.dataset.heldout import HIDDEN
from leadline.dataset.table import Table
from leadline.flaws import impact
from leadline.flaws.confident_learning import LEAST, SUREST, SUREST_OF_BOTH, Noise, noise, suspects
from leadline.flaws.detector import FEWEST, Detector, Finding, ScanData, TestAnswers
from leadline.flaws.flaw import Flaw, Impact
from leadline.flaws.probe import Probe, some
from leadline.flaws.state_probe import StateProbe, joined, surprise
from leadline.metrics.metrics import METRICS
from leadline.race.context import memory_cap
from leadline.race.spare import TIGHT
from leadline.readers.part import agreed

FOLDS = 4
KEPT = 0.25  # share of the search's time that is left to what is searched for afterwards


@dataclass(frozen=True, kw_only=True)
class Effort:
    """As much for every fold as for the first."""

    train: int  # rows of one fit, at most
    rows: int  # that are predicted, at most
    states: bool = False  # by states of pretrained bodies too


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Out-of-fold predictions of the probe."""

    rows: np.ndarray  # row numbers [n], ascending
    known: np.ndarray  # bool [n]: of train or valid
    answers: np.ndarray  # float32 [n, classes]
    probe_answers: np.ndarray  # float32 [n, classes], of the probe alone
    fold: np.ndarray  # int [n]
    effort: Effort
    probe: str  # its name

    @property
    def surest(self) -> float:
        """Share of the rows from which the share of wrong labels is estimated."""
        return SUREST_OF_BOTH if self.effort.states else SUREST

    def only(self, places: np.ndarray) -> Predictions:
        """For some of the rows: positions, or bool [n]."""
        return replace(
            self, rows=self.rows[places], known=self.known[places], answers=self.answers[places],
            probe_answers=self.probe_answers[places], fold=self.fold[places],
        )  # fmt: skip


class LabelErrors(Detector[Predictions]):
    """Rows with suspect labels."""

    name, title, description = "label_errors", "Label errors", "label errors"
    share, removal = 0.35, "excluded from training"

    def search(self, data: ScanData, seconds: float) -> Finding[Predictions] | None:
        """Suspects among train and valid rows."""
        classes = data.probe.classes
        train = data.probe.most_rows(seconds, FOLDS + 1)
        if not classes or train < FEWEST:
            return None
        rows = max(FEWEST, min(len(data.all_rows), data.probe.most_answers(seconds)))
        effort = Effort(train=train, rows=rows)
        predictions = predict(data.probe, data.table, data.all_rows, data.known_rows, effort)
        if data.pace is not None:
            predictions = with_states(data, predictions, data.pace.rest(KEPT))
        return self._found(data, predictions)

    def search_fold(self, data: ScanData, first: Finding[Predictions]) -> Sequence[Flaw]:
        """Suspects among the train and valid rows of another fold."""
        assert first.evidence is not None
        effort = first.evidence.effort
        predictions = predict(data.probe, data.table, data.known_rows, data.known_rows, effort)
        if effort.states:
            predictions = with_states(data, predictions, math.inf)
        return self._found(data, predictions).flaws

    def revisit(self, finding: Finding[Predictions], data: ScanData) -> Sequence[Flaw]:
        """Suspects among all rows."""
        assert finding.evidence is not None
        flaw = self.among_all(data.table, finding.evidence, next(iter(finding.flaws), None))
        return () if flaw is None else (flaw,)

    def impact(self, flaw: Flaw, test: TestAnswers) -> Impact | None:
        """The score on true labels; None where only labels of test rows are suspect."""
        if "training_impact" not in flaw.facts:
            return None
        return impact.label_noise(test, Noise(**flaw.facts["noise"]), Impact(**flaw.facts["training_impact"]))

    def fix(self, table: Table, flaw: Flaw) -> tuple[Table, str]:
        """Exclude the rows from training. They stay in the test, whose score would otherwise be too good."""
        excluded = np.empty(0, np.int64) if flaw.drop is None else np.sort(flaw.drop)
        are = agreed(len(excluded), "1 row with a suspect label is", "{} rows with suspect labels are")
        return replace(table, excluded_from_training=excluded), f"{are} excluded from training."

    def _found(self, data: ScanData, predictions: Predictions) -> Finding[Predictions]:
        flaw = self.among_known(data.probe, data.table, predictions)
        return Finding(data=data, flaws=() if flaw is None else (flaw,), evidence=predictions)

    def among_known(self, probe: Probe, table: Table, predictions: Predictions) -> Flaw | None:
        """Suspects among train and valid rows, which --fix excludes."""
        known = predictions.only(predictions.known)
        labels = table.labels[known.rows]
        share = noise(known.answers, labels, predictions.surest)
        if share is None or share.share < LEAST:
            return None
        places = suspects(known.answers, labels, share.share)
        if not len(places):
            return None
        flaw = self._flaw(table, known, places, share, "labels of train and valid rows")
        trained = _trained_without(probe, known, labels, places)
        drop = known.rows[places]
        return replace(flaw, drop=drop, fixes=len(drop), facts={**flaw.facts, "training_impact": vars(trained)})

    def among_all(self, table: Table, predictions: Predictions, first: Flaw | None) -> Flaw | None:
        """Suspects among all rows: those of the `first` search, for which rows may be excluded, and more."""
        labels = table.labels[predictions.rows]
        share = noise(predictions.answers, labels, predictions.surest)
        if share is None or share.share < LEAST:
            return first
        if first is None:
            places = suspects(predictions.answers, labels, share.share)
        else:
            others = np.flatnonzero(~predictions.known)
            new = others[suspects(predictions.answers[others], labels[others], share.share)]
            places = np.concatenate([np.flatnonzero(np.isin(predictions.rows, first.rows)), new])
            places = places[np.argsort(predictions.answers[places, labels[places]], kind="stable")]
        if not len(places):
            return None
        flaw = self._flaw(table, predictions, places, share, "labels")
        if first is None:
            return flaw
        facts = {**flaw.facts, "training_impact": first.facts["training_impact"]}
        return replace(flaw, drop=first.drop, fixes=first.fixes, facts=facts)

    def _flaw(self, table: Table, predictions: Predictions, places: np.ndarray, share: Noise, of: str) -> Flaw:
        says = (
            f"{len(places):,} of {len(predictions.rows):,} {of} {'is' if len(places) == 1 else 'are'} suspect; about "
            f"half of these should be wrong. In all {share.low:.1%} to {share.high:.1%} of the labels may be wrong, as "
            f"far as {predictions.probe} can tell."
        )
        return Flaw(
            name=self.name, rows=predictions.rows[places], says=says, facts={"noise": vars(share)},
            suggested_labels=tuple(table.task.classes[k] for k in predictions.answers[places].argmax(axis=1)),
        )  # fmt: skip


def predict(probe: Probe, table: Table, rows: np.ndarray, known_rows: np.ndarray, effort: Effort) -> Predictions:
    """Out-of-fold predictions for `rows`; only labels of those in `known_rows` are read."""
    rows = some(rows, effort.rows)
    known = np.isin(rows, known_rows)
    fold = np.random.default_rng(3).permutation(len(rows)) % FOLDS
    labels = _known_labels(table, rows, known)
    answers = probe.crossed(rows, labels, fold, effort.train, known=known)
    return Predictions(
        rows=rows, known=known, answers=answers, probe_answers=answers, fold=fold, effort=effort, probe=probe.name
    )  # fmt: skip


def _known_labels(table: Table, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of these rows; HIDDEN of those that are not known."""
    labels = np.full(len(rows), HIDDEN)
    labels[known] = table.labels[rows[known]]
    return labels


def with_states(data: ScanData, predictions: Predictions, seconds: float) -> Predictions:
    """With predictions from states of pretrained bodies, where there is one, there is time, and it helps."""
    if memory_cap(data.settings) < TIGHT:  # this process has no room for a body
        return predictions
    known = predictions.known
    labels = _known_labels(data.table, predictions.rows, known)
    found = StateProbe(data.store, data.threads, data.pace).answers(
        predictions.rows, labels, predictions.fold, known, seconds
    )  # fmt: skip
    if found is None:
        return predictions
    both = joined([predictions.answers, found])
    losses = [surprise(answers[known], labels[known]) for answers in (predictions.answers, both)]
    if losses[1] >= losses[0]:
        return predictions
    effort = replace(predictions.effort, states=True)
    return replace(predictions, answers=both, effort=effort, probe=f"{predictions.probe} beside a pretrained body")


def _trained_without(probe: Probe, known: Predictions, labels: np.ndarray, places: np.ndarray) -> Impact:
    """What the probe gains on the last fold, by the labels of the source, when trained without the suspects."""
    test = np.flatnonzero(known.fold == FOLDS - 1)
    train = some(np.flatnonzero(known.fold != FOLDS - 1), known.effort.train, seed=FOLDS - 1)
    train = np.setdiff1d(train, places)
    answers = probe.answers(known.rows[train], labels[train], known.rows[test])
    accuracy, how = METRICS["accuracy"], "trained without the suspects"
    return impact.paired(labels[test], known.probe_answers[test], answers, accuracy, probe.name, how)
