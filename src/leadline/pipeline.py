"""The journey of the data on one page: source, table, audit, split, encode, race, verdict, one file, report.

Start here. Each stage receives the last one's result as a frozen value and never reaches back.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.config import Settings, from_mapping, gigabytes
from leadline.core.contender import Clock, Data, readings
from leadline.dataset.audit import audit
from leadline.dataset.heldout import HeldOut
from leadline.dataset.quarantine import notes_of, quarantine
from leadline.dataset.store import Store, build
from leadline.dataset.table import Table
from leadline.dataset.table import read as understand
from leadline.flaws.fix import write
from leadline.flaws.flaw import Flaw
from leadline.flaws.scan import priced
from leadline.flaws.stage import Scan, scan
from leadline.metrics.cost import READABLE
from leadline.metrics.metrics import METRICS
from leadline.race import repeats
from leadline.race.entry import Event, entrants
from leadline.race.finalization_time import reserve
from leadline.race.history import Past
from leadline.race.journal import Journal
from leadline.race.race import Race
from leadline.race.repeats import Trials
from leadline.race.slowdown import slowdown
from leadline.race.spare import Spares, spares_for
from leadline.race.stages import Stages
from leadline.readers import samples
from leadline.readers.source import Source, read
from leadline.report.page import render
from leadline.results import evidence
from leadline.results.run import Run
from leadline.results.run_folder import command, remarks, run_folder, source_of, write_config
from leadline.ship.assemble import assemble
from leadline.ship.parity import Parity, check
from leadline.stats.intervals import Scored, score
from leadline.stats.uncertainty import Certainty, certainty, doubts
from leadline.stats.verdict import Verdict
from leadline.system.cache import cache_folder, in_use
from leadline.system.errors import LeadlineError
from leadline.system.interrupts import told_once
from leadline.system.os_errors import spoken
from leadline.system.resources import Gauge, cores, machine, memory_gb, most_threads, versions
from leadline.system.version import __version__
from leadline.textbook import expect
from leadline.use.model import Model

LOOKED = "flaws.f64"  # readings of the clock by which flaws were looked for
SAMPLE = 600  # tokens of a language model's own writing in the report
LICENCE = "The model and its weights belong to whoever made this run; Leadline itself is under the MIT licence."


def fit(
    source: Any, *, test: Any = None, watch: Callable[[Event], None] | None = None, began: float | None = None,
    **settings: Any,
) -> Run:  # fmt: skip
    """Train deep and classical contenders under one budget; say which to use, and ship it.

    Args:
        source: a folder, a file, a frame, arrays (X, y), or the name of a sample.
        test: test rows in the same forms; by default a stated test part, else a fifth of the rows.
        watch: called with every event of the journal.
        began: the monotonic moment from which the budget counts (default: now).
        settings: fields of `leadline.config.Settings`, such as `target`, `budget` or `seed`.

    Raises:
        LeadlineError: with one sentence that says what was found and how to fix it.

    Example:
        >>> run = fit("digits", budget="30s", out="digits-run")  # doctest: +SKIP
        >>> run.verdict.answer  # doctest: +SKIP
        'tie'
    """
    began = time.monotonic() if began is None else began
    asked = from_mapping({**settings, "test": str(test) if isinstance(test, (str, Path)) else None})
    with spoken(cache=cache_of(asked), out=Path(asked.out or "runs")):
        return _fit(source, test, watch, asked, began)


def _fit(
    source: Any, test: Any, watch: Callable[[Event], None] | None, asked: Settings, began: float
) -> Run:  # fmt: skip
    with ExitStack() as ends:
        spares = ends.enter_context(closing(spares_for(asked.only, asked.seconds, _memory(asked))))
        given = find(source, test, asked)
        folder, final = ends.enter_context(run_folder(asked, given.name))
        given = dataclasses.replace(given, notes=(*given.notes, *remarks(folder, final)))
        write_config(folder, source, asked)
        go = Go(
            asked=asked, given=given, folder=folder, began=began, spares=spares, watch=watch or (lambda event: None)
        )
        result = journey(go)
    return Run(folder=final, verdict=Verdict(**result["verdict"]), result=result)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Go:
    """One go at a run."""

    asked: Settings
    given: Source
    folder: Path  # that is written
    began: float  # monotonic moment from which the budget counts
    watch: Callable[[Event], None]
    past: Past | None = None  # what an earlier go left behind, to be gone on from
    until: float | None = None  # monotonic end of the race (default: by the budget)
    spares: Spares = dataclasses.field(default_factory=lambda: Spares(None))

    @property
    def cache(self) -> Path:
        return cache_of(self.asked)


def journey(go: Go) -> dict[str, Any]:
    """From a source to everything in the run folder; returns what result.json holds."""
    asked, given, folder, past = go.asked, go.given, go.folder, go.past
    with ExitStack() as ends:
        journal = ends.enter_context(closing(Journal(folder / "journal.jsonl", go.began)))
        gauge, _ = ends.enter_context(Gauge()), ends.enter_context(in_use(go.cache))
        budget = None if asked.epochs else asked.seconds
        started = journal.write(
            "begin" if past is None else "resumed", source=given.name, digest=given.digest, budget_s=budget,
            epochs=asked.epochs, machine=machine(), versions=versions(), leadline=__version__,
        )  # fmt: skip
        go.watch({**started, "event": "begin"})
        earlier = past.spent_s if past is not None and go.until is None else 0.0  # resumed, not repeated
        stages = Stages.begun(journal, go.began, earlier)
        table, said = audit(understand(given, asked), asked)
        stages.end("audit")
        held, share = HeldOut(table), None if past is None else past.share
        encode = functools.partial(_encoded, held, go)
        table, store = encode(table, None, share)
        stages.end("encode")
        clock = Clock(asked.seconds, began=go.began, readings=readings(folder / LOOKED))
        looked = scan(table, store, encode, asked, most_threads(), clock)
        clock.write(folder / LOOKED)
        go.watch(journal.write("flaws", said=[flaw.says for flaw in looked.flaws]))
        table, store, said = looked.table, looked.store, (*said, *looked.said)
        stages.end("flaws")
        if "interpretable" in asked.need and importlib.util.find_spec("interpret") is None:
            said = (*said, "glassbox, which can be read, is not installed: pip install 'leadline[glassbox]'.")
        warnings = [*given.notes, *said, *quarantine(folder, table, store), *notes_of(store)]
        go.watch(
            journal.write(
                "encoded", rows=store.split.counts(), task=store.task.name, blocks=_blocks(store), said=warnings,
                share=store.share,
            )
        )  # fmt: skip
        names = entrants(store, asked.only, READABLE if "interpretable" in asked.need else ())
        slow = slowdown()
        journal.write("slowdown", times=round(slow, 2))
        start = _starter(names, go, journal, slow)
        stages.end("encode")  # again, where flaws were taken out
        race = start(store, asked.seed, folder / "contenders", 0)
        try:
            until = go.until or go.began + asked.seconds - reserve(store, names, asked.seconds, slow)
            began = time.monotonic()
            planned = repeats.plan(table, store, asked, until - began, None if past is None else past.ended)
            race.run(until=began + planned.each)
            race.begin_exports()
            stages.end("race")
            raced_s = max(time.monotonic() - began, 0.0 if past is None else past.raced_s)  # of an earlier go, restored
            found = repeats.run(
                race, table, held, asked, planned, seconds=raced_s, until=until, folder=folder / "rounds", start=start,
                stores=functools.partial(looked.fold, held, asked, cores()), past=past, journal=journal, watch=go.watch,
            )  # fmt: skip
            if found.raced_until is not None:
                stages.end("repeats", at=found.raced_until)
            if not race.stopped:  # the first Ctrl-C would throw away what the whole budget was spent on
                ends.enter_context(told_once())
            known, looked, table = looked, looked.opened(held), held.opened(table)
            if more := looked.beyond(known):
                go.watch(journal.write("flaws", said=more, after="the verdict"))
            stages.end("judge")
            result, flaws = _finish(table, store, race, found, looked, [*warnings, *found.said], go, stages, gauge)
        finally:
            race.close()
        _report(table, store, race, flaws, result, go, stages)
    for kept in [*folder.glob("contenders/*/checkpoints"), *folder.glob("rounds/*/*/checkpoints")]:
        shutil.rmtree(kept)  # nothing is left to go on from
    return result


def cache_of(asked: Settings) -> Path:
    """Where encoded data is kept."""
    return Path(asked.cache) if asked.cache else cache_folder()


def find(source: Any, test: Any, asked: Settings) -> Source:
    """What the user points at: a path, a frame, arrays, or the name of a sample."""
    cache = cache_of(asked)
    if isinstance(source, str) and not Path(source).exists() and (asked.data or samples.is_known(source)):
        source = samples.load(source, data=asked.data, cache=cache, running=asked.running)
    return read(source, test, cache=cache, running=asked.running)


def _encoded(
    held: HeldOut, go: Go, table: Table, like: Store | None, share: float | None = None
) -> tuple[Table, Store]:
    """The table split, its test labels sealed, and encoded; what `like` has decoded is not decoded again."""
    split = held.split(table, go.asked)
    table = held.without(table, split)
    store = build(
        table, split, go.cache, seconds=go.asked.seconds, key=_key(go.asked, table), like=like,
        share=share if like is None else like.share,
    )  # fmt: skip
    return table, store


def _key(asked: Settings, table: Table) -> dict[str, Any]:
    """What shapes a store besides the source, the columns and the budget."""
    part = blake2b(table.part.tobytes(), digest_size=16).hexdigest()
    return {
        "seed": asked.seed, "group": asked.group or table.whole, "time": asked.time, "test": asked.test, "part": part,
        "doubtful": None if table.doubtful is None else blake2b(table.doubtful.tobytes(), digest_size=16).hexdigest(),
    }  # fmt: skip


def _blocks(store: Store) -> list[str]:
    """A line a block: what one row looks like after encoding."""
    return [
        f"{b.kind}: {', '.join(b.columns[:6])}{', …' if len(b.columns) > 6 else ''} -> {b.dtype} {list(b.shape)}"
        for b in store.blocks
    ]


def _starter(names: list[str], go: Go, journal: Journal, slow: float) -> Callable[[Store, int, Path, int], Race]:
    """Sets up a race: the run's own, or one of another round."""
    memory = _memory(go.asked)

    def start(store: Store, seed: int, folder: Path, number: int) -> Race:
        if number:
            go.spares.ready()
        return Race(
            store, names, folder, cores=cores(), seed=seed, journal=journal, watch=go.watch, memory_gb=memory,
            epochs=go.asked.epochs, past=None if go.past is None else go.past.rounds.get(number), number=number,
            spares=go.spares, slow=slow,
        )  # fmt: skip

    return start


