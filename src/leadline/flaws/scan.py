"""Look a table over: every flaw that can be found in a share of the budget, its rows, and where it can be its price.

Enters: a table in which the labels of test rows are sealed, its store, settings. Leaves: a `Look`. Whatever needs a
label is told of train and valid rows; what --fix takes out rests on these alone. Test rows are compared with others by
content, and the probe answers them as a contender does; what their labels tell is added after the verdict (`told`). How
many rows are looked at depends on the budget and on a clock whose readings are written down (`time_budget.py`): a run
that is repeated finds the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import polars as pl

from leadline.config import Settings
from leadline.core.kind import Rows
from leadline.dataset.heldout import HeldOut
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.flaws import (
    confident_learning,
    impact,
    label_errors,
    leakage_and_drift,
    spurious_features,
    target_leakage,
)
from leadline.flaws import near_duplicates as repeated
from leadline.flaws.flaw import Flaw, Price
from leadline.flaws.label_errors import Answered, Effort
from leadline.flaws.neutralize import Sample
from leadline.flaws.probe import Probe, some
from leadline.flaws.time_budget import Pace
from leadline.kinds import KINDS
from leadline.metrics.metrics import METRICS
from leadline.readers.part import counted

PROBED = 4.0  # seconds; with less, a probe's libraries alone would take what there is, and only twins are looked for
FOLDS = 5  # of a price
FEWEST = 200  # rows, to tell anything of labels or groups
MOST_TRACED, MOST_EVENED = 4_000, 3_000  # files
PRICED = 2 * FOLDS + 2  # fits of one price, and as much as choosing C takes
TRIED = 8  # rows tried, for one learned from
RARE = 10  # rows of a class
DRIFTED = 0.6  # AUC from which on a stated test is unlike the rest
# Shares of the scan: what is left is seldom all asked for.
PARTS = {"near_duplicates": 0.5, "target_leakage": 0.5, "label_errors": 0.35, "rest": 0.25}
ORDER = (
    "near_duplicates", "target_leakage", "spurious_features", "group_leakage", "temporal_drift", "label_errors",
    "covariate_shift", "rare_classes",
)  # fmt: skip  # the most telling first


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Rows that repeat another, by content alone."""

    table: Table  # as it was looked at, with all rows
    store: Store
    pairs: np.ndarray  # [pairs, 2] row numbers
    looked: int
    together: Flaw | None = None  # close rows that are no copies, but belong together
    said: list[str] = field(default_factory=list)  # of rows that are equal, and no flaw

    def flaw(self) -> Flaw | None:
        """The finding before the verdict: of pairs with a test row nobody knows whether their labels differ."""
        known = self.pairs[~np.isin(self.pairs, self.store.split.test).any(axis=1)]
        return repeated.flaw(self.pairs, self.table, self.store, self.looked, repeated.unlike(known, self.table))

    def opened(self, table: Table) -> Flaw | None:
        """The finding after it, by all labels."""
        return repeated.flaw(self.pairs, table, self.store, self.looked, repeated.unlike(self.pairs, table))


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What a probe that learned from train rows says of rows held back and of a stated test."""

    flaw: Flaw
    tried: np.ndarray  # row numbers
    test: np.ndarray
    answers: np.ndarray  # to both, one after the other
    by: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found before the race, and what the labels of test rows are held against after it."""

    flaws: list[Flaw]
    left_out: list[str]  # what there was no time to look for, in a sentence
    looked_for: list[str]  # each in a few words
    store: Store
    answered: Answered | None = None
    drift: Drift | None = None
    leaks: bool = False  # whether columns were looked for that give the target away
    effort: Effort | None = None  # that went into labels


def joined(first: Look, twins: Repeats, table: Table, asked: Settings) -> Look:
    """The look with rows that belong together, unless these were found with their price, or are kept whole already."""
    parted = asked.group is None and asked.time_column is None and not (table.part == 2).any()
    known = {flaw.columns for flaw in first.flaws if flaw.name == "group_leakage"}
    if twins.together is None or not parted or twins.together.columns in known:
        return first
    return replace(first, flaws=[*first.flaws, twins.together])


