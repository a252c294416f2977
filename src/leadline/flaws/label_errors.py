"""Labels that look wrong: told of train and valid rows before the race, of all others once the verdict is made.

Enters: a table in which the labels of test rows are sealed. The probe learns from train and valid rows alone and
answers every row from a model that did not learn from it, as contenders answer test rows. What --fix takes out rests on
the labels of train and valid rows. When the test was opened, the answers that were kept are held against all labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leadline.dataset.heldout import SEALED
from leadline.dataset.table import Table
from leadline.flaws import impact
from leadline.flaws.confident_learning import LEAST, Noise, noise, suspects
from leadline.flaws.flaw import Flaw, Price
from leadline.flaws.probe import Probe, some
from leadline.metrics.metrics import METRICS

PARTED = 4  # folds that labels are looked for on
AN_ANSWER = 3e-5  # seconds for one row and three classes


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Rows that one fit may have, and rows that are looked at: as many in every round as in the first."""

    most: int
    looked: int


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What the probe said of rows that it had not learned from."""

    rows: np.ndarray  # row numbers [n], rising
    known: np.ndarray  # bool [n]: of train or valid
    answers: np.ndarray  # float32 [n, classes]
    fold: np.ndarray  # int [n]
    most: int
    by: str  # what the probe is called

    def only(self, places: np.ndarray) -> Answered:
        """Of some of the rows: positions, or bool [n]."""
        return replace(
            self, rows=self.rows[places], known=self.known[places], answers=self.answers[places], fold=self.fold[places]
        )


def effort(probe: Probe, rows: int, seconds: float, fewest: int) -> Effort | None:
    """How much can be done in so many seconds; None where that is too little to tell anything."""
    most = probe.most_rows(seconds, PARTED + 1)
    if not probe.classes or most < fewest:
        return None
    looked = min(rows, int(seconds / (AN_ANSWER * (1 + probe.classes // 3))))
    return Effort(most=most, looked=max(looked, fewest))


def answered(probe: Probe, table: Table, rows: np.ndarray, learned: np.ndarray, may: Effort) -> Answered:
    """Ask the probe of `rows`; it learns from those among them that are in `learned`, whose labels alone are read."""
    rows = some(rows, may.looked)
    known = np.isin(rows, learned)
    fold = np.random.default_rng(3).permutation(len(rows)) % PARTED
    y = np.full(len(rows), SEALED)
    y[known] = table.labels[rows[known]]
    answers = probe.crossed(rows, y, fold, may.most, known=known)
    return Answered(rows=rows, known=known, answers=answers, fold=fold, most=may.most, by=probe.name)


def before(probe: Probe, table: Table, said: Answered) -> Flaw | None:
    """The finding on train and valid rows, which --fix takes out."""
    mine = said.only(said.known)
    y = table.labels[mine.rows]
    found = noise(mine.answers, y)
    if found is None or found.share < LEAST:
        return None
    place = suspects(mine.answers, y, found.share)
    if not len(place):
        return None
    flaw = _flaw(table, mine, place, found, "labels of train and valid rows")
    learned = _learned(probe, mine, y, place)
    return replace(flaw, drop=mine.rows[place], facts={**flaw.facts, "learned": vars(learned)})


def after(table: Table, said: Answered, flaw: Flaw | None) -> Flaw | None:
    """The finding on all rows that were looked at, by all labels; `flaw` is what was found before.

    What was found before stays: rows were taken out for it. Of the others those are added that look wrong now.
    """
    y = table.labels[said.rows]
    found = noise(said.answers, y)
    if found is None or found.share < LEAST:
        return flaw
    if flaw is None:
        place = suspects(said.answers, y, found.share)
    else:
        unseen = np.flatnonzero(~said.known)
        new = unseen[suspects(said.answers[unseen], y[unseen], found.share)]
        place = np.concatenate([np.flatnonzero(np.isin(said.rows, flaw.rows)), new])
        place = place[np.argsort(said.answers[place, y[place]], kind="stable")]
    if not len(place):
        return None
    made = _flaw(table, said, place, found, "label_errors")
    if flaw is None:
        return made
    return replace(made, drop=flaw.drop, facts={**made.facts, "learned": flaw.facts["learned"]})


def _flaw(table: Table, said: Answered, place: np.ndarray, found: Noise, of: str) -> Flaw:
    verb = "looks" if len(place) == 1 else "look"
    says = (
        f"{len(place):,} of {len(said.rows):,} {of} {verb} wrong; about half of these should be. In all "
        f"{found.low:.1%} to {found.high:.1%} of the labels may be wrong, as far as {said.by} can tell."
    )
    return Flaw(
        name="label_errors", rows=said.rows[place], says=says, facts={"noise": vars(found)},
        said=tuple(table.task.classes[k] for k in said.answers[place].argmax(axis=1)),
    )  # fmt: skip


def _learned(probe: Probe, said: Answered, y: np.ndarray, place: np.ndarray) -> Price:
    """What the probe gains on the last fold, labels as given, where it learned without the suspects."""
    tried = np.flatnonzero(said.fold == PARTED - 1)
    train = some(np.flatnonzero(said.fold != PARTED - 1), said.most, seed=PARTED - 1)
    train = np.setdiff1d(train, place)
    again = probe.answers(said.rows[train], y[train], said.rows[tried])
    metric = METRICS["accuracy"]
    return impact.paired(y[tried], said.answers[tried], again, metric, probe.name, "learned without the suspects")