def _memory(asked: Settings) -> float:
    """GB that the run may hold, with all that it starts."""
    return gigabytes(asked.memory) if asked.memory else round(0.75 * (memory_gb() or 1e6), 3)


def _finish(
    table: Table, store: Store, race: Race, found: Trials, looked: Scan, warnings: list[str], go: Go,
    stages: Stages, gauge: Gauge,
) -> tuple[dict[str, Any], list[Flaw]]:  # fmt: skip
    """Ship what the verdict says; what result.json will hold, and the flaws with their price."""
    asked, folder, truth = go.asked, go.folder, found.rounds[0].truth
    raw, metric = found.rounds[0].answers, METRICS[store.task.metric]
    certain = certainty(store, race.entries, found.rounds, asked.seed, asked.coverage)
    warnings += doubts(store, raw, certain, found.advice) + evidence.sampled(race.entries)
    answers = _floor(race, store) | {name: certain[name](a) if name in certain else a for name, a in raw.items()}
    scored = score(truth, answers, metric, asked.seed, found.group)
    stages.end("judge")
    verdict = found.verdict
    verdict, shipped, parity = _ship(folder, table, store, race, verdict, scored, answers, certain, warnings, stages)
    flaws = looked.flaws if shipped is None else priced(looked.flaws, store, truth, answers, shipped)
    write(flaws, folder / "flaws.csv")
    result = {
        "leadline": __version__, "created": datetime.now(UTC).isoformat(timespec="seconds"), "title": table.source.name,
        "source": table.source.name, "target": store.task.target, "task": store.task.name, "metric": metric.name,
        "higher_is_better": metric.higher_is_better, "classes": list(store.task.classes) or None,
        "rows": store.split.counts(), "budget_s": None if asked.epochs else asked.seconds,
        "epochs": asked.epochs, "spent_s": 0.0, "peak_memory_gb": round(gauge.peak, 3),
        "memory_cap_gb": _memory(asked), "seed": asked.seed, "test_openings": found.openings,
        "evaluations": found.evaluations, "command": command(source_of(folder), asked),
        "data_hash": table.source.digest, "machine": machine(), "versions": versions(),
        "columns": evidence.columns(table),
        "contenders": evidence.contenders(race, scored, answers, store, found.rounds, go.began),
        "verdict": dataclasses.asdict(verdict), "needs": found.needs,
        "within": [dataclasses.asdict(each) for each in found.within],
        "rounds_run": evidence.rounds(found.rounds), "ended": dataclasses.asdict(found.ending),
        "shipped": None if shipped is None else _shipped(folder, store, shipped, scored[shipped].score, parity),
        **evidence.certainties(certain, truth, raw, shipped), "warnings": warnings,
        "flaws": [flaw.as_dict() | {"fixed": flaw.name in asked.fixes} for flaw in flaws],
        "looked_for": looked.looked_for, "quarantined": len(table.bad) + len(store.bad),
    }  # fmt: skip
    readable = "interpretable" in asked.need
    expected = expect(table, store.split.counts(), machine(), interpretable=readable, seconds=asked.seconds)
    result["expected"] = dataclasses.asdict(expected)
    evidence.predictions(store, truth, answers, shipped, certain).write_parquet(folder / "predictions.parquet")
    return result, flaws


