"""The contenders beside each other: score, cost against quality, and how they learned.

Enters: `Facts`. Leaves: HTML, a section each, empty where there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from leadline.charts.format import clip, count, esc, grid, micros, name, scroll, seconds, size, tag
from leadline.charts.svg import Axis, Frame, Mark, Series, curves, dot, scale, scatter, shape
from leadline.contenders.families import BASELINE, CLASSICAL, DEEP
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.records import Measure, Side
from leadline.report.facts import Contender, Facts, family, number

__all__ = ["contenders", "cost", "learning"]

POINTS = 300  # a learning curve is drawn through no more than these
COSTS = ("Training", "Core time", "A row of many", "A row alone", "Parameters", "Weights", "Memory")


def contenders(facts: Facts) -> str:
    """A table of those that finished, the reasons of those that did not, and what each of them did."""
    if not facts.contenders:
        return "<p>No contender started.</p>"
    table = ""
    if facts.finished:
        better = "higher is better" if facts.measure.higher else "lower is better"
        head = f'<th scope="col">Contender</th><th scope="col" class="num">Test {facts.measure.title}</th>'
        head += f'<th scope="col" class="drawn"><span>95% interval, {better}</span>'
        head += scale(facts.score_axis, facts.measure.text) + "</th>"
        head += "".join(f'<th scope="col" class="num">{text}</th>' for text in COSTS)
        rows = "".join(_row(facts, c) for c in facts.finished)
        table = f'<table class="contenders"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    legend = _legend() if table else ""
    level = _chosen(facts) + _valid_rows(facts) + _undertrained(facts) if table else ""
    told = f"{_begun(facts)}{_within(facts)}{_repeats(facts)}{_absent(facts)}{_described(facts)}"
    return f"{scroll(table, 'Contenders')}{legend}{level}{told}"


def _row(facts: Facts, c: Contender) -> str:
    """One contender that has a score."""
    badges = tag("span", "shipped", "badge signal") if c is facts.shipped else ""
    stopped = (facts.result.get("ended") or {}).get("code") == "stopped"
    cut = "stopped" if stopped else "cut by the budget"
    badges += tag("span", cut, "badge") if c.get("status") == "cut" else ""
    badges += tag("span", "undertrained", "badge") if c.get("undertrained") else ""
    seeds = f", the first of {count(c['seeds'])} trainings" if (number(c.get("seeds")) or 1) > 1 else ""
    peak = number(c.get("peak_mb"))
    costs = (
        seconds(number(c.get("fit_s"))),
        seconds(number(c.get("fit_cpu_s"))),
        micros(number(c.get("predict_us"))),
        micros(number(c.get("one_us"))),
        count(number(c.get("params"))),
        size(number(c.get("bytes"))),
        size(peak * 1e6 if peak is not None else None),
    )
    title = f"{clip(c.get('name'), 40)}: {facts.measure.text(c['score'])}"
    title += f", 95% interval {facts.span(c)}" if facts.span(c) else ""
    who = f"{_sign(family(c))}{name(c.get('name'), 28)}{badges}<small>{family(c)}{seeds}</small>"
    return (
        f'<tr class="{"chosen" if c is facts.shipped else "other"}"><th scope="row">{who}</th>'
        f'<td class="num strong">{facts.measure.text(c["score"])}</td>'
        f'<td class="drawn">{dot(facts.score_axis, _mark(facts, c, 0.0, title))}</td>'
        f"{''.join(tag('td', text, 'num') for text in costs)}</tr>"
    )


def _mark(facts: Facts, c: Contender, x: float, title: str) -> Mark:
    low, high = number(c.get("low")), number(c.get("high"))
    return Mark(x, c["score"], _short(c.get("name")), family(c), title, low, high, c is facts.shipped)


def _sign(kind: str) -> str:
    return f'<svg class="sign" aria-hidden="true" width="14" height="14">{shape(kind, "7", 7)}</svg>'


def _legend() -> str:
    """The signs that all charts share."""
    words = ((DEEP, DEEP), (CLASSICAL, CLASSICAL), (BASELINE, f"{BASELINE}: what guessing gives"))
    parts = "".join(f"<li>{_sign(kind)}{text}</li>" for kind, text in words)
    return f'<ul class="legend">{parts}<li>◂ ▸ beyond the scale</li></ul>'


def _within(facts: Facts) -> str:
    """How the best of a family stands to the others of it."""
    told = facts.result.get("within") or []
    over = f", over {facts.over}" if facts.over else ""
    parts = "".join(
        tag("li", f"Among the {esc(one.get('family'))}{over}: {clip(one.get('why'), 200)}.") for one in told
    )
    return f'<ul class="within">{parts}</ul>' if parts else ""


def _chosen(facts: Facts) -> str:
    """Who stands for each family and side, and what chose it; the sides of the deep family where both raced."""
    told = facts.result.get("chosen") or []
    if len([one for one in told if one["of"] in (Side.SCRATCH, Side.PRETRAINED)]) < 2:
        told = [one for one in told if one["of"] in (CLASSICAL, DEEP)]
    metric = facts.measure.title
    how = {
        Measure.METRIC: f"by {metric}",
        Measure.BRIER: f"by Brier score among those that {metric} does not tell from the best",
        Measure.COST: "as the cheapest within one standard error of the best",
        Measure.NO_VALID_ROWS: "as the first, without valid rows",
    }
    parts = [f"{name(one['contender'])} for {esc(one['of'])}, {how[Measure(one['by'])]}" for one in told]
    return f"<p>Chosen on the valid rows: {'; '.join(parts)}.</p>" if parts else ""


def _valid_rows(facts: Facts) -> str:
    """Who was trained on the valid rows too, once they had chosen."""
    told = [c for c in facts.finished if c.get("trained_on_valid") is not None]
    if not told or not (facts.result.get("rows") or {}).get("valid"):
        return ""
    without = [name(c.get("name")) for c in told if not c["trained_on_valid"]]
    if not without:
        return "<p>Once the valid rows had chosen, every contender was trained on them too.</p>"
    rest = "the others were" if len(without) < len(told) else "none was"
    return (
        f"<p>Once the valid rows had chosen, {rest} trained on them too. Not {', '.join(without)}: "
        "what each of them did says why.</p>"
    )


def _undertrained(facts: Facts) -> str:
    """Who had too little time: losing says nothing of its family."""
    short = [name(c.get("name")) for c in facts.finished if c.get("undertrained")]
    if not short:
        return ""
    return f"<p>Undertrained, so that losing says nothing of a family: {', '.join(short)}.</p>"


def _begun(facts: Facts) -> str:
    """Which networks began from an earlier run's."""
    lines = []
    for c in facts.finished:
        init = c.get("init") or {}
        taken, every = number(init.get("parameters")), number(init.get("of"))
        if taken is None or not every:
            continue
        lines.append(
            f"{name(c.get('name'))} began from {clip(init.get('network'), 200)} (digest "
            f"{clip(init.get('digest'), 40)}): {count(taken)} of {count(every)} parameters, {taken / every:.0%}."
        )
    if not lines:
        return ""
    return f"<p>{' '.join(lines)} The heads are new, and the other contenders learned from these rows alone.</p>"


