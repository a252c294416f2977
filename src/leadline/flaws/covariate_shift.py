"""Covariate shift: a model can distinguish the rows of a predefined test from the train rows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from leadline.flaws import impact
from leadline.flaws.detector import Detector, Finding, ScanData
from leadline.flaws.flaw import Flaw
from leadline.flaws.probe import Probe, some
from leadline.metrics.metrics import METRICS
from leadline.tasks import Binary

SHIFTED = 0.6  # AUC
FEWEST = 100  # rows of each side
FITS = 2
MOST_TRIED = 20_000  # rows


@dataclass(frozen=True, kw_only=True)
class ProbeAnswers:
    """Predictions of the probe, trained on train rows, for others of them and for the test."""

    held_out: np.ndarray  # row numbers
    test: np.ndarray
    answers: np.ndarray  # for both, one after the other


class CovariateShift(Detector[ProbeAnswers]):
    """A predefined test set from another distribution."""

    name, title, description = "covariate_shift", "Covariate shift", "covariate shift of a predefined test"

    def search(self, data: ScanData, seconds: float) -> Finding[ProbeAnswers]:
        """The AUC of the probe between train and test rows; the impact is measured after the verdict."""
        if not data.in_predefined_test.any():
            return Finding(data=data)
        candidates = np.sort(np.concatenate([data.known_rows, data.store.split.test]))
        rows = some(candidates, data.probe.most_rows(seconds, FITS))
        in_test = data.in_predefined_test[rows]
        auc = _auc(data, rows, in_test.astype(np.int64))
        if auc is None or auc < SHIFTED:
            return Finding(data=data)
        mixed = np.random.default_rng(1).permutation(rows[~in_test])
        cut = int(0.7 * len(mixed))
        train, held_out, test = np.sort(mixed[:cut]), np.sort(mixed[cut : cut + MOST_TRIED]), rows[in_test]
        answers = data.probe.answers(train, data.table.labels[train], np.concatenate([held_out, test]))
        says = f"The rows of the predefined test differ from the train rows: AUC {auc:.2f} with {data.probe.name}."
        return Finding(
            data=data, flaws=(Flaw(name=self.name, facts={"auc": auc}, says=says),),
            evidence=ProbeAnswers(held_out=held_out, test=test, answers=answers),
        )  # fmt: skip

    def revisit(self, finding: Finding[ProbeAnswers], data: ScanData) -> Sequence[Flaw]:
        """With the impact: the score on held-out train rows, less that on the test."""
        found, labels = finding.evidence, data.table.labels
        if found is None:
            return finding.flaws
        many = len(found.held_out)
        test, train = (labels[found.test], found.answers[many:]), (labels[found.held_out], found.answers[:many])
        how = "on rows held out from train"
        size = impact.between_rows(test, train, data.metric, finding.data.probe.name, how)
        return [replace(flaw, impact=size) for flaw in finding.flaws]


def _auc(data: ScanData, rows: np.ndarray, in_test: np.ndarray) -> float | None:
    """How well the probe distinguishes the rows of the test (1) from the others: 0.5 not at all; None if few."""
    if min(in_test.sum(), (1 - in_test).sum()) < FEWEST:
        return None
    other = copy.copy(data.store)
    other.task = Binary(target=None, classes=("train", "test"), metric="auc")
    half = np.random.default_rng(0).random(len(rows)) < 0.5
    answers = Probe(other, data.threads).answers(rows[half], in_test[half], rows[~half])
    return METRICS["auc"](in_test[~half], answers)