@contextmanager
def quiet() -> Iterator[None]:
    """Products of matrices run on one thread meanwhile.

    They are small, and on a machine that others use too two threads wait for each other ten times as long as they work.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def repeats(table: Table, store: Store, pace: Pace) -> Repeats:
    """Rows that repeat another, of all rows: no label is read to find them."""
    rows = _rows(store, ("train", "valid", "calib", "test"))
    seconds = pace.part(PARTS["near_duplicates"])
    with quiet():
        mine = repeated.affordable(table, store, rows, seconds, pace)
        found = repeated.twins(table, store, mine)
    return Repeats(
        table=table, store=store, pairs=found.pairs, looked=len(mine), together=found.together(len(mine)),
        said=found.said(len(mine)),
    )  # fmt: skip


def look(table: Table, store: Store, asked: Settings, threads: int, pace: Pace) -> Look:
    """Every other flaw that is found, and what was not looked for, in a sentence."""
    with quiet():
        return _looked(table, store, asked, threads, pace)


def _looked(table: Table, store: Store, asked: Settings, threads: int, pace: Pace) -> Look:
    rows = _rows(store, ("train", "valid"))
    probe = Probe(store, threads, pace)
    found: list[Flaw | None] = []
    kept, looked_for = Look(flaws=[], left_out=[], looked_for=[], store=store), ["rows that repeat another"]
    if probe.able and len(rows) >= FEWEST and pace.seconds >= PROBED and not table.task.multilabel:
        probe.load()

        def part(name: str, share: float = PARTS["rest"]) -> float:
            seconds = pace.part(share, name)
            if seconds:
                looked_for.append(name)
            return seconds

        if seconds := part("columns that give the target away", PARTS["target_leakage"]):
            found.append(_leak(table, probe, rows, seconds))
            kept = replace(kept, leaks=True)
        if seconds := part("traces of files"):
            found += _traces(table, store, threads, rows, seconds)
        if seconds := part("groups that the split parts"):
            mine = some(rows, max(FEWEST, probe.most_rows(seconds, 2)))
            if len(mine) < 0.5 * len(rows):  # a thin sample holds one row a group, and tells nothing of them
                looked_for.pop()
            else:
                found += _groups(table, probe, mine, asked)
        if seconds := part("what changes with time"):
            found += _times(table, probe, rows, asked, seconds)
        if seconds := part("labels that look wrong", PARTS["label_errors"]):
            every = _rows(store, ("train", "valid", "calib", "test"))
            may = label_errors.effort(probe, len(every), seconds, FEWEST)
            if may is not None:
                answered = label_errors.answered(probe, table, every, rows, may)
                found.append(label_errors.before(probe, table, answered))
                kept = replace(kept, answered=answered, effort=may)
            else:
                looked_for.pop()
        if seconds := part("a test unlike the rest"):
            kept = replace(kept, drift=_drift(table, store, probe, rows, seconds))
            found.append(None if kept.drift is None else kept.drift.flaw)
    said = []
    if pace.left_out:
        said = [f"Time was short, so these flaws were not looked for: {', '.join(pace.left_out)}."]
    flaws = [flaw for flaw in found if flaw is not None]
    return replace(kept, flaws=flaws, left_out=said, looked_for=looked_for)


def chosen(table: Table, store: Store, names: Sequence[str], first: Look, threads: int) -> list[Flaw]:
    """What --fix takes out of another round, told anew by its own train and valid rows, as far as the first look went.

    What the first round found rests on rows that this one tests on.
    """
    rows, found = _rows(store, ("train", "valid")), list[Flaw | None]()
    with quiet():
        if "target_leakage" in names and first.leaks:
            found.append(_leak(table, Probe(store, threads), rows, 0.0))
        if "label_errors" in names and first.effort is not None:
            probe = Probe(store, threads)
            said = label_errors.answered(probe, table, rows, rows, first.effort)
            found.append(label_errors.before(probe, table, said))
    return [flaw for flaw in found if flaw is not None]


def told(first: Look, twins: Repeats, held: HeldOut) -> list[Flaw]:
    """All flaws again, after the verdict, with what the labels of test rows add."""
    table = held.opened(twins.table)
    found = {flaw.name: [each for each in first.flaws if each.name == flaw.name] for flaw in first.flaws}
    again = {"near_duplicates": twins.opened(table), "rare_classes": _rare(table, first.store)}
    if first.answered is not None:
        again["label_errors"] = label_errors.after(
            table, first.answered, next(iter(found.get("label_errors", [])), None)
        )
    if first.drift is not None:
        again["covariate_shift"] = _drifted(table, first.drift)
    found |= {name: [] if flaw is None else [flaw] for name, flaw in again.items()}
    return [flaw for name in ORDER for flaw in found.get(name, [])]


def priced(flaws: list[Flaw], store: Store, truth: np.ndarray, answers: dict[str, np.ndarray], of: str) -> list[Flaw]:
    """The flaws that only the test can price, by the answers of the contender that ships."""
    metric, mine, done = METRICS[store.task.metric], answers[of], []
    for flaw in flaws:
        if flaw.name in ("near_duplicates", "rare_classes") and flaw.price is None:
            kept = ~np.isin(store.split.test, flaw.rows)
            how = f"{counted(int(kept.sum()), 'test row')} without them"
            flaw = replace(flaw, price=impact.of_rows(truth, mine, kept, metric, of, how))
        elif flaw.name == "label_errors" and "learned" in flaw.facts:  # not where only labels of test rows told of it
            noise, learned = confident_learning.Noise(**flaw.facts["noise"]), Price(**flaw.facts["learned"])
            flaw = replace(flaw, price=impact.of_labels(truth, mine, noise, learned, len(store.task.classes), of))
        done.append(flaw)
    return done


def _rows(store: Store, parts: Sequence[str]) -> np.ndarray:
    """Row numbers of some parts, rising."""
    return np.sort(np.concatenate([getattr(store.split, part) for part in parts]))


def _folds(labels: np.ndarray) -> np.ndarray:
    """A fold for each row, every class (every height of a number) spread over all of them."""
    order = np.lexsort((np.random.default_rng(3).permutation(len(labels)), labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    return fold


def _halves(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from, and others to try on."""
    mixed = np.random.default_rng(1).permutation(rows)
    cut = min(most, int(0.7 * len(rows)))
    return np.sort(mixed[:cut]), np.sort(mixed[cut : cut + 20_000])


