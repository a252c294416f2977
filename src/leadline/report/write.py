"""The last files of a run: the report and result.json."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from leadline.core.record_keys import wrong_keys
from leadline.core.records import ResultV2
from leadline.dataset.table import Table
from leadline.flaws.flaw import Flaw
from leadline.race.judge import Judged
from leadline.race.stages import Stages
from leadline.report.page import render
from leadline.report.readable import Readable
from leadline.results import evidence
from leadline.ship.ship_winner import MODEL
from leadline.use.model import Model


def write_report(
    folder: Path, result: dict[str, Any], table: Table, judged: Judged, flaws: Sequence[Flaw], stages: Stages,
    readable: Readable,
) -> None:  # fmt: skip
    """Write the page and result.json, which say how long everything took up to here."""
    predictions, store = pl.read_parquet(folder / "predictions.parquet"), judged.race.store
    shown, way = [], None
    found = evidence.shown_flaws(table, store, flaws)
    if result["shipped"] is not None:
        answers = judged.answers[result["shipped"]["contender"]]
        shown = evidence.examples(table, store, table.labels[store.split.test], answers)
        way = evidence.way(table, store, Model(folder / MODEL))
    stages.end("report")
    result |= {"seconds": stages.rounded(), "spent_s": round(sum(stages.seconds.values()), 1)}
    if said := evidence.overspent(result["spent_s"], judged.race):
        stages.journal.tell("overspent", said=said)
        result["warnings"] = [*result["warnings"], *said]
    if wrong := list(wrong_keys(result, ResultV2, "result.json")):
        warnings.warn(f"result.json is not as its schema says: {'; '.join(wrong)}.", stacklevel=2)
    (folder / "report.html").write_text(render(result, predictions, shown, found, way, readable), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    stages.journal.tell("verdict", spent_s=result["spent_s"], **result["verdict"])
