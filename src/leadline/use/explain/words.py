"""Explanations in words, for the page and the terminal."""

from __future__ import annotations

import numpy as np

from leadline.charts.format import beside, chance, percent, plain
from leadline.core.parts import Layout
from leadline.readers.part import counted
from leadline.use.explain.records import (
    Agreement,
    Curve,
    Explanation,
    Loss,
    Margin,
    Mean,
    Method,
    RowExplanation,
)

METHODS = {
    Method.OCCLUSION: "occlusion (each is removed in turn)",
    Method.SHAPLEY: "sampled Shapley values (with 95% intervals)",
    Method.EXACT_SHAPLEY: "exact Shapley values (of all sets of columns)",
    Method.TREE_SHAP: "exact tree SHAP values",
    Method.ADDITIVE: "exact terms (the answer is a sum of one term a column)",
    Method.BANZHAF: "Banzhaf values (random halves are removed)",
    Method.GRADIENTS: "integrated gradients (along a straight path from a row without content)",
}
LOSSES = {
    Loss.LOG_LOSS: "The rise of the log loss",
    Loss.ABSOLUTE_ERROR: "The rise of the absolute error, in the unit of the target,",
    Loss.CHANGE: "The mean change of the answer",
}
PLAYERS = {
    Layout.GRID: "patches",
    Layout.WORDS: "words",
    Layout.WINDOWS: "windows of time",
    Layout.BANDS: "bands of frequency",
}
NO_LABEL = "none of the labels"
BARS = 16  # characters of the longest one
LISTED = 6  # columns or parts of a row


def players(of: str, layout: Layout | None) -> str:
    """What is removed: 'words of review', 'columns'."""
    return "columns" if layout is None else f"{PLAYERS[layout]} of {of}"


def title(found: Explanation, row: RowExplanation) -> str:
    """'row 3', or of a run 'test row 3 (row 12 of the source)'."""
    also = "" if row.source_row is None else f" (row {row.source_row + 1:,} of the source)"
    return f"{found.called} {row.row + 1:,}{also}"


def labels(said: str) -> str:
    """A class, or several labels, or that there is none."""
    return said or NO_LABEL


def explained(row: RowExplanation) -> str:
    """Of which of several labels, or of no label, the effects are: 'explained: light, probability 12%'; or ''."""
    if row.output is None or row.predicted == row.output:
        return ""
    return f"explained: {row.output}, probability {chance(row.answer)}"


def interval(mean: Mean) -> str:
    """'95% 0.1 to 0.2, p < 0.001, 16 rows'."""
    rows = counted(mean.rows, "row")
    if not np.isfinite(mean.low):
        return rows
    p = "p < 0.001" if mean.p < 0.001 else f"p = {plain(mean.p, 2)}"
    return f"95% {plain(mean.low)} to {plain(mean.high)}, {p}, {rows}"


def sentence(curve: Curve) -> str:
    """Whether an explanation is better than a random order."""
    how = "Removing" if curve.deletion else "Adding"
    way = "lowers" if curve.deletion else "restores"
    what = "columns" if curve.layout is None else PLAYERS[curve.layout]
    gap = f"area between the curves {plain(curve.gap.value)} ({interval(curve.gap)})"
    if curve.few:
        return (
            f"{counted(curve.gap.rows, 'row')} cannot show that {how.lower()} the {what} ranked first {way} the "
            f"answer faster than a random order: {gap}."
        )
    than = "faster" if curve.better else "no faster"
    return f"{how} the {what} ranked first {way} the answer {than} than a random order: {gap}."


def agreed(agreement: Agreement) -> str:
    """How far two methods rank alike."""
    first, second = (METHODS[each].split(" (")[0] for each in agreement.methods)
    mean = agreement.correlation
    what = players(agreement.of, agreement.layout)
    ends = f" (95% {plain(mean.low)} to {plain(mean.high)})" if np.isfinite(mean.low) else ""
    rows = counted(mean.rows, "row")
    return f"{what}: {first} and {second} have a rank correlation of {plain(mean.value, 2)}{ends} on {rows}."


UNITS = {
    Margin.LOG_ODDS: "in log odds: +0.7 doubles the odds of the answer",
    Margin.VALUE: "in the unit of the target",
    Margin.UNCALIBRATED: "in log odds before the probabilities are calibrated",
    Margin.CENTRED: "in the score of the class before softmax, less the mean over all classes: no odds",
}


