"""The sections of an explanation: row by row, the model as a whole, how far to trust it, how it was computed.

Enters: an `Explanation`. Leaves: HTML, for its own page and for the report of a run.
"""

from __future__ import annotations

import numpy as np

from leadline.charts import svg
from leadline.charts.format import beside, chance, clip, esc, name, plain, tag
from leadline.contenders.families import BASELINE, CLASSICAL, DEEP
from leadline.core.parts import Layout
from leadline.readers.part import counted
from leadline.report.effects import KEY, bar, column_table, parts_of, scale_of
from leadline.report.media_budget import Room
from leadline.results.explain_shipped import Why
from leadline.use.explain.explain import COMPARED_COSTLY
from leadline.use.explain.records import Agreement, Curve, Dependence, Explanation, Loss, Mean, Method, RowExplanation
from leadline.use.explain.words import (
    LOSSES,
    METHODS,
    NO_LABEL,
    agreed,
    columns,
    completeness,
    explained,
    players,
    sentence,
    title,
    unit,
)

MOST_ROWS = 60  # drawn on the page
OPEN = 3  # rows of the report that are shown without a click


def why_section(why: Why, room: Room) -> str:
    """The section of a run's report: some test rows, the model as a whole, and how far to trust both."""
    note = f"<p>{esc(why.note)}</p>" if why.note else ""
    found = why.found
    if found is None:
        return note
    share = 1 / max(1, len(found.rows))
    drawn = [_row(found, row, room.part(max(share, 0.1))) for row in found.rows]
    rest = f"<details><summary>{counted(len(drawn) - OPEN, 'more row')}</summary>{''.join(drawn[OPEN:])}</details>"
    lead = (
        f"<p>What the answers to {counted(len(found.rows), 'test row')} depend on, evenly over the test. "
        f"{unit(found)}</p>{KEY}"
    )
    whole = f"<h3>The model as a whole</h3>{model(found)}" if found.importances else ""
    charts = f"<details><summary>How far to trust it: the curves</summary>{trust(found)}{how(found)}</details>"
    body = "".join(drawn[:OPEN]) + (rest if len(drawn) > OPEN else "")
    return f"{note}{checks(found)}{lead}{body}{whole}{charts}"


def checks(found: Explanation) -> str:
    """In a sentence each whether it can be trusted."""
    items = "".join(_check(curve) for curve in found.curves if curve.deletion)
    return f'<ul class="trust">{items}</ul>' if items else ""


def _check(curve: Curve) -> str:
    css, what = ("", "Checked") if curve.better else (' class="fails"', "Do not rely on it")
    if curve.few:
        css, what = ' class="few"', "Too few rows to check"
    return f"<li{css}><b>{what}: {esc(players(curve.of, curve.layout))}</b>{esc(sentence(curve))}</li>"


def rows(found: Explanation, room: Room) -> str:
    """Every row that is explained."""
    lead = f"<p>{unit(found)}</p>{KEY}"
    more = len(found.rows) - MOST_ROWS
    rest = f"<p>The JSON output explains {counted(more, 'more row')}.</p>" if more > 0 else ""
    share = 1 / max(1, min(len(found.rows), MOST_ROWS))
    return lead + "".join(_row(found, row, room.part(max(share, 0.1))) for row in found.rows[:MOST_ROWS]) + rest


def _row(found: Explanation, row: RowExplanation, room: Room) -> str:
    answer = plain(row.answer, 5) if row.predicted is None else _labels(row.predicted)
    heading = f"{title(found, row).capitalize()}: predicted {answer}"
    facts = [] if row.output is None else [f"probability {chance(row.answer)}"]
    if explained(row):
        facts = [f"explained: {name(row.output)}, {facts[0]}"]
    if row.truth is not None:
        true = f"true: {_labels(row.truth)}"
        facts.append(f'<span class="wrong">{true}</span>' if row.right is False else true)
    table = column_table(row.columns, f"Columns of {title(found, row)}") if len(row.columns) > 1 else ""
    if table:
        against = f"the {counted(found.against, 'row')}"
        facts.append(f"{plain(row.margin)} here, {plain(row.base)} on average of {against} it is compared with")
    note = f"<p>{' · '.join(facts)}</p>"
    parts = parts_of(row, room, named=bool(table))
    return f'<article class="row"><h3>{heading}</h3>{note}{table}{parts}</article>'


def _labels(said: str) -> str:
    """A class, or all labels of a row, or that there is none."""
    return name(said, 200) if said else NO_LABEL