def _repeats(facts: Facts) -> str:
    """What every contender scored on each fold, or from each seed."""
    repeats = facts.result.get("repeats_run") or []
    if len(repeats) < 2:
        return ""
    names = [c.get("name") for c in facts.finished if c.get("name") in (repeats[0].get("scores") or {})]
    rows = [
        [
            count(one.get("repeat", 0) + 1),
            f"{one['fold'] + 1}" if number(one.get("fold")) is not None else "the same rows",
            count(one.get("seed")), seconds(number(one.get("seconds"))),
            *(facts.measure.text(number((one.get("scores") or {}).get(n))) for n in names),
        ]
        for one in repeats
    ]  # fmt: skip
    head = ("Repeat", "Fold", "Seed", "Took", *(name(n, 16) for n in names))
    table = grid(head, rows, 0, "Resampling")
    return f"<details><summary>All {len(repeats)} repeats, scored on their test rows</summary>{table}</details>"


def _absent(facts: Facts) -> str:
    """Those without a score, and why."""
    missing = [c for c in facts.contenders if number(c.get("score")) is None]
    rows = "".join(
        f'<li>{name(c.get("name"))} <span class="badge">{esc(c.get("status") or "no score")}</span> '
        f"{clip(c.get('why') or 'No reason was recorded.', 400)}</li>"
        for c in missing
    )
    return f'<h3>Without a score</h3><ul class="absent">{rows}</ul>' if missing else ""


