"""Learning curves of a run, and what they say: how many labelled rows one side is worth against another.

Enters: a finished run. Leaves: `Curves`, in `curves.json` and `curves.html` of the run folder.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leadline.config import seconds
from leadline.core.records import Side
from leadline.curves.measure import (
    DRAWS,
    SIZES,
    START_S,
    Allowance,
    Design,
    Measured,
    Watch,
    measure,
)
from leadline.metrics.metrics import METRICS
from leadline.report.curves import render
from leadline.results.run import Run
from leadline.results.run_data import RunData
from leadline.stats.sides import SIDES
from leadline.stats.worth import Distance, worth
from leadline.system.arguments import checked
from leadline.system.errors import LeadlineError, OutputError
from leadline.system.whole import replace_text

RESULT, PAGE = "curves.json", "curves.html"
CALLED = {
    Side.PRETRAINED: "Pretraining", Side.SCRATCH: "Deep learning", Side.CLASSICAL: "A classical model",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Point:
    """The scores of a contender with so many labelled rows, a draw each."""

    rows: int
    scores: list[float]


@dataclass(frozen=True, kw_only=True)
class SideCurve:
    """The curve of the best contender of a side."""

    side: Side
    contender: str
    points: list[Point]


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What the first side is worth against the second."""

    first: Side
    second: Side
    distance: Distance
    why: str


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Learning curves of a run."""

    folder: Path
    title: str
    task: str
    metric: str
    labelled: int  # rows of train and valid together
    test: int
    evaluations: int  # scores of the test rows, after the verdict
    curves: list[SideCurve]
    worth: list[Worth]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """What curves.json holds."""
        return {**asdict(self), "folder": str(self.folder)}

    def report(self) -> Path:
        """The page."""
        return self.folder / PAGE

    def __str__(self) -> str:
        lines = [f"{self.metric} on {self.test:,} test rows, by labelled rows; the mean of the draws"]
        sizes = [point.rows for point in self.curves[0].points]
        lines.append("  " + " " * 12 + "".join(f"{size:>9,}" for size in sizes))
        for curve in self.curves:
            means = "".join(f"{np.mean(point.scores):>9.4g}" for point in curve.points)
            lines.append(f"  {curve.contender:<12}{means}")
        return "\n".join([*lines, *(each.why for each in self.worth), *self.notes])


@checked
def learning_curves(
    run: Run, source: Any = None, test: Any = None, *, budget: str | float | None = None,
    watch: Watch = lambda message: None,
) -> Curves:  # fmt: skip
    """Train the best contender of each side on nested parts of the rows, and compare the curves.

    Args:
        source, test: where the data are now, or the frame or arrays that were given (default: as the run says).
        budget: seconds, or text such as "2m" (default: as much as the run had).
        watch: is called with a sentence before every training.

    Raises:
        LeadlineError: there are fewer than two sides, too few rows or too little time, or the data have changed.
    """
    began = time.monotonic()
    if not run.result["rows"]["valid"]:
        raise LeadlineError(
            "Learning curves choose by valid rows, of which this run has none; give two rows a class, or a valid part."
        )
    best = _best(run)
    contenders = {side: str(each["name"]) for side, each in best.items()}
    if len(contenders) < 2:
        had = ", ".join(f"{name} ({side})" for side, name in contenders.items()) or "none"
        raise LeadlineError(
            f"Learning curves compare a classical and a deep contender, and this run finished with {had}; run "
            "leadline fit without --only, or with a larger --budget."
        )
    data = run.data(source, test)
    split = data.store.split
    allowance = Allowance(began=began, seconds=data.settings.seconds if budget is None else seconds(str(budget)))
    fit_s = {str(each["name"]): float(each["fit_s"]) for each in best.values()}
    design = Design.of(len(split.train) + len(split.valid), len(data.store.task.classes), fit_s)
    # A body has the states of most rows already; the others train on all rows as long as in the run, and twice.
    others = [fit_s[name] for side, name in contenders.items() if side != Side.PRETRAINED]
    least = 2 * max(0.0, *(spent - START_S for spent in others))  # some of them side by side
    if least > allowance.left():
        raise allowance.short(least, known=False)
    made = _compared(data, contenders, measure(data, contenders, design, allowance, watch))
    _write(made)
    return made


def _compared(data: RunData, contenders: Mapping[Side, str], measured: Measured) -> Curves:
    """The curves, what each pair of them says, and what cannot be said."""
    truth, metric, found = data.labels("test"), METRICS[data.store.task.metric], measured.curves
    if len(found) < 2:
        raise LeadlineError("Fewer than two contenders finished with every number of rows; give a larger --budget.")
    labelled = len(data.store.split.train) + len(data.store.split.valid)
    curves = [
        SideCurve(
            side=side, contender=contenders[side],
            points=[
                Point(rows=size, scores=[float(metric(truth, answers)) for answers in draws])
                for size, draws in zip(curve.sizes, curve.answers, strict=True)
            ],
        )
        for side, curve in found.items()
    ]  # fmt: skip
    said = []
    for a, b in SIDES:
        if all(side in found and side not in measured.undertrained for side in (a, b)):
            gap = worth(found[a], found[b], truth, metric, data.settings.seed)
            why = sentence((a, b), (contenders[a], contenders[b]), gap, labelled)
            said.append(Worth(first=a, second=b, distance=gap, why=why))
    notes = [
        f"{contenders[side]} had too little time with {rows:,} rows, so its curve is too low, and what it is worth is "
        "not stated; give a larger --budget to leadline fit."
        for side, rows in measured.undertrained.items()
    ]
    if measured.all_s is not None:
        sizes = len(curves[0].points)
        notes.append(
            f"The budget had room for {measured.draws} draws of {sizes} numbers of rows; {DRAWS} draws of {SIZES} take "
            f"about {math.ceil(measured.all_s)} s."
        )
    return Curves(
        folder=data.run.folder, title=str(data.run.result["title"]), task=data.store.task.name,
        metric=metric.name, labelled=labelled, test=len(truth),
        evaluations=sum(len(point.scores) for curve in curves for point in curve.points),
        curves=curves, worth=said, notes=notes,
    )  # fmt: skip


def _best(run: Run) -> dict[Side, Mapping[str, Any]]:
    """{side: the contender that stands for it, as result.json has it}."""
    contenders = {each["name"]: each for each in run.result["contenders"]}
    chosen = {each["of"]: contenders[each["contender"]] for each in run.result["chosen"]}
    return {side: chosen[side] for side in (Side.PRETRAINED, Side.SCRATCH, Side.CLASSICAL) if side in chosen}


def sentence(sides: tuple[Side, Side], names: tuple[str, str], gap: Distance, labelled: int) -> str:
    """What a distance of two curves means; the side that is worth rows comes first, whichever it is.

    >>> gap = Distance(code="worth", rows=600, low=450, high=700)
    >>> print(sentence((Side.PRETRAINED, Side.SCRATCH), ("minilm", "bag"), gap, 1000))
    Pretraining is worth 600 labelled rows here against bag: with 400 rows minilm is as good as bag with 1,000 (95% \
interval 450 to 700).
    """
    if gap.code == "open":
        signed = f"{round(gap.low):+,} to {round(gap.high):+,}"
        return f"How many labelled rows {names[0]} is worth against {names[1]} is open (95% interval {signed})."
    ahead = gap.code in ("worth", "at_least")
    (side, _), (one, other) = (sides, names) if ahead else (sides[::-1], names[::-1])
    low, high = sorted((abs(gap.low), abs(gap.high)))
    rows = abs(gap.rows)
    least = gap.code in ("at_least", "costs_at_least")
    between = f"95% interval {low:,.0f} to {'more than the curves show' if least else f'{high:,.0f}'}"
    return (
        f"{CALLED[side]} is worth {'at least ' * least}{rows:,.0f} labelled rows here against {other}: with "
        f"{labelled - round(rows):,} rows {one} is as good as {other} with {labelled:,} ({between})."
    )


def _write(made: Curves) -> None:
    """curves.json and curves.html, in the run folder."""
    try:
        replace_text(made.folder / RESULT, json.dumps(made.as_dict(), ensure_ascii=False, indent=1))
        replace_text(made.report(), render(made.as_dict()))
    except OSError as error:
        raise OutputError(f"{made.folder} cannot be written ({error.strerror}); give yourself permission.") from error