def model(found: Explanation) -> str:
    """Importance of columns, and dependence on numbers."""
    if not found.importances:
        return ""
    axis = scale_of(
        v for each in found.importances for v in (each.increase.value, each.increase.low, each.increase.high)
    )
    most = max(abs(each.increase.value) for each in found.importances)
    rows = "".join(
        f'<tr><th scope="row">{name(each.column, 60)}</th><td class="drawn">'
        f"{bar(axis, each.increase.value, each.increase.low, each.increase.high)}</td>"
        f'<td class="num">{beside(each.increase.value, most, sign=True)}</td>'
        f'<td class="num">{_interval(each.increase, most)}</td></tr>'
        for each in found.importances
    )
    known = "" if found.loss is not Loss.CHANGE else f" The source has no labels of {name(found.target)}."
    table = (
        '<div class="scroll" role="region" tabindex="0" aria-label="Importance"><table class="effects"><thead><tr>'
        '<th>Column</th><th class="drawn">Importance</th><th class="num"></th><th class="num">95% interval</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
    lead = (
        f"<p>{LOSSES[found.loss]} where the values of a column are permuted among {counted(found.compared, 'row')}, "
        f"with its 95% interval over rows.{known} Columns that share what they know can each look unimportant.</p>"
    )
    return lead + table + _dependences(found)


def _dependences(found: Explanation) -> str:
    charts = "".join(_dependence(each) for each in found.dependences)
    if not charts:
        return ""
    of = "" if found.output is None else f" of {name(found.output)}"
    return (
        f"<h3>How the answer depends on numbers</h3><p>The mean {'prediction' if found.numeric else 'log odds'}{of}, "
        "where a column has one value in all rows (partial dependence), and by small steps from the values that rows "
        "have (accumulated local effects). Where the two differ, columns vary together, and the second is to be "
        f'believed.</p><div class="charts">{charts}</div>'
    )


def _dependence(one: Dependence) -> str:
    lines = [
        svg.Series("partial", CLASSICAL, list(zip(one.values, one.partial, strict=True))),
        svg.Series("accumulated", DEEP, list(zip(one.values, one.accumulated, strict=True)), chosen=True),
    ]
    x, y = svg.Axis.over(one.values), svg.Axis.over([*one.partial, *one.accumulated], pad=0.08)
    frame = svg.Frame(f"Dependence on {esc(one.column)}", (clip(one.column, 30), "effect"), (plain, plain))
    return f"<figure><h3>{name(one.column)}</h3>{svg.curves(lines, x, y, frame)}</figure>"


def trust(found: Explanation) -> str:
    """Curves against chance, and agreement of methods."""
    charts = "".join(_curve(curve, found.numeric) for curve in found.curves)
    if not charts:
        return "<p>There is one part only, so there is nothing to rank and nothing to check.</p>"
    lead = (
        "<p>Deletion removes what is ranked first, and the answer should fall fast; insertion adds it to a row from "
        "which all is removed, and the answer should rise fast. The same rows in random order are what chance does. "
        "An explanation whose interval of the area between the two curves has zero in it is no better than chance.</p>"
    )
    return f'{lead}<div class="charts">{charts}</div>{_agreements(found.agreements)}'


def _curve(curve: Curve, numeric: bool) -> str:
    title = f"{'Deletion' if curve.deletion else 'Insertion'} of {players(curve.of, curve.layout)}"
    lines = [
        svg.Series("random order", BASELINE, list(zip(curve.shares, curve.random, strict=True))),
        svg.Series("this explanation", DEEP, list(zip(curve.shares, curve.own, strict=True)), chosen=True),
    ]
    unit = "nearness to the answer" if numeric else "probability"
    frame = svg.Frame(esc(title), ("share removed" if curve.deletion else "share added", unit), (plain, plain))
    axis = svg.Axis(0.0, 1.0)
    values = [*curve.own, *curve.random]
    y = svg.Axis(min(0.0, *values), max(1.0, *values))
    gap = f"Area between the curves {plain(curve.gap.value)} ({_interval(curve.gap)}), {_p(curve.gap)}"
    note = f"<figcaption>{gap}, {counted(curve.gap.rows, 'row')}.</figcaption>"
    return f"<figure><h3>{esc(title)}</h3>{svg.curves(lines, axis, y, frame)}{note}</figure>"


def _agreements(agreements: tuple[Agreement, ...]) -> str:
    items = "".join(f"<li>{esc(agreed(each))}</li>" for each in agreements)
    return f"<h3>Do two methods agree?</h3><ul>{items}</ul>" if items else ""


def how(found: Explanation) -> str:
    """The methods."""
    sentences = []
    if len(found.rows[0].columns) > 1:
        few = counted(min(found.replaced, COMPARED_COSTLY), "row")
        sentences.append(
            f"{columns(found)}In the curves the values of {few} stand in the place of a column that is removed."
        )
    if found.additive_error is not None and found.rounding is None:
        sentences.append(f"They add up to the answer but for {plain(found.additive_error, 2)}.")
    elif found.additive_error is not None:
        sentences.append(
            f"They add up to the sum of the trees but for {plain(found.additive_error, 2)}, and to the file's own sum, "
            f"in single precision, but for {plain(found.rounding or 0.0, 2)}."
        )
    if any(each.layout is not Layout.WHOLE for row in found.rows for each in row.parts):
        sentences.append(
            f"Effects of parts: {METHODS[Method.OCCLUSION]}. A patch that is removed has the picture's mean colour, a "
            "window of sound is silent, a band is filtered out, a window of a series is a straight line."
        )
    if (added := completeness(found)) is not None:
        sentences.append(f"{METHODS[Method.GRADIENTS].capitalize()} are of the margin before calibration. {added}")
    sentences.append(
        f"The file answered {counted(found.answered, 'changed row')}, from {counted(found.compared, 'row')} of "
        "the source. An effect is of this model, not of the world: it says what the answer depends on, not why a thing "
        "is so."
    )
    return tag("p", " ".join(sentences))


def _interval(mean: Mean, most: float | None = None) -> str:
    """Its ends, to the decimals of the largest value beside it where there is one."""
    if not np.isfinite([mean.low, mean.high]).all():
        return "one row: no interval"
    low, high = (plain(end) if most is None else beside(end, most) for end in (mean.low, mean.high))
    return f"{low} to {high}"


def _p(mean: Mean) -> str:
    return "p < 0.001" if mean.p < 0.001 else f"p = {plain(mean.p, 2)}"
