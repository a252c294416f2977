"""An explanation as one self-contained HTML page: what it says, and beside it how far to trust it.

Enters: an `Explanation`. Leaves: the text of a page that needs no network and no script.
"""

from __future__ import annotations

import numpy as np

from leadline.charts import svg
from leadline.charts.format import chance, clip, count, esc, name, plain, tag
from leadline.contenders.families import BASELINE, CLASSICAL, DEEP
from leadline.core.parts import Layout
from leadline.report.effects import KEY, bar, column_table, parts_of, scale_of, signed
from leadline.report.layers import depth_section
from leadline.report.media_budget import Room
from leadline.report.page import LOGO, PAGE, POLICY, TEXT, style
from leadline.use.explain.records import Agreement, Curve, Dependence, Explanation, Loss, Mean, Method, RowExplanation
from leadline.use.explain.words import LOSSES, METHODS, agreed, players, sentence

MOST_ROWS = 60  # drawn on the page


def render(found: Explanation) -> str:
    """The page as HTML text."""
    room = Room(PAGE - TEXT)
    rows = room if found.depth is None else room.part(0.5)
    sections = [
        ("rows", "Row by row", _rows(found, rows)),
        ("model", "The model as a whole", _model(found)),
        ("depth", "What depth does", "" if found.depth is None else depth_section(found.depth, room)),
        ("trust", "How far to trust it", _trust(found)),
        ("how", "How it was computed", _how(found)),
    ]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, body in sections if body)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{text}</section>\n'
        for key, title, text in sections
        if text
    )
    title = f"Why {clip(_file(found), 48)} answers as it does"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title} · Leadline</title>\n<style>\n{style()}</style></head>\n"
        f'<body><header><span class="brand">{LOGO}Leadline</span><span>{name(found.source, 48)}</span>'
        f"<span>{count(found.total)} rows</span></header>"
        f'<div class="neatline" aria-hidden="true"></div><main>{_first(found)}'
        f'<nav aria-label="Sections">{links}</nav>\n{body}</main>\n'
        "<footer>Made by Leadline. Measure before you go deep.</footer></body></html>\n"
    )


def _file(found: Explanation) -> str:
    return found.model.replace("\\", "/").rsplit("/", 1)[-1]


def _first(found: Explanation) -> str:
    """What is explained, and in a sentence each whether it can be trusted."""
    target = f" of {name(found.target)}" if found.target else ""
    checks = "".join(_check(curve) for curve in found.curves if curve.deletion)
    trust = f'<ul class="trust">{checks}</ul>' if checks else ""
    return (
        f'<div class="first"><p class="eyebrow">{count(len(found.rows))} of {count(found.total)} rows of '
        f"{name(found.source)}</p><h1>Why it answers so</h1>"
        f'<p class="why">What the answers{target} by {esc(found.contender or "this model")} depend on, and how far to '
        f"trust each explanation.</p>{trust}</div>"
    )


def _check(curve: Curve) -> str:
    css, what = ("", "Checked") if curve.better else (' class="fails"', "Do not rely on it")
    return f"<li{css}><b>{what}: {esc(players(curve.of, curve.layout))}</b>{esc(sentence(curve))}</li>"


def _rows(found: Explanation, room: Room) -> str:
    unit = "in the unit of the target" if found.numeric else "in log odds: +0.7 doubles the odds of the answer"
    lead = f"<p>Effects are {unit}.</p>{KEY}"
    more = len(found.rows) - MOST_ROWS
    rest = f"<p>{count(more)} more rows are explained in the JSON output.</p>" if more > 0 else ""
    share = 1 / max(1, min(len(found.rows), MOST_ROWS))
    return lead + "".join(_row(found, row, room.part(max(share, 0.1))) for row in found.rows[:MOST_ROWS]) + rest


