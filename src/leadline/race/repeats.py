"""The repeats of a run: how many there is time for, on which rows, and their result.

Enters: the first race, ended. Leaves: `Trials`, with the verdict. The test rows are evaluated here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from leadline.config import Settings
from leadline.core.records import ChosenContender, Ending, Measure, Needs, ThreeSides, Verdict, Within
from leadline.dataset.heldout import HeldOut
from leadline.dataset.split import CALIBRATED, folds_of
from leadline.dataset.split_table import groups
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.metrics.cost import price, ruled_out
from leadline.metrics.metrics import METRICS, Metric
from leadline.race.affordable import REPEATS_FROM
from leadline.race.ending import RaceSummary, ending
from leadline.race.entry import ContenderRun
from leadline.race.history import Past
from leadline.race.race import Race
from leadline.race.resample import ENOUGH, MOST, Resampling, repeat_of
from leadline.readers.part import counted
from leadline.stats.advice import Advice, enough, missing
from leadline.stats.evaluate_repeats import Known, Scales
from leadline.stats.few_folds import FEWEST_FOLDS
from leadline.stats.intervals import FEWEST_SEEDS
from leadline.stats.repeat import Repeat

FEW_GROUPS = 10  # in the test: with fewer, the interval of a score takes rows for independent


@dataclass(frozen=True, kw_only=True)
class Trials:
    """All repeats of a run, and their result."""

    repeats: list[Repeat]
    verdict: Verdict
    within: list[Within]
    chosen: list[ChosenContender]  # of each family, and of each side of the deep one
    sides: ThreeSides | None  # where a pretrained contender raced beside both others
    needs: Needs | None  # the conditions of the settings, whom they excluded, and what they cost
    group: np.ndarray | None  # of the first repeat's test rows, where it splits them
    ending: Ending
    raced_until: float | None  # monotonic moment at which the last further repeat ended; None where none was begun
    advice: Advice
    messages: list[str]
    test_evaluations: int  # how often the labels of the first repeat's test rows were handed out for scores
    evaluations: dict[str, Any]  # the same of all repeats, as `HeldOut` counted it


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Seconds of a repeat, and repeats at most; `folds` is 1 where the test rows stay the same.

    `spare`: the first repeat may take all seconds. Others follow in what it leaves, if there is a pair of families to
    compare and time for enough of them.
    """

    each: float
    usual: float  # seconds of it, were nothing claimed
    longest: float  # that the first one may take, where it needs them
    most: int
    folds: int
    spare: bool = False


