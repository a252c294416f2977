"""The rounds of a run: how many there is time for, what each is drawn from, and what they come to.

Enters: the first race, ended. Leaves: `Trials`, with the verdict. The test rows are evaluated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from leadline.config import Settings
from leadline.data.drawn import groups
from leadline.data.heldout import HeldOut
from leadline.data.split import CALIBRATED, folds_of
from leadline.data.store import Store
from leadline.data.table import Table
from leadline.judge.compare import FEWEST_SEEDS
from leadline.judge.cost import price, ruled_out
from leadline.judge.metrics import METRICS
from leadline.judge.verdict import Verdict, Within
from leadline.judge.weigh import Known, Scales
from leadline.race.journal import Journal
from leadline.race.race import Race
from leadline.race.rounds import ENOUGH, MOST, Round, Rounds, round_of

ROUNDS_FROM = 50.0  # seconds of the race; with less all of it goes to one round, unless more are asked for
FEWEST_GROUPS = 10  # in the test, to be drawn again; fewer tell nothing of how groups differ


@dataclass(frozen=True, kw_only=True)
class Trials:
    """All rounds of a run, and what they come to."""

    rounds: list[Round]
    verdict: Verdict
    within: list[Within]
    needs: dict[str, Any] | None  # what --need asked, ruled out and cost
    group: np.ndarray | None  # of the first round's test rows, where they are drawn by it
    said: list[str]
    openings: int  # how often the labels of the first round's test rows were handed out for scores
    evaluations: dict[str, Any]  # the same of all rounds, as `HeldOut` counted it


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Seconds of a round, and rounds at most; `folds` is 1 where the test rows stay the same."""

    each: float
    most: int
    folds: int


def plan(table: Table, store: Store, asked: Settings, seconds: float, ended: int | None) -> Plan:
    """How the seconds of the race are shared among rounds; `ended`: as many as an earlier go had."""
    folds = 1 if asked.time or store.task.name == "language" else folds_of(store.split, table.part)
    few = sum(store.split.counts().values()) < CALIBRATED
    each, most = seconds, 1
    if asked.until_sure:
        each, most = seconds / FEWEST_SEEDS, MOST
    elif asked.rounds is not None:
        each, most = seconds / asked.rounds, asked.rounds
    elif few and folds > 1 and ROUNDS_FROM <= seconds < math.inf:
        each, most = seconds / FEWEST_SEEDS, ENOUGH
    return Plan(each=each, most=most if ended is None else ended, folds=folds)


def run(
    race: Race, table: Table, held: HeldOut, asked: Settings, planned: Plan, *, seconds: float, until: float,
    folder: Path, start: Callable[[Store, int, Path, int], Race],
    stores: Callable[[int, int], AbstractContextManager[Store]], costs: Mapping[str, float], journal: Journal,
    watch: Callable[[dict[str, Any]], None],
) -> Trials:  # fmt: skip
    """Score the first race on its test rows, run further rounds, and weigh them.

    Args:
        race: the first one, which took `seconds`.
        until: the monotonic moment by which the last round ends.
        folder: of the rounds.
        costs: microseconds a row of contenders, where an earlier run measured them.
        start: sets up a race: of a store, from a seed, in a folder, as round so and so.
        stores: the store of a fold, of the order that a seed draws.
    """
    store, folds = race.store, planned.folds
    first = round_of(race, held, asked.seed, seconds, 0 if folds > 1 else None)
    journal.write("test opened", rows=len(first.rows), openings=held.openings(first.rows))
    group, said = _group(table, store, asked)
    ruled = ruled_out(asked.needs, {e.name: e.facts for e in race.entries if e.done and e.family != "floor"})
    scales = Scales(
        known={
            e.name: Known(
                family=e.family, cost=costs.get(e.name, e.facts["predict_us"]), starved=e.facts["starved"],
                size=e.facts["bytes"],
            )
            for e in race.entries
            if e.done and e.family != "floor" and e.name not in ruled
        },
        metric=METRICS[store.task.metric], seed=asked.seed, folds=folds, group=group,
        rows=sum(store.split.counts().values()),
    )  # fmt: skip
    rounds = Rounds(
        store=store, held=held, folds=folds, seed=asked.seed, folder=folder, start=start, stores=stores
    )  # fmt: skip
    ended, verdict = [first], None
    for one in rounds.after(first, planned.each, until, 1 if race.stopped else planned.most):
        ended.append(one)
        watch(journal.write("round", number=one.number, fold=one.fold, folds=folds, scores=one.scores))
        verdict = scales.until_sure(ended, ended=False) if asked.until_sure else None
        if verdict is not None:
            break
    journal.write("rounds", count=len(ended))
    if verdict is None:
        verdict = scales.until_sure(ended, ended=True) if asked.until_sure else scales.verdict(ended)
    assert verdict is not None
    if 1 < len(ended) < FEWEST_SEEDS or (len(ended) == 1 and (asked.until_sure or (asked.rounds or 1) > 1)):
        said.append(
            f"The time was enough for {len(ended)} of the rounds asked for; fewer than {FEWEST_SEEDS} tell nothing."
        )
    paid = price(asked.needs, ruled, first.valid, first.scores, verdict.winner, scales.metric)
    if paid is not None:
        # Where a whole family is ruled out, nothing was compared, and the price is all there is to say.
        verdict = replace(verdict, why=paid if ruled and verdict.gap is None else f"{verdict.why} {paid}")
    needs = {"asked": list(asked.need), "ruled_out": ruled, "price": paid} if asked.need else None
    held.decide()
    return Trials(
        rounds=ended, verdict=verdict, within=scales.within(ended), group=group, needs=needs, said=said,
        openings=held.openings(first.rows), evaluations=held.counted(),
    )  # fmt: skip


def _group(table: Table, store: Store, asked: Settings) -> tuple[np.ndarray | None, list[str]]:
    """The group of each test row, where rows of one group are drawn together; and what is to be said of it."""
    group = None if store.task.name == "language" else groups(table, asked)
    if group is None:
        return None, []
    mine = np.asarray(group[store.split.test])
    if (count := len(np.unique(mine))) < FEWEST_GROUPS:
        return None, [
            f"The test rows are of {count} groups, too few to tell how groups differ: the intervals take rows for "
            "independent, and may be too narrow."
        ]
    return mine, []