def _leak(table: Table, probe: Probe, rows: np.ndarray, seconds: float) -> Flaw | None:
    told = target_leakage.told(table, some(rows, 100_000))
    asked = {name: share for name, share in told.items() if share >= target_leakage.enough(table)}
    if not asked:
        return None
    names = tuple(sorted(asked, key=lambda name: -asked[name]))
    shares = ", ".join(f"{name!r} {asked[name]:.0%}" for name in names)
    most = probe.most_rows(seconds, PRICED)
    paid = None
    if most >= FEWEST and len(names) < len(table.inputs):
        mine = some(rows, TRIED * most)
        y = table.labels[mine]
        fold, metric = _folds(y), METRICS[table.task.metric]
        with_it = probe.crossed(mine, y, fold, most, choose=True)
        without = probe.crossed(mine, y, fold, most, hidden=names, choose=True)
        paid = impact.crossed(y, with_it, without, fold, metric, probe.name, "learned again without them")
    what = "A column tells" if len(names) == 1 else "Columns tell"
    return Flaw(
        name="target_leakage", columns=names, price=paid,
        says=f"{what} most of the target alone: {shares}. Is that known when you predict?",
    )  # fmt: skip


def _traces(table: Table, store: Store, threads: int, rows: np.ndarray, seconds: float) -> list[Flaw]:
    if not table.task.classes:
        return []
    found = []
    for block in store.blocks:
        files = KINDS[block.kind].file_properties
        if files is None:
            continue
        mine = some(rows, min(MOST_TRACED, max(FEWEST, int(seconds * spurious_features.FILES_RATE))))
        cells = table.take(mine, [block.columns[0]])[block.columns[0]]
        y = table.labels[mine]
        facts = spurious_features.facts(cells, files.facts, table.source.root)
        tied = {name: spurious_features.tie(values, y) for name, values in facts.items()}
        tied = {
            name: tie for name, tie in sorted(tied.items(), key=lambda one: -one[1]) if tie >= spurious_features.TIED
        }
        if not tied:
            continue
        words = {**files.words, **spurious_features.WORDS}
        shown = ", ".join(f"{words[name]} ({tie:.0%})" for name, tie in tied.items())
        paid = None
        if any(name in files.removable for name in tied):
            many = int(seconds / files.seconds(cells, table.source.root))
            few = some(mine, min(MOST_EVENED, max(FEWEST, many)), seed=2)
            cells = table.take(few, [block.columns[0]])[block.columns[0]]
            plain = Sample(store, few)
            rows_few = Rows(block=block, places=few, tensor=store.tensor(block.name), cells=partial(pl.Series, cells))
            removed = files.removed(rows_few, table.source.root, store.graph(block.name))
            even = Sample(store, few, {block.name: removed})
            y, places = table.labels[few], np.arange(len(few))
            probes = [Probe(each, threads) for each in (plain, even)]
            fold, most = _folds(y), max(FEWEST, probes[0].most_rows(seconds, PRICED))
            with_it, without = (probe.crossed(places, y, fold, most, choose=True) for probe in probes)
            metric = METRICS[table.task.metric]
            paid = impact.crossed(y, with_it, without, fold, metric, "a linear model", "learned from evened files")
        found.append(
            Flaw(
                name="spurious_features", price=paid, facts={"tied": tied},
                says=f"File properties of {block.columns[0]!r}, not its content, predict the class: {shown}.",
            )
        )  # fmt: skip
    return found


