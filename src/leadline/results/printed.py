"""The shipped model as a person reads it: printed_model.json of a run folder.

Enters: what the contender wrote of itself, and the verdict. Leaves: the same with the calibration of the shipped file,
and with what it costs in quality that it can be read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.executor import PRINTED
from leadline.core.printed import Price, PrintedModel
from leadline.kinds import KINDS
from leadline.metrics.metrics import METRICS
from leadline.race.judge import Judged
from leadline.ship.ship_winner import Shipment
from leadline.stats.calibration import Calibrator, LabelCalibrator
from leadline.stats.intervals import rows_gap

__all__ = ["FILE", "print_model", "unprinted"]

FILE = "printed_model.json"


def print_model(judged: Judged, shipment: Shipment, folder: Path) -> PrintedModel | None:
    """Write printed_model.json; None where the shipped contender printed nothing."""
    entry = next((entry for entry in judged.race.entries if entry.name == shipment.contender), None)
    if entry is None or not (entry.folder / PRINTED).is_file():
        return None
    model: PrintedModel = json.loads((entry.folder / PRINTED).read_text(encoding="utf-8"))
    certain = judged.certain.get(entry.name)
    model = calibrated(model, None if certain is None else certain.calibrator)
    model["price"] = _price(judged, entry.name)
    (folder / FILE).write_text(json.dumps(model, ensure_ascii=False), encoding="utf-8")
    return model


def unprinted(judged: Judged, shipment: Shipment) -> list[str]:
    """Why the shipped contender is not printed, though it is interpretable; nothing where none is shipped."""
    if shipment.contender is None:
        return []
    blocks = judged.race.store.blocks
    columns = [column for block in blocks if not KINDS[block.kind].features(block) for column in block.columns]
    named = ", ".join(map(repr, columns)) or "its columns"
    return [
        f"{shipment.contender} is interpretable, but its numbers are not printed: it reads {named} as thousands of "
        "small parts, such as the n-grams of a text or the pixels of a picture, too many for answers to be computed by "
        "hand. The report's section 'Why it answers so', and leadline explain, show what an answer depends on."
    ]


def calibrated(model: PrintedModel, calibrator: Calibrator | LabelCalibrator | None) -> PrintedModel:
    """With the map from its probabilities to those of the file: a temperature divides every raw value."""
    if calibrator is None or calibrator.method == "none":
        return model
    if isinstance(calibrator, Calibrator) and calibrator.method == "isotonic":
        return {**model, "knots": [(float(x), float(y)) for x, y in calibrator.knots]}
    found = calibrator.temperatures if isinstance(calibrator, LabelCalibrator) else calibrator.temperature
    by = np.broadcast_to(np.asarray(found, np.float64), len(model["outputs"]))

    def cooled(values: Any) -> Any:
        return None if values is None else (np.asarray(values, np.float64) / by).tolist()

    def node(tree: Any) -> Any:
        if tree is None or tree["values"] is not None:
            return tree and {**tree, "values": cooled(tree["values"])}
        return {**tree, "left": node(tree["left"]), "right": node(tree["right"])}

    terms = ("weights", "low", "high")
    return {
        **model, "intercept": cooled(model["intercept"]), "temperature": by.tolist(), "root": node(model["root"]),
        "slopes": [{**each, **{key: cooled(each[key]) for key in terms}, "size": each["size"] / float(by.min())}  # type: ignore[literal-required,typeddict-item]
                   for each in model["slopes"]],
        "tables": [{**each, **{key: cooled(each[key]) for key in terms}, "size": each["size"] / float(by.min())}  # type: ignore[literal-required,typeddict-item]
                   for each in model["tables"]],
    }  # fmt: skip


def _price(judged: Judged, name: str) -> Price | None:
    """The best contender by valid that is not interpretable, against the shipped one, on the first race's test rows."""
    first, metric = judged.trials.repeats[0], METRICS[judged.race.store.task.metric]
    others = [
        other
        for other in first.valid
        if other in judged.answers
        and other in PORTFOLIO
        and not (PORTFOLIO[other].interpretable or PORTFOLIO[other].baseline)
    ]
    choice = first.best_of(others, metric)
    if choice is None or name not in judged.answers:
        return None
    best = choice.name
    gap = rows_gap(judged.truth, [judged.answers[best]], [judged.answers[name]], metric, 0, judged.trials.group)
    low, high = gap.interval()
    return {
        "against": best, "metric": metric.name, "gap": gap.size, "low": low, "high": high,
        "score": judged.scored[name].score, "other": judged.scored[best].score,
    }  # fmt: skip