def plan(
    table: Table, store: Store, settings: Settings, seconds: float, ended: int | None, claimed: float = 0.0
) -> Plan:  # fmt: skip
    """How the seconds of the race are shared among repeats.

    Args:
        ended: as many as an earlier go had.
        claimed: seconds that the first race should have: what takes them there, as states of rows, repeats find kept.
    """
    folds = 1 if settings.time_column or store.task.generative else folds_of(store.split, table.part)
    few = sum(store.split.counts().values()) < CALIBRATED
    usual, longest, most, spare = seconds, None, 1, False
    if settings.until_sure:
        usual, most = seconds / FEWEST_SEEDS, MOST
    elif settings.repeats is not None:
        usual, most = seconds / settings.repeats, settings.repeats
    elif few and folds > 1 and REPEATS_FROM <= seconds < math.inf:
        usual, longest, most = seconds / FEWEST_SEEDS, seconds, ENOUGH
    elif settings.epochs is None:
        most, spare = ENOUGH, True
    longest = usual if longest is None else longest
    return Plan(
        each=max(usual, claimed if claimed <= longest else 0.0), usual=usual, longest=longest,
        most=most if ended is None else ended, folds=folds, spare=spare,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Population:
    """The rows that all repeats split."""

    table: Table
    held: HeldOut
    stores: Callable[[int, int], AbstractContextManager[Store]]  # of a fold, of the order that a seed draws


def run(
    race: Race, rows: Population, settings: Settings, planned: Plan, *, seconds: float, until: float,
    start: Callable[[Store, int, int], Race], past: Past | None,
) -> Trials:  # fmt: skip
    """Score the first race on its test rows, run repeats, and weigh them.

    Args:
        race: the first one, which took `seconds`.
        until: the monotonic moment by which the last repeat ends.
        start: sets up a race: of a store, from a seed, as repeat so and so.
        past: an earlier go, whose costs of contenders and whose ending count.
    """
    store, held, journal, folds = race.store, rows.held, race.journal, planned.folds
    first = repeat_of(race, held, settings.seed, seconds, 0 if folds > 1 else None)
    journal.write("test opened", rows=len(first.rows), openings=held.evaluations(first.rows))
    every, group, messages = _group(rows.table, store, settings)
    ruled = ruled_out(settings.needs, {entry.name: _costs(entry) for entry in _compared(race)})
    scales = _scales(race, settings, folds, every, {} if past is None else past.costs, ruled)
    repeats = Resampling(store=store, held=held, folds=folds, seed=settings.seed, start=start, stores=rows.stores,
                         slow=race.slow, raced={} if past is None else past.raced)  # fmt: skip
    ended, verdict = [first], None
    families = len({entry.family for entry in _compared(race)})
    fewest = (FEWEST_FOLDS if folds > 1 else FEWEST_SEEDS) if planned.spare else 0
    most = 1 if race.stopped or (planned.spare and families < 2) else planned.most
    for one in repeats.after(first, race.given(), until, most, fewest):
        ended.append(one)
        journal.tell("round", number=one.number, fold=one.fold, folds=folds, scores=one.scores)
        verdict = scales.until_sure(ended, ended=False) if settings.until_sure else None
        if verdict is not None:
            break
    raced_until = time.monotonic() if repeats.begun else None
    journal.write("rounds", count=len(ended))
    why = ending(
        RaceSummary(
            repeats=len(ended), most=planned.most, expected=repeats.expected or first.seconds,
            left=until - time.monotonic(), budget=None if settings.epochs else settings.seconds,
            requested=settings.repeats is not None or settings.until_sure, fewest=fewest or 1,
            stopped=race.stopped or repeats.stopped, sure=verdict is not None, late=repeats.late, families=families,
        )
    )  # fmt: skip
    if past is not None and past.ending is not None:
        why = past.ending
    journal.tell("race ended", code=why.code, why=why.why)
    if verdict is None:
        verdict = scales.until_sure(ended, ended=True) if settings.until_sure else scales.verdict(ended)
    assert verdict is not None
    messages += _too_few(len(ended), FEWEST_FOLDS if folds > 1 else FEWEST_SEEDS, settings, why)
    verdict, needs = _priced(verdict, settings, ruled, first, scales.metric)
    held.decide()
    chosen = scales.choices(ended)
    for each in chosen:
        journal.write("chosen", **asdict(each))
    return Trials(
        repeats=ended, verdict=verdict, within=scales.within(ended), chosen=chosen,
        sides=scales.three_sides(ended), group=group, needs=needs, ending=why, raced_until=raced_until,
        advice=scales.advice, messages=messages, test_evaluations=held.evaluations(first.rows),
        evaluations=held.counted(),
    )  # fmt: skip


def _compared(race: Race) -> list[ContenderRun]:
    """Those that finished and that a verdict may be on."""
    return [entry for entry in race.entries if entry.done and not entry.baseline]


def _scales(
    race: Race, settings: Settings, folds: int, group: np.ndarray | None, costs: Mapping[str, float],
    ruled: Mapping[str, str],
) -> Scales:  # fmt: skip
    """What the repeats are weighed by.

    Args:
        group: of each row of the table.
        costs: {contender: microseconds a row}, of an earlier go.
        ruled: contenders that miss a condition.
    """
    return Scales(
        known={
            e.name: Known(
                family=e.family, cost=costs.get(e.name, e.facts["predict_us"]), undertrained=e.facts["undertrained"],
                size=e.facts["bytes"], pretrained=e.contender.pretrained or "init" in e.facts,
            )
            for e in _compared(race)
            if e.name not in ruled
        },
        metric=METRICS[race.store.task.metric], seed=settings.seed, folds=folds, group=group,
        rows=sum(race.store.split.counts().values()), advice=_advice(race, settings, folds),
    )  # fmt: skip


def _priced(
    verdict: Verdict, settings: Settings, ruled: Mapping[str, str], first: Repeat, metric: Metric
) -> tuple[Verdict, Needs | None]:  # fmt: skip
    """The verdict with what the user's conditions cost; and the conditions, whom they excluded, and their cost."""
    best = first.best_of(first.valid, metric)
    known = None if best is None or best.by == Measure.NO_VALID_ROWS else best.name
    paid = price(settings.needs, ruled, known, first.scores, verdict.winner, metric)
    if paid is not None:
        # Where a whole family is ruled out, nothing was compared, and the price is all there is to say.
        verdict = replace(verdict, why=paid if ruled and verdict.gap is None else f"{verdict.why} {paid}")
    needs: Needs | None = None
    if settings.needs:
        needs = {"conditions": [need.text for need in settings.needs], "excluded": dict(ruled), "cost": paid}
    return verdict, needs


def _costs(entry: ContenderRun) -> dict[str, Any]:
    """What conditions on a contender look at."""
    return {**entry.facts, "interpretable": entry.contender.interpretable}


def _too_few(count: int, fewest: int, settings: Settings, ended: Ending) -> list[str]:
    """A message where the user asked for repeats, and fewer were held than a verdict on methods needs."""
    if count >= fewest or not (settings.until_sure or (settings.repeats or 1) > 1):
        return []
    need = f"a verdict on methods needs {fewest}"
    if ended.code == "repeats":  # no more than these were asked for
        return [f"You asked for {count} repeats; {need}."]
    until = "The race was stopped after" if ended.code == "stopped" else "The time was enough for"
    return [f"{until} {count} of the repeats; {need}."]


def _advice(race: Race, settings: Settings, folds: int) -> Advice:
    """What could be changed of such a run."""
    return Advice(
        passes=settings.epochs is not None, only=settings.only is not None, repeats=settings.repeats,
        until_sure=settings.until_sure, folds=folds > 1, stopped=race.stopped, missing=missing(race.entries),
        enough=enough(race.entries),
    )  # fmt: skip


def _group(
    table: Table, store: Store, settings: Settings
) -> tuple[np.ndarray | None, np.ndarray | None, list[str]]:  # fmt: skip
    """The group of each row; of each test row, where these are of enough groups; and messages."""
    group = None if store.task.generative else groups(table, settings)
    if group is None:
        return None, None, []
    every = np.asarray(group)
    test_groups = every[store.split.test]
    if (count := len(np.unique(test_groups))) < FEW_GROUPS:
        return (
            every,
            None,
            [
                f"The test rows are of {counted(count, 'group')}, too few to tell how groups differ: the interval of a "
                "score takes rows for independent, and may be too narrow"
                + ("; that of a difference between contenders allows for groups." if count > 1 else ".")
            ],
        )
    return every, test_groups, []