def _groups(table: Table, probe: Probe, mine: np.ndarray, asked: Settings) -> list[Flaw]:
    metric, found = METRICS[table.task.metric], []
    for name, group in leakage_and_drift.grouping(table, mine, asked).items():
        y = table.labels[mine]
        tested, with_it, kept, without = leakage_and_drift.parted(probe, mine, y, leakage_and_drift.drawn(group))
        paid = impact.apart(
            (y[tested], with_it), (y[kept], without), metric, probe.name, "with each group on one side of the split"
        )
        if max(paid.low * metric.sign, paid.high * metric.sign) >= 0:
            continue  # parting them costs nothing that could be seen
        option = (
            f"--group {name}"
            if name not in {c.name for c in table.inputs if KINDS[c.kind].file_properties}
            else "--group"
        )
        found.append(
            Flaw(
                name="group_leakage", price=paid, columns=(name,),
                says=f"Rows of one {name!r} are alike, and lie on both sides of the split; {option} keeps them whole.",
            )
        )  # fmt: skip
    return found


def _times(table: Table, probe: Probe, rows: np.ndarray, asked: Settings, seconds: float) -> list[Flaw]:
    mine = some(rows, max(FEWEST, probe.most_rows(seconds, 2)))
    metric, y = METRICS[table.task.metric], table.labels[mine]
    for name, latest in leakage_and_drift.latest(table, mine, asked).items():
        tested, with_it, kept, without = leakage_and_drift.parted(probe, mine, y, latest)
        paid = impact.apart((y[tested], with_it), (y[kept], without), metric, probe.name, "tested on the latest rows")
        if max(paid.low * metric.sign, paid.high * metric.sign) < 0:
            latest_are = f"The most recent rows (by {name!r}) are predicted worse than a random sample"
            says = f"{latest_are}; use --time-column {name} for a temporal split."
            return [Flaw(name="temporal_drift", price=paid, columns=(name,), says=says)]
    return []


def _drift(table: Table, store: Store, probe: Probe, rows: np.ndarray, seconds: float) -> Drift | None:
    """Whether a stated test is unlike the rows to learn from; what it costs, its labels tell later."""
    if not (table.part == 2).any():
        return None
    mine = some(np.sort(np.concatenate([rows, store.split.test])), probe.most_rows(seconds, 2))
    auc = leakage_and_drift.drift(store, table, mine, probe.threads)
    if auc is None or auc < DRIFTED:
        return None
    stated = table.part[mine] == 2
    train, tried = _halves(mine[~stated], len(mine))
    test = mine[stated]
    says = f"The stated test is unlike the rows to learn from: {probe.name} tells them apart, AUC {auc:.2f}."
    answers = probe.answers(train, table.labels[train], np.concatenate([tried, test]))
    flaw = Flaw(name="covariate_shift", facts={"auc": auc}, says=says)
    return Drift(flaw=flaw, tried=tried, test=test, answers=answers, by=probe.name)


def _drifted(table: Table, found: Drift) -> Flaw:
    """The finding with its price."""
    many, y = len(found.tried), table.labels
    paid = impact.apart(
        (y[found.test], found.answers[many:]), (y[found.tried], found.answers[:many]), METRICS[table.task.metric],
        found.by, "on rows held back from train",
    )  # fmt: skip
    return replace(found.flaw, price=paid)


def _rare(table: Table, store: Store) -> Flaw | None:
    if not table.task.classes or table.task.multilabel:
        return None
    counts = np.bincount(table.labels[store.split.train], minlength=len(table.task.classes))
    rare = np.flatnonzero(counts < RARE)
    rows = store.split.test[np.isin(table.labels[store.split.test], rare)]
    if not len(rows):
        return None
    named = ", ".join(repr(table.task.classes[k]) for k in rare[:5])
    which = f"The class {named} has" if len(rare) == 1 else f"{len(rare):,} classes have"
    such = "" if len(rare) == 1 else f", such as {named}"
    return Flaw(name="rare_classes", rows=rows, says=f"{which} fewer than {RARE} rows to learn from{such}.")
