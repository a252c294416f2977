"""All stages of a run on one page: source, table, audit, split, encode, race, verdict, one file, report.

Start here. Each stage receives the last one's result as a frozen value and never reaches back.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack, closing
from typing import Any

from leadline.contenders.ebm import uninstalled
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, readings
from leadline.core.records import RESULT_VERSION
from leadline.dataset.encode import shapes
from leadline.dataset.quarantine import notes_of, quarantine
from leadline.dataset.sampling import Sample
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.flaws.scan import READINGS, Scan
from leadline.kinds.weights import NO_BODY, unused, verify
from leadline.prepare import Prepared, examine, prepare
from leadline.race.context import RunContext
from leadline.race.entry import eligible_contenders, incapable, words
from leadline.race.finalization_time import explaining
from leadline.race.init import begun_from, check_init
from leadline.race.journal import Journal
from leadline.race.judge import judge
from leadline.race.repeats import Population
from leadline.race.run_race import Starter, run_race
from leadline.race.stages import Stages
from leadline.report.readable import Readable
from leadline.report.write import write_report
from leadline.results.build import build_result
from leadline.results.evidence import warned
from leadline.results.explain_shipped import explain_shipped
from leadline.results.printed import print_model, unprinted
from leadline.results.run_folder import change_config
from leadline.ship.ship_winner import ship_winner
from leadline.stats.uncertainty import doubts
from leadline.system.cache import in_use
from leadline.system.errors import BudgetError
from leadline.system.interrupts import warned_once
from leadline.system.resources import MemoryMonitor, cores, machine, most_threads, versions
from leadline.system.slowdown import slowdown
from leadline.system.version import __version__


def run_pipeline(context: RunContext) -> dict[str, Any]:
    """From a source to everything in the run folder; returns what result.json holds."""
    folder = context.folder
    with ExitStack() as ends:
        journal = ends.enter_context(closing(Journal(folder / "journal.jsonl", context.began, context.watch)))
        monitor, _ = ends.enter_context(MemoryMonitor()), ends.enter_context(in_use(context.cache))
        stages = _begin(context, journal)
        check_init(context.settings.init, context.source.digest)
        examined = examine(context.source, context.settings)
        stages.end("audit")
        context, unopened = _opened_body(context, stages, {column.kind for column in examined[0].inputs})
        settings = context.settings
        data, names, warnings = _prepare(context, examined, stages)
        start = _starter(context, data.store, names, stages)
        with closing(start(data.store, settings.seed)) as race:
            stores = functools.partial(data.scan.fold, data.held_out, settings, cores())
            trials = run_race(race, start, Population(table=data.table, held=data.held_out, stores=stores), stages)
            if not race.stopped:  # the first Ctrl-C would discard the work of the whole budget
                ends.enter_context(warned_once())
            table, scan = _opened(data, stages)
            judged = judge(race, trials, settings)
            messages = [
                *unopened,
                *warnings,
                *trials.messages,
                *doubts(data.store, judged.raw, judged.certain, trials.advice),
            ]
            messages += warned(race.entries)
            stages.end("judge")
            shipment = ship_winner(judged, table, folder, stages, settings.needs)
            messages += shipment.refusals
            model = print_model(judged, shipment, folder)
            omitted = unprinted(judged, shipment) if settings.interpretable and model is None else []
            if omitted:
                stages.journal.tell("unprinted", said=omitted)
                messages += omitted
            result, flaws = build_result(context, judged, table, scan, shipment, messages, monitor.peak)
        stages.end("report")  # again, once it is written
        spent = time.monotonic() - context.began
        seconds = explaining(context.budget, settings.seconds - spent, spent)
        why = explain_shipped(folder, table, data.store, shipment, seconds)
        stages.end("explain")
        write_report(folder, result, table, judged, flaws, stages, Readable(model=model, omitted=omitted, why=why))
    for checkpoints in [*folder.glob("contenders/*/checkpoints"), *folder.glob("rounds/*/*/checkpoints")]:
        shutil.rmtree(checkpoints)  # nothing is left to resume
    return result


def _opened_body(context: RunContext, stages: Stages, kinds: Collection[str]) -> tuple[RunContext, list[str]]:
    """The run with the body of --weights; or, where the budget has no time to open it, without; and the message then.

    Raises BudgetError where the user wants a contender that needs the body.
    """
    settings, past = context.settings, context.past
    opened = past is not None and past.share is not None  # by the run that is followed, or goes on
    left = settings.seconds - context.earlier_s
    try:
        if verify(settings.weights, math.inf if opened else left, settings.given, kinds):
            stages.end("weights")
        return context, []
    except BudgetError as error:
        if any(word in PORTFOLIO and PORTFOLIO[word].pretrained for word in words(settings.only)):
            raise
        said = [str(error)]
    stages.journal.tell("unopened", said=said)
    change_config(context.folder, weights=NO_BODY)
    return dataclasses.replace(context, settings=dataclasses.replace(settings, weights=NO_BODY)), said


def _prepare(
    context: RunContext, examined: tuple[Table, list[str]], stages: Stages
) -> tuple[Prepared, list[str], list[str]]:
    """The rows that race, the contenders that can learn from them, and the warnings so far."""
    settings, source, folder, past = context.settings, context.source, context.folder, context.past
    clock = Clock(settings.seconds, began=context.began, readings=readings(folder / READINGS))
    sample = Sample(share=None if past is None else past.share, spent=context.earlier_s)
    data = prepare(examined, settings, context.cache, clock, sample=sample, end=stages.end)
    clock.write(folder / READINGS)
    stages.journal.tell("flaws", said=[flaw.says for flaw in data.scan.flaws])
    table, store = data.table, data.store
    kinds = [column.kind for column in table.inputs]
    names = eligible_contenders(store, settings.only, settings.interpretable, settings.seconds)
    messages = [
        *data.messages,
        *incapable(store, settings.only, names),
        *uninstalled(settings.interpretable),
        *unused(kinds, settings.weights),
    ]
    warnings = [*source.notes, *messages, *quarantine(folder, table, store), *notes_of(store)]
    stages.journal.tell(
        "encoded", rows=store.split.counts(), task=store.task.name, blocks=shapes(store), said=warnings,
        share=store.share,
    )  # fmt: skip
    return data, names, warnings


def _starter(context: RunContext, store: Store, names: Sequence[str], stages: Stages) -> Starter:
    """How races of these contenders are set up."""
    slow, one = slowdown(most_threads()), slowdown()
    stages.journal.write("slowdown", times=round(slow, 2), one=round(one, 2))
    stages.end("encode")  # again, where flaws were taken out
    init = begun_from(context, store, names, stages.journal)
    return Starter(context=context, names=names, journal=stages.journal, slow=slow, one=one, init=init)


def _opened(data: Prepared, stages: Stages) -> tuple[Table, Scan]:
    """After the verdict: the table with all labels, and the flaws with what the labels of test rows add."""
    scan = data.scan.opened(data.held_out)
    table = data.held_out.opened(data.table)
    if more := scan.beyond(data.scan):
        stages.journal.tell("flaws", said=more, after="the verdict")
    stages.end("judge")
    return table, scan


def _begin(context: RunContext, journal: Journal) -> Stages:
    """The first line of the journal, and the clock of the stages."""
    settings, past = context.settings, context.past
    started = journal.write(
        "begin" if past is None else "resumed", schema_version=RESULT_VERSION, source=context.source.name,
        digest=context.source.digest, budget_s=settings.whole,
        edge_s=settings.edge_seconds if settings.whole else None, epochs=settings.epochs,
        earlier_s=context.earlier_s,
        machine=machine(), versions=versions(), leadline=__version__,
    )  # fmt: skip
    journal.watch({**started, "event": "begin"})
    return Stages.begun(journal, context.began, context.earlier_s)
