"""From a race that was judged to what result.json holds, and the tables beside it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from leadline.core.records import RESULT_VERSION
from leadline.dataset.table import Table
from leadline.flaws.detector import TestAnswers
from leadline.flaws.fix import write
from leadline.flaws.flaw import Flaw
from leadline.flaws.scan import Scan, with_impact
from leadline.metrics.metrics import METRICS
from leadline.race.context import RunContext, memory_cap
from leadline.race.judge import Judged
from leadline.results import evidence
from leadline.results.run_folder import command, source_of
from leadline.ship.ship_winner import Shipment, shipped
from leadline.system.resources import machine, versions
from leadline.system.version import __version__
from leadline.textbook import expect


def build_result(
    context: RunContext, judged: Judged, table: Table, scan: Scan, shipment: Shipment, warnings: list[str], peak: float
) -> tuple[dict[str, Any], list[Flaw]]:  # fmt: skip
    """What result.json will hold, and the flaws with their impact; writes flaws.csv and predictions.parquet.

    Args:
        table: with all labels, as the verdict is made.
        scan: with what the labels of test rows add.
        peak: GB that all processes held at once.
    """
    settings, folder, trials, store = context.settings, context.folder, judged.trials, judged.race.store
    metric, name = METRICS[store.task.metric], shipment.contender
    flaws = scan.flaws
    if name is not None:
        shipped_answers = TestAnswers(
            contender=name, rows=store.split.test, labels=judged.truth, answers=judged.answers[name], metric=metric,
            classes=len(store.task.classes),
        )  # fmt: skip
        flaws = with_impact(flaws, shipped_answers)
    write(flaws, folder / "flaws.csv")
    result = {
        "schema_version": RESULT_VERSION, "leadline": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"), "title": table.source.name,
        "source": table.source.name, "target": store.task.target, "task": store.task.name, "metric": metric.name,
        "higher_is_better": metric.higher_is_better, "classes": list(store.task.classes) or None,
        "rows": store.split.counts(), "budget_s": settings.whole,
        "epochs": settings.epochs, "spent_s": 0.0, "peak_memory_gb": round(peak, 3),
        "memory_cap_gb": memory_cap(settings), "seed": settings.seed, "test_evaluations": trials.test_evaluations,
        "evaluations": trials.evaluations, "command": command(source_of(folder), settings),
        "data_hash": table.source.digest, "machine": machine(), "versions": versions(),
        "columns": evidence.columns(table),
        "contenders": evidence.contenders(judged, context.began),
        "verdict": dataclasses.asdict(shipment.verdict), "needs": trials.needs,
        "sides": None if trials.sides is None else dataclasses.asdict(trials.sides),
        "within": [dataclasses.asdict(each) for each in trials.within],
        "chosen": [dataclasses.asdict(each) for each in trials.chosen],
        "repeats_run": evidence.repeats(trials.repeats), "ended": dataclasses.asdict(trials.ending),
        "shipped": None if name is None else shipped(shipment, store, folder, judged.scored[name].score),
        **evidence.certainties(store.task, judged.certain, judged.truth, judged.raw, name), "warnings": warnings,
        "flaws": [flaw.as_dict() | {"fixed": flaw.name in settings.fixes} for flaw in flaws],
        "searched_for": scan.searched_for, "quarantined": len(table.bad) + len(store.bad),
    }  # fmt: skip
    if (said := evidence.guessed(result)) is not None:
        result["warnings"] = [*warnings, said]
    expected = expect(
        table, store.split.counts(), machine(), interpretable=settings.interpretable, seconds=settings.seconds,
        weights=settings.weights,
    )  # fmt: skip
    result["expected"] = dataclasses.asdict(expected)
    frame = evidence.predictions(store, judged.truth, judged.answers, name, judged.certain)
    frame.write_parquet(folder / "predictions.parquet")
    return result, flaws