def _described(facts: Facts) -> str:
    """Each contender in its own words."""
    told = [c for c in facts.contenders if c.get("describe")]
    parts = "".join(
        tag("dt", name(c.get("name"))) + "".join(tag("dd", clip(s, 300)) for s in c["describe"][:12]) for c in told
    )
    return f'<details><summary>What each contender did</summary><dl class="told">{parts}</dl></details>' if told else ""


def cost(facts: Facts) -> str:
    """Two scatters: what a row costs and what training costs, against the score."""
    parts = [
        _scatter(facts, "predict_us", "time a row, log scale", micros, "What an answer costs"),
        _scatter(facts, "fit_s", "training time, log scale", seconds, "What training costs"),
    ]
    if not any(parts):
        return ""
    note = "<p>On the dashed line lie the contenders that no other beats on both counts.</p>"
    return f'{note}<div class="pair">{"".join(parts)}</div>'


def _scatter(facts: Facts, key: str, x_title: str, words: Callable[[float], str], title: str) -> str:
    """Score over one cost; empty with fewer than two points."""
    measure = facts.measure
    priced = [c for c in facts.finished if (number(c.get(key)) or 0) > 0]
    marks = [
        _mark(facts, c, c[key], f"{clip(c.get('name'), 40)}: {measure.text(c['score'])}, {words(c[key])}")
        for c in priced
    ]
    if len(marks) < 2:
        return ""
    front: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.x, -m.y if measure.higher else m.y)):
        if not front or (mark.y > front[-1].y if measure.higher else mark.y < front[-1].y):
            front.append(mark)
    y_title = measure.title + ("" if measure.higher else ", lower is better")
    frame = Frame(f"{title}: {x_title}, against test {y_title}", (x_title, y_title), (words, measure.text))
    across = Axis.over([m.x for m in marks], pad=0.08, log=True)
    return f"<figure><h3>{title}</h3>{scatter(marks, across, facts.score_axis, front, frame)}</figure>"


def learning(facts: Facts) -> str:
    """Valid score over seconds of training, for contenders that learn in steps or compare fits."""
    lines = [one for c in facts.contenders if (one := _history(facts, c)) is not None]
    if not lines:
        return ""
    end = max(one.points[-1][0] for one in lines)
    late = [y for one in lines for x, y in one.points[1:] if x >= 0.15 * one.points[-1][0]]
    late += [one.sign[1] for one in lines if one.sign is not None]
    title = f"valid {facts.measure.title}"
    frame = Frame(
        f"{title} of each contender over seconds of training", ("training time", title), (_clock, facts.measure.text)
    )
    scores = Axis.over(late, pad=0.1)
    if facts.measure.is_percent:  # there is no 110%
        scores = replace(scores, low=max(0.0, scores.low), high=min(1.0, scores.high))
    chart = curves(lines, Axis(0.0, max(end, 1e-9)), scores, frame)
    signs = "Each sign is at the score of the model that was kept."
    if any(one.tried for one in lines):
        signs += " Small dots are fits that a search compared, such as strengths of regularisation; no line joins them."
    note = f"Scores on the valid rows, which stop and select. {signs} The first moments may lie outside the picture."
    return f"<p>{note}</p><figure>{chart}</figure>"


def _history(facts: Facts, c: Contender) -> Series | None:
    """The valid scores of a contender; None where they are fewer than two."""
    whole = [p for p in c.get("curve") or [] if number(p[0]) is not None and number(p[2]) is not None]
    points = [(float(p[0]), float(p[2])) for p in whole]
    if len(points) < 2:
        return None
    stride = -(-len(points) // POINTS)
    kept = [*points[:-1:stride], points[-1]]
    score = number(c.get("valid_score"))
    sign = points[-1]
    if score is not None:  # where several fits have it, the first was kept; a blend of several has a score of its own
        sign = next((point for point in points if point[1] == score), (points[-1][0], score))
    known = PORTFOLIO.get(str(c.get("name")))
    return Series(
        _short(c.get("name")), family(c), kept, c is facts.shipped, sign, known is not None and known.searches
    )  # fmt: skip


def _clock(value: float) -> str:
    return seconds(value) if value else "0"


def _short(value: object) -> str:
    """A name for a label inside a chart; not yet escaped."""
    text = str(value)
    return text if len(text) <= 18 else text[:17] + "…"
