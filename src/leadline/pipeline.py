"""The journey of the data on one page: source, table, audit, split, encode, race, verdict, one file, report.

Start here. Each stage receives the last one's result as a frozen value and never reaches back.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from contextlib import ExitStack, closing
from typing import Any

from leadline.contenders.ebm import uninstalled
from leadline.dataset.audit import audit
from leadline.dataset.encode import Encoder, shapes
from leadline.dataset.heldout import HeldOut
from leadline.dataset.quarantine import notes_of, quarantine
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.dataset.table import read as infer_table
from leadline.flaws.stage import Scan, scan_run
from leadline.race.context import RunContext
from leadline.race.entry import eligible_contenders
from leadline.race.journal import Journal
from leadline.race.judge import judge
from leadline.race.repeats import Population
from leadline.race.run_race import Starter, run_race
from leadline.race.slowdown import slowdown
from leadline.race.stages import Stages
from leadline.report.write import write_report
from leadline.results.build import build_result
from leadline.results.evidence import sampled
from leadline.ship.ship_winner import ship_winner
from leadline.stats.uncertainty import doubts
from leadline.system.cache import in_use
from leadline.system.interrupts import told_once
from leadline.system.resources import Gauge, cores, machine, versions
from leadline.system.version import __version__


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """Rows that are ready to be learned from, and the warnings so far."""

    held: HeldOut
    table: Table
    store: Store
    scan: Scan
    warnings: list[str]


def run_pipeline(context: RunContext) -> dict[str, Any]:
    """From a source to everything in the run folder; returns what result.json holds."""
    settings, folder = context.settings, context.folder
    with ExitStack() as ends:
        journal = ends.enter_context(closing(Journal(folder / "journal.jsonl", context.began, context.watch)))
        gauge, _ = ends.enter_context(Gauge()), ends.enter_context(in_use(context.cache))
        stages = _begin(context, journal)
        data = _prepare(context, stages)
        start = _starter(context, data.store, stages)
        with closing(start(data.store, settings.seed)) as race:
            stores = functools.partial(data.scan.fold, data.held, settings, cores())
            trials = run_race(race, start, Population(table=data.table, held=data.held, stores=stores), stages)
            if not race.stopped:  # the first Ctrl-C would throw away what the whole budget was spent on
                ends.enter_context(told_once())
            table, scan = _opened(data, stages)
            judged = judge(race, trials, settings)
            said = [*data.warnings, *trials.said, *doubts(data.store, judged.raw, judged.certain, trials.advice)]
            said += sampled(race.entries)
            stages.end("judge")
            shipment = ship_winner(judged, table, folder, stages)
            said += shipment.refusals
            result, flaws = build_result(context, judged, table, scan, shipment, said, gauge.peak)
        write_report(folder, result, table, race, flaws, stages)
    for kept in [*folder.glob("contenders/*/checkpoints"), *folder.glob("rounds/*/*/checkpoints")]:
        shutil.rmtree(kept)  # nothing is left to go on from
    return result


def _prepare(context: RunContext, stages: Stages) -> Prepared:
    """Table, audit, split, encode: rows become tensors, labels of test rows are held out, flaws are looked for."""
    settings, source, folder, past = context.settings, context.source, context.folder, context.past
    table, said = audit(infer_table(source, settings), settings)
    stages.end("audit")
    held, share = HeldOut(table), None if past is None else past.share
    encode = Encoder(held=held, settings=settings, cache=context.cache, share=share)
    table, store = encode(table)
    stages.end("encode")
    scan = scan_run(table, store, encode, context)
    stages.journal.tell("flaws", said=[flaw.says for flaw in scan.flaws])
    table, store = scan.table, scan.store
    stages.end("flaws")
    said = (*said, *scan.said, *uninstalled(settings.interpretable))
    warnings = [*source.notes, *said, *quarantine(folder, table, store), *notes_of(store)]
    stages.journal.tell(
        "encoded", rows=store.split.counts(), task=store.task.name, blocks=shapes(store), said=warnings,
        share=store.share,
    )  # fmt: skip
    return Prepared(held=held, table=table, store=store, scan=scan, warnings=warnings)


def _starter(context: RunContext, store: Store, stages: Stages) -> Starter:
    """Who races, and how the races are set up."""
    settings = context.settings
    names = eligible_contenders(store, settings.only, interpretable=settings.interpretable)
    slow = slowdown()
    stages.journal.write("slowdown", times=round(slow, 2))
    stages.end("encode")  # again, where flaws were taken out
    return Starter(context=context, names=names, journal=stages.journal, slow=slow)


def _opened(data: Prepared, stages: Stages) -> tuple[Table, Scan]:
    """After the verdict: the table with all labels, and the flaws with what the labels of test rows add."""
    scan = data.scan.opened(data.held)
    table = data.held.opened(data.table)
    if more := scan.beyond(data.scan):
        stages.journal.tell("flaws", said=more, after="the verdict")
    stages.end("judge")
    return table, scan


def _begin(context: RunContext, journal: Journal) -> Stages:
    """The first line of the journal, and the clock of the stages."""
    settings, past = context.settings, context.past
    started = journal.write(
        "begin" if past is None else "resumed", source=context.source.name, digest=context.source.digest,
        budget_s=context.budget, epochs=settings.epochs, machine=machine(), versions=versions(), leadline=__version__,
    )  # fmt: skip
    journal.watch({**started, "event": "begin"})
    earlier = past.spent_s if past is not None and context.until is None else 0.0  # resumed, not repeated
    return Stages.begun(journal, context.began, earlier)