def _shipped(folder: Path, store: Store, name: str, score: float, parity: Parity | None) -> dict[str, Any]:
    """The `shipped` of result.json; of a language model also a passage that the file writes."""
    path = folder / "model.onnx"
    facts: dict[str, Any] = {
        "file": path.name, "contender": name, "score": score, "bytes": path.stat().st_size,
        "parity": dataclasses.asdict(parity) if parity else None,
    }  # fmt: skip
    if store.task.name == "language":
        model = Model(path)
        facts["sample"] = {"unit": model.contract["unit"], "text": model.generate(length=SAMPLE)}
    return facts


def _floor(race: Race, store: Store) -> dict[str, np.ndarray]:
    """The floor needs no process of its own."""
    from leadline.contenders.baseline import Floor

    data = Data(store=store, clock=Clock(10.0), threads=1)
    began = time.perf_counter()
    fitted: Any = list(Floor().fit(data, 0))[-1]
    fit_s = time.perf_counter() - began
    scores = fitted.predict(store, store.split.test)
    spent = time.perf_counter() - began - fit_s
    for entry in race.entries:
        if entry.name == "floor":
            entry.status = "finished"
            entry.facts = {
                "score": fitted.score, "params": fitted.params, "bytes": fitted.bytes, "describe": fitted.describe,
                "fit_s": fit_s, "predict_us": spent / len(scores) * 1e6, "peak_mb": None, "starved": fitted.starved,
                "trained_on_valid": fitted.trained_on_valid,
            }  # fmt: skip
    return {"floor": scores}