def _row(found: Explanation, row: RowExplanation, room: Room) -> str:
    answer = plain(row.answer, 5) if row.output is None else name(row.output)
    title = f"Row {count(row.row + 1)}: predicted {answer}"
    facts = [] if row.output is None else [f"probability {chance(row.answer)}"]
    if row.truth is not None:
        right = row.output is None or row.output in row.truth.split("|")
        true = f"true: {name(row.truth)}"
        facts.append(true if right else f'<span class="wrong">{true}</span>')
    columns = column_table(row.columns, f"Columns of row {row.row + 1}") if len(row.columns) > 1 else ""
    if columns:
        facts.append(f"{plain(row.margin)} here, {plain(row.base)} on average")
    note = f"<p>{' · '.join(facts)}</p>"
    parts = parts_of(row.parts, room, named=bool(columns))
    return f'<article class="row"><h3>{title}</h3>{note}{columns}{parts}</article>'


def _model(found: Explanation) -> str:
    if not found.importances:
        return ""
    axis = scale_of(
        v for each in found.importances for v in (each.increase.value, each.increase.low, each.increase.high)
    )
    rows = "".join(
        f'<tr><th scope="row">{name(each.column, 60)}</th><td class="drawn">'
        f"{bar(axis, each.increase.value, each.increase.low, each.increase.high)}</td>"
        f'<td class="num">{signed(each.increase.value)}</td>'
        f'<td class="num">{_interval(each.increase)}</td></tr>'
        for each in found.importances
    )
    known = "" if found.loss is not Loss.CHANGE else f" The source has no labels of {name(found.target)}."
    table = (
        '<div class="scroll" role="region" tabindex="0" aria-label="Importance"><table class="effects"><thead><tr>'
        '<th>Column</th><th class="drawn">Importance</th><th class="num"></th><th class="num">95% interval</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
    lead = (
        f"<p>{LOSSES[found.loss]} where the values of a column are permuted among {count(found.compared)} rows, with "
        f"its 95% interval over rows.{known} Columns that share what they know can each look unimportant.</p>"
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


def _trust(found: Explanation) -> str:
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
    note = f"<figcaption>{gap}, {count(curve.gap.rows)} rows.</figcaption>"
    return f"<figure><h3>{esc(title)}</h3>{svg.curves(lines, axis, y, frame)}{note}</figure>"


def _agreements(agreements: tuple[Agreement, ...]) -> str:
    items = "".join(f"<li>{esc(agreed(each))}</li>" for each in agreements)
    return f"<h3>Do two methods agree?</h3><ul>{items}</ul>" if items else ""


def _how(found: Explanation) -> str:
    told = [f"Effects of columns: {METHODS[found.method]}."] if len(found.rows[0].columns) > 1 else []
    if found.additive_error is not None and found.rounding is None:
        told.append(f"They add up to the answer but for {plain(found.additive_error, 2)}.")
    elif found.additive_error is not None:
        told.append(
            f"They add up to the sum of the trees but for {plain(found.additive_error, 2)}, and to the file's own sum, "
            f"in single precision, but for {plain(found.rounding or 0.0, 2)}."
        )
    if any(each.layout is not Layout.WHOLE for row in found.rows for each in row.parts):
        told.append(
            f"Effects of parts: {METHODS[Method.OCCLUSION]}. A patch that is removed has the picture's mean colour, a "
            "window of sound is silent, a band is filtered out, a window of a series is a straight line."
        )
    told.append(
        f"The file answered {count(found.answered)} changed rows; {count(found.compared)} rows of the source serve for "
        "comparison. An effect is of this model, not of the world: it says what the answer depends on, not why a thing "
        "is so."
    )
    return tag("p", " ".join(told))


def _interval(mean: Mean) -> str:
    if not np.isfinite([mean.low, mean.high]).all():
        return "one row: no interval"
    return f"{plain(mean.low)} to {plain(mean.high)}"


def _p(mean: Mean) -> str:
    return "p < 0.001" if mean.p < 0.001 else f"p = {plain(mean.p, 2)}"
