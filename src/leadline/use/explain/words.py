"""Explanations in words, for the page and the terminal."""

from __future__ import annotations

import numpy as np

from leadline.charts.format import beside, percent, plain
from leadline.core.parts import Layout
from leadline.use.explain.records import Agreement, Curve, Explanation, Loss, Mean, Method, RowExplanation

METHODS = {
    Method.OCCLUSION: "occlusion (each is removed in turn)",
    Method.SHAPLEY: "sampled Shapley values against other rows, with 95% intervals",
    Method.TREE_SHAP: "exact tree SHAP values",
    Method.ADDITIVE: "exact terms, as the answer is a sum of one term a column",
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
BARS = 16  # characters of the longest one
LISTED = 6  # columns or parts of a row


def players(of: str, layout: Layout | None) -> str:
    """What is removed: 'words of review', 'columns'."""
    return "columns" if layout is None else f"{PLAYERS[layout]} of {of}"


def interval(mean: Mean) -> str:
    """'95% 0.1 to 0.2, p < 0.001, 16 rows'."""
    rows = f"{mean.rows:,} row{'' if mean.rows == 1 else 's'}"
    if not np.isfinite(mean.low):
        return f"{rows}: too few for an interval"
    p = "p < 0.001" if mean.p < 0.001 else f"p = {plain(mean.p, 2)}"
    return f"95% {plain(mean.low)} to {plain(mean.high)}, {p}, {rows}"


def sentence(curve: Curve) -> str:
    """Whether an explanation is better than a random order."""
    how = "Removing" if curve.deletion else "Adding"
    way = "lowers" if curve.deletion else "restores"
    what = "columns" if curve.layout is None else PLAYERS[curve.layout]
    gap = f"area between the curves {plain(curve.gap.value)} ({interval(curve.gap)})"
    if curve.better:
        return f"{how} the {what} ranked first {way} the answer faster than a random order: {gap}."
    if curve.gap.rows < 2:
        return f"The source has too few rows to check these effects: {gap}."
    return f"{how} the {what} ranked first {way} the answer no faster than a random order: {gap}."


def agreed(agreement: Agreement) -> str:
    """How far two methods rank alike."""
    first, second = (METHODS[each].split(" (")[0].split(" against")[0] for each in agreement.methods)
    mean = agreement.correlation
    what = players(agreement.of, agreement.layout)
    ends = f" (95% {plain(mean.low)} to {plain(mean.high)})" if np.isfinite(mean.low) else ""
    rows = f"{mean.rows:,} row{'' if mean.rows == 1 else 's'}"
    return f"{what}: {first} and {second} have a rank correlation of {plain(mean.value, 2)}{ends} on {rows}."


def unit(found: Explanation) -> str:
    """Of an effect on an answer."""
    return "in the unit of the target" if found.numeric else "in log odds: +0.7 doubles the odds of the answer"


def completeness(found: Explanation) -> str | None:
    """How far integrated gradients are from adding up; None where none were computed."""
    errors = [row.path.error for row in found.rows if row.path is not None]
    if not errors:
        return None
    rows = f"{len(errors):,} row{'' if len(errors) == 1 else 's'}"
    return (
        f"Integrated gradients add up to the change of the margin but for {100 * max(errors):.2g}% of that change at "
        f"most ({rows})."
    )


def terminal(found: Explanation) -> str:
    """The explanation in a compact text."""
    lines = []
    for row in found.rows:
        lines += [*_row(row), ""]
    if found.rows:
        lines += [f"Effects are {unit(found)}.", ""]
    if found.importances:
        lines.append(f"{LOSSES[found.loss]} where a column is permuted ({found.compared:,} rows):")
        most = max(abs(each.increase.value) for each in found.importances)
        for each in found.importances[: 2 * LISTED]:
            ends = f"{beside(each.increase.low, most)} to {beside(each.increase.high, most)}"
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
    checks = [("ok  " if curve.better else "NOT ") + sentence(curve) for curve in found.curves]
    return "\n".join([*lines, *checks, *(f"    {agreed(each)}" for each in found.agreements)])


def _row(row: RowExplanation) -> list[str]:
    answer = plain(row.answer, 5) if row.output is None else f"{row.output} ({percent(row.answer)})"
    truth = "" if row.truth is None else f", true: {row.truth}"
    lines = [f"row {row.row + 1:,}: {answer}{truth}"]
    if len(row.columns) > 1:
        most = max(abs(each.effect) for each in row.columns)
        for each in row.columns[:LISTED]:
            lines.append(_line(each.name, each.effect, most, each.value))
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


def _line(what: str, effect: float, most: float, more: str, figure: str = "") -> str:
    """A bar; the figure beside it is that of the effect, where none is given."""
    drawn = "#" * round(BARS * abs(effect) / most) if most > 0 else ""
    name = what if len(what) <= 26 else what[:25] + "…"
    figure = figure or beside(effect, most, sign=True)
    return f"  {name:26} {figure:>8} {drawn:{BARS}} {more[:40]}".rstrip()