def _ship(
    folder: Path, table: Table, store: Store, race: Race, verdict: Verdict, scored: dict[str, Scored],
    answers: dict[str, np.ndarray], certain: dict[str, Certainty], warnings: list[str], stages: Stages,
) -> tuple[Verdict, str | None, Parity | None]:  # fmt: skip
    """Export the winner and check it row by row; where that fails, say so and ship the other one."""
    for name in dict.fromkeys([verdict.winner, verdict.against]):
        entry = next((entry for entry in race.entries if entry.name == name), None)
        if entry is None or entry.family == "floor":
            continue
        facts = {
            "contender": name, "metric": store.task.metric, "score": scored[entry.name].score, "leadline": __version__,
            "versions": versions(), "data_hash": table.source.digest, "licence": LICENCE,
        }  # fmt: skip
        path = folder / "model.onnx"
        try:
            path.write_bytes(assemble(store, race.export(entry, patience=60.0), facts, certain.get(entry.name)))
            stages.end("export")
            parity = check(Model(path), table, store, answers[entry.name])
            stages.end("parity")
        except LeadlineError as error:
            path.unlink(missing_ok=True)
            warnings.append(str(error))
            stages.journal.write("not shipped", contender=name, why=str(error))
            continue
        stages.journal.write("shipped", contender=name, **dataclasses.asdict(parity))
        if name != verdict.winner:
            why = f"{verdict.why} {verdict.winner} could not be exported, so {name} is shipped."
            verdict = dataclasses.replace(verdict, winner=name, against=verdict.winner, why=why)
        return verdict, name, parity
    return verdict, None, None


def _report(
    table: Table, store: Store, race: Race, flaws: list[Flaw], result: dict[str, Any], go: Go, stages: Stages
) -> None:
    """Write the page and result.json, which say how long everything took up to here."""
    folder = go.folder
    predictions = pl.read_parquet(folder / "predictions.parquet")
    shown = []
    if result["shipped"] is not None:
        name = result["shipped"]["contender"]
        entry = next(entry for entry in race.entries if entry.name == name)
        shown = evidence.examples(table, store, table.labels[store.split.test], entry.scores())
    found = evidence.shown_flaws(table, store, flaws)
    way = None if result["shipped"] is None else evidence.way(table, store, Model(folder / "model.onnx"))
    stages.end("report")
    result |= {"seconds": stages.rounded(), "spent_s": round(sum(stages.seconds.values()), 1)}
    (folder / "report.html").write_text(render(result, predictions, shown, found, way), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    go.watch(stages.journal.write("verdict", spent_s=result["spent_s"], **result["verdict"]))