def unit(found: Explanation) -> str:
    """Of effects on an answer: of columns, and of parts where theirs is another one."""
    parts = any(row.parts for row in found.rows)
    if not parts or found.margin in (Margin.LOG_ODDS, Margin.VALUE):
        return f"Effects are {UNITS[found.margin]}."
    return f"Effects of columns are {UNITS[found.margin]}. Effects of parts are {UNITS[Margin.LOG_ODDS]}."


def columns(found: Explanation) -> str:
    """How effects of columns were computed, and against which rows; '' where there is one column."""
    if not found.rows or len(found.rows[0].columns) < 2:
        return ""
    against = counted(found.against, "row")
    return f"Effects of columns: {METHODS[found.method]}, against {against}, the same for every row. "


def completeness(found: Explanation) -> str | None:
    """How far integrated gradients are from adding up; None where none were computed."""
    errors = [row.path.error for row in found.rows if row.path is not None]
    if not errors:
        return None
    rows = counted(len(errors), "row")
    return (
        f"Integrated gradients add up to the change of the margin but for {100 * max(errors):.2g}% of that change at "
        f"most ({rows})."
    )


def terminal(found: Explanation) -> str:
    """The explanation in a compact text."""
    lines = []
    for row in found.rows:
        lines += [*_row(found, row), ""]
    if found.rows:
        lines += [f"{columns(found)}{unit(found)}", ""]
    if found.importances:
        lines.append(f"{LOSSES[found.loss]} where a column is permuted ({counted(found.compared, 'row')}):")
        most = max(abs(each.increase.value) for each in found.importances)
        for each in found.importances[: 2 * LISTED]:
            ends = _ends(each.increase.low, each.increase.high, most)
            lines.append(_line(each.column, each.increase.value, most, f"95% {ends}"))
        lines.append("")
    if found.depth is not None:
        lines.append(f"Linear probes of each layer, {found.depth.score} on {found.depth.held:,} held-out rows:")
        said = plain if found.depth.score == "r2" else percent
        for layer in found.depth.layers:
            ends = f"95% {said(layer.probe.low)} to {said(layer.probe.high)}"
            lines.append(_line(layer.name, layer.probe.value, 1.0, ends, said(layer.probe.value)))
        lines.append("")
    if (told := completeness(found)) is not None:
        lines += [told, ""]
    checks = [f"{_mark(curve):6}{sentence(curve)}" for curve in found.curves]
    return "\n".join([*lines, *checks, *(f"      {agreed(each)}" for each in found.agreements)])


def _mark(curve: Curve) -> str:
    return "ok" if curve.better else "few" if curve.few else "FAILS"


def _row(found: Explanation, row: RowExplanation) -> list[str]:
    of = explained(row)
    if row.predicted is None:
        answer = plain(row.answer, 5)
    else:
        answer = labels(row.predicted) + ("" if of else f" ({chance(row.answer)})")
    truth = "" if row.truth is None else f", true: {labels(row.truth)}"
    lines = [f"{title(found, row)}: {answer}{truth}" + (f"; {of}" if of else "")]
    if len(row.columns) > 1:
        most = max(abs(each.effect) for each in row.columns)
        for each in row.columns[:LISTED]:
            ends = "" if each.low is None or each.high is None else f"95% {_ends(each.low, each.high, most)}  "
            lines.append(_line(each.name, each.effect, most, ends + each.value))
    for part in (each for each in row.parts if each.method is Method.OCCLUSION):
        strongest, weight = part.strongest(LISTED), row.weight(part.column)
        if not strongest:
            lines.append(f"  {part.column} has no value")
        elif not part.changes or not weight:
            lines.append(f"  {players(part.column, part.layout)}: none changes the answer by itself")
        else:
            most = abs(strongest[0][1]) / weight
            lines.append(f"  {players(part.column, part.layout)}")
            lines += [_line(where, effect, most, "") for where, effect in strongest if effect]
    return lines


def _ends(low: float, high: float, most: float) -> str:
    return f"{beside(low, most)} to {beside(high, most)}"


def _line(what: str, effect: float, most: float, more: str, figure: str = "") -> str:
    """A bar; the figure beside it is that of the effect, where none is given."""
    drawn = "#" * round(BARS * abs(effect) / most) if most > 0 else ""
    name = what if len(what) <= 26 else what[:25] + "…"
    figure = figure or beside(effect, most, sign=True)
    return f"  {name:26} {figure:>8} {drawn:{BARS}} {more[:60]}".rstrip()
